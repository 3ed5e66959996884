"""Spans of time in words."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float | None) -> str | None:
    """Say how long a span of time is, in its two largest units; None stays.

    >>> [span(seconds) for seconds in (0, 61, 3 * 3600, 90_061)]
    ['0 s', '1 min 1 s', '3 h', '1 d 1 h']
    """
    if seconds is None:
        return None
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for size, unit in _UNITS:
        if rest >= size or (size == 1 and not parts):
            parts.append((rest // size, unit))
            rest %= size
        elif parts:
            break
    return " ".join(f"{number:,} {unit}" for number, unit in parts[:2])
