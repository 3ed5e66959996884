"""Thresholds with a promise: from which score labels have at least a given precision, with a given confidence.

The promise comes from Learn-then-Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then test: Calibrating
predictive algorithms to achieve risk control"). Each threshold is a hypothesis, "the precision from here on is too
low"; p-values are those of Hoeffding and Bentkus, from MAPIE; fixed-sequence testing goes from high thresholds to low
ones and stops at the first hypothesis that stands, so that the confidence holds for the whole search.

Posts are no independent witnesses: an account repeats itself, and copies are judged alike. So each group of related
posts has one vote: the share of its labels that are wrong. What is promised is therefore the precision on the labels
of a group, on average over groups like the held-out ones; a single busy account may do worse.

The search starts at the highest threshold that as many groups reach as could pass the test if none were wrong. That
depends on scores, never on labels, and keeps the confidence as long as the precision does not fall with a higher
threshold; tests/training/test_promise.py shows it by simulation.
"""

from __future__ import annotations

import math

import numpy as np
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from numpy.typing import NDArray

from narratrace.model.artefact import Promise

GRID = np.concatenate([[0.999, 0.995], np.round(np.arange(0.99, 0.04, -0.01), 2)])
"""The thresholds that are tried, in this order."""


def fewest_groups(precision: float, confidence: float) -> int:
    """Groups without any wrong label that it takes at least to support a promise."""
    return math.ceil(math.log(1 - confidence) / math.log(precision))


def promise_precision(
    scores: NDArray[np.floating],
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    precision: float,
    confidence: float,
) -> Promise:
    """Find the lowest threshold from which labels of one narrative keep a promised precision.

    Parameters
    ----------
    scores
        Scores of held-out posts, 0 where no label is given whatever the threshold; shape (posts,).
    labels
        Whether each post advances the narrative, shape (posts,).
    groups
        Number of the group of related posts that each belongs to, shape (posts,).
    precision
        What is promised, between 0 and 1.
    confidence
        Probability, over draws of the held-out groups, that the promise is kept: between 0 and 1.
    """
    best, tested = None, Promise(threshold=None, groups=0, precision=None)
    _, groups = np.unique(groups, return_inverse=True)
    for threshold in GRID:
        flagged = scores >= threshold
        given = np.bincount(groups[flagged], minlength=1)
        wrong = np.bincount(groups[flagged], weights=~labels[flagged], minlength=1)[given > 0] / given[given > 0]
        if not len(wrong):
            continue
        loss = wrong.mean(keepdims=True)
        tested = Promise(threshold=None, groups=len(wrong), precision=round(1 - loss.item(), 4))
        if len(wrong) < fewest_groups(precision, confidence):
            continue
        if compute_hoeffding_bentkus_p_value(loss, np.array([len(wrong)]), 1 - precision).item() > 1 - confidence:
            break
        best = tested.model_copy(update={"threshold": float(threshold)})
    return best or tested
