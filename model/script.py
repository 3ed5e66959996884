"""Chinese script: one loaded OpenCC converter of each kind for all who need it."""

from __future__ import annotations

from functools import cache
from typing import Any


def convert_script(text: str, how: str) -> str:
    """Convert a text from one Chinese script to another.

    Parameters
    ----------
    text
        Any text; what is not Chinese stays.
    how
        A configuration of OpenCC: ``t2s``, ``s2t``, ``s2hk`` and so on.
    """
    converted: str = _converter(how).convert(text)
    return converted


@cache
def _converter(how: str) -> Any:
    import opencc  # loads its dictionaries, which most commands do without

    return opencc.OpenCC(how)
