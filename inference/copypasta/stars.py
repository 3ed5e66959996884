"""Stars: groups of texts around representatives, out of verified pairs.

Connected components chain: A is like B and B like C, but C is nothing like A. So a component is only where a group is
looked for. Its weightiest text becomes a representative, and every other text of the component is compared with it: who
is similar enough belongs to its group. What remains falls into smaller components, and so on.

The result depends on texts and weights alone, not on the order of rows, and a row is compared a few times at most: from
the fourth round on only the pairs known already count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.copypasta.shingles import distinct

FULL_ROUNDS = 4
"""Rounds in which a representative is compared with its whole component."""

Verify = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Similarity of pairs of rows; 0 where it is not enough for a link."""


class Pairs(NamedTuple):
    """Verified pairs of rows: their similarity is enough for a link."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    similarity: NDArray[np.float32]

    @classmethod
    def none(cls) -> Pairs:
        """No pair at all."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def where(self, kept: NDArray[np.bool_]) -> Pairs:
        """Keep some of them."""
        return Pairs(self.a[kept], self.b[kept], self.similarity[kept])

    def plus(self, other: Pairs) -> Pairs:
        """Put others behind them."""
        return Pairs(
            np.append(self.a, other.a), np.append(self.b, other.b), np.append(self.similarity, other.similarity)
        )


def components(n: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label the connected components of n rows: with the smallest row of each.

    Each row takes the smallest label of its neighbours, and then that label's own (Shiloach and Vishkin 1982), until
    nothing changes: a number of rounds logarithmic in n.
    """
    label = np.arange(n, dtype=np.int64)
    while True:
        low = np.minimum(label[a], label[b])
        before = label.copy()
        np.minimum.at(label, label[a], low)
        np.minimum.at(label, label[b], low)
        while not np.array_equal(label, shorter := label[label]):
            label = shorter
        if np.array_equal(label, before):
            return label


def find_stars(
    n: int, pairs: Pairs, weight: NDArray[np.int64], priority: NDArray[np.uint64], verify: Verify
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose representatives and their groups.

    Parameters
    ----------
    n
        Number of rows.
    pairs
        Verified pairs.
    weight
        Of each row: the heaviest of a component becomes its representative; then the one with the most pairs.
    priority
        Decides between equals; different for each row.
    verify
        Compares a representative with rows of its component.

    Returns
    -------
    star
        The representative of each row; rows without a group are their own.
    similarity
        Of each row to its representative; 1 for representatives.
    """
    star = np.arange(n, dtype=np.int64)
    similarity = np.ones(n, dtype=np.float32)
    rounds = 0
    while len(pairs.a):
        rows, (a, b) = distinct(np.concatenate([pairs.a, pairs.b])), (pairs.a, pairs.b)
        a, b = np.searchsorted(rows, a), np.searchsorted(rows, b)
        component = components(len(rows), a, b)
        degree = np.bincount(np.concatenate([a, b]), minlength=len(rows))
        order = np.lexsort((priority[rows], -degree, -weight[rows], component))
        first = np.concatenate([[True], component[order][1:] != component[order][:-1]])
        centre_of = np.empty(len(rows), dtype=np.int64)
        centre_of[component[order[first]]] = order[first]
        centre = centre_of[component]
        known = (a == centre[a]) | (b == centre[b])
        members = np.where(a[known] == centre[a[known]], b[known], a[known])
        found = pairs.similarity[known]
        if rounds < FULL_ROUNDS:
            others = np.ones(len(rows), dtype=bool)
            others[members] = False
            others[centre] = False
            unknown = np.flatnonzero(others)
            checked = verify(rows[centre[unknown]], rows[unknown])
            members = np.concatenate([members, unknown[checked > 0]])
            found = np.concatenate([found, checked[checked > 0]])
        star[rows[members]] = rows[centre[members]]
        similarity[rows[members]] = found
        taken = np.zeros(len(rows), dtype=bool)
        taken[members] = taken[centre] = True
        pairs = pairs.where(~(taken[a] | taken[b]))
        rounds += 1
    return star, similarity
