"""Semantic: which texts say the same in other words, or in another language.

A cosine of embeddings alone also joins texts on the same matter. Most of all it joins a text and another that turns its
words against it: these share a good deal. So texts of one script that share something need a cosine that is the higher
the less they share, as another register keeps most names and words. Texts that share next to nothing, in one script or
across two, are no play on each other's words: for each of both, one cosine decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.copypasta.neighbours import MOST_NEIGHBOURS, Vectors, find_neighbours
from narratrace.inference.copypasta.shingles import distinct
from narratrace.inference.copypasta.similarity import containment, edit_similarity
from narratrace.inference.copypasta.stars import Pairs
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from narratrace.inference.copypasta.settings import SemanticSettings
    from narratrace.inference.copypasta.shingles import Shingles
    from narratrace.inference.copypasta.texts import Texts

Embed = Callable[[Sequence[str]], Vectors]
"""Texts to vectors of unit length, shape (texts, dimension), as `Classifier.embed`."""


_AT_ONCE = 2**16
"""Pairs that are compared at once, to bound the memory of their vectors."""


class SemanticStage:
    """Candidates by the cosine of their embeddings, verified with what the texts share."""

    def __init__(self, settings: SemanticSettings) -> None:
        self._settings = settings
        self._vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
        self._nodes = np.zeros(0, dtype=np.int64)
        self._held_vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
        self._held = np.zeros(0, dtype=np.int64)
        self._candidates = np.zeros((2, 0), dtype=np.int64)

    def check(self, vectors: Vectors, count: int) -> Vectors:
        """Make sure that given vectors can be compared: one for each post, of the others' dimension and of length 1.

        Raises
        ------
        InputError
            They cannot.
        """
        if len(vectors) != count:
            raise InputError(f"There are {count} posts, but {len(vectors)} embeddings.")
        if vectors.ndim != 2:
            raise InputError(f"Embeddings must have the shape (posts, dimension); these have {vectors.shape}.")
        dimension, before = vectors.shape[1], self._vectors.shape[1]
        if len(self._nodes) and dimension != before:
            raise InputError(f"The embeddings have {dimension} dimensions; {before} had those before.")
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.01):
            raise InputError("Embeddings must have length 1, as those of Classifier.embed: divide each by its length.")
        return vectors

    def missing(self, nodes: NDArray[np.int64], texts: Texts) -> NDArray[np.int64]:
        """Tell which of some nodes say enough, and have no vector yet."""
        enough = texts.shingles.information[nodes] >= self._settings.min_information
        return np.setdiff1d(nodes[enough], self._nodes)

    def unheld(self, nodes: NDArray[np.int64], texts: Texts) -> NDArray[np.int64]:
        """Tell which of some nodes say enough, and cannot be verified for want of a vector."""
        return np.setdiff1d(self.missing(nodes, texts), self._held)

    def hold(self, nodes: NDArray[np.int64], vectors: Vectors) -> None:
        """Take vectors of nodes that are to be verified, but whose neighbours are not looked for."""
        self._held_vectors = np.concatenate([self._held_vectors, vectors]) if len(self._held) else vectors
        self._held = np.append(self._held, nodes)

    def add(self, nodes: NDArray[np.int64], vectors: Vectors, texts: Texts) -> None:
        """Take vectors of nodes that have none yet, and look for their neighbours."""
        if not len(nodes):
            return
        first = len(self._nodes)
        self._vectors = np.concatenate([self._vectors, vectors]) if first else vectors
        self._nodes = np.append(self._nodes, nodes)
        settings = self._settings
        least = min(
            min(settings.min_score, settings.min_score_in_letters) - settings.lexical_weight,
            settings.min_free_cosine,
            settings.min_translation_cosine,
        )
        rows = find_neighbours(self._vectors, first, max(least, settings.min_cosine), texts.priority[self._nodes])
        self._candidates = np.append(self._candidates, self._nodes[np.stack(rows)], axis=1)

    def pairs(self, star: NDArray[np.int64], texts: Texts) -> Pairs:
        """Return the verified pairs of the nodes that stand for others.

        Parameters
        ----------
        star
            The node that stands for each node after the fuzzy stage.
        texts
            Where the nodes are.
        """
        a, b = star[self._candidates]
        kept = (a != b) & np.isin(a, self._nodes) & np.isin(b, self._nodes)
        both = distinct((np.minimum(a, b)[kept] << 32) | np.maximum(a, b)[kept])
        a, b = both >> 32, both & 0xFFFFFFFF
        similarity = self.verify(a, b, texts)
        return Pairs(a, b, similarity).where(similarity > 0)

    def verify(self, a: NDArray[np.int64], b: NDArray[np.int64], texts: Texts) -> NDArray[np.float32]:
        """Compare pairs of nodes: their cosine where both have vectors and a link may stand on it, else 0."""
        similarity = np.zeros(len(a), dtype=np.float32)
        left, right = self._look_up(a), self._look_up(b)
        both = np.flatnonzero((left >= 0) & (right >= 0))
        for start in range(0, len(both), _AT_ONCE):
            at = both[start : start + _AT_ONCE]
            similarity[at] = link_cosine(
                self._take(left[at]), self._take(right[at]), texts.lexical, texts.shingles, a[at], b[at], self._settings
            )
        return similarity

    def vectors(self, nodes: NDArray[np.int64]) -> Vectors | None:
        """Return the vectors of some nodes, if all of them have one."""
        rows = self._look_up(nodes)
        return self._take(rows) if (rows >= 0).all() else None

    def _look_up(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of some nodes' vectors, held ones before the others; -1 for none."""
        known = np.append(self._held, self._nodes)
        if not len(known):
            return np.full(len(nodes), -1, dtype=np.int64)
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known, nodes, sorter=order).clip(max=len(known) - 1)]
        return np.where(known[rows] == nodes, rows, -1)

    def _take(self, rows: NDArray[np.int64]) -> Vectors:
        """Return the vectors of some rows of `_look_up`."""
        vectors = np.empty((len(rows), self._vectors.shape[1]), dtype=np.float32)
        is_held = rows < len(self._held)
        if is_held.any():
            vectors[is_held] = self._held_vectors[rows[is_held]]
        vectors[~is_held] = self._vectors[rows[~is_held] - len(self._held)]
        return vectors

    def nearest(
        self, vectors: Vectors, lexical: list[str], shingles: Shingles, texts: Texts, is_asked: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the asked one of the nodes that each of other texts is most similar to; -1 and 0 for none."""
        nodes, known_vectors = self._nodes, self._vectors
        if len(self._held):
            nodes, known_vectors = np.append(nodes, self._held), np.concatenate([known_vectors, self._held_vectors])
        asked = np.flatnonzero(is_asked[nodes])
        node, best = np.full(len(vectors), -1, dtype=np.int64), np.zeros(len(vectors), dtype=np.float32)
        for row, vector in enumerate(vectors if len(asked) else []):
            near = asked[np.argsort(-(known_vectors @ vector)[asked], kind="stable")[:MOST_NEIGHBOURS]]
            known = nodes[near]
            found = link_cosine(
                known_vectors[near],
                np.repeat(vector[None], len(near), axis=0),
                [texts.lexical[each] for each in known.tolist()] + [lexical[row]],
                texts.shingles.take(known).plus(shingles.take(np.array([row]))),
                np.arange(len(near)),
                np.full(len(near), len(near)),
                self._settings,
            )
            if found.max(initial=0) > 0:
                node[row], best[row] = known[found.argmax()], found.max()
        return node, best


def is_translation(shingles: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which pairs are of one text in Chinese characters and one in letters."""
    return np.asarray(shingles.in_letters[a] != shingles.in_letters[b])


def link_cosine(
    left: Vectors,
    right: Vectors,
    lexical: list[str],
    shingles: Shingles,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    settings: SemanticSettings,
) -> NDArray[np.float32]:
    """Return the cosine of pairs, or 0 where it is not enough for a link.

    Parameters
    ----------
    left, right
        Vectors of each pair, shape (pairs, dimension).
    lexical, shingles
        Of all texts.
    a, b
        Texts of each pair.
    settings
        When it is enough.
    """
    cosine = np.einsum("ij,ij->i", left, right)
    shared = (edit_similarity(lexical, a, b) + containment(shingles, a, b)) / 2
    score = cosine + settings.lexical_weight * shared
    translated = is_translation(shingles, a, b)
    free = (shared < settings.max_free_shared) & (cosine >= settings.min_free_cosine)
    min_score = np.where(shingles.in_letters[a], settings.min_score_in_letters, settings.min_score)
    linked = np.where(translated, cosine >= settings.min_translation_cosine, (score >= min_score) | free)
    linked &= cosine >= settings.min_cosine
    linked &= np.minimum(shingles.information[a], shingles.information[b]) >= settings.min_information
    return np.where(linked, cosine, 0).astype(np.float32)
