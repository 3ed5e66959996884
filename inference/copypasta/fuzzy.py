"""Fuzzy: which nodes are edits, parts or rearrangements of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.copypasta.candidates import KeyIndex
from narratrace.inference.copypasta.shingles import SKETCH, distinct, sketch
from narratrace.inference.copypasta.similarity import containment, edit_similarity
from narratrace.inference.copypasta.stars import Pairs

if TYPE_CHECKING:
    from narratrace.inference.copypasta.settings import FuzzySettings
    from narratrace.inference.copypasta.shingles import Shingles

LEAST_EQUAL = 9
"""Entries of two sketches that must be equal before their texts are compared: a Jaccard similarity of about 0.1."""
_PAIRS_AT_ONCE = 2**18


class FuzzyStage:
    """Candidates by MinHash bands, verified on the texts.

    Attributes
    ----------
    comparisons
        Pairs of texts compared so far.
    """

    def __init__(self, settings: FuzzySettings) -> None:
        self._settings = settings
        self._index = KeyIndex()
        self._sketches = np.zeros((0, SKETCH), dtype=np.uint16)
        self.comparisons = 0

    def add(
        self, texts: list[str], shingles: Shingles, priority: NDArray[np.uint64], is_short: NDArray[np.bool_]
    ) -> Pairs:
        """Take the nodes that came since the last call; return the verified pairs that have one of them.

        Parameters
        ----------
        texts, shingles, priority, is_short
            Of all nodes, old and new. Short ones get no pairs.
        """
        first = len(self._sketches)
        new = sketch(shingles.after(first))
        self._sketches = np.concatenate([self._sketches, new.values])
        likely = [np.zeros(0, dtype=np.int64)]
        rows = new.rows + np.int32(first)
        kept = ~is_short[rows]
        for a, b in self._index.add(new.keys[kept], rows[kept], priority, first):
            likely.append(likely_pairs(self._sketches, a, b))
        return self._verified(texts, shingles, likely)

    def verify(
        self, texts: list[str], shingles: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Compare pairs of nodes.

        Returns
        -------
        array
            The mean of edit similarity and containment, where a link may stand on it, else 0.
        """
        self.comparisons += len(a)
        return link_similarity(texts, shingles, a, b, self._settings)

    def candidates(self, shingles: Shingles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find nodes that texts which are not added may belong to: pairs of a text's row and a node."""
        asked = sketch(shingles)
        return self._index.find(asked.keys, asked.rows)

    def _verified(self, texts: list[str], shingles: Shingles, likely: list[NDArray[np.int64]]) -> Pairs:
        """Put likely pairs together, which may come several times, and keep those that are verified."""
        seen = distinct(np.concatenate(likely))
        a, b = seen >> 32, seen & 0xFFFFFFFF
        similarity = self.verify(texts, shingles, a, b)
        return Pairs(a, b, similarity).where(similarity > 0)


def likely_pairs(sketches: NDArray[np.uint16], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the pairs of nodes whose sketches say that a look at their texts may be worth it.

    Returns
    -------
    array
        Each pair once, rising: the smaller node in the upper 32 bits.
    """
    pairs = distinct((np.minimum(a, b) << 32) | np.maximum(a, b))
    kept = []
    for low in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = pairs[low : low + _PAIRS_AT_ONCE]
        equal = sketches[part >> 32] == sketches[part & 0xFFFFFFFF]
        kept.append(part[np.count_nonzero(equal, axis=1) >= LEAST_EQUAL])
    return np.concatenate([*kept, pairs[:0]])


def link_similarity(
    texts: list[str], shingles: Shingles, a: NDArray[np.int64], b: NDArray[np.int64], settings: FuzzySettings
) -> NDArray[np.float32]:
    """Compare pairs of lexical forms; 0 where the likeness is not enough for a link.

    The mean of edit similarity and containment: containment alone is 1 for every part of a text, also for one that a
    rebuttal quotes.
    """
    edits = edit_similarity(texts, a, b)
    shared = containment(shingles, a, b)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    is_part = np.minimum(lengths[a], lengths[b]) >= settings.min_length_ratio * np.maximum(lengths[a], lengths[b])
    common = shared * np.minimum(shingles.information[a], shingles.information[b])
    linked = (edits >= settings.min_edit_similarity) & (common >= settings.min_shared / 2)
    in_letters = shingles.in_letters[a] & shingles.in_letters[b]
    mean = (edits + shared) / 2
    alike = mean >= np.where(in_letters, settings.min_mean_in_letters, settings.min_mean)
    linked |= (alike | (shared >= settings.min_containment)) & (common >= settings.min_shared) & is_part
    linked |= edits == 1
    return np.where(linked, mean, np.float32(0)).astype(np.float32)
