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

from narratrace.inference.copypasta.cantonese import replace_cantonese
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

# Words of like meaning in any Chinese text, of which different varieties prefer different ones.
_LIKE_WORDS = {
    "甚么": "什么", "没有": "没", "不要": "别", "看见": "看到", "妈妈": "妈", "爸爸": "爸", "两百": "二百",
    "两千": "二千", "个小时": "小时", "个星期": "周", "星期": "周", "个礼拜": "周", "礼拜": "周",
}  # fmt: skip
_LIKE_WORD = re.compile("|".join(sorted(_LIKE_WORDS, key=len, reverse=True)))
_LIKE = str.maketrans(
    "给让也亦她它您讲著日同跟与及将由之便入块未落行望很替",
    "被被都都他他你说着天和和和和把从的就进元没下走看好帮",
)


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
    >>> lexical_form("佢哋嗰日喺度") == lexical_form("他们那天在这里")
    True
    """
    if script.isascii():
        return script
    mandarin = replace_cantonese(script)
    return _LIKE_WORD.sub(lambda word: _LIKE_WORDS[word[0]], mandarin).translate(_LIKE)


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
