"""Choosing from which score a post gets a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.model.scores import ADVANCES, Scores
from narratrace.model.taxonomy import STANCES

GRID = np.round(np.arange(0.05, 0.96, 0.01), 2)
"""The thresholds that are tried."""

GATES = np.round(np.arange(0.5, 1.0, 0.01), 2)
"""The probabilities of the stance "advances" that are tried: from more probable than not."""


class Thresholds(NamedTuple):
    """From which scores a post gets labels.

    Attributes
    ----------
    advances
        Least probability of the stance "advances".
    narratives
        Least score of each narrative, shape (narratives,).
    """

    advances: float
    narratives: NDArray[np.float64]

    def flag(self, scores: Scores) -> NDArray[np.bool_]:
        """Whether each post gets each label, shape (posts, narratives)."""
        open_gate = scores.stances[:, ADVANCES] >= self.advances
        return np.asarray((scores.narratives >= self.narratives) & open_gate[:, None])

    def raised(self, by: float) -> Thresholds:
        """The same with every narrative's threshold raised, to at most the greatest that is tried."""
        return self._replace(narratives=(self.narratives + by).clip(max=max(GRID[-1], self.narratives.max())).round(2))


def choose_thresholds(
    scores: Scores,
    labels: NDArray[np.bool_],
    known: NDArray[np.bool_],
    stances: NDArray[np.int64],
    smoothing: float,
    false_flags: Mapping[Literal["R", "C", "N"], float],
) -> Thresholds:
    """Choose the lowest gate that keeps false flags within their limits, and the best thresholds behind it.

    Parameters
    ----------
    scores
        Of posts that the network did not learn from.
    labels, known
        Labels, and whether they are known, each of shape (posts, narratives). What is not known is left out.
    stances
        True stances as positions in :data:`~narratrace.model.taxonomy.STANCES`, shape (posts,); negative where not
        known. Where none is known, nothing was learnt of stances and the gate stays open, at 0.
    smoothing
        As for :func:`best_f1_thresholds`.
    false_flags
        Greatest share of the posts of a stance that may get any label; where no gate keeps all limits, the highest
        one is taken.
    """
    for gate in GATES if (stances >= 0).any() else [0.0]:
        passed = np.where((scores.stances[:, ADVANCES] >= gate)[:, None], scores.narratives, 0)
        chosen = Thresholds(float(gate), best_f1_thresholds(passed, labels, known, smoothing))
        flagged = np.asarray(chosen.flag(scores).any(axis=1))
        shares = {stance: flagged[stances == STANCES.index(stance)] for stance in false_flags}
        if all(share.mean() <= false_flags[stance] for stance, share in shares.items() if len(share)):
            break
    return chosen


def best_f1_thresholds(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], known: NDArray[np.bool_], smoothing: float
) -> NDArray[np.float64]:
    """Choose the threshold of each narrative with the best F1; shape (narratives,).

    The threshold of a narrative with few positives is mostly luck, so each narrative's counts are filled up with
    ``smoothing`` pseudo-positives that behave like the average narrative: the fewer positives of its own, the closer
    its threshold is to the common one (empirical Bayes shrinkage).

    Parameters
    ----------
    scores
        Calibrated scores of posts that the network did not learn from, shape (posts, narratives).
    labels, known
        Labels, and whether they are known, each of shape (posts, narratives). What is not known is left out.
    smoothing
        Number of pseudo-positives.
    """
    labels = labels & known
    flagged = (scores[None] >= GRID[:, None, None]) & known
    right = (flagged & labels[None]).sum(axis=1).astype(float)  # (thresholds, narratives)
    given = flagged.sum(axis=1).astype(float)
    positives = labels.sum(axis=0).astype(float)
    share = smoothing / max(positives.sum(), 1.0)
    right += share * right.sum(axis=1, keepdims=True)
    given += share * given.sum(axis=1, keepdims=True)
    f1 = 2 * right / (given + positives + share * positives.sum()).clip(min=1e-9)
    # Where nothing right is ever flagged, all thresholds are equally good for F1, and the highest flags least.
    return np.asarray(np.where(f1.max(axis=0) > 0, GRID[f1.argmax(axis=0)], GRID[-1]))
