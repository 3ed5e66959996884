"""What counts as posts: which columns, types and times are read, and that the rest is refused with a sentence."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from narratrace.inference.copypasta.intake import to_table
from narratrace.inference.posts import POST_SCHEMA, Post
from narratrace.model.errors import InputError

TEXT = "机场瘫痪两天，上千航班取消，带着孩子的旅客睡在地上。"
TEN = datetime(2019, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("values", [[1, 2], [1.5, 2.5], [True, False], [b"one", b"two"], [TEN, TEN]])
def test_a_text_is_a_string(values: list[object]) -> None:
    tables = [pa.table({"text": values}), pa.array(values), pd.DataFrame({"text": values})]
    for posts in [*tables, [Post(str(row), None, value) for row, value in enumerate(values)]]:
        with pytest.raises(InputError, match="texts are no strings, but of the type"):
            to_table(posts)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.large_string())]
)
def test_any_string_of_arrow_is_a_text(kind: pa.DataType) -> None:
    assert to_table(pa.array([TEXT, "", TEXT], kind))["text"].to_pylist() == [TEXT, "", TEXT]


def test_no_posts_have_no_types() -> None:
    for posts in ([], pd.DataFrame({"text": [], "id": []}), pa.table({"text": pa.nulls(0)})):
        assert to_table(posts).equals(POST_SCHEMA.empty_table())


@pytest.mark.parametrize(
    "written",
    [
        "2019-01-01 10:00",
        "2019/1/1 10:00",
        1546336800,
        datetime(2019, 1, 1, 10),
        np.datetime64("2019-01-01T10:00", "ns"),
    ],
)
def test_records_are_read_as_tables_are(written: object) -> None:
    posts = [Post(1, 5, TEXT, written), Post(2, None, TEXT, TEN, 1), Post(3, 7, TEXT, None)]
    assert to_table(posts).to_pydict() == {
        "id": ["1", "2", "3"],
        "account_id": ["5", None, "7"],
        "text": [TEXT] * 3,
        "created_at": [TEN, TEN, None],
        "is_repost": [None, True, None],
        "language": [None] * 3,
    }


def test_a_date_takes_no_hours_from_the_times_behind_it() -> None:
    posts = [Post("1", None, TEXT, date(2019, 1, 1)), Post("2", None, TEXT, TEN)]
    assert to_table(posts)["created_at"].to_pylist() == [datetime(2019, 1, 1, tzinfo=UTC), TEN]


def test_what_is_finer_than_microseconds_is_cut_off() -> None:
    time = pd.Timestamp("2019-01-01 10:00:00.123456789")
    frame = pd.DataFrame({"text": [TEXT], "created_at": pd.Series([time], dtype="datetime64[ns]")})
    table = pa.table({"text": [TEXT], "created_at": pa.array([time], pa.timestamp("ns", "Asia/Hong_Kong"))})
    for posts in (frame, table, [Post("1", None, TEXT, time)]):
        assert to_table(posts)["created_at"].to_pylist() == [TEN.replace(microsecond=123456)]


def test_an_empty_time_is_none() -> None:
    nothing = float("nan")
    for times in ([nothing, 1546336800.0], ["", "2019-01-01 10:00"], [pd.NaT, TEN]):
        records = [Post("1", None, TEXT, times[0]), Post("2", None, TEXT, times[1])]
        frame = pd.DataFrame({"text": [TEXT] * 2, "created_at": times})
        for posts in (records, frame):
            assert to_table(posts)["created_at"].to_pylist() == [None, TEN]
    table = pa.table({"text": [TEXT] * 2, "created_at": pa.array([nothing, 1546336800.0])})
    assert to_table(table)["created_at"].to_pylist() == [None, TEN]


@pytest.mark.parametrize(
    ("posts", "said"),
    [
        ([Post("1", "a", TEXT), Post(2, "a", TEXT)], "column id cannot be read as string"),
        ([Post("1", 2**70, TEXT)], "column account_id cannot be read as string"),
        ([Post(1.04e18, "a", TEXT)], "column id holds floating-point"),
        ([Post("1", "a", TEXT), Post("2", "a", 3)], "column text cannot be read as string"),
        ([Post("1", "a", TEXT, "yesterday")], "created_at cannot be read as .*'yesterday' is no time"),
        ([Post("1", "a", TEXT, [2019])], r"created_at cannot be read as .*\[2019\] is no time"),
        ([Post("1", "a", TEXT, None, "perhaps")], "is_repost cannot be read as bool"),
        (pa.table({"text": [TEXT], "created_at": [float("inf")]}), "created_at cannot be read as .*inf is no time"),
        (pa.table([[TEXT], [TEXT]], names=["text", "text"]), "2 columns text"),
        (pd.DataFrame([[TEXT, "1", "2"]], columns=["text", "id", "id"]), "2 columns id"),
        (pd.DataFrame({"body": [TEXT], 7: [1]}), "no column text, only body, 7"),
    ],
)
def test_what_cannot_be_read_is_said(posts: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        to_table(posts)
