"""Archives of every format, good and bad: no row is lost, and none is misread."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.inference.archives import archive, delimited
from narratrace.inference.archives.archive import Archive, PostBatch, Reject
from narratrace.inference.archives.rows import MAX_ROW_BYTES
from narratrace.inference.posts import POST_SCHEMA
from narratrace.model.errors import InputError

POSTS = [
    {
        "id": "0001040000000000000001",
        "account_id": "007",
        "text": '香港，“加油”！\n第二行, 有逗號 "和引號"',
        "created_at": "2019-08-24 08:40",
        "is_repost": "True",
        "language": "zh",
    },
    {
        "id": "1040000000000000002",
        "account_id": "-12",
        "text": "RT @a: plain 🎉",
        "created_at": "2019-08-25 00:00",
        "is_repost": "False",
        "language": "en",
    },
]


def as_csv(posts: list[dict[str, str]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, POSTS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(posts)
    return text.getvalue().encode()


def as_jsonl(posts: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(post, ensure_ascii=False) + "\n" for post in posts).encode()


def as_parquet(posts: list[dict[str, str]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(posts), sink)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


FORMATS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "csv": as_csv,
    "tsv": lambda posts: as_csv(posts, "\t"),
    "jsonl": as_jsonl,
    "parquet": as_parquet,
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


def read(*inputs: str | Path, size: int = 100, mapping: dict[str, str] | None = None) -> tuple[list[Any], list[Reject]]:
    """All posts and rejects of an archive; every row is one or the other."""
    batches = list(Archive.open(inputs, mapping).read(size))
    posts = [post for batch in batches for post in batch.posts.to_pylist()]
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert sum(batch.rows_read for batch in batches) == len(posts) + len(rejects)
    return posts, rejects


def reasons(rejects: list[Reject]) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for reject in rejects]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_format_gives_the_same_posts(tmp_path: Path, form: str, compression: str) -> None:
    path = tmp_path / f"posts.{form}{compression}"
    path.write_bytes(COMPRESSIONS[compression](FORMATS[form](POSTS)))
    posts, rejects = read(path)
    assert rejects == []
    assert posts == [
        POSTS[0] | {"created_at": datetime(2019, 8, 24, 8, 40, tzinfo=UTC), "is_repost": True},
        POSTS[1] | {"created_at": datetime(2019, 8, 25, tzinfo=UTC), "is_repost": False},
    ]


def test_batches_have_the_post_columns(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_bytes(as_jsonl(POSTS * 5))
    batches = list(Archive.open([tmp_path]).read(4))
    assert [batch.posts.num_rows for batch in batches] == [4, 4, 2]
    assert all(batch.posts.schema == POST_SCHEMA for batch in batches)
    assert [batch.bytes_read for batch in batches][-1] == (tmp_path / "posts.jsonl").stat().st_size


# What hypothesis may put in a text: any character but the surrogates, which no UTF-8 file can hold.
any_text = st.text(max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(POSTS[0], any_text)), min_size=1, max_size=6))
@pytest.mark.parametrize("form", FORMATS)
def test_any_text_comes_through_any_format(form: str, posts: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"posts.{form}")
        path.write_bytes(FORMATS[form](posts))
        found, rejects = read(path)
    expected = [post["text"].replace("\0", "�") for post in posts if post["text"].replace("\0", "�").strip()]
    assert [post["text"] for post in found] == expected
    assert {reject.reason for reject in rejects} <= {"empty text"}


hostile_line = st.binary(max_size=6) | st.sampled_from(
    [b'"', b'a,"', b'""', b'"a",b', b"a,b", b'{"text": "a"}', b'{"text": "\\ud800"}', b"[]", b"{", b"\xff\xfe", b"\r"]
)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@settings(max_examples=150, deadline=None)
@given(lines=st.lists(hostile_line, max_size=10))
def test_no_bytes_crash_a_reader_or_lose_a_row(suffix: str, lines: list[bytes]) -> None:
    header = b"id,text" if suffix == ".csv" else b'{"id": "x", "text": "first"}'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"posts{suffix}")
        path.write_bytes(b"\n".join([header, *lines, b""]))
        posts, rejects = read(path)
    for post in posts:
        assert post["text"].strip()
        post["text"].encode("utf-8")
    places = [reject.line for reject in rejects]
    assert places == sorted(set(places))


def test_ids_that_are_missing_name_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,id\n"one\nstill one",\ntwo,\nthree,x3\n')
    posts, _ = read(tmp_path / "a.csv")
    assert [post["id"] for post in posts] == ["a.csv:2", "a.csv:4", "x3"]


def test_numbers_as_ids(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1040000000000000001, "text": "a"}\n{"id": 1.04e+18, "text": "b"}\n')
    table = pa.table({"id": pa.array([1040000000000000001], pa.int64()), "text": ["c"]})
    pq.write_table(table, tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text("id,text,userid\n007,d,1.2E+18\n1.04E+18,e,12\n")
    batches = list(Archive.open([tmp_path]).read(100))
    assert batches[0].posts["id"].to_pylist() == [
        "1040000000000000001",
        "1.04e+18",
        "1040000000000000001",
        "007",
        "1.04E+18",
    ]
    assert batches[0].oddities == {"id rounded": 2, "account_id rounded": 1}


def accounts(path: Path, mapping: dict[str, str] | None = None) -> tuple[list[str | None], int]:
    """The accounts of a file's posts, and of how many posts the account cannot be read."""
    [batch] = Archive.open([path], mapping).read(100)
    return batch.posts["account_id"].to_pylist(), batch.oddities["account_id unreadable"]


