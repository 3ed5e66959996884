"""Printable: names and texts from elsewhere, made harmless to a terminal and fit for any file."""

from __future__ import annotations

import re

# Control characters (an escape sequence can rewrite what a terminal shows), line ends, marks that turn the direction
# of writing, and lone surrogates, in which Python hides the bytes of a file name that are not UTF-8.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(name: object) -> str:
    r"""Show a name (or a text, or a path) on one line, with a backslash code for each character that is not printable.

    Codes rather than one replacement character, so that names of which nothing is readable still differ.

    >>> printable("微博\x1b[2J.csv")
    '微博\\x1b[2J.csv'
    """
    return _UNPRINTABLE.sub(_code, str(name))


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8, as `os.fsdecode` gives it
        return f"\\x{number - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode("ascii")
