"""Neighbours: pairs of vectors with a high cosine, without looking at all pairs of a large set.

Up to `EXACT` rows every pair is looked at, block by block. Beyond that, k-means cells on a sample serve as join keys:
each row goes to its nearest cells, and only rows that share one are compared, as in the inverted file of Sivic and
Zisserman (2003, "Video Google").
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.copypasta.shingles import distinct

EXACT = 20_000
"""Rows up to which all pairs are compared."""
MOST_NEIGHBOURS = 16
"""Of a row in one cell: the nearest stay; of equally near ones, those with the smallest priority."""
_PROBES = 4
_ITERATIONS = 4
_SAMPLE_PER_CELL = 32
_LARGEST_CELL = 8192
_BLOCK = 1024

Vectors = NDArray[np.float32]


def find_neighbours(
    vectors: Vectors, first_new: int, least: float, priority: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find pairs of rows with a cosine of at least `least`.

    Parameters
    ----------
    vectors
        Shape (n, dimension), of unit length.
    first_new
        Only pairs with a row from this number on are looked for.
    least
        Smallest cosine.
    priority
        Of each row, different for each; decides which rows make the sample and which of equally near ones stay, so
        that neither depends on their order.

    Returns
    -------
    a, b
        Rows of each pair, ``a < b``; each pair once.
    """
    n = len(vectors)
    cells = [np.argsort(priority)] if n <= EXACT else _cells(vectors, priority)
    found = [np.zeros(0, dtype=np.int64)]
    for cell in cells:
        new = cell[cell >= first_new]
        for low in range(0, len(new), _BLOCK):
            asked = new[low : low + _BLOCK]
            found.append(_near(vectors, asked, cell, least))
    pairs = distinct(np.concatenate(found))
    return pairs >> 32, pairs & 0xFFFFFFFF


def _near(vectors: Vectors, asked: NDArray[np.int64], cell: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Pair rows with their nearest of a cell, whose rows rise by priority."""
    cosine = vectors[asked] @ vectors[cell].T
    cosine[asked[:, None] == cell[None, :]] = -1.0
    crowded = np.flatnonzero((cosine >= least).sum(axis=1) > MOST_NEIGHBOURS)
    if len(crowded):
        near = cosine[crowded]
        last = np.partition(near, -MOST_NEIGHBOURS, axis=1)[:, -MOST_NEIGHBOURS, None]
        nearer, level = near > last, near == last
        # All of many equal vectors would be level with the last: they hang on the same few, which come first.
        room = MOST_NEIGHBOURS - np.count_nonzero(nearer, axis=1, keepdims=True)
        kept = nearer | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
        cosine[crowded] = np.where(kept, near, -1.0)
    left, right = np.nonzero(cosine >= least)
    a, b = asked[left], cell[right]
    return (np.minimum(a, b) << 32) | np.maximum(a, b)


def _cells(vectors: Vectors, priority: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    count = 4 * int(np.sqrt(len(vectors)))
    # Products of matrices differ in the last bit with the place of a row, so all are made in this order.
    rows = np.argsort(priority)
    sample = rows[: count * _SAMPLE_PER_CELL]
    centres = vectors[sample[:count]]
    for _ in range(_ITERATIONS):
        nearest = np.concatenate([probes[:, 0] for probes in _probe(vectors, sample, centres, 1)])
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors[sample])
        filled = np.bincount(nearest, minlength=count) > 0
        centres[filled] = sums[filled] / np.linalg.norm(sums[filled], axis=1, keepdims=True)
    probes = np.concatenate(list(_probe(vectors, rows, centres, _PROBES))).ravel()
    members = np.repeat(rows, _PROBES)[np.argsort(probes, kind="stable")]
    for cell in np.split(members, np.cumsum(np.bincount(probes, minlength=count))[:-1]):
        # A cell that is too large for all its pairs is cut where its priorities are.
        yield from (cell[low : low + _LARGEST_CELL] for low in range(0, len(cell), _LARGEST_CELL))


def _probe(vectors: Vectors, rows: NDArray[np.int64], centres: Vectors, probes: int) -> Iterator[NDArray[np.int64]]:
    for low in range(0, len(rows), _BLOCK):
        cosine = vectors[rows[low : low + _BLOCK]] @ centres.T
        nearest = np.argpartition(-cosine, probes - 1, axis=1)[:, :probes]
        yield nearest.astype(np.int64)
