"""Fitting what turns logits into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from narratrace.model.artefact import Calibration
from narratrace.model.scores import advance_logit

_PRIOR = 0.01
"""Weak pull to the uncalibrated logit, so that a narrative with few positives cannot run away."""


def fit_calibration(
    narratives: NDArray[np.float32], stances: NDArray[np.float32], labels: NDArray[np.bool_]
) -> list[Calibration]:
    """Fit one calibration per narrative on posts that the network did not learn from.

    Platt scaling (Platt 1999) with the log-odds of the stance "advances" as a second input: a post that counters or
    reports is less likely to advance anything, whatever its words.

    Parameters
    ----------
    narratives, stances
        Out-of-fold logits, shapes (posts, narratives) and (posts, stances).
    labels
        Shape (posts, narratives).
    """
    witness = advance_logit(stances).astype(np.float64)
    return [
        _fit(column.astype(np.float64), witness, truth) for column, truth in zip(narratives.T, labels.T, strict=True)
    ]


def _fit(logits: NDArray[np.float64], witness: NDArray[np.float64], truth: NDArray[np.bool_]) -> Calibration:
    positives, negatives = truth.sum(), (~truth).sum()
    # Platt's targets: never quite 0 or 1, the less so the fewer posts there are.
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, stance, intercept = weights
        z = slope * logits + stance * witness + intercept
        wrong = 1 / (1 + np.exp(-z)) - targets
        gradient = np.array([wrong @ logits, wrong @ witness, wrong.sum()]) / len(z)
        pull = weights - np.array([1.0, 0.0, 0.0])
        return float((np.logaddexp(0, z) - targets * z).mean() + _PRIOR / 2 * pull @ pull), gradient + _PRIOR * pull

    fitted = minimize(loss, [1.0, 0.0, 0.0], jac=True, bounds=[(0, None), (0, None), (None, None)], method="L-BFGS-B")
    slope, stance, intercept = (float(weight) for weight in fitted.x)
    return Calibration(slope=slope, stance=stance, intercept=intercept)