def test_accounts_that_are_objects_are_read(tmp_path: Path) -> None:
    mastodon = {"id": "1", "content": "hello", "account": {"id": "55", "acct": "ann"}}
    # Twitter's, trimmed, some with the account's name in the place of the object.
    users = [{"id": 77, "name": "ann"}, {"id": "78"}, "bob", None, "", {}]
    tweets = [{"text": "a", "user": user} for user in users]
    (tmp_path / "mastodon.jsonl").write_text(json.dumps(mastodon) + "\n")
    (tmp_path / "tweets.jsonl").write_text("".join(json.dumps(tweet) + "\n" for tweet in tweets))
    pq.write_table(pa.Table.from_pylist([mastodon]), tmp_path / "mastodon.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "user": [{"id": 77}, None]}), tmp_path / "tweets.parquet")
    assert accounts(tmp_path / "mastodon.jsonl") == (["55"], 0)
    assert accounts(tmp_path / "mastodon.parquet") == (["55"], 0)
    assert accounts(tmp_path / "tweets.jsonl") == (["77", "78", "bob", None, None, None], 0)
    assert accounts(tmp_path / "tweets.parquet") == (["77", None], 0)


def test_an_account_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    nothing = [None, "", {}, []]
    unreadable = [{"name": "ann"}, ["ann"], True]
    rows = [{"text": "a", "author": author} for author in ["ann", *nothing, *unreadable]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"text": "a"}\n')
    assert accounts(tmp_path / "a.jsonl") == (["ann"] + [None] * 8, 3)
    assert accounts(tmp_path / "a.jsonl", {"account_id": "author.name"}) == (
        ["ann", None, None, None, None, "ann", None, None, None],
        2,
    )
    pq.write_table(pa.table({"text": ["a"] * 3, "author": [{"name": "ann"}, None, None]}), tmp_path / "a.parquet")
    assert accounts(tmp_path / "a.parquet") == ([None] * 3, 1)


def test_only_an_account_may_stand_where_an_object_should(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"post": {"text": "a", "repost": true}}\n{"post": "b"}\n{"post": true}\n')
    posts, rejects = read(tmp_path / "a.jsonl", mapping={"text": "post.text", "is_repost": "post.repost"})
    assert [(post["text"], post["is_repost"]) for post in posts] == [("a", True)]
    assert reasons(rejects) == [(2, "no text"), (3, "no text")]


def test_hostile_json_lines(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"id": "1", "text": "good"}\r',
        b"",
        b'{"id": "2", "text": "cut off',
        b'["id", "text"]',
        b'{"id": "3"}',
        b'{"id": "4", "text": null}',
        b'{"id": "5", "text": "  "}',
        b'{"id": "6", "text": 12}',
        b'{"id": "7", "text": ["a"]}',
        b'{"id": "8", "text": "lone \\ud83d surrogate", "created_at": "never"}',
        b'{"id": "9", "text": "bad \xff byte"}',
        b'{"id": "10", "text": "nul \\u0000 here"}',
        b"\x00\x00\x00\x00",
        b'{"id": ' + b"9" * 5000 + b', "text": "a"}',
        b"[" * 200_000,
        b'{"id": "11", "text": "' + "長".encode() * 400_000 + b'"}',
        b'{"id": "12", "text": "' + b"x" * MAX_ROW_BYTES + b'"}',
        b'{"id": "13", "text": "last, without a line end"}',
    ]
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"\n".join(lines))
    batches = list(Archive.open([path]).read(100))
    rejects = [reject for batch in batches for reject in batch.rejects]
    posts = [post for batch in batches for post in batch.posts.to_pylist()]
    assert [post["id"] for post in posts] == ["1", "8", "9", "10", "11", "13"]
    assert [post["text"] for post in posts[1:4]] == ["lone � surrogate", "bad � byte", "nul � here"]
    assert len(posts[4]["text"]) == 400_000
    assert sum(batch.oddities["text repaired"] for batch in batches) == 3
    assert sum(batch.oddities["created_at unreadable"] for batch in batches) == 1
    assert reasons(rejects) == [
        (3, "unreadable JSON"),
        (4, "not a JSON object"),
        (5, "no text"),
        (6, "no text"),
        (7, "empty text"),
        (8, "text is not a string"),
        (9, "text is not a string"),
        (13, "unreadable JSON"),
        (14, "unreadable JSON"),
        (15, "unreadable JSON"),
        (17, "row too long"),
    ]
    assert all(len(reject.excerpt) <= 201 for reject in rejects)
    assert sum(batch.rows_read for batch in batches) == len(posts) + len(rejects)


