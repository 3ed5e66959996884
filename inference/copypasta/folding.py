"""Folding: the forms of a text in which copies are equal although somebody changed how they look.

Each form is made from the one before:

- **normalised**: letters and digits of the text module's form, in lower case, without what operations add to dodge
  de-duplication (tokens of random letters and digits at either end), without what platforms add (names after an @,
  emoticons and mark-up in brackets, the words of share buttons), and with look-alike letters of other alphabets
  (``сhina`` with a Cyrillic с) as the Latin ones they pass for.
- **script**: Chinese characters in Simplified script, by OpenCC.
- **lexical**: the commonest Cantonese words as their Mandarin ones, and of a few words of like meaning always the same
  one. It is what the fuzzy stage compares.
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
    r"|(?:回覆|回复)?\s*(?:負評過多|负评过多)\W{0,3}按此(?:顯示|显示)原文"
)
_FORMS_AT_ONCE = 2**12
_LETTERS = re.compile(r"[^\W_]+")
# Random tokens at the ends; "G20", "covid19" or "YouTube" change their kind of character too seldom. Digits alone are a
# telephone number or a date as well as random: what differs in them is left to the fuzzy stage.
_MOST_AFFIXES = 3
_LONGEST_WORD = 16
_TOKEN = r"[A-Za-z0-9]{4,40}"
_AFFIX = re.compile(rf"(?:^{_TOKEN}(?![A-Za-z0-9])|(?<![A-Za-z0-9]){_TOKEN}$)")
_JOINED_WORDS = re.compile(r"[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*[A-Z]*[0-9]*")  # StandWithHK, HongKongProtest2019
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
    "揾": "找", "掟": "扔", "嗌": "喊", "讲": "说", "话": "说", "仲": "还", "晒": "完", "返": "回", "瞓": "睡",
    "企": "站", "冚": "盖", "靓": "好", "嬲": "怒", "噉": "这样", "咪": "不", "㗎": "的", "啦": "了", "喇": "了",
    "舖": "铺", "锡": "爱", "惊": "怕", "𠮶啲": "那些", "𠮶个": "那个", "𠮶班": "那帮", "𠮶度": "那里",
    "𠮶阵": "时候", "𠮶": "那", "食": "吃", "饮": "喝", "揿": "按", "点样": "怎样", "千祈": "千万", "琴晚": "昨晚",
    "寻晚": "昨晚", "听晚": "明晚", "今朝": "今早", "返工": "上班", "放工": "下班", "仔女": "孩子", "个仔": "儿子",
    "阿妈": "妈妈", "阿爸": "爸爸", "把遮": "把伞", "净系": "只是", "唔好": "不要", "唔使": "不用", "唔再": "不再",
    "应承": "答应", "面书": "脸书", "冇所谓": "没关系", "帮手": "帮忙", "隔篱": "隔壁", "雪柜": "冰箱",
    "入面": "里面", "入边": "里面", "成日": "整天", "定系": "还是", "落去": "下去", "见到": "看到", "拣": "选",
    "依度": "这里", "我度": "我这里", "后生": "年轻", "佬": "人", "蚊": "元", "嗰班": "那帮", "返屋企": "回家",
    "边位": "谁", "几时": "什么时候", "即系": "就是", "得闲": "有空", "搞掂": "搞定", "俾人": "被人", "先至": "才",
    "先系": "才是", "唔知": "不知道", "差佬": "警察", "咁多": "那么多", "咁样": "这样", "冇人": "没人",
    "冇咗": "没了", "唔得": "不行", "仲系": "还是", "都系": "也是", "唔觉": "不觉", "老细": "老板",
    "细蚊仔": "孩子", "冧": "倒", "打甩": "打掉", "甩": "掉", "影相": "拍照", "搵": "找", "衫": "衣",
}  # fmt: skip
# A text is Cantonese if it has one of these, which Mandarin does not use.
_MARK = re.compile(r"[嘅冇唔佢咗喺俾畀啲嗰𠮶咁咩嘢哋嚟攞揾嗌瞓㗎喇睇谂]")
# Words of like meaning in any Chinese text, of which different varieties prefer different ones.
_LIKE = str.maketrans({"给": "被", "让": "被", "也": "都", "她": "他", "它": "他", "您": "你", "讲": "说", "著": "着"})
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
    """Replace the commonest Cantonese words of a script form by Mandarin ones, and words of like meaning by one.

    Examples
    --------
    >>> lexical_form("佢哋唔系香港人")
    '他们不是香港人'
    """
    if _MARK.search(script):
        script = _WORDS.sub(lambda word: _CANTONESE[word[0]], script)
    return script if script.isascii() else script.replace("甚么", "什么").translate(_LIKE)


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
    is_mixed = len(_CHANGE.findall(token)) >= (4 if token.isalpha() else max(2, len(token) // 5))
    is_random = is_mixed and not _JOINED_WORDS.fullmatch(token)
    if token.isalpha():
        is_random |= not (token.isupper() or _VOWEL.search(token))
        is_random &= len(token) <= _LONGEST_WORD
    return "" if is_random else token
