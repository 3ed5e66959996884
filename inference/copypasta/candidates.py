"""Candidates: pairs of texts that share a key, found without ever looking at all pairs.

Rows with the same key form a bucket. In a small bucket every pair is a candidate; in a large one, each row is paired
with a few hubs only, as in datatrove and NeMo Curator, so that the number of pairs grows with the rows, never with
their square. The hubs are the rows with the smallest priority, which depends on their text alone, so that the order of
posts does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.copypasta.shingles import distinct

SMALL_BUCKET = 16
"""Buckets up to this size give all their pairs."""
HUBS = 3
"""Hubs of a larger bucket."""
_PAIRS_AT_ONCE = 2**20
_SHARD_BITS = 4
_SHARDS = 2**_SHARD_BITS


class KeyIndex:
    """Keys of rows, kept sorted, to which rows can be added.

    The keys, which are hashes, lie in shards by their first bits, so that no step needs room for all of them at once.
    """

    def __init__(self) -> None:
        self._shards = [_Shard() for _ in range(_SHARDS)]

    def add(
        self, keys: NDArray[np.uint64], rows: NDArray[np.int32], priority: NDArray[np.uint64], first_new: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Add rows, and yield the candidate pairs that have at least one of them.

        Parameters
        ----------
        keys, rows
            Keys of the new rows, in any order.
        priority
            Of all rows, old ones too.
        first_new
            Rows from this number on are new.

        Yields
        ------
        tuple of two arrays
            Rows of each pair. A pair may come several times.
        """
        for shard, mine in zip(self._shards, _by_shard(keys), strict=True):
            yield from shard.add(keys[mine], rows[mine], priority, first_new)

    def find(self, keys: NDArray[np.uint64], queries: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the rows that share keys with others, which are not added.

        Parameters
        ----------
        keys, queries
            Keys and what has them.

        Returns
        -------
        queries, rows
            Pairs of a query and a row of the index, each pair once; of a large bucket, some rows only.
        """
        found = [
            shard.find(keys[mine], queries[mine]) for shard, mine in zip(self._shards, _by_shard(keys), strict=True)
        ]
        pairs = distinct(np.concatenate(found))
        return pairs >> 32, pairs & 0xFFFFFFFF


class _Shard:
    """Part of the keys, sorted."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, dtype=np.uint64)
        self._rows = np.zeros(0, dtype=np.int32)

    def add(
        self, keys: NDArray[np.uint64], rows: NDArray[np.int32], priority: NDArray[np.uint64], first_new: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        order = np.lexsort((priority[rows], keys))  # within a key by priority
        added, rows = keys[order], rows[order]
        old_keys, old_rows = self._keys, self._rows
        at = np.searchsorted(old_keys, added, "right")
        self._keys, self._rows = np.insert(old_keys, at, added), np.insert(old_rows, at, rows)
        touched_keys, touched_rows = self._touched(added, priority) if len(old_keys) else (self._keys, self._rows)
        yield from _pairs(touched_keys, touched_rows, first_new)

    def find(self, keys: NDArray[np.uint64], queries: NDArray[np.int32]) -> NDArray[np.int64]:
        first = np.searchsorted(self._keys, keys, "left")
        count = np.minimum(np.searchsorted(self._keys, keys, "right") - first, SMALL_BUCKET)
        places = np.repeat(first, count) + _within(count)
        pairs: NDArray[np.int64] = (np.repeat(queries, count).astype(np.int64) << 32) | self._rows[places]
        return pairs

    def _touched(
        self, added: NDArray[np.uint64], priority: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        keys = distinct(added)
        first = np.searchsorted(self._keys, keys, "left")
        count = np.searchsorted(self._keys, keys, "right") - first
        places = np.repeat(first, count) + _within(count)
        keys, rows = self._keys[places], self._rows[places]
        order = np.lexsort((priority[rows], keys))
        return keys[order], rows[order]


def _by_shard(keys: NDArray[np.uint64]) -> Iterator[NDArray[np.bool_]]:
    for shard in range(_SHARDS):
        yield keys >> np.uint64(64 - _SHARD_BITS) == shard


def _pairs(
    keys: NDArray[np.uint64], rows: NDArray[np.int32], first_new: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(begins, len(keys)))
    for hub in range(SMALL_BUCKET - 1):
        wide = (sizes > hub + 1) & ((sizes <= SMALL_BUCKET) | (hub < HUBS))
        starts, others = begins[wide] + hub, sizes[wide] - hub - 1
        until = np.cumsum(others)
        for low, high in _runs(until):
            count = others[low:high]
            hubs = np.repeat(starts[low:high], count)
            members = hubs + 1 + _within(count)
            a, b = rows[hubs].astype(np.int64), rows[members].astype(np.int64)
            if first_new:
                new = np.maximum(a, b) >= first_new
                a, b = a[new], b[new]
            yield a, b


def _runs(until: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut buckets into runs that have about `_PAIRS_AT_ONCE` pairs together."""
    low = 0
    while low < len(until):
        done = until[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(until, done + _PAIRS_AT_ONCE, "right")))
        yield low, high
        low = high


def _within(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count 0, 1, ... within each run of so many."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
