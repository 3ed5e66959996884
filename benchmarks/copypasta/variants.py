"""Variants: what operations do to a text so that it is not recognised."""

from __future__ import annotations

import random
import re
import string
import unicodedata
from collections.abc import Callable

from narratrace.model.script import convert_script

Variant = Callable[[str, random.Random], str]

_HAN = re.compile(r"[\u3400-\u9fff]")
_EMOJI = "😀 😡 🔥 🙏 👍🏽 💪 🇨🇳 🇭🇰 ❤️ ✨ 😂 👏 ⚡️ 👨‍👩‍👧 1️⃣".split()
_TAGS = ("香港", "HongKong", "今日", "breaking", "熱門", "转发", "nowplaying", "hk")
_LOOKALIKES = dict(zip("aceopxyi", "асеорхуі", strict=True)) | {
    "日": "曰",
    "己": "已",
    "未": "末",
    "土": "士",
    "人": "⼈",
}


def to_simplified(text: str, chance: random.Random) -> str:
    return convert_script(text, "t2s")


def to_traditional(text: str, chance: random.Random) -> str:
    return convert_script(text, chance.choice(["s2t", "s2hk", "s2tw"]))


def noise(text: str, chance: random.Random) -> str:
    """A mention before, a hashtag and a link behind."""
    link = "https://t.co/" + _token(chance, string.ascii_letters + string.digits, 10)
    return f"@{_token(chance, string.ascii_lowercase + '_', 9)} {text} #{chance.choice(_TAGS)} {link}"


def trailing_token(text: str, chance: random.Random) -> str:
    token = _token(chance, string.ascii_letters + string.digits, chance.randint(5, 10))
    return text + chance.choice([f" {token}", f" [{token}]", f" #{token}", f" {chance.randint(10**5, 10**8)}"])


def symbols(text: str, chance: random.Random) -> str:
    """A run of symbols before or behind."""
    run = "".join(chance.choice("!~*·.。！★☆-=_^") for _ in range(chance.randint(4, 12)))
    return f"{text}{run}" if chance.random() < 0.5 else f"{run}{text}"


def emoji(text: str, chance: random.Random) -> str:
    """Three to six emoji, anywhere."""
    for _ in range(chance.randint(3, 6)):
        at = chance.randint(0, len(text))
        text = text[:at] + chance.choice(_EMOJI) + text[at:]
    return text


def edits_10(text: str, chance: random.Random) -> str:
    return _edits(text, chance, 0.1)


def edits_20(text: str, chance: random.Random) -> str:
    return _edits(text, chance, 0.2)


def truncation(text: str, chance: random.Random) -> str:
    """The first 60 %, as where a platform cuts."""
    return text[: round(0.6 * len(text))] + chance.choice(["", "…", "..."])


def rotation(text: str, chance: random.Random) -> str:
    """Three blocks, in another order."""
    third = len(text) // 3
    blocks = [text[:third], text[third : 2 * third], text[2 * third :]]
    return "".join(blocks[at] for at in chance.choice([(1, 2, 0), (2, 0, 1), (2, 1, 0)]))


def width(text: str, chance: random.Random) -> str:
    """Full-width letters, digits and punctuation where there are half-width ones, and the other way round."""
    folded = unicodedata.normalize("NFKC", text)
    if folded != text and chance.random() < 0.5:
        return folded
    return "".join(
        chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else "\u3000" if each == " " else each for each in text
    )


def no_punctuation(text: str, chance: random.Random) -> str:
    return "".join(each for each in text if unicodedata.category(each)[0] not in "PS")


def homoglyphs(text: str, chance: random.Random) -> str:
    """Letters and characters that look like others, wherever the text has them."""
    return "".join(_LOOKALIKES.get(each, each) for each in text)


KINDS: dict[str, Variant] = {
    "to_simplified": to_simplified,
    "to_traditional": to_traditional,
    "noise": noise,
    "trailing_token": trailing_token,
    "symbols": symbols,
    "emoji": emoji,
    "edits_10": edits_10,
    "edits_20": edits_20,
    "truncation": truncation,
    "rotation": rotation,
    "width": width,
    "no_punctuation": no_punctuation,
    "homoglyphs": homoglyphs,
}


def _token(chance: random.Random, alphabet: str, length: int) -> str:
    return "".join(chance.choice(alphabet) for _ in range(length))


def _edits(text: str, chance: random.Random, share: float) -> str:
    """Delete, replace or insert a character in so many places."""
    characters = list(text)
    for at in sorted(chance.sample(range(len(characters)), round(share * len(characters))), reverse=True):
        what = chance.choice(["delete", "replace", "insert"])
        other = (
            chr(chance.randint(0x4E00, 0x9FA5)) if _HAN.match(characters[at]) else chance.choice(string.ascii_lowercase)
        )
        characters[at : at + (what != "insert")] = [] if what == "delete" else [other]
    return "".join(characters)
