"""Corpora: what is read from each format, and what goes wrong with which message."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.corpus import Corpus, convert_scripts, is_held_out, read_texts
from narratrace.model.errors import InputError

TEXTS = ["香港警察保护市民", "香港警察保護市民", "啲警察喺度做緊嘢", "Police protect the people"]


@pytest.fixture(params=[".txt", ".jsonl", ".parquet"])
def corpus_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"posts{request.param}"
    if request.param == ".txt":
        path.write_text("\n".join([*TEXTS, "", TEXTS[0]]) + "\n", encoding="utf-8")
    elif request.param == ".jsonl":
        rows = [*TEXTS, "", None, TEXTS[0]]
        path.write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in rows) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({"id": range(7), "text": [*TEXTS, "", None, TEXTS[0]]}), path)
    return path


def test_every_format_gives_the_same_texts(corpus_file: Path) -> None:
    assert list(Corpus(corpus_file).texts()) == [*TEXTS, TEXTS[0]]


@pytest.mark.parametrize(("name", "line"), [("a.txt", "警察加油"), ("a.jsonl", '{"text": "警察加油"}')])
def test_a_byte_order_mark_belongs_to_no_text(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(f"{line}\n", encoding="utf-8-sig")
    assert list(Corpus(tmp_path / name).texts()) == ["警察加油"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The modes of a file do not stop a test that runs as root.
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(InputError, match=rf"{name} cannot be read: Permission denied"):
        list(Corpus(tmp_path / name).texts())


def test_texts_are_normalised_and_distinct(tmp_path: Path) -> None:
    path = tmp_path / "posts.txt"
    path.write_text("警察加油 https://t.co/AbCdEf1234\n警察加油\nhttps://t.co/AbCdEf1234\n", encoding="utf-8")
    assert read_texts([Corpus(path), Corpus(path)]) == ["警察加油"]


def test_progress_is_shown_over_the_distinct_texts(corpus_file: Path) -> None:
    seen = []

    def track(items: list[str], description: str) -> list[str]:
        seen.append((len(items), description))
        return items

    read_texts([Corpus(corpus_file)], track)
    assert seen == [(len(TEXTS), "Normalising texts")]


@pytest.mark.parametrize(
    ("argument", "path", "column"),
    [
        ("posts.parquet", "posts.parquet", "text"),
        ("pairs.parquet:zh", "pairs.parquet", "zh"),
        ("data/pairs.jsonl:text_a", "data/pairs.jsonl", "text_a"),
        (r"C:\posts.jsonl", r"C:\posts.jsonl", "text"),
        (r"C:\posts.jsonl:body", r"C:\posts.jsonl", "body"),
    ],
)
def test_a_column_follows_a_colon(argument: str, path: str, column: str) -> None:
    assert Corpus.parse(argument) == Corpus(Path(path), column)


def test_a_colon_in_a_file_name_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "posts.v1:final.txt"
    path.touch()
    assert Corpus.parse(str(path)) == Corpus(path)


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("none.txt", None, "text", "There is no corpus file"),
        ("posts.csv", b"text\n", "text", "of no known format"),
        ("posts.txt", b"a\n", "body", "has no column body"),
        ("posts.txt", b"\xff\xfe", "text", "not UTF-8"),
        ("posts.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "text", "line 2: no JSON object with the field text"),
        ("posts.jsonl", b"[]\n", "text", "line 1"),
        ("posts.jsonl", b"text\n", "text", "line 1"),
        ("posts.parquet", b"no parquet", "text", "not a readable Parquet file"),
    ],
)
def test_unreadable_corpora_are_named(
    name: str, content: bytes | None, column: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(Corpus(path, column).texts())


def test_a_missing_parquet_column_names_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"zh": ["警察"], "en": ["police"]}), path)
    with pytest.raises(InputError, match="no column text: name one of zh, en"):
        list(Corpus(path).texts())


def test_chinese_is_converted_to_the_other_scripts() -> None:
    assert convert_scripts("头发") == ["头发", "頭髮"]
    assert convert_scripts("警務處") == ["警務處", "警务处"]
    assert convert_scripts("police") == ["police"]


@given(st.text())
def test_conversions_begin_with_the_text_and_do_not_repeat(text: str) -> None:
    converted = convert_scripts(text)
    assert converted[0] == text
    assert len(set(converted)) == len(converted)


def test_a_tenth_is_held_out() -> None:
    share = sum(is_held_out(f"post {number}") for number in range(5000)) / 5000
    assert share == pytest.approx(0.1, abs=0.02)
