"""Ids, times and flags as real archives write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.inference.archives.fields import clean, from_epoch, is_rounded, to_flag, to_id, to_text, to_time


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2018-09-19 08:40", datetime(2018, 9, 19, 8, 40, tzinfo=UTC)),
        ("2018-09-19", datetime(2018, 9, 19, tzinfo=UTC)),
        ("2018-09-19T08:40:01.5Z", datetime(2018, 9, 19, 8, 40, 1, 500_000, tzinfo=UTC)),
        ("2018-09-19T08:40:01.1234567+08:00", datetime(2018, 9, 19, 0, 40, 1, 123_456, tzinfo=UTC)),
        ("Wed Oct 10 20:19:24 +0000 2018", datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)),
        ("Wed Oct 10 20:19:24 +0800 2018", datetime(2018, 10, 10, 12, 19, 24, tzinfo=UTC)),
        ("2019/8/4 9:05", datetime(2019, 8, 4, 9, 5, tzinfo=UTC)),
        ("2019年10月5日 04:38:08", datetime(2019, 10, 5, 4, 38, 8, tzinfo=UTC)),
        ("1539202764", datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)),
        ("1539202764.0", datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)),
        (1539202764, datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)),
        (1539202764.0, datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)),
        (1539202764123, datetime(2018, 10, 10, 20, 19, 24, 123_000, tzinfo=UTC)),
        ("1539202764123456", datetime(2018, 10, 10, 20, 19, 24, 123_456, tzinfo=UTC)),
        (datetime(2018, 10, 10, 20, tzinfo=timezone(timedelta(hours=8))), datetime(2018, 10, 10, 12, tzinfo=UTC)),
        (datetime(2018, 10, 10, 20), datetime(2018, 10, 10, 20, tzinfo=UTC)),
        (date(2018, 10, 10), datetime(2018, 10, 10, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_archives_write_them(written: object, meant: datetime) -> None:
    assert to_time(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "yesterday", "06月22日 16:34", "3/4/2019", "Wed Foo 10 20:19:24 +0000 2018", "2019-13-01", "2019/2/31", None,
     True, 12, -1, 1e300, float("nan"), ["2019"], "9999-12-31T23:00:00-05:00", "0001-01-01T00:00:00+08:00",
     "201908040905", 201908040905, "20190804090500", "999999999"],
)  # fmt: skip
def test_a_time_that_cannot_be_read_is_none(written: object) -> None:
    assert to_time(written) is None


@given(st.text() | st.integers() | st.floats() | st.binary() | st.none() | st.datetimes() | st.booleans())
def test_no_field_raises(value: object) -> None:
    time = to_time(value)
    assert time is None or time.tzinfo is UTC
    assert to_flag(value) in (True, False, None)
    for text in (to_text(value), to_id(value)):
        assert text is None or text.encode("utf-8").decode("utf-8") == text


@given(st.datetimes())
def test_iso_times_survive(time: datetime) -> None:
    assert to_time(time.isoformat()) == time.replace(tzinfo=UTC)


def test_times_outside_the_calendar_are_none() -> None:
    assert from_epoch(10**18, 1) is None
    assert from_epoch(-(10**18), 1) is None


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        ("00123", "00123"),
        ("1040000000000000001", "1040000000000000001"),
        (1040000000000000001, "1040000000000000001"),
        (123.0, "123"),
        ("", None),
        (None, None),
        (float("nan"), None),
        (b"abc", "abc"),
        ("1.04E+18", "1.04E+18"),
        (1.04e18, "1.04e+18"),
        (Decimal("1040000000000000001"), "1040000000000000001"),
        (UUID("548c6839-35b4-452f-b3b9-a615ad45f31f"), "548c6839-35b4-452f-b3b9-a615ad45f31f"),
    ],
)
def test_ids_keep_every_digit(value: object, identifier: str | None) -> None:
    assert to_id(value) == identifier


def test_rounded_ids_are_noticed() -> None:
    assert is_rounded("1.04E+18")
    assert is_rounded("1.04e+18")
    assert not is_rounded("1040000000000000001")
    assert not is_rounded("e18")


@pytest.mark.parametrize(
    ("value", "flag"),
    [("True", True), ("false", False), ("1", True), (0, False), (1.0, True), (True, True), ("", None), ("RT", None)],
)
def test_flags(value: object, flag: bool | None) -> None:
    assert to_flag(value) is flag


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    assert len(cleaned.encode("utf-8").decode("utf-8")) == len(text)
