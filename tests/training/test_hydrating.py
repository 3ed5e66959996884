"""Labels find their posts by the hash of the exact text, and no others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.hydrating import hash_text, hydrate
from narratrace.training.labelled import read_labelled

TEXTS = ["支持警察！", "支持警察!", "Police said\n12 were arrested ", "nothing"]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.jsonl"
    rows = [
        {"sha256": hash_text(TEXTS[2]), "labels": [], "stance": "R", "lang": "en"},
        {"sha256": hash_text("of no archive"), "labels": [], "stance": "N"},
        {"sha256": hash_text(TEXTS[0]), "labels": ["police_heroes"], "stance": "A", "account_id": "kept"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_labels_get_their_texts_back(labels: Path, tmp_path: Path, taxonomy: Taxonomy) -> None:
    out = tmp_path / "sub" / "out.jsonl"
    assert hydrate(labels, ((text, "someone") for text in [*TEXTS, TEXTS[0]]), out) == (2, 1)
    posts = read_labelled(out, taxonomy)
    assert [(post.text, post.stance, post.labels) for post in posts] == [
        (TEXTS[2], "R", ()),
        (TEXTS[0], "A", ("police_heroes",)),
    ]
    assert "account:someone" in posts[0].ties
    assert "account:kept" in posts[1].ties
    with pytest.raises(InputError, match="is there already"):
        hydrate(labels, [], out)


def test_labels_with_empty_columns_and_dates_get_their_texts_back(tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.parquet", tmp_path / "out.jsonl"
    row = {"sha256": hash_text(TEXTS[0]), "text": None, "account_id": None, "when": datetime(2019, 8, 1, tzinfo=UTC)}
    pq.write_table(pa.Table.from_pylist([row]), labels)
    assert hydrate(labels, [(TEXTS[0], "someone")], out) == (1, 0)
    [found] = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (found["text"], found["account_id"]) == (TEXTS[0], "someone")
    assert found["when"].startswith("2019-08-01")


def test_where_no_post_is_found_nothing_is_written(labels: Path, tmp_path: Path) -> None:
    assert hydrate(labels, [(TEXTS[1], None), (TEXTS[2].strip(), None)], tmp_path / "out.jsonl") == (0, 3)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("row", ["{}", "no json", '{"sha256": "ABC"}', '{"sha256": null}'])
def test_a_label_without_a_hash_is_named(row: str, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.jsonl, line 1: a label needs the 'sha256'"):
        hydrate(tmp_path / "labels.jsonl", [], tmp_path / "out.jsonl")


@given(st.text(), st.text())
def test_the_hash_tells_any_two_texts_apart(one: str, other: str) -> None:
    assert (hash_text(one) == hash_text(other)) == (one == other)
    assert len(hash_text(one)) == 64
