"""Near-duplicates among labelled posts: every pair that shares most of its characters, found exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

from narratrace.model.text import normalise
from narratrace.model.wide import fold

SIMILAR = 0.7
"""Least Jaccard similarity of the character 3-grams of near-duplicates: a word or two of a short post differ."""

_ROWS = 256
"""Posts that are compared with all others at once, which bounds memory."""


class Pair(NamedTuple):
    """Two posts, by position, and their similarity (0 to 1)."""

    first: int
    second: int
    similarity: float


def find_near_duplicates(texts: Sequence[str], similar: float = SIMILAR, asked: int | None = None) -> list[Pair]:
    """Find the pairs of posts whose sets of character 3-grams have a Jaccard similarity of at least ``similar``.

    Texts are compared as :func:`narratrace.model.wide.fold` leaves them: without case, digits, punctuation and
    script. Of posts that are then equal each is paired with the first alone.

    The search is exact, so that it can vouch for a split: two sets that are that similar share one of their rarest
    members, so only posts that do are compared (prefix filtering: Chaudhuri, Ganti and Kaushik 2006, "A primitive
    operator for similarity joins in data cleaning"; Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity
    search").

    Parameters
    ----------
    texts
        Raw posts.
    similar
        Least similarity.
    asked
        Find only the pairs that one of so many first texts is in, which takes much less time; None finds all.

    Examples
    --------
    >>> find_near_duplicates(["Stand firm, now!", "stand firm now", "Sit down"])
    [Pair(first=0, second=1, similarity=1.0)]
    """
    folded = [fold(normalise(text).text).replace(" ", "") for text in texts]
    firsts: dict[str, int] = {}
    pairs = []
    for row, text in enumerate(folded):
        first = firsts.setdefault(text, row) if text else row
        if first != row and (asked is None or first < asked):
            pairs.append(Pair(first, row, 1.0))
    rows = np.fromiter(firsts.values(), dtype=np.int64, count=len(firsts))
    distinct = [text for text in firsts if len(text) >= 3]
    rows = rows[[len(text) >= 3 for text in firsts]]
    if len(distinct) > 1:
        count = len(distinct) if asked is None else int((rows < asked).sum())
        for first, second, similarity in _join(distinct, similar, count):
            pairs.append(Pair(int(rows[first]), int(rows[second]), similarity))
    return sorted(pairs)


def between_splits(pairs: Sequence[Pair], splits: Sequence[str]) -> list[Pair]:
    """Pairs of near-duplicates as each split sees them.

    In what :func:`find_near_duplicates` gives, all equal posts hang on the first, whatever its split. Here the first of
    each split stands for its split: a post in train, dev and test is a pair of each two of them.

    Parameters
    ----------
    pairs
        What :func:`find_near_duplicates` gave.
    splits
        The split of each post.

    Examples
    --------
    >>> same = find_near_duplicates(["Stand firm", "Stand firm!", "Stand firm."])
    >>> between_splits(same, ["train", "dev", "test"])[-1]
    Pair(first=1, second=2, similarity=1.0)
    """
    first_of: dict[int, int] = {}
    for pair in pairs:
        if pair.similarity == 1:
            first_of[pair.second] = first_of.get(pair.first, pair.first)
    copies: dict[int, dict[str, list[int]]] = {}
    for row, split in enumerate(splits):
        copies.setdefault(first_of.get(row, row), {}).setdefault(split, []).append(row)
    found = []
    for of_split in copies.values():
        for rows in of_split.values():
            found += [Pair(rows[0], row, 1.0) for row in rows[1:]]
        for one, other in combinations(of_split.values(), 2):
            found += [Pair(min(one[0], row), max(one[0], row), 1.0) for row in other]
    for pair in pairs:
        if pair.similarity < 1:
            firsts, seconds = (
                [rows[0] for rows in copies[first_of.get(row, row)].values()] for row in (pair.first, pair.second)
            )
            found += [Pair(min(a, b), max(a, b), pair.similarity) for a in firsts for b in seconds]
    return sorted(found)


def _join(texts: Sequence[str], similar: float, asked: int) -> Iterator[tuple[int, int, float]]:
    """Yield the similar pairs of distinct texts that one of the first ``asked`` is in."""
    vectoriser = CountVectorizer(analyzer="char", ngram_range=(3, 3), lowercase=False, binary=True, dtype=np.int32)
    grams = csr_array(vectoriser.fit_transform(texts))
    # Rarest first, so that the first entries of a row are its rarest.
    grams = grams[:, np.argsort(grams.count_nonzero(axis=0), kind="stable")]
    grams.sort_indices()
    sizes = np.diff(grams.indptr)
    rarest = _prefixes(grams, sizes - np.ceil(similar * sizes - 1e-9).astype(np.int64) + 1)
    for start in range(0, asked, _ROWS):
        candidates = (rarest[start : min(start + _ROWS, asked)] @ rarest.T).tocoo()
        first, second = candidates.row + start, candidates.col
        once = first < second
        first, second = first[once], second[once]
        for at in range(0, len(first), 2**16):
            one, other = first[at : at + 2**16], second[at : at + 2**16]
            shared = np.asarray(grams[one].multiply(grams[other]).sum(axis=1)).ravel()
            jaccard = shared / (sizes[one] + sizes[other] - shared)
            for pair in np.flatnonzero(jaccard >= similar - 1e-9):
                yield int(one[pair]), int(other[pair]), float(jaccard[pair])


def _prefixes(grams: csr_array, lengths: NDArray[np.int64]) -> csr_array:
    """Keep the first entries of each row."""
    starts = np.repeat(grams.indptr[:-1], lengths)
    ends = np.cumsum(lengths)
    within = np.arange(len(starts)) - np.repeat(ends - lengths, lengths)
    columns = grams.indices[starts + within]
    indptr = np.concatenate([[0], ends])
    return csr_array((np.ones(len(columns), dtype=np.int32), columns, indptr), shape=grams.shape)
