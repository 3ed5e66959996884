"""Similarity: how much of one text is in another, as the fuzzy stage verifies it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from narratrace.inference.copypasta.shingles import Shingles

_PAIRS_AT_ONCE = 2**17


def edit_similarity(texts: Sequence[str], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compare pairs of texts by their edits.

    Returns
    -------
    array
        1 minus the Levenshtein distance as a share of the longer text: 1 for equal texts, 0 for wholly different ones.
    """
    found = [np.zeros(0, dtype=np.float32)]
    for low in range(0, len(a), _PAIRS_AT_ONCE):
        left = [texts[row] for row in a[low : low + _PAIRS_AT_ONCE].tolist()]
        right = [texts[row] for row in b[low : low + _PAIRS_AT_ONCE].tolist()]
        found.append(cpdist(left, right, scorer=Levenshtein.normalized_similarity, dtype=np.float32))
    return np.concatenate(found)


def containment(shingles: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compare pairs of texts by what they share, wherever it stands.

    Returns
    -------
    array
        Shared shingles as a share of the text with fewer (Broder's containment): 1 for a part of the other text.
    """
    shared = np.array(
        [
            len(np.intersect1d(shingles.of(left), shingles.of(right), assume_unique=True))
            for left, right in zip(a.tolist(), b.tolist(), strict=True)
        ],
        dtype=np.float32,
    )
    counts = np.diff(shingles.starts)
    fewer = np.maximum(np.minimum(counts[a], counts[b]), 1)
    return np.divide(shared, fewer, dtype=np.float32)
