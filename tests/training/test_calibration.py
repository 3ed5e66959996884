"""Calibration finds the odds that the data were drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from narratrace.model.artefact import StanceCalibration
from narratrace.model.scores import Logits, calibrate
from narratrace.training.calibration import fit_calibration, fit_stance_calibration

PLAIN = StanceCalibration(deep=1, wide=0)


def draw(posts: int, weights: tuple[float, float, float], seed: int = 0) -> tuple[Logits, Logits, NDArray[np.bool_]]:
    """Random logits of one narrative, and labels drawn from the odds that ``weights`` give them."""
    rng = np.random.default_rng(seed)
    deep, wide = (
        Logits(
            rng.normal(scale=2, size=(posts, 1)).astype(np.float32),
            rng.normal(scale=2, size=(posts, 4)).astype(np.float32),
        )
        for _ in range(2)
    )
    by_deep, by_wide, intercept = weights
    odds = by_deep * deep.narratives[:, 0] + by_wide * wide.narratives[:, 0] + intercept
    return deep, wide, rng.random((posts, 1)) < (1 / (1 + np.exp(-odds)))[:, None]


@pytest.mark.parametrize("weights", [(1.2, 0.4, -1.0), (0.3, 1.0, 0.5), (0.8, 0.0, -2.0)])
def test_the_odds_behind_the_data_are_found(weights: tuple[float, float, float]) -> None:
    deep, wide, labels = draw(20_000, weights)
    (found,) = fit_calibration(deep, wide, labels, np.ones_like(labels))
    np.testing.assert_allclose([found.deep, found.wide, found.intercept], weights, atol=0.1)


def test_scores_are_shares() -> None:
    """Of the posts that score about 0.3, about 30 % are positives."""
    weights = (1.0, 0.5, -1.0)
    drawn = draw(20_000, weights)
    fitted = fit_calibration(*drawn, np.ones_like(drawn[2]))
    deep, wide, labels = draw(20_000, weights, seed=1)
    scores = calibrate(deep, wide, fitted, PLAIN).narratives[:, 0]
    for low in np.arange(0, 1, 0.1):
        some = (scores >= low) & (scores < low + 0.1)
        assert labels[some, 0].mean() == pytest.approx(scores[some].mean(), abs=0.05)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_weights_are_never_negative_and_order_is_kept(
    seed: int, posts: int, weights: tuple[float, float, float]
) -> None:
    deep, wide, labels = draw(posts, weights, seed)
    (found,) = fit_calibration(deep, wide, labels, np.ones_like(labels))
    assert min(found.deep, found.wide) >= 0
    assert np.isfinite(found.intercept)
    rising = Logits(np.linspace(-5, 5, 20, dtype=np.float32)[:, None], np.zeros((20, 4), dtype=np.float32))
    flat = Logits(np.zeros((20, 1), dtype=np.float32), np.zeros((20, 4), dtype=np.float32))
    scores = calibrate(rising, flat, [found], PLAIN).narratives[:, 0]
    assert (np.diff(scores) >= 0).all()


def test_a_narrative_without_positives_scores_low_and_a_perfect_one_does_not_run_away() -> None:
    deep, wide, _ = draw(500, (1, 1, 0))
    every = np.ones((500, 1), dtype=bool)
    (never,) = fit_calibration(deep, wide, np.zeros((500, 1), dtype=bool), every)
    assert calibrate(deep, wide, [never], PLAIN).narratives.mean() < 0.02
    (perfect,) = fit_calibration(deep, wide, deep.narratives > 0, every)
    assert perfect.deep < 20


def test_stances_are_weighed_by_what_they_know() -> None:
    rng = np.random.default_rng(2)
    nothing = np.zeros((5000, 1), dtype=np.float32)
    deep = Logits(nothing, rng.normal(scale=2, size=(5000, 4)).astype(np.float32))
    noise = Logits(nothing, rng.normal(scale=2, size=(5000, 4)).astype(np.float32))
    truth = (0.7 * deep.stances + rng.gumbel(size=(5000, 4))).argmax(axis=1)
    found = fit_stance_calibration(deep, noise, truth)
    assert found.deep == pytest.approx(0.7, abs=0.05)
    assert found.wide == pytest.approx(0, abs=0.05)


def test_what_is_not_known_does_not_count() -> None:
    deep, wide, labels = draw(2000, (1.2, 0.4, -1.0))
    known = np.random.default_rng(3).random((2000, 1)) < 0.5
    rows = known[:, 0]
    some = [Logits(part.narratives[rows], part.stances[rows]) for part in (deep, wide)]
    alone = fit_calibration(*some, labels[rows], known[rows])
    assert fit_calibration(deep, wide, labels & known, known) == alone
    assert fit_calibration(deep, wide, labels | ~known, known) == alone
    stances = np.where(rows, deep.stances.argmax(axis=1), -100)
    assert fit_stance_calibration(deep, wide, stances) == fit_stance_calibration(*some, stances[rows])


def test_where_nothing_is_known_both_parts_count_the_same() -> None:
    deep, wide, labels = draw(50, (1, 1, 0))
    (found,) = fit_calibration(deep, wide, labels, np.zeros_like(labels))
    assert (found.deep, found.wide, found.intercept) == (0.5, 0.5, 0.0)
    assert fit_stance_calibration(deep, wide, np.full(50, -100)) == StanceCalibration(deep=0.5, wide=0.5)
