"""Keys: which posts say the same, so that it is scored once."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import numpy as np

from narratrace.model.text import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Distinct = Literal["normalised", "exact"]
"""When two texts count as the same: once they are normalised, or character by character."""

MAX_NORMALISED = 1000
"""Characters up to which texts are told apart by their normalised form.

The classifier cuts a text of very many characters before it normalises it, so that the normalised form of a longer
one does not decide what is read. This is below what any artefact reads.
"""


def scored_form(text: str, distinct: Distinct) -> str:
    """Return the text that is scored in the place of another: with the same scores, and the same for more posts."""
    if distinct == "exact" or len(text) > MAX_NORMALISED:
        return text
    normalised = normalise(text).text
    return normalised if len(normalised) <= MAX_NORMALISED else text


def keys_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Keys of texts, shape (texts, 2): 128 bits of BLAKE2b, which nobody can make two texts share."""
    digests = b"".join(blake2b(text.encode("utf-8"), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def first_of_each(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows of the first of each key, in the order of the keys."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[new]


def find_keys(wanted: NDArray[np.uint64], high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows where keys stand among others, which are in order and hold each of them.

    The others come as their two halves, in which they are looked up without a copy.
    """
    rows = np.searchsorted(high, wanted[:, 0])
    while len(other := np.flatnonzero(low[rows] != wanted[:, 1])):  # two keys may share their first half
        rows[other] += 1
    return rows
