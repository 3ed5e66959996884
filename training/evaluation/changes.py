"""Changes that leave a post's message as it is: no label and no stance should change with them.

A metamorphic test needs no labels (Ribeiro et al. 2020, "Beyond accuracy: behavioral testing of NLP models with
CheckList", which calls it an invariance test).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

from narratrace.model.script import convert_script
from narratrace.training.augmentation import add_emoji, add_typos, strip_punctuation

Change = Callable[[str], str]

_TAG = re.compile(r"#\w{2,}")
_FALLBACK_TAG = "#news"


def changes(texts: Sequence[str], seed: int) -> dict[str, Change]:
    """The changes, by name; those that draw at random give the same text the same change each time.

    Parameters
    ----------
    texts
        The posts that will be changed; the hashtag that most of them have is the topical one.
    seed
        Of the emoji and typos.
    """

    def drawn(change: Callable[[str, random.Random], str]) -> Change:
        return lambda text: change(text, random.Random(f"{seed} {text}"))

    topical = topical_tag(texts)
    return {
        "to Simplified script": lambda text: convert_script(text, "t2s"),
        "to Traditional script": lambda text: convert_script(text, "s2hk"),
        "punctuation stripped": strip_punctuation,
        "URL added": lambda text: f"{text} https://t.co/AbC123xYz",
        "mention added": lambda text: f"@someone_2019 {text}",
        f"{topical} added": lambda text: f"{text} {topical}",
        "emoji added": drawn(add_emoji),
        "typos": drawn(add_typos),
        "zero-width characters": "\u200b".join,
        "full width": _widen,
    }


def topical_tag(texts: Sequence[str]) -> str:
    """The hashtag that is in most posts; a plain one where there is none."""
    counts = Counter(tag for text in texts for tag in set(_TAG.findall(text)))
    return min(counts, key=lambda tag: (-counts[tag], tag), default=_FALLBACK_TAG)


def _widen(text: str) -> str:
    """Letters, digits and marks of ASCII in their full-width forms, as Chinese input methods write them."""
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)
