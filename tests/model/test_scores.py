"""From logits to scores, and from scores to labels or a person's desk."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from narratrace.model.artefact import Calibration, Manifest, StanceCalibration, ThresholdSet
from narratrace.model.language import LANGUAGES
from narratrace.model.scores import REVIEW_SCORE, Logits, Scores, calibrate, decide

ADVANCING = [0.9, 0.05, 0.03, 0.02]
PLAIN = Calibration(deep=1, wide=0, intercept=0)


def manifest_of(fields: dict[str, Any], **changes: Any) -> Manifest:
    return Manifest(format=1, id="test", created=datetime(2026, 1, 1, tzinfo=UTC), files={}, **fields | changes)


@pytest.fixture(scope="module")
def manifest(artefact_fields: dict[str, Any]) -> Manifest:
    """Two narratives: one with an own threshold for English and none for Cantonese, one without any."""
    return manifest_of(
        artefact_fields,
        narratives=("first", "second"),
        languages=("zh-Hans", "yue", "en"),
        advances=0.6,
        calibration={"first": PLAIN, "second": PLAIN},
        thresholds={"first": {"default": 0.4, "by_language": {"en": 0.8, "yue": None}}, "second": {"default": None}},
        promised={
            "precision": 0.9,
            "confidence": 0.9,
            "narratives": {
                "first": {
                    "zh-Hans": {"threshold": 0.7, "groups": 40, "precision": 1.0},
                    "en": {"threshold": None, "groups": 9, "precision": 0.9},
                },
                "second": {"zh-Hans": {"threshold": 0.3, "groups": 30, "precision": 1.0}},
            },
        },
    )


def given_scores(*narratives: list[float], stances: list[float] = ADVANCING) -> Scores:
    return Scores(
        np.array(narratives, dtype=np.float32), np.tile(np.array(stances, dtype=np.float32), (len(narratives), 1))
    )


def test_scores_are_those_of_a_computation_by_hand() -> None:
    deep = Logits(np.array([[2.0, -1.0]], dtype=np.float32), np.array([[1.0, 0.0, -1.0, 0.5]], dtype=np.float32))
    wide = Logits(np.array([[0.5, 3.0]], dtype=np.float32), np.array([[0.0, 2.0, 0.0, -1.0]], dtype=np.float32))
    calibrations = [
        Calibration(deep=1.5, wide=0.5, intercept=-0.75),
        Calibration(deep=0, wide=2, intercept=1),
    ]
    stance_logits = [0.8 * d + 0.1 * w for d, w in ((1, 0), (0, 2), (-1, 0), (0.5, -1))]
    logits = [1.5 * 2 + 0.5 * 0.5 - 0.75, 2 * 3 + 1]
    total = sum(math.exp(z) for z in stance_logits)

    scores = calibrate(deep, wide, calibrations, StanceCalibration(deep=0.8, wide=0.1))
    np.testing.assert_allclose(scores.narratives, [[1 / (1 + math.exp(-z)) for z in logits]], rtol=1e-5)
    np.testing.assert_allclose(scores.stances, [[math.exp(z) / total for z in stance_logits]], rtol=1e-5)
    assert scores.narratives.dtype == scores.stances.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(
    arrays(np.float32, (3, 2), elements=st.floats(-1e4, 1e4, width=32)),
    arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32)),
)
@pytest.mark.filterwarnings("error")
def test_any_logits_give_probabilities(narratives: np.ndarray, stances: np.ndarray) -> None:
    logits = Logits(narratives, stances)
    scores = calibrate(
        logits, logits, [Calibration(deep=3, wide=1, intercept=0)] * 2, StanceCalibration(deep=1, wide=1)
    )
    assert ((scores.narratives >= 0) & (scores.narratives <= 1)).all()
    np.testing.assert_allclose(scores.stances.sum(axis=1), 1, atol=1e-5)


def test_no_posts_give_no_scores() -> None:
    none = Logits(np.zeros((0, 2), dtype=np.float32), np.zeros((0, 4), dtype=np.float32))
    scores = calibrate(none, none, [PLAIN] * 2, StanceCalibration(deep=1, wide=1))
    assert (scores.narratives.shape, scores.stances.shape) == ((0, 2), (0, 4))


@pytest.mark.parametrize(
    ("language", "scores", "labels", "abstained"),
    [
        ("zh-Hans", [0.4, 0.0], ["first"], []),  # at the default threshold
        ("zh-Hans", [0.39, 0.0], [], []),
        ("en", [0.79, 0.0], [], []),  # below its own threshold
        ("en", [0.8, 0.0], ["first"], []),
        ("yue", [0.4, 0.0], [], ["first"]),  # none is promised for this language
        ("yue", [0.39, 0.0], [], []),
        ("zh-Hans", [0.0, REVIEW_SCORE], [], ["second"]),  # none is promised for this narrative
        ("zh-Hans", [0.0, REVIEW_SCORE - 0.01], [], []),
        ("zh-Hant", [0.9, 0.9], [], ["first", "second"]),  # the artefact was not trained for the language
        ("other", [0.4, 0.9], [], ["first", "second"]),
        ("und", [0.39, 0.4], [], []),
        ("zh-Hans", [0.9, 0.9], ["first"], ["second"]),
    ],
)
def test_labels_and_what_is_left_to_a_person(
    manifest: Manifest, language: str, scores: list[float], labels: list[str], abstained: list[str]
) -> None:
    assert decide(given_scores(scores), [language], manifest, "f1") == ([labels], [abstained])


@pytest.mark.parametrize(
    ("language", "scores", "labels", "abstained"),
    [
        ("zh-Hans", [0.7, 0.3], ["first", "second"], []),  # both at their promised thresholds
        ("zh-Hans", [0.69, 0.29], [], ["first"]),  # reaches the best F1 alone
        ("zh-Hans", [0.39, 0.0], [], []),
        ("en", [0.8, 0.0], [], ["first"]),  # too few posts to promise anything
        ("en", [0.79, 0.0], [], []),
        ("yue", [0.4, 0.6], [], ["first", "second"]),  # nothing is said of the language
        ("other", [0.9, 0.9], [], ["first", "second"]),
    ],
)
def test_what_no_promise_covers_is_left_to_a_person(
    manifest: Manifest, language: str, scores: list[float], labels: list[str], abstained: list[str]
) -> None:
    assert decide(given_scores(scores), [language], manifest, "precision") == ([labels], [abstained])


@pytest.mark.parametrize(("advances", "labelled"), [(0.6, True), (0.59, False), (0.0, False)])
def test_only_a_post_that_advances_gets_labels(manifest: Manifest, advances: float, labelled: bool) -> None:
    scores = given_scores([1.0, 1.0], stances=[advances, 1 - advances, 0, 0])
    labels, abstained = decide(scores, ["zh-Hans"], manifest, "f1")
    assert (bool(labels[0]), bool(abstained[0])) == (labelled, labelled)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.sampled_from(LANGUAGES)
        ),
        max_size=6,
    )
)
def test_a_narrative_is_a_label_or_left_to_a_person_never_both(
    manifest: Manifest, rows: list[tuple[float, float, float, str]]
) -> None:
    scores = Scores(
        np.array([row[:2] for row in rows], dtype=np.float32).reshape(-1, 2),
        np.array([[row[2], 1 - row[2], 0, 0] for row in rows], dtype=np.float32).reshape(-1, 4),
    )
    for thresholds in get_args(ThresholdSet):
        labels, abstained = decide(scores, [row[3] for row in rows], manifest, thresholds)
        assert len(labels) == len(abstained) == len(rows)
        for (*_, language), labelled, review in zip(rows, labels, abstained, strict=True):
            assert not set(labelled) & set(review)
            assert not labelled or language in manifest.languages