def test_hostile_csv(tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbfid,text,created_at",
        b'1,"two\r\nphysical, lines",2019-01-01',
        b"",
        b"2,too few",
        b"3,too,many,fields",
        b"4,,2019-01-01",
        b"5,a \x00 nul,2019-01-01",
        b"6,a \xff byte,2019-01-01",
        b'7,"inner "quotes" not doubled",x',
        b'8,"not closed,2019-01-01',
        b"9,the next is safe,2019-01-01",
        b'10,"' + b"y" * 1_000_000 + b'",2019-01-01',
        b"11," + b"z" * MAX_ROW_BYTES + b",2019-01-01",
        b'12,"doubled ""quotes""",2019-01-01',
        b'13,"open at the end',
    ]
    path = tmp_path / "posts.csv"
    path.write_bytes(b"\r\n".join(lines))
    posts, rejects = read(path)
    assert [post["id"] for post in posts] == ["1", "5", "6", "9", "10", "12"]
    assert [post["text"] for post in posts[:4]] == ["two\r\nphysical, lines", "a � nul", "a � byte", "the next is safe"]
    assert len(posts[4]["text"]) == 1_000_000
    assert posts[5]["text"] == 'doubled "quotes"'
    assert reasons(rejects) == [
        (5, "wrong number of fields"),
        (6, "wrong number of fields"),
        (7, "empty text"),
        (10, "unreadable CSV"),
        (11, "unreadable CSV"),
        (14, "row too long"),
        (16, "unreadable CSV"),
    ]


