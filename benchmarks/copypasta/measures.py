"""Measures of a grouping against what is known: pairs, B-cubed, adjusted Rand, links by kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from families import BACKGROUND, DISTRACTOR, LEXICAL, SEED, Collection
from sklearn.metrics import adjusted_rand_score

_COPY = 0.3
"""Two posts of the background that share at least so much of their pairs of characters may well be copies: such pairs
count neither way, as nobody knows."""


@dataclass(frozen=True)
class Quality:
    """How good a grouping is."""

    precision: float
    recall: float
    f1: float
    b_cubed: float
    rand: float
    distractors: float
    """Share of the distractors that are in a group with their family."""
    by_kind: dict[str, float]
    """Share of the posts of a kind that are in the group of their seed."""


def measure(posts: Collection, labels: np.ndarray, kinds: tuple[str, ...] = LEXICAL) -> Quality:
    """Measure a grouping.

    Parameters
    ----------
    posts
        What was grouped.
    labels
        Group of each post; -1 for none.
    kinds
        Kinds that should be together; with distractors and background they make up all but the recall by kind.
    """
    alone = np.arange(len(labels)) + labels.max(initial=0) + 1
    found = np.where(labels >= 0, labels, alone)
    rows = np.flatnonzero(posts.where((*kinds, DISTRACTOR, BACKGROUND)))
    truth, group = posts.truth[rows], found[rows]
    true, false, missed = _pairs(posts, rows, truth, group)
    precision, recall = true / max(true + false, 1), true / max(true + missed, 1)
    in_family = np.flatnonzero(posts.where(kinds))
    b_precision, b_recall = _b_cubed(posts.truth[in_family], found[in_family])
    seeds = {posts.families[row]: found[row] for row in np.flatnonzero(posts.where([SEED]))}
    by_kind = {}
    for kind in dict.fromkeys(posts.kinds):
        if kind not in (SEED, BACKGROUND):
            rows = np.flatnonzero(posts.where([kind]))
            by_kind[kind] = float(np.mean([found[row] == seeds[posts.families[row]] for row in rows]))
    return Quality(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-9),
        b_cubed=2 * b_precision * b_recall / max(b_precision + b_recall, 1e-9),
        rand=float(adjusted_rand_score(posts.truth[in_family], found[in_family])),
        distractors=by_kind.pop(DISTRACTOR, 0.0),
        by_kind=by_kind,
    )


def _pairs(posts: Collection, rows: np.ndarray, truth: np.ndarray, group: np.ndarray) -> tuple[int, int, int]:
    true = false = 0
    for label in np.flatnonzero(np.bincount(group) > 1):
        members = rows[group == label]
        sizes = np.unique(truth[group == label], return_counts=True)[1]
        right = int((sizes * (sizes - 1) // 2).sum())
        true += right
        false += len(members) * (len(members) - 1) // 2 - right - _maybe_copies(posts, members)
    sizes = np.unique(truth, return_counts=True)[1]
    return true, false, int((sizes * (sizes - 1) // 2).sum()) - true


def _maybe_copies(posts: Collection, members: np.ndarray) -> int:
    grams = [_grams(posts.texts[row]) for row in members if posts.kinds[row] == BACKGROUND]
    return sum(len(a & b) >= _COPY * len(a | b) for place, a in enumerate(grams) for b in grams[:place])


def _grams(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)} or {text}


def _b_cubed(truth: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Bagga and Baldwin (1998): for each post, how many of its group are its own, and the other way round."""
    truth, found = (np.unique(values, return_inverse=True)[1] for values in (truth, found))
    _, place, count = np.unique(np.stack([truth, found]), axis=1, return_inverse=True, return_counts=True)
    shared = count[place.ravel()]
    return float((shared / np.bincount(found)[found]).mean()), float((shared / np.bincount(truth)[truth]).mean())
