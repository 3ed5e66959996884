"""Changes that leave a post's message as it is, so that the network learns the message and not the form.

Published archives strip punctuation, digits and case from some posts, accounts write one message in both scripts, and
written-for-training posts are tidier than real ones. Each post is changed at random, anew in every epoch.
"""

from __future__ import annotations

import random
import unicodedata

from narratrace.model.script import convert_script
from narratrace.training.settings import AugmentationSettings

_SCRIPTS = ("s2t", "s2hk", "t2s")


class Augmentation:
    """Changes posts at random.

    Parameters
    ----------
    settings
        How often each change is made.
    """

    def __init__(self, settings: AugmentationSettings) -> None:
        self._settings = settings

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return a changed copy of a normalised post; never an empty one."""
        settings = self._settings
        if rng.random() < settings.change_script:
            text = convert_script(text, rng.choice(_SCRIPTS))
        changed = text
        if rng.random() < settings.strip_punctuation:
            changed = strip_punctuation(changed)
        if rng.random() < settings.strip_digits:
            changed = "".join(character for character in changed if not character.isdigit())
        if rng.random() < settings.lower_case:
            changed = changed.lower()
        return changed if changed.strip() else text


def strip_punctuation(text: str) -> str:
    """Remove punctuation and symbols as publishers of archives do: glued in Chinese, one blank elsewhere.

    Examples
    --------
    >>> strip_punctuation("警察，加油！Stand firm, now.")
    '警察加油Stand firm now'
    """
    kept = []
    for position, character in enumerate(text):
        if unicodedata.category(character)[0] not in "PS":
            kept.append(character)
        elif position + 1 < len(text) and kept and kept[-1].isascii() and text[position + 1].isascii():
            kept.append(" ")
    return " ".join("".join(kept).split())
