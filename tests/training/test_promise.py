"""What is promised is kept: by simulation, beside MAPIE, and where there is too little to promise anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control import BinaryClassificationController
from mapie.risk_control.fwer_control import FWERFixedSequenceTesting
from numpy.typing import NDArray

from narratrace.training.promise import GRID, fewest_groups, promise_precision

Drawn = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]


def draw(groups: int, rng: np.random.Generator, largest: int = 6, hardness: float = 1.0) -> Drawn:
    """Posts of many groups: within a group scores are alike and labels nearly so, as those of an account are."""
    sizes = rng.integers(1, largest + 1, groups)
    group = np.repeat(np.arange(groups), sizes)
    level = rng.beta(0.7, 0.7, groups)[group]
    scores = np.clip(level + rng.normal(scale=0.05, size=len(group)), 0.001, 0.9999)
    # Right more often the higher the score, but less often than the score says.
    fate = rng.random(groups)[group]
    own = rng.random(len(group))
    luck = np.where(rng.random(len(group)) < 0.8, fate, own)
    return scores, luck < scores**hardness, group


def true_precision(threshold: float, hardness: float) -> float:
    """Mean over a great many groups of the share of their labels that are right."""
    scores, labels, group = draw(60_000, np.random.default_rng(99), hardness=hardness)
    flagged = scores >= threshold
    given = np.bincount(group[flagged])
    right = np.bincount(group[flagged], weights=labels[flagged])
    return float((right[given > 0] / given[given > 0]).mean())


@pytest.mark.parametrize(("precision", "confidence", "hardness"), [(0.9, 0.9, 1.0), (0.8, 0.8, 1.5), (0.7, 0.9, 2.0)])
def test_the_promise_is_kept_as_often_as_is_said(precision: float, confidence: float, hardness: float) -> None:
    """Of many held-out sets, at most a share of 1 - confidence leads to a threshold that breaks its promise."""
    truth = {float(threshold): true_precision(threshold, hardness) for threshold in GRID}
    rng = np.random.default_rng(1)
    broken, made, runs = 0, 0, 400
    for _ in range(runs):
        found = promise_precision(*draw(400, rng, hardness=hardness), precision, confidence)
        made += found.threshold is not None
        broken += found.threshold is not None and truth[found.threshold] < precision
    assert made > runs / 2, "a method that never promises keeps every promise"
    # Three standard errors of a share that is just at its bound.
    assert broken / runs <= 1 - confidence + 3 * np.sqrt(confidence * (1 - confidence) / runs)


def test_posts_of_one_account_are_no_independent_witnesses() -> None:
    """The same posts, each as a witness of its own, would promise too much."""
    rng = np.random.default_rng(2)
    truth = {float(threshold): true_precision(threshold, 1.0) for threshold in GRID}
    broken = {"groups": 0, "posts": 0}
    for _ in range(300):
        # Few groups that repeat themselves a great deal.
        scores, labels, group = draw(60, rng, largest=40)
        for votes, of in (("groups", group), ("posts", np.arange(len(group)))):
            found = promise_precision(scores, labels, of, 0.9, 0.9)
            broken[votes] += found.threshold is not None and truth[found.threshold] < 0.9
    assert broken["groups"] <= 0.1 * 300
    assert broken["posts"] > 0.2 * 300


@pytest.mark.filterwarnings("ignore:Fixed sequence testing requires")
@pytest.mark.parametrize("seed", range(10))
def test_single_posts_get_the_threshold_of_mapie(seed: int) -> None:
    """MAPIE's own controller, told where to start, accepts the same thresholds."""
    scores, labels, group = draw(500, np.random.default_rng(seed), largest=1)
    found = promise_precision(scores, labels, group, 0.8, 0.9)
    started = [threshold for threshold in GRID if (scores >= threshold).sum() >= fewest_groups(0.8, 0.9)]
    controller = BinaryClassificationController(
        predict_function=lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]),
        risk="precision",
        target_level=0.8,
        confidence_level=0.9,
        list_predict_params=np.array(started),
        fwer_method=FWERFixedSequenceTesting(n_starts=1),
    )
    controller.calibrate(scores[:, None], labels.astype(int))
    assert found.threshold is not None
    # MAPIE may go on a little: of yes-or-no losses it takes a tighter p-value, and those of groups may lie between.
    assert found.threshold - 0.1 <= min(controller.valid_predict_params) <= found.threshold


def test_too_few_groups_promise_nothing_however_right_they_are() -> None:
    fewest = fewest_groups(0.9, 0.9)
    for groups, promised in ((fewest - 1, False), (fewest, True)):
        right = np.ones(groups, dtype=bool)
        found = promise_precision(np.full(groups, 0.7), right, np.arange(groups), 0.9, 0.9)
        assert (found.threshold is not None) == promised
        assert (found.groups, found.precision) == (groups, 1.0)
    # A thousand posts of one account are one witness.
    assert promise_precision(np.full(1000, 0.7), np.ones(1000, bool), np.zeros(1000, int), 0.9, 0.9).threshold is None


def test_posts_behind_a_closed_gate_count_neither_way() -> None:
    rng = np.random.default_rng(3)
    scores, labels, group = draw(400, rng)
    found = promise_precision(scores, labels, group, 0.8, 0.9)
    more = promise_precision(
        np.append(scores, np.zeros(50)), np.append(labels, np.zeros(50, bool)), np.append(group, group[:50]), 0.8, 0.9
    )
    assert found == more
    assert found.threshold is not None


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 5)), max_size=40),
    st.floats(0.5, 0.99),
    st.floats(0.5, 0.99),
)
def test_any_posts_give_a_promise_that_their_own_labels_bear_out(
    posts: list[tuple[float, bool, int]], precision: float, confidence: float
) -> None:
    scores, labels, group = (np.array([post[part] for post in posts]) for part in range(3))
    found = promise_precision(scores.astype(float), labels.astype(bool), group.astype(np.int64), precision, confidence)
    assert found.groups <= len(set(group.tolist()))
    if found.threshold is not None:
        assert found.groups >= fewest_groups(precision, confidence)
        assert found.precision is not None
        assert found.precision >= precision - 1e-4
