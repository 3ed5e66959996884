from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from narratrace.model.artefact import Promise, PromisedThresholds
from narratrace.model.scores import Scores
from narratrace.training.thresholds import GATES, GRID, Thresholds, best_f1_thresholds, choose_thresholds


def draw(positives: list[int], posts: int = 300, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((posts, len(positives)), dtype=bool)
    for column, count in enumerate(positives):
        labels[rng.choice(posts, count, replace=False), column] = True
    return np.clip(0.25 + 0.4 * labels + rng.normal(scale=0.2, size=labels.shape), 0, 1).astype(np.float32), labels


def every(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All labels are known."""
    return np.ones_like(labels)


def test_without_smoothing_each_threshold_is_the_best_one() -> None:
    scores, labels = draw([80, 20, 5])
    chosen = best_f1_thresholds(scores, labels, every(labels), smoothing=0)
    for column, threshold in enumerate(chosen):
        tried = [f1_score(labels[:, column], scores[:, column] >= one, zero_division=0.0) for one in GRID]
        assert threshold in GRID
        assert tried[int(np.argmax(tried))] == pytest.approx(
            f1_score(labels[:, column], scores[:, column] >= threshold, zero_division=0.0)
        )


def test_smoothing_pulls_rare_narratives_to_the_common_threshold() -> None:
    scores, labels = draw([100, 100, 1])
    scores[:, 2] = np.where(labels[:, 2], 0.95, 0.3)  # by itself the single positive asks for a very high threshold
    scores[labels[:, 2].argmin(), 2] = 0.9
    common = best_f1_thresholds(scores[:, :2], labels[:, :2], every(labels[:, :2]), smoothing=1e6)[0]
    alone, smoothed = (best_f1_thresholds(scores, labels, every(labels), smoothing) for smoothing in (0, 20))
    assert abs(smoothed[2] - common) < abs(alone[2] - common)
    assert np.abs(smoothed[:2] - alone[:2]).max() <= 0.1
    everywhere = best_f1_thresholds(scores, labels, every(labels), smoothing=1e9)
    assert len(set(everywhere.tolist())) == 1


def test_where_nothing_right_could_be_flagged_the_threshold_is_the_highest() -> None:
    scores, labels = draw([5])
    scores[labels] = 0  # behind the gate
    assert best_f1_thresholds(scores, labels, every(labels), smoothing=0).tolist() == [GRID[-1]]


def test_no_positives_give_a_threshold_all_the_same() -> None:
    scores, labels = draw([0, 0])
    assert np.isin(best_f1_thresholds(scores, labels, every(labels), 20), GRID).all()


STANCES = np.array([0] * 150 + [2] * 150)


def with_stances(seed: int = 0) -> tuple[Scores, NDArray[np.bool_]]:
    """Half of the posts advance; counters have the same words, and a stance that is known better or worse."""
    rng = np.random.default_rng(seed)
    narratives, labels = draw([100, 60], seed=seed)
    labels[150:] = False
    advances = np.clip(np.where(STANCES == 0, 0.9, 0.45) + rng.normal(scale=0.2, size=300), 0, 1)
    return Scores(narratives, np.stack([advances, 0 * advances, 1 - advances, 0 * advances], axis=1)), labels


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.3])
def test_the_gate_keeps_false_flags_within_their_limit(limit: float) -> None:
    scores, labels = with_stances()
    chosen = choose_thresholds(scores, labels, every(labels), STANCES, 0, {"C": limit, "R": 0.0})  # no post reports
    flagged = chosen.flag(scores).any(axis=1)
    assert flagged[STANCES == 2].mean() <= limit
    lowest = choose_thresholds(scores, labels, every(labels), STANCES, 0, {})
    assert lowest.advances == GATES[0]
    if lowest.flag(scores).any(axis=1)[STANCES == 2].mean() > limit:
        assert chosen.advances > GATES[0]
    else:
        assert chosen.advances == GATES[0]  # no gate is closed further than it has to be


def test_limits_that_no_gate_keeps_give_the_highest_gate() -> None:
    scores, labels = with_stances()
    certain = Scores(scores.narratives, np.tile(np.float32([1, 0, 0, 0]), (300, 1)))
    assert choose_thresholds(certain, labels, every(labels), STANCES, 0, {"C": 0.0}).advances == GATES[-1]


def test_posts_below_the_gate_get_no_label() -> None:
    scores, labels = with_stances()
    chosen = choose_thresholds(scores, labels, every(labels), STANCES, 0, {"C": 0.05})
    flagged = chosen.flag(scores)
    assert not flagged[scores.stances[:, 0] < chosen.advances].any()
    passed = scores.stances[:, 0] >= chosen.advances
    np.testing.assert_array_equal(flagged[passed], scores.narratives[passed] >= chosen.narratives)


def test_raised_thresholds_flag_less_and_stay_below_one() -> None:
    before = Thresholds(0.5, np.array([0.3, 0.93]))
    after = before.raised(0.05)
    assert after.advances == 0.5
    assert after.narratives.tolist() == [0.35, 0.95]
    assert before.raised(0).narratives.tolist() == before.narratives.tolist()


def test_raised_promises_ask_for_more_and_what_no_score_reaches_is_none() -> None:
    held = [Promise(threshold=each, groups=9, precision=0.95) for each in (0.3, 0.98, None)]
    before = PromisedThresholds(precision=0.9, confidence=0.9, narratives={"a": dict(zip("xyz", held, strict=True))})
    after = before.raised(0.05)
    assert [after.of("a", language) for language in "xyz"] == [0.35, None, None]
    assert before.raised(0) == before


def test_what_is_not_known_does_not_count() -> None:
    scores, labels = draw([80, 20, 5])
    known = np.random.default_rng(1).random(labels.shape) < 0.5
    chosen = best_f1_thresholds(scores, labels, known, smoothing=0)
    np.testing.assert_array_equal(best_f1_thresholds(scores, labels | ~known, known, smoothing=0), chosen)
    for column, threshold in enumerate(chosen):
        rows, one = known[:, column], slice(column, column + 1)
        alone = best_f1_thresholds(scores[rows, one], labels[rows, one], known[rows, one], smoothing=0)
        assert alone[0] == threshold


def test_without_any_stance_the_gate_is_open() -> None:
    scores, labels = with_stances()
    unknown = np.full(len(labels), -100)
    assert choose_thresholds(scores, labels, every(labels), unknown, 0, {"C": 0.0}).advances == 0
