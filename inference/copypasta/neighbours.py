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
"""Of a row in one cell: the nearest stay."""
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
        Of each row; decides which rows make the sample, so that it does not depend on their order.

    Returns
    -------
    a, b
        Rows of each pair, ``a < b``; each pair once.
    """
    n = len(vectors)
    rows = np.arange(n, dtype=np.int64)
    cells = [rows] if n <= EXACT else _cells(vectors, priority)
    found = [np.zeros(0, dtype=np.int64)]
    for cell in cells:
        new = cell[cell >= first_new]
        for low in range(0, len(new), _BLOCK):
            asked = new[low : low + _BLOCK]
            found.append(_near(vectors, asked, cell, least))
    pairs = distinct(np.concatenate(found))
    return pairs >> 32, pairs & 0xFFFFFFFF


def _near(vectors: Vectors, asked: NDArray[np.int64], cell: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    cosine = vectors[asked] @ vectors[cell].T
    cosine[asked[:, None] == cell[None, :]] = -1.0
    crowded = np.flatnonzero((cosine >= least).sum(axis=1) > MOST_NEIGHBOURS)
    if len(crowded):
        nearest = np.partition(cosine[crowded], -MOST_NEIGHBOURS, axis=1)[:, -MOST_NEIGHBOURS]
        cosine[crowded] = np.where(cosine[crowded] >= nearest[:, None], cosine[crowded], -1.0)
    left, right = np.nonzero(cosine >= least)
    a, b = asked[left], cell[right]
    return (np.minimum(a, b) << 32) | np.maximum(a, b)


def _cells(vectors: Vectors, priority: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    count = 4 * int(np.sqrt(len(vectors)))
    sample = np.argsort(priority)[: count * _SAMPLE_PER_CELL]
    centres = vectors[sample[:count]]
    for _ in range(_ITERATIONS):
        nearest = np.concatenate([probes[:, 0] for probes in _probe(vectors[sample], centres, 1)])
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors[sample])
        filled = np.bincount(nearest, minlength=count) > 0
        centres[filled] = sums[filled] / np.linalg.norm(sums[filled], axis=1, keepdims=True)
    probes = np.concatenate(list(_probe(vectors, centres, _PROBES)))
    rows = np.repeat(np.arange(len(vectors), dtype=np.int64), _PROBES)
    order = np.lexsort((rows, probes.ravel()))
    for cell in np.split(rows[order], np.cumsum(np.bincount(probes.ravel(), minlength=count))[:-1]):
        # A cell that is too large for all its pairs is cut where its priorities are.
        cell = cell[np.argsort(priority[cell])] if len(cell) > _LARGEST_CELL else cell
        yield from (np.sort(cell[low : low + _LARGEST_CELL]) for low in range(0, len(cell), _LARGEST_CELL))


def _probe(vectors: Vectors, centres: Vectors, probes: int) -> Iterator[NDArray[np.int64]]:
    for low in range(0, len(vectors), _BLOCK):
        cosine = vectors[low : low + _BLOCK] @ centres.T
        nearest = np.argpartition(-cosine, probes - 1, axis=1)[:, :probes]
        yield nearest.astype(np.int64)
