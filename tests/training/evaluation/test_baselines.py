"""Baselines learn, leave out what is not known, and are fooled by related posts where nobody keeps these apart."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from narratrace.model.artefact import Artefact
from narratrace.model.base import RECORD
from narratrace.model.scores import Scores
from narratrace.model.settings import check_settings
from narratrace.training.evaluation.baselines import PerLabel, TfIdf, cross_validate, frozen_encoder, majority
from narratrace.training.evaluation.embeddings import FrozenEncoder
from narratrace.training.metrics import Truth
from narratrace.training.settings import ThresholdSettings

SETTINGS = check_settings(ThresholdSettings, {"folds": 2, "smoothing": 0, "false_flags": {}}, "test")


def written(count: int) -> tuple[np.ndarray, Truth]:
    """Posts whose words say which of two narratives they advance, if any."""
    rng = random.Random(0)
    kinds = [rng.randrange(3) for _ in range(count)]
    words = ("police hero brave", "foreign money agents", "weather lunch holiday")
    texts = [" ".join([*rng.sample(words[kind].split(), 2), rng.choice("abcdef") * 3]) for kind in kinds]
    labels = np.array([[kind == 0, kind == 1] for kind in kinds])
    stances = np.array([3 if kind == 2 else 0 for kind in kinds])
    return np.array(texts, dtype=object), Truth(labels, np.ones_like(labels), stances)


def test_tfidf_learns_words() -> None:
    texts, truth = written(120)
    model = TfIdf()
    model.fit(texts, truth)
    scores = model.scores(np.array(["brave hero", "agents and money", "lunch"], dtype=object))
    assert (scores.narratives > 0.5).tolist() == [[True, False], [False, True], [False, False]]
    assert scores.stances.argmax(axis=1).tolist() == [0, 0, 3]
    np.testing.assert_allclose(scores.stances.sum(axis=1), 1, atol=1e-5)
    assert (scores.stances[:, [1, 2]] == 0).all()  # no post reported or countered


@pytest.mark.parametrize("make", [frozen_encoder, lambda: PerLabel(lambda: pytest.fail("nothing to learn"))])
def test_what_all_posts_are_needs_no_model(make) -> None:
    vectors = np.eye(6)
    always = np.ones((6, 1), dtype=bool)
    model = make()
    model.fit(vectors, Truth(always, always, np.full(6, 2)))
    scores = model.scores(vectors)
    assert (scores.narratives == 1).all()
    assert (scores.stances[:, 2] == 1).all()


def test_what_is_not_known_is_not_learnt() -> None:
    texts, truth = written(120)
    known = np.random.default_rng(0).random(truth.labels.shape) < 0.7
    stances = np.where(np.arange(120) % 3, truth.stances, -100)
    scores = []
    for labels in (truth.labels, truth.labels ^ ~known):  # the second says the contrary of all that is not known
        model = TfIdf()
        model.fit(texts, Truth(labels, known, stances))
        scores.append(model.scores(texts))
    np.testing.assert_array_equal(scores[0].narratives, scores[1].narratives)
    nobody = TfIdf()
    nobody.fit(texts, Truth(truth.labels, ~known & known, np.full(120, -100)))
    assert (nobody.scores(texts).narratives == 0).all()


def test_held_out_posts_are_scored_by_a_model_that_did_not_see_them() -> None:
    seen: list[set[int]] = []

    class Recorder:
        def fit(self, inputs: np.ndarray, truth: Truth) -> None:
            self.seen = set(inputs[:, 0].tolist())

        def scores(self, inputs: np.ndarray) -> Scores:
            assert self.seen.isdisjoint(inputs[:, 0].tolist())
            seen.append(self.seen)
            return Scores(np.full((len(inputs), 2), 0.5, np.float32), np.full((len(inputs), 4), 0.25, np.float32))

    _, truth = written(30)
    folds = np.array([0, 1] * 10 + [-1] * 5 + [0] * 5)
    found = cross_validate(Recorder, np.arange(30)[:, None], truth, folds, 20, SETTINGS)
    assert found.scores.narratives.shape == (20, 2)
    assert all(set(range(20, 25)) <= each for each in seen)  # in no fold: learnt from each time
    assert len(found.thresholds) == 2


def test_related_posts_in_both_parts_pretend_what_is_not_there() -> None:
    """Labels that hang on the account alone: nothing can be learnt for others, unless its own posts are there."""
    rng = np.random.default_rng(0)
    accounts = np.repeat(np.arange(60), 6)
    handles = ["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(60)]
    texts = np.array([f"{handles[account]} {rng.choice(['one', 'two'])}" for account in accounts], dtype=object)
    labels = (rng.random(60) < 0.4)[accounts][:, None]
    truth = Truth(labels, np.ones_like(labels), np.where(labels[:, 0], 0, 3))
    grouped = cross_validate(TfIdf, texts, truth, accounts % 2, 360, SETTINGS)
    naive = cross_validate(TfIdf, texts, truth, rng.integers(0, 2, 360), 360, SETTINGS)

    def right(scores: Scores) -> float:
        return float(((scores.narratives > 0.5) == labels).mean())

    assert right(naive.scores) > 0.95
    assert right(grouped.scores) < 0.75


def test_the_frozen_encoder_is_whatever_a_training_may_start_from(
    tiny_base: Path, tiny_artefact: Artefact, tmp_path: Path
) -> None:
    plain = Path(shutil.copytree(tiny_base, tmp_path / "plain", ignore=shutil.ignore_patterns(RECORD)))
    posts = ["stand firm", "支持警察，嚴正執法", "lunch"]
    base, same, learnt = (
        FrozenEncoder(source, 32, posts).embed(posts, lambda *_: None)
        for source in (tiny_base, plain, tiny_artefact.path)
    )
    np.testing.assert_allclose(np.linalg.norm(base, axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(base, same)
    assert learnt.shape == base.shape
    assert np.abs(learnt - base).max() > 0.01  # the artefact's own encoder
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_the_majority_says_what_is_most_frequent() -> None:
    _, truth = written(30)
    answers = majority(Truth(truth.labels, truth.known, np.array([2] * 20 + [0] * 5 + [-100] * 5)), 3)
    assert answers.stances.tolist() == [2, 2, 2]
    assert not answers.flagged.any()
    assert answers.scores[0].tolist() == pytest.approx(truth.labels.mean(axis=0).tolist())
