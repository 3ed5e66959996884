"""Measures of a grouping against what is known: pairs, B-cubed, adjusted Rand, links by kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from families import BACKGROUND, DISTRACTOR, LEXICAL, SEED, Collection
from sklearn.feature_extraction.text import CountVectorizer

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
    """Share of the distractors that are in a group with any post of their family."""
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
        Kinds that should be together. All but the recall by kind and the distractors are of these posts, the
        distractors and the background.
    """
    alone = np.arange(len(labels)) + labels.max(initial=0) + 1
    found = np.where(labels >= 0, labels, alone)
    rows = np.flatnonzero(posts.where((*kinds, DISTRACTOR, BACKGROUND)))
    truth, group = (np.unique(values[rows], return_inverse=True)[1] for values in (posts.truth, found))
    unknown = _unknown(posts, rows, group)
    true, false, missed = _pairs(truth, group, unknown)
    precision, recall = true / max(true + false, 1), true / max(true + missed, 1)
    b_precision, b_recall = _b_cubed(truth, group, unknown)
    seeds = {posts.families[row]: found[row] for row in np.flatnonzero(posts.where([SEED]))}
    by_kind = {}
    for kind in dict.fromkeys(posts.kinds):
        if kind not in (SEED, BACKGROUND, DISTRACTOR):
            of_kind = np.flatnonzero(posts.where([kind]))
            by_kind[kind] = float(np.mean([found[row] == seeds[posts.families[row]] for row in of_kind]))
    return Quality(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-9),
        b_cubed=2 * b_precision * b_recall / max(b_precision + b_recall, 1e-9),
        rand=_adjusted_rand(true, false, missed, len(rows)),
        distractors=_linked_distractors(posts, found),
        by_kind=by_kind,
    )


def _linked_distractors(posts: Collection, found: np.ndarray) -> float:
    members: dict[str, set[int]] = {}
    for row in np.flatnonzero(~posts.where([DISTRACTOR, BACKGROUND])):
        members.setdefault(posts.families[row], set()).add(int(found[row]))
    rows = np.flatnonzero(posts.where([DISTRACTOR]))
    linked = [found[row] in members.get(posts.families[row], ()) for row in rows]
    return float(np.mean(linked)) if linked else 0.0


def _pairs(truth: np.ndarray, group: np.ndarray, unknown: np.ndarray) -> tuple[int, int, int]:
    """Count the pairs that are rightly together, wrongly together, and wrongly apart."""
    both = np.unique(np.stack([truth, group]), axis=1, return_counts=True)[1]
    true = _within(both)
    false = _within(np.bincount(group)) - true - int(unknown.sum()) // 2
    return true, false, _within(np.bincount(truth)) - true


def _within(sizes: np.ndarray) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _unknown(posts: Collection, rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Count, for each row of the background, the others in its group that may well be copies of it."""
    unknown = np.zeros(len(rows), dtype=np.int64)
    background = np.flatnonzero(np.array(posts.kinds)[rows] == BACKGROUND)
    for label in np.flatnonzero(np.bincount(group[background], minlength=1) > 1):
        members = background[group[background] == label]
        grams = CountVectorizer(analyzer=_grams, binary=True, dtype=np.int32).fit_transform(
            [posts.texts[row] for row in rows[members]]
        )
        size = np.asarray(grams.sum(axis=1)).ravel()
        shared = (grams @ grams.T).toarray()
        unknown[members] = (shared >= _COPY * (size[:, None] + size - shared)).sum(axis=1) - 1
    return unknown


def _grams(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)} or {text}


def _b_cubed(truth: np.ndarray, found: np.ndarray, unknown: np.ndarray) -> tuple[float, float]:
    """Bagga and Baldwin (1998): for each post, how many of its group are its own, and the other way round."""
    _, place, count = np.unique(np.stack([truth, found]), axis=1, return_inverse=True, return_counts=True)
    shared = count[place.ravel()]
    precision = shared / (np.bincount(found)[found] - unknown)
    return float(precision.mean()), float((shared / np.bincount(truth)[truth]).mean())


def _adjusted_rand(true: int, false: int, missed: int, posts: int) -> float:
    """Hubert and Arabie (1985), written with numbers of pairs, of which the unknown ones can be left out."""
    apart = posts * (posts - 1) // 2 - true - false - missed
    if false == missed == 0:
        return 1.0
    chance = (true + missed) * (missed + apart) + (true + false) * (false + apart)
    return 2 * (true * apart - missed * false) / chance