def test_hostile_quoting_takes_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every line closes the quote of the one before and opens another, so that no record ever ends.
    monkeypatch.setattr(delimited, "MAX_ROW_BYTES", 20_000)
    path = tmp_path / "posts.csv"
    path.write_text("id,text\n" + 'a","\n' * 40_000)
    _, rejects = read(path, size=10_000)
    assert 10 <= len(rejects) <= 30
    assert rejects[-1].detail.startswith("its quotes swallow the lines up to")


def test_hostile_parquet(tmp_path: Path) -> None:
    bad_utf8 = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.array([0, 2, 5], pa.int32()).buffers()[1], pa.py_buffer(b"ok\xffbc")]
    )
    pq.write_table(pa.table({"text": bad_utf8}), tmp_path / "a.parquet")
    far = pa.array([2**62, 1_566_600_000_000_000, None], pa.timestamp("us"))
    pq.write_table(
        pa.table({"text": pa.array(["x", None, ""], pa.dictionary(pa.int8(), pa.string())), "time": far}),
        tmp_path / "b.parquet",
    )
    pq.write_table(pa.table({"text": [b"bytes", b"\xff"], "user": [{"id": 5}, None]}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "d.parquet")
    posts, rejects = read(tmp_path, mapping={})
    assert [post["text"] for post in posts] == ["ok", "�bc", "x", "bytes", "�"]
    assert posts[2]["created_at"] is None
    assert [(reject.file, reject.line, reject.reason) for reject in rejects] == [
        ("b.parquet", 2, "no text"),
        ("b.parquet", 3, "empty text"),
        ("d.parquet", 1, "text is not a string"),
        ("d.parquet", 2, "text is not a string"),
    ]
    (batch,) = Archive.open([tmp_path / "c.parquet"]).read(100)
    assert batch.oddities["text repaired"] == 1
    (nested, _), _ = read(tmp_path / "c.parquet", mapping={"account_id": "user.id"})
    assert nested["account_id"] == "5"


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_field_deep_inside_others_can_be_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"posts.{form}"
    records: list[Any] = [
        {"data": {"text": {"body": "a", "by": {"id": 7}}, "id.raw": "x"}},
        {"data": {"text": {"body": "b", "by": None}, "id.raw": "y"}},
        {"data": None},
    ]
    path.write_bytes(FORMATS[form](records))
    mapping = {"text": "data.text.body", "account_id": "data.text.by.id", "id": "data.id.raw"}
    posts, rejects = read(path, mapping=mapping)
    assert [(post["id"], post["account_id"], post["text"]) for post in posts] == [("x", "7", "a"), ("y", None, "b")]
    assert reasons(rejects) == [(3, "no text")]
    with pytest.raises(InputError, match=r"data\.text\.by\.id"):  # what can be named is listed
        Archive.open([path])
    with pytest.raises(InputError, match=r"no column 'data\.text\.body\.id'"):
        Archive.open([path], {"text": "data.text.body.id"})


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_fields_without_end_are_listed_to_a_bounded_depth(tmp_path: Path, form: str) -> None:
    nested: Any = "a"
    for _ in range(50):
        nested = {"in": nested}
    path = tmp_path / f"posts.{form}"
    path.write_bytes(FORMATS[form]([{"text": "b", "x": nested}]))
    assert [post["text"] for post in read(path)[0]] == ["b"]
    with pytest.raises(InputError) as error:
        Archive.open([path], {"text": "body"})
    assert str(error.value).count("in.") < 50


def spoilt(column: pa.Array) -> pa.Array:
    """Put bytes that are no UTF-8 where a string holds question marks."""
    bad = [buffer and buffer.to_pybytes().replace(b"???", b"\xff\xfe\xff") for buffer in column.buffers()]
    buffers = [data and pa.py_buffer(data) for data in bad]
    made = column.type
    if pa.types.is_list(made):
        values = pa.Array.from_buffers(made.value_type, len(column.values), buffers[2:])
        return pa.Array.from_buffers(made, len(column), buffers[:2], children=[values])
    if pa.types.is_struct(made):
        field = pa.Array.from_buffers(made.field(0).type, len(column), buffers[1:])
        return pa.Array.from_buffers(made, len(column), buffers[:1], children=[field])
    return pa.Array.from_buffers(made, len(column), buffers)


@pytest.mark.parametrize(
    "hostile",
    [
        pa.array([3_000_000, 1, None], pa.int32()).cast(pa.date32()),
        pa.array([3_000_000 * 86_400_000, 86_400_000, None], pa.int64()).cast(pa.date64()),
        pa.array([2**62, 1, None], pa.int64()).cast(pa.duration("s")),
        pa.array([2**62, 1, None], pa.int64()).cast(pa.duration("us")),
        pa.array([2**62, 1, None], pa.timestamp("ms")),
        pa.array([[2**62], [], None], pa.list_(pa.timestamp("us"))),
        pa.array([[1], [], None], pa.list_(pa.timestamp("us", tz="Nowhere/Atall"))),
        spoilt(pa.array([["a ??? b"], ["c"], None])),
        spoilt(pa.array([{"a": "a ??? b"}, {"a": "c"}, None])),
        spoilt(pa.array(["a ??? b", "c", None], pa.large_string())),
        pa.array([1.5, float("nan"), None]),
        pa.array([b"\xff", b"", None]),
        pa.array([True, False, None]),
    ],
    ids=lambda column: str(column.type),
)
def test_no_typed_column_of_parquet_ends_the_run_or_loses_a_row(tmp_path: Path, hostile: pa.Array) -> None:
    path = tmp_path / "a.parquet"
    plain = {name: ["x", "y", "z"] for name in ("id", "account_id", "text", "created_at", "is_repost", "language")}
    for name in plain:
        pq.write_table(pa.table(plain | {name: hostile}), path)
        posts, rejects = read(path)
        assert len(posts) + len(rejects) == 3
        if name == "text":
            assert [reject.reason for reject in rejects][-1:] == ["no text"]
        else:
            assert [post["text"] for post in posts] == ["x", "y", "z"]
    pq.write_table(pa.table(plain | {"created_at": hostile}), path)
    [batch] = Archive.open([path]).read(10)
    unread = batch.posts["created_at"].null_count
    assert batch.posts["created_at"][0].as_py() is None
    assert batch.oddities["created_at unreadable"] >= unread - 2  # what is not there, or empty, is not unreadable
    assert batch.oddities["created_at unreadable"] >= 1


def test_times_of_parquet_in_every_unit(tmp_path: Path) -> None:
    for unit in ("s", "ms", "us", "ns"):
        column = pa.array([datetime(2019, 8, 24, 12)], pa.timestamp(unit))
        pq.write_table(pa.table({"text": ["a"], "time": column}), tmp_path / f"{unit}.parquet")
    posts, _ = read(tmp_path)
    assert [post["created_at"] for post in posts] == [datetime(2019, 8, 24, 12, tzinfo=UTC)] * 4


@pytest.mark.parametrize(
    "name", ["empty.csv", "empty.jsonl", "empty.csv.gz", "header.csv", "blank.jsonl", "none.parquet"]
)
def test_files_without_rows_have_no_posts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "none.parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    else:
        path.write_text({"header.csv": "id,text\n", "blank.jsonl": "\n\n"}.get(name, ""))
    assert read(path) == ([], [])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id;text", "1;a, b"),
        ('"name, first";text;id', 'x;"a, b";1'),
        ('id;text;"likes, shares, replies"', '1;"a, b";3'),
        ('"a;b;c",text', 'x,"a, b"'),
        ('text\t"said ""a, b"", thrice"', "a, b\tx"),
        ('"two;\nlines; of",text', 'x,"a, b"'),
        ('"text"', '"a, b"'),
        ("\n\r\nid;text", "1;a, b"),
    ],
)
def test_the_header_says_what_separates_outside_quotes(tmp_path: Path, header: str, row: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n{row}\n", newline="")
    (post,), _ = read(tmp_path / "a.csv")
    assert post["text"] == "a, b"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    ("column", "lines", "texts"),
    [
        ("text", "text\nHello, world\nbye; bye\n", ["Hello, world", "bye; bye"]),
        ("text (raw, as seen)", "id\ttext (raw, as seen)\n1\tHello, world\n", ["Hello, world"]),
        ("text", "id;text\n1;Hello, world\n", ["Hello, world"]),
        ("text\tor title", 'id,"text\tor title"\n1,bye\n', ["bye"]),
    ],
)
def test_a_tab_separates_the_fields_of_tsv(
    tmp_path: Path, compression: str, column: str, lines: str, texts: list[str]
) -> None:
    path = tmp_path / f"a.TSV{compression}"
    path.write_bytes(COMPRESSIONS[compression](lines.encode()))
    posts, rejects = read(path, mapping={"text": column})
    assert ([post["text"] for post in posts], rejects) == (texts, [])


