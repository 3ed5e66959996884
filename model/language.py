"""Which language a post is in, told from its characters and a few words, fast enough for every post of an archive.

The tag is noisy: a post of five characters, a name or a slogan belongs to several languages at once. It serves to pick
thresholds and to report results by language, not to prove where an author comes from.

- **Han, English or both**: from how much there is of each script. An English word weighs as much as 1.6 characters,
  about the length of a Chinese word. A post with a substantial share of both is mixed.
- **Cantonese**: by the characters and words of canto-filter (Lau et al. 2024, "The Extraction and Fine-grained
  Classification of Written Cantonese Materials through Linguistic Feature Detection"), and the spellings of Hong Kong's
  forums that it leaves out. Posts in Simplified characters are folded to Traditional first. A lone Cantonese word in a
  long post, or among many words that only Mandarin has, is a loan, and the post stays Mandarin.
- **Script**: by the characters that OpenCC changes in one direction only, save those that Traditional Chinese of Hong
  Kong or Taiwan has too. Text whose characters both scripts share is called Simplified, as most such posts are in the
  labelled data of 2019.
- **English or another language in Latin letters**: by function words and letters with diacritics; for want of any
  evidence, English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from narratrace.model.script import convert_script

__all__ = ["LANGUAGES", "identify", "one_script"]

LANGUAGES = ("zh-Hans", "zh-Hant", "yue", "en", "mixed", "other", "und")

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
# No part of an address, mention or file name.
_LATIN = re.compile(
    r"(?<![A-Za-z0-9_./@&])[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][A-Za-z]+)?(?![./@:]?[A-Za-z0-9_/])"
)
_OTHER = re.compile(
    r"[\u0370-\u1dff\u1f00-\u1fff\u2c00-\u2dff\u3040-\u30ff\u3130-\u318f\ua000-\ud7ff\ufb1d-\ufdff\ufe70-\ufefc"
    r"\uff66-\uffdc\U00010000-\U0001efff]+"
)
# How much one Latin word, and one character of another script, weigh against one Han character.
_WORD = 1.6
_OTHER_CHARACTER = 0.5
# The least share that makes another script the language of the post; Japanese has Han characters too.
_OTHER_SHARE = 0.25
# The least and greatest share of Latin words in mixed text.
_MIXED = (0.25, 0.8)

# Spellings of Cantonese on Hong Kong's forums that canto-filter does not count.
_CANTONESE = re.compile(
    r"唔|睇|咩|(?<!嘍)囉(?![嗦唆])|俾|噶|(?<![憤感慷])慨|[我你佢渠]地|渠哋|[呢依][個度班次排]|[頭正]先|宜家|係咪|黎[架㗎咖]|[好都仲係]多啲"
)
# How many words that only Mandarin has, and how many characters, one Cantonese mark outweighs.
_MANDARIN_PER_MARK = 3
_HAN_PER_MARK = 90

# The least share of foreign words in a text in another language: a name is not enough.
_FOREIGN_SHARE = 0.15
_ENGLISH = frozenset(
    "the a an and or but of to in on at for with from by about is are was were be been has have had do does did will "
    "would can could should not no it its this that these those they them their there he she his her him we our us you "
    "your i my me who what when where why how if so as than then just all more out up over after before because into "
    "against only also very don't it's can't i'm".split()
)
# Spanish, Portuguese, French, Italian, German, Dutch, Swedish, Polish, Turkish, Malay and Indonesian, Tagalog.
_FOREIGN = frozenset(
    "el la los las una del que por para como pero más esta este eso "
    "os uma não com dos das pelo pela mais você isso foi são "
    "le les des du une est et dans qui sur avec ce cette sont je nous vous "
    "il lo gli della di che sono questo anche alla "
    "der das und ist nicht ein eine mit auf für von zu sich auch wir ich sie "
    "het een niet voor zijn ook maar naar wij "
    "och att det som är på inte jag av "
    "nie się jest że dla jak tylko "
    "bir ve bu için ile çok değil "
    "yang dan ini itu dengan untuk tidak dari dalam akan ada juga saya kita mereka orang bisa sudah "
    "ang ng mga sa ako siya hindi po naman".split()
)


def identify(text: str) -> str:
    """Tell the language of a post.

    Parameters
    ----------
    text
        A post, best as ``normalise`` gives it. Case and punctuation do not matter.

    Returns
    -------
    str
        One of ``LANGUAGES``: Simplified, Traditional or Cantonese Chinese (in either script), English, ``mixed`` for
        substantial shares of Chinese and English, ``other`` for any other language, ``und`` with no letters to judge
        by.

    Examples
    --------
    >>> identify("今晚唔好出街呀"), identify("支持警察严正执法"), identify("Stay safe out there")
    ('yue', 'zh-Hans', 'en')
    """
    han = sum(map(len, _HAN.findall(text)))
    words = _LATIN.findall(text)
    latin = _WORD * len(words)
    other = 0.0 if text.isascii() else _OTHER_CHARACTER * sum(map(len, _OTHER.findall(text)))
    total = han + latin + other
    if not total:
        return "und"
    if other > _OTHER_SHARE * total:
        return "other"
    least, greatest = _MIXED
    if latin > greatest * (han + latin):
        return "en" if _is_english(words) else "other"
    if latin >= least * (han + latin):
        return "mixed" if _is_english(words) else "other"
    return _chinese(text, han)


def one_script(text: str) -> str | None:
    """Tell the only Chinese script that a text can be in.

    Parameters
    ----------
    text
        A post, best as ``normalise`` gives it.

    Returns
    -------
    str or None
        ``zh-Hans`` or ``zh-Hant`` where the text has characters of this script alone, besides those of both, and OpenCC
        would write it otherwise in the other one. None where it has characters of both or of neither.

    Examples
    --------
    >>> one_script("严惩暴徒"), one_script("嚴懲暴徒"), one_script("香港加油")
    ('zh-Hans', 'zh-Hant', None)
    """
    scripts = _scripts()
    simplified, traditional = (bool(each.search(text)) for each in (scripts.simplified, scripts.traditional))
    if simplified == traditional:
        return None
    # By the phrase: characters as in 著名 and 乾隆 are written so in both scripts, though not elsewhere.
    if convert_script(text, "s2t" if simplified else "t2s") == text:
        return None
    return "zh-Hans" if simplified else "zh-Hant"


def _is_english(words: list[str]) -> bool:
    lowered = [word.lower().replace("’", "'") for word in words]
    english = sum(map(_ENGLISH.__contains__, lowered))
    foreign = sum(word in _FOREIGN or not word.isascii() for word in lowered)
    return foreign <= english or foreign < _FOREIGN_SHARE * len(words)


class _Scripts(NamedTuple):
    simplified: re.Pattern[str]
    traditional: re.Pattern[str]
    to_traditional: dict[int, str]


@cache
def _scripts() -> _Scripts:
    from opencc import OpenCC

    characters = [chr(code) for code in range(0x3400, 0xA000)]

    def converted(configuration: str, characters: list[str]) -> list[str]:
        # One on a line, so that no phrase comes together.
        lines: str = OpenCC(configuration).convert("\n".join(characters))
        return lines.split("\n")

    pairs = list(zip(characters, converted("s2t", characters), converted("t2s", characters), strict=True))
    unchanged = [character for character, traditional, _ in pairs if character == traditional]
    regional = {*converted("t2hk", unchanged), *converted("t2tw", unchanged)}
    simplified = [each for each, to, back in pairs if each != to and each == back and each not in regional]
    traditional = [each for each, to, back in pairs if each == to and each != back]
    return _Scripts(
        re.compile(f"[{''.join(simplified)}]"),
        re.compile(f"[{''.join(traditional)}]"),
        {ord(each): to for each, to, _ in pairs if each != to},
    )


def _chinese(text: str, han: int) -> str:
    scripts = _scripts()
    is_simplified = len(scripts.simplified.findall(text)) >= len(scripts.traditional.findall(text))
    if _is_cantonese(text.translate(scripts.to_traditional) if is_simplified else text, han):
        return "yue"
    return "zh-Hans" if is_simplified else "zh-Hant"


def _is_cantonese(text: str, han: int) -> bool:
    from cantofilter.judge import (
        CANTO_UNIQUE_CHAR,
        CANTO_UNIQUE_WORD,
        MANDO_FEATURE,
        MANDO_LOAN,
        MANDO_UNIQUE,
    )

    cantonese = sum(len(pattern.findall(text)) for pattern in (CANTO_UNIQUE_CHAR, CANTO_UNIQUE_WORD, _CANTONESE))
    if not cantonese or _HAN_PER_MARK * cantonese < han:
        return False
    # Mandarin features inside words that Cantonese has borrowed do not count.
    mandarin = len(MANDO_UNIQUE.findall(text)) + len(MANDO_FEATURE.findall(MANDO_LOAN.sub("", text)))
    return _MANDARIN_PER_MARK * cantonese >= mandarin
