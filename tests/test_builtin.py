"""The artefact that ships: whole, consistent with the shipped taxonomy, and of use on the example archive.

The bounds are guards against shipping a broken artefact; how good it is, ``narratrace evaluate`` measures.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import opencc
import pytest

from narratrace import Artefact, Classifier, Prediction, Taxonomy
from narratrace.inference.copypasta.settings import DEFAULT_SETTINGS
from narratrace.model.artefact import BUILTIN

EXAMPLES = Path(__file__).parents[1] / "examples"
MEGABYTE = 1e6


def rows(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def posts() -> list[str]:
    return [str(row["text"]) for row in rows("posts.jsonl")]


@pytest.fixture(scope="module")
def stances() -> list[object]:
    return [row["stance"] for row in rows("posts_key.jsonl")]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture(scope="module")
def predictions(classifier: Classifier, posts: list[str]) -> list[Prediction]:
    return classifier.predict(posts)


def test_it_opens_and_knows_the_shipped_taxonomy() -> None:
    artefact = Artefact.open()
    assert artefact.taxonomy == Taxonomy.load("hong_kong_2019")
    assert artefact.manifest.narratives == artefact.taxonomy.narrative_ids
    assert artefact.backends == ("onnx-int8", "torch")


def test_grouping_has_thresholds_that_were_chosen_for_its_embedding() -> None:
    """With those of another embedding, posts are linked that have nothing to do with each other."""
    assert Artefact.open().id in DEFAULT_SETTINGS.read_text(encoding="utf-8")


def test_no_file_is_too_large_to_publish() -> None:
    assert max(path.stat().st_size for path in BUILTIN.rglob("*") if path.is_file()) < 95 * MEGABYTE


def test_labels_agree_with_the_stance(predictions: list[Prediction]) -> None:
    assert all(prediction.stance == "A" for prediction in predictions if prediction.labels)


def test_it_tells_advancing_from_reporting_and_countering(predictions: list[Prediction], stances: list[object]) -> None:
    flagged = {
        stance: np.mean([bool(p.labels) for p, truth in zip(predictions, stances, strict=True) if truth == stance])
        for stance in "ARCN"
    }
    assert flagged["A"] > 0.6
    assert flagged["R"] < 0.1
    assert flagged["C"] < 0.2
    assert flagged["N"] < 0.05
    assert np.mean([p.stance == truth for p, truth in zip(predictions, stances, strict=True)]) > 0.7


@pytest.mark.parametrize(
    "change",
    [
        lambda post: f"{post} https://t.co/AbC123",
        lambda post: f"@somebody {post}",
        "\u200b".join,
        lambda post: post.replace("&", "&amp;"),
    ],
    ids=["URL", "mention", "zero-width", "entities"],
)
def test_noise_that_normalisation_removes_changes_nothing(change, classifier, posts, predictions) -> None:
    changed = classifier.predict([change(post) for post in posts])
    assert [p.labels for p in changed] == [p.labels for p in predictions]
    assert [p.stance for p in changed] == [p.stance for p in predictions]


@pytest.mark.parametrize("script", ["s2t", "t2s"])
def test_the_script_seldom_changes_a_label(script, classifier, posts, predictions) -> None:
    changed = classifier.predict([opencc.OpenCC(script).convert(post) for post in posts])
    flips = np.mean([one.labels != other.labels for one, other in zip(changed, predictions, strict=True)])
    assert flips < 0.06


def test_other_languages_get_scores_but_no_labels(classifier: Classifier) -> None:
    prediction = classifier.predict("ตำรวจเป็นวีรบุรุษ ผู้ประท้วงเป็นผู้ก่อการร้าย")
    assert prediction.language == "other"
    assert prediction.labels == ()
    assert len(prediction.scores) == 13
