"""What is measured of labels and stances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from narratrace.model.taxonomy import STANCES

SUPPORT = 7
"""Positives from which a narrative counts in a macro average: below, its F1 is mostly luck."""


def measure(
    narratives: Sequence[str],
    scores: NDArray[np.float32],
    flagged: NDArray[np.bool_],
    labels: NDArray[np.bool_],
    known: NDArray[np.bool_],
    stances: NDArray[np.int64],
    stance_truth: NDArray[np.int64],
) -> dict[str, Any]:
    """Measure predictions against labels.

    Parameters
    ----------
    narratives
        Ids, in column order.
    scores, flagged, labels, known
        Scores, whether they reached the threshold, the truth, and whether the truth is known; each of shape
        (posts, narratives). What is not known is left out.
    stances, stance_truth
        Positions in :data:`~narratrace.model.taxonomy.STANCES`, shape (posts,); a negative truth is not known.

    Returns
    -------
    dict
        ``posts``; ``macro_f1`` and ``macro_average_precision`` over narratives with at least :data:`SUPPORT`
        positives; ``stance_accuracy``; ``false_flags``: for each stance but A the share of its posts that got any
        label; ``narratives``: precision, recall, f1, average_precision and support of each. Shares are 0 to 1.
    """
    each = {
        narrative: _measure_one(scores[rows, column], flagged[rows, column], labels[rows, column])
        for column, (narrative, rows) in enumerate(zip(narratives, known.T, strict=True))
    }
    counted = [one for one in each.values() if one["support"] >= SUPPORT]
    any_flag = np.asarray(flagged.any(axis=1))
    stance_known = stance_truth >= 0
    return {
        "posts": len(labels),
        "macro_f1": _mean([one["f1"] for one in counted]),
        "macro_average_precision": _mean([one["average_precision"] for one in counted]),
        "stance_accuracy": _round((stances == stance_truth)[stance_known].mean()) if stance_known.any() else 0.0,
        "false_flags": {
            stance: _round(any_flag[stance_truth == index].mean())
            for index, stance in enumerate(STANCES)
            if stance != "A" and (stance_truth == index).any()
        },
        "narratives": each,
    }


def _measure_one(scores: NDArray[np.float32], flagged: NDArray[np.bool_], labels: NDArray[np.bool_]) -> dict[str, Any]:
    if not len(labels):  # scikit-learn refuses to measure nothing
        return dict.fromkeys(("precision", "recall", "f1", "average_precision"), 0.0) | {"support": 0}
    precision, recall, f1, _ = precision_recall_fscore_support(labels, flagged, average="binary", zero_division=0.0)
    support = int(labels.sum())
    return {
        "precision": _round(precision),
        "recall": _round(recall),
        "f1": _round(f1),
        "average_precision": _round(average_precision_score(labels, scores)) if support else 0.0,
        "support": support,
    }


def _round(value: float) -> float:
    return round(float(value), 4)


def _mean(values: list[float]) -> float:
    return _round(float(np.mean(values))) if values else 0.0