@pytest.mark.parametrize("mapping", [{}, {"text": "text"}])
def test_csv_with_two_columns_of_one_name(tmp_path: Path, mapping: dict[str, str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,text \n1,a,b\n")
    with pytest.raises(InputError, match=r"a\.csv has several columns named 'text'; give each its own name\."):
        Archive.open([path], mapping)
    path.write_text("note,id,text,note,,\n1,2,a,3,4,5\n")
    assert [post["text"] for post in read(path)[0]] == ["a"]
    with pytest.raises(InputError, match="several columns named 'note'"):
        Archive.open([path], {"account_id": "note"})


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="several columns named 'text'"):
        Archive.open([tmp_path / "a.parquet"])


@pytest.mark.parametrize("name", ["a\x1b[2Jb\nc.csv", "a\x1b[2J.parquet", "a\x1b[2J.jsonl.gz", "a\x1b[2J.txt"])
def test_a_file_name_cannot_steer_the_terminal(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"te\x1b[2Jxt")
    with pytest.raises(InputError) as error:
        Archive.open([path])
    assert str(error.value).isprintable()


def test_folders_globs_and_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "sub/a.jsonl", ".hidden/c.jsonl", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"text": name}) + "\n")
    texts = [[post["text"] for post in read(*inputs)[0]] for inputs in (
        [tmp_path],
        [f"{tmp_path}/*.jsonl"],
        [f"{tmp_path}/**/*.jsonl"],
        [tmp_path / "b.jsonl", tmp_path],
    )]  # fmt: skip
    assert texts == [
        ["a.jsonl", "b.jsonl", "sub/a.jsonl"],
        ["a.jsonl", "b.jsonl"],
        ["a.jsonl", "b.jsonl", "sub/a.jsonl"],
        ["b.jsonl", "a.jsonl", "sub/a.jsonl"],
    ]
    assert [post["id"] for post in read(tmp_path)[0]] == ["a.jsonl:1", "b.jsonl:1", "sub/a.jsonl:1"]
    same_names = read(tmp_path / "a.jsonl", tmp_path / "sub" / "a.jsonl")[0]
    assert len({post["id"] for post in same_names}) == 2


