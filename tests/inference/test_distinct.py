"""Each distinct text is scored once, and every post gets what it would have got by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.inference.archives.keys import MAX_NORMALISED, find_keys, first_of_each, keys_of, scored_form
from narratrace.inference.classifier import Classifier
from narratrace.inference.scoring import ScoringSettings, score_archive
from narratrace.model.text import normalise

VARIANTS = [
    "暴徒打砸立法會，必須嚴懲！",
    "暴徒打砸立法會，必須嚴懲！！！！！",
    "RT @user: 暴徒打砸立法會,必須嚴懲! https://t.co/abcdefghij",
    "暴徒\u200b打砸立法會，必須嚴懲！",
    "暴徒打砸立法会，必须严惩！",
    "The rioters are paid by foreign forces",
    "Ｔｈｅ rioters &#97;re paid by foreign forces",
    "the rioters are paid by foreign forces",
    "香港警察加油" * 400,
    "香港警察加油" * 400 + " https://t.co/abcdefghij",
    "@user https://t.co/abcdefghij",
    "?",
]


@pytest.mark.parametrize(("distinct", "texts"), [("normalised", 9), ("exact", 12)])
def test_scores_are_those_of_each_row_by_itself(
    tiny_classifier: Classifier, tmp_path: Path, distinct: str, texts: int
) -> None:
    rows = VARIANTS * 3
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    chosen = ScoringSettings(distinct=distinct, shard_size=7, window=3)
    summary = score_archive([tmp_path / "posts.jsonl"], tmp_path / "out", tiny_classifier, chosen)
    assert (summary.posts, summary.texts) == (36, texts)
    scored = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert [row["text"] for row in scored] == rows
    for row in scored:
        alone = tiny_classifier.predict(row["text"])
        assert (tuple(row["labels"]), tuple(row["abstained"])) == (alone.labels, alone.abstained)
        said = (row["language"], row["stance"], row["windows"], row["truncated"])
        assert said == (alone.language, alone.stance, alone.windows, alone.truncated)
        for narrative, score in alone.scores.items():
            assert row[f"score_{narrative}"] == pytest.approx(score, abs=1e-5)


@given(st.text(max_size=60) | st.text("ﷺA！& #@x", max_size=2 * MAX_NORMALISED))
def test_what_is_scored_reads_like_the_post_itself(text: str) -> None:
    form = scored_form(text, "normalised")
    assert normalise(form).text == normalise(text).text
    assert form == text or max(len(text), len(form)) <= MAX_NORMALISED
    assert scored_form(text, "exact") == text


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=30))
def test_keys_are_the_same_for_the_same_texts_only(texts: list[str]) -> None:
    keys = keys_of(texts)
    rows = first_of_each(keys)
    assert sorted(texts[row] for row in rows) == sorted(set(texts))
    assert [texts[row] for row in rows[find_keys(keys, *keys[rows].T)]] == texts


def test_keys_whose_first_halves_are_equal_are_told_apart() -> None:
    keys = np.array([[7, 3], [7, 1], [2, 9], [7, 2], [9, 1], [7, 1]], dtype=np.uint64)
    rows = first_of_each(keys)
    assert keys[rows].tolist() == [[2, 9], [7, 1], [7, 2], [7, 3], [9, 1]]
    assert keys[rows][find_keys(keys, *keys[rows].T)].tolist() == keys.tolist()
