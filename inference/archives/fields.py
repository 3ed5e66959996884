"""Fields: turning what a file holds into the ids, times, flags and texts of posts."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
# Wed Oct 10 20:19:24 +0000 2018: Twitter's and Weibo's programming interfaces.
_PLATFORM_TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{1,2}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})")
# 2019/8/4 9:05: what a spreadsheet makes of a time; 2019年8月4日 09:05:00: a Chinese forum or survey.
_LOCAL_TIME = re.compile(r"(\d{4})[-/年](\d{1,2})[-/月](\d{1,2})日?(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?")
# Seconds, milliseconds and microseconds from 2001 on. One digit less would be of earlier years, before there were such
# posts, or the clock time 201908040905.
_EPOCH_TIME = re.compile(r"(\d{10}|\d{13}|\d{16})(?:\.\d*)?")
_TRUE = frozenset({"true", "t", "1", "1.0", "yes", "y"})
_FALSE = frozenset({"false", "f", "0", "0.0", "no", "n"})
_ROUNDED_ID = re.compile(r"\d(?:\.\d+)?[eE]\+?\d+")
_UNHOLDABLE = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace what Arrow cannot hold (lone surrogates) and what cuts a text short in many programs (NUL) by U+FFFD."""
    return _UNHOLDABLE.sub("�", text)


def to_text(value: object) -> str | None:
    """Return a string field, or None if the value is no string."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return clean(value) if isinstance(value, str) else None


def to_id(value: object) -> str | None:
    """Return an id as the string that the archive shows; None if there is none.

    Whole numbers stored as floating point (1234.0) lose the ``.0`` only. Decimals and UUIDs, as Parquet has them, are
    written out.
    """
    if isinstance(value, float):
        if value != value:  # NaN: how some writers say "none"
            return None
        value = f"{value:.0f}" if value.is_integer() and abs(value) <= 2**53 else repr(value)
    elif isinstance(value, int | Decimal | UUID) and not isinstance(value, bool):
        value = str(value)
    return to_text(value) or None


def to_labels(value: object) -> list[str]:
    """Read the labels that scores give a post: a list, or in CSV one string joined by ``|``.

    >>> to_labels("separatism|elite_corruption"), to_labels(["separatism"]), to_labels(None)
    (['separatism', 'elite_corruption'], ['separatism'], [])
    """
    labels = value if isinstance(value, list) else (to_text(value) or "").split("|")
    return [label for label in dict.fromkeys(map(to_text, labels)) if label]


def is_rounded(identifier: str) -> bool:
    """Tell whether an id looks as if a spreadsheet rounded it (1.04E+18), so that several posts may share it."""
    return _ROUNDED_ID.fullmatch(identifier) is not None


def to_flag(value: object) -> bool | None:
    """Read true and false as archives write them; None if it is neither."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def from_epoch(value: float, per_second: int) -> datetime | None:
    """Return the time that lies `value` ticks after 1970 in UTC, or None outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
    except (OverflowError, ValueError):
        return None


def to_time(value: object) -> datetime | None:
    """Read a time; without a zone it is taken as UTC. None if it cannot be read.

    ISO 8601, ``2018-09-19 08:40``, ``2019/8/4 9:05``, ``2019年8月4日 09:05:00``, ``Wed Oct 10 20:19:24 +0000 2018``,
    and seconds, milliseconds or microseconds since 1970, from 2001 on (told apart by their number of digits: 10, 13
    or 16). Orders that cannot be told apart (3/4/2019) are not guessed at.
    """
    try:
        if isinstance(value, datetime):
            return _in_utc(value)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, bool) or not isinstance(value, str | bytes | int | float):
            return None
        return _parse_time((to_text(value) or "").strip() if isinstance(value, str | bytes) else f"{value:.0f}")
    except (ValueError, OverflowError, LookupError):
        return None


def _parse_time(text: str) -> datetime | None:
    if found := _EPOCH_TIME.fullmatch(text):
        digits = found[1]
        return from_epoch(int(digits), 10 ** (len(digits) - 10))
    if found := _PLATFORM_TIME.fullmatch(text):
        month, day, hour, minute, second, sign, zone_hours, zone_minutes, year = found.groups()
        local = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        return local - offset if sign == "+" else local + offset
    try:
        return _in_utc(datetime.fromisoformat(text))
    except ValueError:
        if found := _LOCAL_TIME.fullmatch(text):
            return datetime(*(int(part or 0) for part in found.groups()), tzinfo=UTC)  # type: ignore[arg-type,misc]
        raise


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
