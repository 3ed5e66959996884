"""Fitting what turns logits into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from narratrace.model.artefact import Calibration, StanceCalibration
from narratrace.model.scores import Logits

_PRIOR = 0.001
"""Weak pull to the plain mean of the two logits, so that a narrative with few positives cannot run away."""

_START = np.array([0.5, 0.5, 0.0])
"""Deep, wide and intercept before anything is fitted."""


def fit_stance_calibration(deep: Logits, wide: Logits, stances: NDArray[np.int64]) -> StanceCalibration:
    """Fit how much encoder and wide part count in the stance, on posts that neither learnt from.

    A negative stance is not known and left out; where none is known, both count the same.
    """
    known = stances >= 0
    if not known.any():
        return StanceCalibration(deep=0.5, wide=0.5)
    stances = stances[known]
    rows = np.arange(len(stances))
    parts = np.stack([deep.stances[known], wide.stances[known]]).astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> float:
        logits = np.tensordot(weights, parts, axes=1)
        right = logits[rows, stances] - np.logaddexp.reduce(logits, axis=1)
        return float(-right.mean() + _PRIOR / 2 * ((weights - 0.5) ** 2).sum())

    by_deep, by_wide = minimize(loss, [0.5, 0.5], bounds=[(0, None)] * 2, method="L-BFGS-B").x
    return StanceCalibration(deep=float(by_deep), wide=float(by_wide))


def fit_calibration(
    deep: Logits, wide: Logits, labels: NDArray[np.bool_], known: NDArray[np.bool_]
) -> list[Calibration]:
    """Fit one calibration per narrative on posts that neither encoder nor wide part learnt from.

    Parameters
    ----------
    deep, wide
        Out-of-fold logits.
    labels, known
        Labels, and whether they are known, each of shape (posts, narratives). What is not known is left out.
    """
    return [
        _fit(np.stack([deep.narratives[rows, column], wide.narratives[rows, column]], axis=1), labels[rows, column])
        for column, rows in enumerate(known.T)
    ]


def _fit(inputs: NDArray[np.floating], truth: NDArray[np.bool_]) -> Calibration:
    inputs = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    positives, negatives = truth.sum(), (~truth).sum()
    # Platt's targets: never quite 0 or 1, the less so the fewer posts there are.
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    size = max(len(inputs), 1)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = inputs @ weights
        gradient = inputs.T @ (1 / (1 + np.exp(-z)) - targets) / size
        pull = weights - _START
        fit = (np.logaddexp(0, z) - targets * z).sum() / size
        return float(fit + _PRIOR / 2 * pull @ pull), gradient + _PRIOR * pull

    fitted = minimize(loss, _START, jac=True, bounds=[(0, None), (0, None), (None, None)], method="L-BFGS-B")
    deep, wide, intercept = (float(weight) for weight in fitted.x)
    return Calibration(deep=deep, wide=wide, intercept=intercept)
