"""Folding: the forms of a text in which copies are equal although somebody changed how they look.

Each form is made from the one before:

- **normalised**: letters and digits of the text module's form, in lower case, without what operations add to dodge
  de-duplication (tokens of random letters and digits at either end), without what platforms add (names after an @,
  emoticons and mark-up in brackets, the words of share buttons), and with look-alike letters of other alphabets
  (``сhina`` with a Cyrillic с) as the Latin ones they pass for.
- **script**: Chinese characters in Simplified script, by OpenCC.
- **lexical**: the commonest Cantonese words as their Mandarin ones. It is what the fuzzy stage compares.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from narratrace.model.script import convert_script
from narratrace.model.text import normalise

# Letters of Cyrillic and Greek that look like Latin ones, in lower case.
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһкмтвнгԛԝүαορνικτυ", "aeopcyxijsdhkmtbhrqwyaopviktu")
# What only text in Cyrillic or Greek has: such letters are no disguise there.
_FOREIGN = re.compile(r"[бджзйлпфцчшщъыьэюяґєїγδζηθλμξπσςφχψω]")
_LATIN = re.compile(r"[a-z]")

# Names that the text module leaves, as they might be places; [哈哈] of Weibo, [size=6] of forums; share buttons.
_PLATFORM = re.compile(
    r"@[\w-]{2,20}(?=[\s@:]|$)|\[[\u3400-\u9fff]{1,4}\]|\[/?[a-z]{1,6}(?:=#?\w{1,9})?\]"
    r"|转发微博|轉發微博|[-(]? ?分享自 ?(?:@\S{1,20}|LIHKG 討論區)\)?|\(来自 ?@\S{1,20}\)|(?<!\S)via @?\w{1,20}$"
)
_FORMS_AT_ONCE = 2**12
_LETTERS = re.compile(r"[^\W_]+")
# Random tokens at the ends; "G20", "covid19" or "YouTube" change their kind of character too seldom.
_MOST_AFFIXES = 3
_TOKEN = r"[A-Za-z0-9]{4,16}"
_AFFIX = re.compile(rf"(?:^{_TOKEN}(?![A-Za-z0-9])|(?<![A-Za-z0-9]){_TOKEN}$)")
_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[a-z])")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")

# Cantonese as written, in Simplified characters, longest first.
_CANTONESE = {
    "而家": "现在", "依家": "现在", "宜家": "现在", "我哋": "我们", "你哋": "你们", "佢哋": "他们", "人哋": "别人",
    "点解": "为什么", "乜嘢": "什么", "咩事": "什么事", "边个": "谁", "边度": "哪里", "呢度": "这里",
    "嗰度": "那里", "呢啲": "这些", "嗰啲": "那些", "呢个": "这个", "嗰个": "那个", "啲人": "些人",
    "有冇": "有没有", "唔该": "请", "唔系": "不是", "系咪": "是不是", "今日": "今天", "琴日": "昨天",
    "寻日": "昨天", "听日": "明天", "后生仔": "年轻人", "差人": "警察", "细路": "孩子", "屋企": "家",
    "钟意": "喜欢", "中意": "喜欢", "谂住": "想着", "谂": "想", "睇": "看", "嘅": "的", "系": "是", "冇": "没有",
    "唔": "不", "佢": "他", "咗": "了", "喺": "在", "俾": "被", "畀": "给", "啲": "些", "嗰": "那", "呢": "这",
    "咁": "这么", "乜": "什么", "咩": "什么", "嘢": "东西", "哋": "们", "嚟": "来", "黎": "来", "攞": "拿",
    "揾": "找", "掟": "扔", "嗌": "喊", "讲": "说", "话": "说", "仲": "还", "晒": "完", "埋": "掉", "返": "回",
    "瞓": "睡", "企": "站", "冚": "盖", "靓": "好", "边": "哪", "嬲": "怒", "识": "会", "噉": "这样", "住": "着",
    "咪": "不", "㗎": "的", "啦": "了", "喇": "了", "同": "和", "舖": "铺", "锡": "爱", "惊": "怕",
}  # fmt: skip
# A text is Cantonese if it has one of these, which Mandarin does not use.
_MARK = re.compile(r"[嘅冇唔佢咗喺俾畀啲嗰咁咩嘢哋嚟攞揾嗌瞓㗎喇睇谂]")
_WORDS = re.compile("|".join(sorted(_CANTONESE, key=len, reverse=True)))


def normalised_form(text: str) -> str:
    """Fold a text as the normalised stage compares it; linear in time, empty for a text of symbols alone.

    Examples
    --------
    >>> normalised_form("支持警察！！ x7Kq2Zp") == normalised_form("支持警察🇨🇳")
    True
    """
    plain = _trimmed(_PLATFORM.sub(" ", normalise(text).text))
    for _ in range(_MOST_AFFIXES):
        shorter = _trimmed(_AFFIX.sub(_unless_random, plain))
        if not shorter or shorter == plain:
            break
        plain = shorter
    plain = plain.casefold()
    if not plain.isascii() and _LATIN.search(plain) and not _FOREIGN.search(plain):
        plain = plain.translate(_LOOKALIKES)
    # Thai and other scripts write vowels as combining marks, which are no letters to a regular expression.
    if any(map(_is_mark, _LETTERS.sub("", plain))):
        return "".join([character for character in plain if character.isalnum() or _is_mark(character)])
    return "".join(_LETTERS.findall(plain))


def script_forms(normalised: Sequence[str]) -> list[str]:
    """Fold normalised forms to Simplified script, many at once."""
    forms = []
    for first in range(0, len(normalised), _FORMS_AT_ONCE):
        forms += convert_script("\n".join(normalised[first : first + _FORMS_AT_ONCE]), "t2s").split("\n")
    return forms


def lexical_form(script: str) -> str:
    """Replace the commonest Cantonese words of a script form by Mandarin ones; other texts stay as they are.

    Examples
    --------
    >>> lexical_form("佢哋唔系香港人")
    '他们不是香港人'
    """
    if not _MARK.search(script):
        return script
    return _WORDS.sub(lambda word: _CANTONESE[word[0]], script)


def _trimmed(text: str) -> str:
    """Cut what is neither letter nor digit off both ends."""
    first = _LETTERS.search(text)
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    return text[first.start() : end] if first else ""


def _is_mark(character: str) -> bool:
    # Not the marks of emoji: variation selectors and the keycap.
    return unicodedata.category(character)[0] == "M" and character not in "\ufe0e\ufe0f\u20e3"


def _unless_random(match: re.Match[str]) -> str:
    token = match[0]
    changes = len(_CHANGE.findall(token))
    if token.isalpha():
        is_random = changes >= 4 or not (token.isupper() or _VOWEL.search(token))
    else:
        is_random = changes >= 2 or (token.isdigit() and len(token) >= 6)
    return "" if is_random else token
