"""Choosing from which score a post gets a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(0.05, 0.96, 0.01), 2)
"""The thresholds that are tried."""


def best_f1_thresholds(scores: NDArray[np.float32], labels: NDArray[np.bool_], smoothing: float) -> NDArray[np.float64]:
    """Choose the threshold of each narrative with the best F1; shape (narratives,).

    The threshold of a narrative with few positives is mostly luck, so each narrative's counts are filled up with
    ``smoothing`` pseudo-positives that behave like the average narrative: the fewer positives of its own, the closer
    its threshold is to the common one (empirical Bayes shrinkage).

    Parameters
    ----------
    scores
        Calibrated scores of posts that the network did not learn from, shape (posts, narratives).
    labels
        Shape (posts, narratives).
    smoothing
        Number of pseudo-positives.
    """
    flagged = scores[None] >= GRID[:, None, None]
    right = (flagged & labels[None]).sum(axis=1).astype(float)  # (thresholds, narratives)
    given = flagged.sum(axis=1).astype(float)
    positives = labels.sum(axis=0).astype(float)
    share = smoothing / max(positives.sum(), 1.0)
    right += share * right.sum(axis=1, keepdims=True)
    given += share * given.sum(axis=1, keepdims=True)
    f1 = 2 * right / (given + positives + share * positives.sum()).clip(min=1e-9)
    return np.asarray(GRID[f1.argmax(axis=0)])
