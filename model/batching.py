"""Which texts go through a network together, and those padded to one length.

Texts of like length belong together, as less is padded then. What a text gets depends on its batch in the last digits
of floating-point sums, so the same call makes the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.model.tokenizer import pad


class PaddedBatch(NamedTuple):
    """Texts that go through a network together."""

    rows: list[int]
    """Which texts they are: where what comes out belongs."""
    ids: NDArray[np.int64]
    """Token ids padded at the end, shape (rows, longest)."""
    mask: NDArray[np.int64]
    """1 for tokens, 0 for padding, shape (rows, longest)."""


def padded_batches(
    ids: Sequence[Sequence[int]], batches: Iterable[Iterable[int]], pad_id: int
) -> Iterator[PaddedBatch]:
    """Pad texts, batch by batch.

    Parameters
    ----------
    ids
        Token ids of all texts.
    batches
        Rows of ``ids`` that go together, as :func:`equal_batches` or :func:`token_batches` gives them.
    pad_id
        Id of the padding token.

    Yields
    ------
    PaddedBatch
        One for each of ``batches``, in their order.
    """
    for batch in batches:
        rows = [int(row) for row in batch]
        yield PaddedBatch(rows, *pad([ids[row] for row in rows], pad_id))


def by_length(ids: Sequence[Sequence[int]]) -> list[int]:
    """Rows of texts, the shortest first; those of one length stay in order."""
    return sorted(range(len(ids)), key=lambda row: len(ids[row]))


def equal_batches(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Cut rows into batches of ``size``; the last may be smaller."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def token_batches(ids: Sequence[Sequence[int]], tokens: int) -> Iterator[list[int]]:
    """Cut rows, by length, into batches of at most ``tokens`` tokens, padding included; a longer row goes alone."""
    rows: list[int] = []
    for row in by_length(ids):
        if rows and (len(rows) + 1) * len(ids[row]) > tokens:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
