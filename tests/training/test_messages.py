"""Pairs that say the same are read from files of pairs and families, from rewritten posts, and made of posts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.errors import InputError
from narratrace.model.settings import check_settings
from narratrace.model.text import normalise
from narratrace.training.messages import Messages, change_copy, read_messages
from narratrace.training.settings import DataSettings, EmbeddingSettings


def wanted(**fields: Any) -> EmbeddingSettings:
    common = {"own_layers": 1, "dimension": 8, "rewritten": False, "epochs": 1, "batch_size": 4}
    return check_settings(EmbeddingSettings, common | {"learning_rate": 1e-3, "temperature": 0.1} | fields, "test")


def labelled(*sources: Path) -> DataSettings:
    return DataSettings(description="", train=tuple(map(str, sources)) or ("none.jsonl",), languages=("en",))


def named(messages: Messages, pairs: list[tuple[int, int]]) -> set[tuple[str, str]]:
    return {(messages.texts[one], messages.texts[other]) for one, other in pairs}


def test_pairs_come_with_their_verdict(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    columns = {
        "a": ["one", "three", "five", "same"],
        "b": ["two", "four", "six", "same"],
        "label": ["1", "0", "?", "1"],
    }
    pq.write_table(pa.table(columns), path)
    pairs = {"source": str(path), "one": "a", "other": "b", "verdict": "label"}
    messages = read_messages(wanted(pairs=[pairs]), labelled(), 1)
    assert named(messages, messages.same) == {("one", "two")}
    assert named(messages, messages.different) == {("three", "four")}
    with pytest.raises(InputError, match=r"pairs\.parquet has no row with the columns a, c"):
        read_messages(wanted(pairs=[pairs | {"other": "c"}]), labelled(), 1)


def test_a_limit_draws_the_same_pairs_for_the_same_seed(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"a": f"left {row}", "b": f"right {row}", "label": row % 2} for row in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = wanted(pairs=[{"source": str(path), "one": "a", "other": "b", "verdict": "label", "limit": 10}])
    once, again, other = (read_messages(settings, labelled(), seed) for seed in (1, 1, 2))
    assert once == again != other
    assert (len(once.same), len(once.different)) == (5, 5)


def test_a_family_says_the_same_but_for_its_distractor(tmp_path: Path) -> None:
    path = tmp_path / "families.jsonl"
    rows = [("f", "seed", "A"), ("f", "translation", "B"), ("f", "distractor", "C"), ("g", "seed", "D")]
    path.write_text(
        "".join(json.dumps({"family": f, "kind": kind, "text": text}) + "\n" for f, kind, text in rows),
        encoding="utf-8",
    )
    messages = read_messages(wanted(families=[{"source": str(path)}]), labelled(), 1)
    assert named(messages, messages.same) == {("A", "B")}
    assert named(messages, messages.different) == {("A", "C"), ("B", "C")}


def test_a_rewritten_post_says_what_its_source_says(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [{"id": "p1", "text": "original"}, {"id": "w1", "text": "改写", "from": "p1"}, {"text": "x", "from": "lost"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    messages = read_messages(wanted(rewritten=True), labelled(path), 1)
    assert named(messages, messages.same) == {("original", "改写")}


def test_an_id_of_several_texts_does_not_say_what_a_post_was_rewritten_from(tmp_path: Path) -> None:
    paths = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    for path in paths:
        rows = [{"id": 1, "text": f"{path.stem}, first"}, {"id": 2, "text": "both"}, {"id": "", "text": path.stem}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    more = tmp_path / "rewritten.jsonl"
    more.write_text(json.dumps({"text": "neu", "from": 2}) + "\n" + json.dumps({"text": "x", "from": ""}) + "\n")
    messages = read_messages(wanted(rewritten=True), labelled(*paths, more), 1)
    assert named(messages, messages.same) == {("both", "neu")}
    more.write_text(json.dumps({"text": "neu", "from": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"rewritten\.jsonl, line 1: .* from '1', which is the id of several texts"):
        read_messages(wanted(rewritten=True), labelled(*paths, more), 1)


def test_columns_may_be_nested_and_a_broken_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"texts": {"en": "one", "zh": "一"}}) + "\n", encoding="utf-8")
    pairs = {"source": str(path), "one": "texts.en", "other": "texts.zh"}
    messages = read_messages(wanted(pairs=[pairs]), labelled(), 1)
    assert named(messages, messages.same) == {("one", "一")}
    path.write_text(path.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"pairs\.jsonl, line 2: .* no JSON object"):
        read_messages(wanted(pairs=[pairs]), labelled(), 1)


def test_a_post_says_what_its_changed_copy_says(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    posts = [f"This is post number {row}, about the weather in the city of {row} bridges." for row in range(30)]
    path.write_text("".join(json.dumps({"text": post}) + "\n" for post in posts), encoding="utf-8")
    messages = read_messages(wanted(posts=str(path), limit=20), labelled(), 1)
    assert 10 <= len(messages.same) <= 20
    assert all(messages.texts[one] in posts for one, _ in messages.same)
    assert not messages.pool
    more = read_messages(wanted(posts=str(path), limit=5, neighbours=1), labelled(), 1)
    assert (len(more.posts), len(more.pool)) == (5, 15)
    assert not {*more.posts} & {*more.pool}
    assert not {text for pair in more.same for text in pair} & {*more.pool}


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(InputError, match="name some in 'pairs'"):
        read_messages(wanted(), labelled(), 1)


@given(text=st.text(min_size=1), seed=st.integers())
def test_a_changed_copy_is_never_empty(text: str, seed: int) -> None:
    normalised = normalise(text).text
    if normalised:
        changed = change_copy(normalised, random.Random(seed))
        assert changed
        assert changed == change_copy(normalised, random.Random(seed))