def test_twitter_accounts_beside_the_posts_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text(
        "tweetid,userid,user_screen_name,account_creation_date,account_language,tweet_language,tweet_text,tweet_time,"
        "is_retweet\n0123,u,s,2013-07-01,en,en,hello,2014-04-28 10:50,True\n"
    )
    (tmp_path / "users.csv").write_text(
        "userid,user_screen_name,account_creation_date,account_language\nu,s,2013-07-01,en\n"
    )
    opened = Archive.open([tmp_path])
    assert opened.skipped == ("users.csv: skipped, it lists accounts and holds no posts.",)
    (post,) = next(opened.read(10)).posts.to_pylist()
    assert post == {
        "id": "0123",
        "account_id": "u",
        "text": "hello",
        "created_at": datetime(2014, 4, 28, 10, 50, tzinfo=UTC),
        "is_repost": True,
        "language": "en",
    }
    with pytest.raises(InputError, match="lists accounts and holds no posts"):
        Archive.open([tmp_path / "users.csv"])


def test_a_limit_ends_the_reading(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x\n" * 50)
    (tmp_path / "b.csv").write_text("text\n" + "y\n" * 50)
    batches = list(Archive.open([tmp_path]).read(20, limit=55))
    assert [batch.posts.num_rows for batch in batches] == [20, 20, 15]
    assert [batch.posts.num_rows for batch in Archive.open([tmp_path]).read(20, limit=50)] == [20, 20, 10]


def test_long_posts_make_short_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BATCH_CHARACTERS", 1600)
    path = tmp_path / "long.jsonl"
    path.write_text((json.dumps({"text": "長" * 100}) + "\n") * 40)
    sizes = [batch.posts.num_rows for batch in Archive.open([path]).read(1000)]
    assert sizes == [16, 16, 8]


def damaged(path: Path) -> list[PostBatch]:
    """The batches that a damaged file gives before its error."""
    batches: list[PostBatch] = []
    with pytest.raises(InputError, match=rf"{path.name} is damaged, cut off or not what its name says"):
        batches.extend(Archive.open([path]).read(100))
    return batches


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_cut_file_ends_with_one_sentence_after_its_rows(tmp_path: Path, form: str, compression: str) -> None:
    posts = [POSTS[0] | {"id": f"{number:x}", "text": f"{number * 7919 % 100_003:x}"} for number in range(40_000)]
    data = COMPRESSIONS[compression](FORMATS[form](posts))
    path = tmp_path / f"posts.{form}{compression}"
    path.write_bytes(data[: len(data) // 2])
    batches = damaged(path)
    assert sum(batch.posts.num_rows for batch in batches) > 10_000
    assert [post["id"] for batch in batches for post in batch.posts.to_pylist()][:3] == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.zst", "a.parquet", "a.parquet.gz"])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is neither compressed nor Parquet")
    assert damaged(tmp_path / name) == []


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.csv.zst", "a.parquet.zst"])
def test_a_window_too_long_to_unpack_is_no_damage(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = b'{"text": "a"}\n'
    for log in (27, 31):  # the window's size is 2**log
        block = (1 | len(content) << 3).to_bytes(3, "little") + content  # the last, and not compressed
        path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes([0, log - 10 << 3]) + block)
        if name == "a.jsonl.zst" and log == 27:
            assert [post["text"] for post in read(path)[0]] == ["a"]
    with pytest.raises(InputError, match=rf"first: zstd -d --long=31 .*{name}$") as error:
        Archive.open([path])
    assert "damaged" not in str(error.value)


def test_damage_inside_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"{number * 7919:x}" for number in range(20_000)]})
    pq.write_table(table, path, use_dictionary=False, row_group_size=5_000, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\0" * 2000
    path.write_bytes(data)
    batches = damaged(path)
    assert sum(batch.posts.num_rows for batch in batches) >= 5_000


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "id,text\n1,香港\n".encode("utf-16"), "UTF-16"),
        ("a.csv", ("id,text\n" + "1,香港加油\n" * 100).encode("gb18030"), "iconv -f GB18030"),
        ("a.csv", b"id,text\r1,a\r", "carriage return"),
        ("a.jsonl", b'[\n{"text": "a"},\n{"text": "b"}\n]', r"jq -c '\.\[\]'"),
        ("a.jsonl", b"no json\n" * 1000, "is not JSON Lines"),
        ("a.csv", b'id,"text\n1,a', "header that cannot be read"),
        ("a.txt", b"text", "no known format"),
        ("a.csv", b"a,b\n", "--map"),
    ],
)
def test_a_wrong_file_ends_at_once_with_what_to_do(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        Archive.open([tmp_path / name])


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    for given_, message in ((tmp_path / "no.csv", "does not exist"), (f"{tmp_path}/*.csv", "matches no file"),
                            (tmp_path, "no file of a known format")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            Archive.open([given_])
