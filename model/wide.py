"""The wide part: a linear model on hashed character n-grams, beside the encoder.

Words matter in short posts, and a linear model learns them from fewer posts than an encoder does; the two err on
different posts. Source: Cheng et al. 2016, "Wide & deep learning for recommender systems"; hashing as in Weinberger et
al. 2009, "Feature hashing for large scale multitask learning". Before counting, case, digits, punctuation and symbols
are dropped and script is folded by OpenCC, so that none of these can change what the wide part says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from narratrace.model.scores import Logits
from narratrace.model.script import convert_script

BUCKETS = 2**18
"""Buckets that n-grams are hashed into; a power of two."""

LONGEST = 4
"""Characters of the longest n-grams; they do not reach over the edge of a word."""

_AT_ONCE = 2**15
"""Characters that are looked up at once, which bounds memory."""

_BLANK = ord(" ")

_INNER_BLANK = re.compile(r"(?<=[^\x00-\x7f]) (?=[^\x00-\x7f])")


class Ngrams(NamedTuple):
    """N-grams of n posts, as rows of a sparse matrix.

    Attributes
    ----------
    starts
        Where each post's entries begin, shape (n + 1,).
    buckets
        Bucket of each entry, ascending within a post.
    weights
        1 + log(how often it occurs), as float32.
    """

    starts: NDArray[np.int64]
    buckets: NDArray[np.int64]
    weights: NDArray[np.float32]


def fold(text: str) -> str:
    """Fold a normalised post: Simplified script, lower case, letters and blanks only.

    Examples
    --------
    >>> fold("警察2019，加油！Stand FIRM")
    '警察加油stand firm'
    """
    folded = text.casefold()
    kept = (character if character.isalpha() else " " if character.isascii() else "" for character in folded)
    words = " ".join("".join(kept).split())
    # A blank that punctuation left between Chinese characters is no edge of a word.
    glued = _INNER_BLANK.sub("", words)
    # Script comes last: OpenCC converts some characters by the phrase they are in, which punctuation would break up.
    return convert_script(glued, "t2s")


def count_ngrams(texts: Sequence[str]) -> Ngrams:
    """Count the hashed n-grams of normalised posts."""
    folded = [f" {fold(text)} " for text in texts]
    lengths = np.array([len(text) for text in folded], dtype=np.int64)
    owner = np.repeat(np.arange(len(folded), dtype=np.int64), lengths)
    points = np.frombuffer("".join(folded).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    blank = points == _BLANK
    keys = []
    hashed = np.zeros(len(points), dtype=np.uint64)
    whole = np.ones(len(points), dtype=bool)
    for size in range(1, LONGEST + 1):
        last = len(points) - size + 1
        if last <= 0:
            break
        end = slice(size - 1, size - 1 + last)
        # Of one post, not a lone blank, and with blanks at its two ends only.
        hashed = hashed[:last] * np.uint64(1_000_003) + points[end]
        whole = whole[:last] & (owner[:last] == owner[end])
        good = whole & ~blank[:last] if size == 1 else whole
        keys.append(owner[:last][good] * BUCKETS + _bucket(hashed[good], size))
        if size > 1:
            whole = whole & ~blank[end]
    entries, counts = np.unique(np.concatenate(keys or [np.zeros(0, dtype=np.int64)]), return_counts=True)
    starts = np.searchsorted(entries, np.arange(len(folded) + 1, dtype=np.int64) * BUCKETS)
    return Ngrams(starts, entries % BUCKETS, 1 + np.log(counts).astype(np.float32))


def _bucket(hashed: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Spread hashes over the buckets (the finaliser of Steele et al. 2014's SplitMix64)."""
    mixed = hashed + np.uint64((size * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(BUCKETS)).astype(np.int64)


def _parts(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First and end of runs of posts that are together no longer than what is looked up at once, or one post."""
    first = characters = 0
    for row, text in enumerate(texts):
        if row > first and characters + len(text) > _AT_ONCE:
            yield first, row
            first, characters = row, 0
        characters += len(text)
    if texts:
        yield first, len(texts)


class Wide:
    """A linear model on TF-IDF weighted, hashed n-grams.

    Parameters
    ----------
    idf
        Inverse document frequency of each bucket, 0 where it is not used; shape (buckets,).
    weights
        Shape (buckets, narratives + stances).
    bias
        Shape (narratives + stances,).
    stances
        How many of the outputs are stances: the last ones.
    """

    def __init__(
        self, idf: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32], stances: int
    ) -> None:
        self._idf, self._weights, self._bias, self._stances = idf, weights, bias, stances

    @classmethod
    def load(cls, path: Path, stances: int) -> Wide:
        """Load what :meth:`save` wrote."""
        parts = {name: value.astype(np.float32) for name, value in load_file(path).items()}
        return cls(parts["idf"], parts["weights"], parts["bias"], stances)

    def save(self, path: Path) -> None:
        """Write the model in half precision, as safetensors."""
        parts = {"idf": self._idf, "weights": self._weights, "bias": self._bias}
        save_file({name: value.astype(np.float16) for name, value in parts.items()}, path)

    @property
    def idf(self) -> NDArray[np.float32]:
        """Inverse document frequency of each bucket, 0 where it is not used; shape (buckets,)."""
        return self._idf

    def with_narrative(self, buckets: NDArray[np.int64], weights: NDArray[np.float32], bias: float) -> Wide:
        """Make a model with one more narrative, the last: ``weights`` of ``buckets``, each of shape (n,)."""
        column = np.zeros(len(self._idf), dtype=np.float32)
        column[buckets] = weights
        narratives = len(self._bias) - self._stances
        return Wide(
            self._idf,
            np.insert(self._weights, narratives, column, axis=1),
            np.insert(self._bias, narratives, np.float32(bias)),
            self._stances,
        )

    def run(self, texts: Sequence[str]) -> Logits:
        """Logits of n normalised posts."""
        logits = np.tile(self._bias, (len(texts), 1))
        for first, end in _parts(texts):
            ngrams = count_ngrams(texts[first:end])
            values = ngrams.weights * self._idf[ngrams.buckets]
            products = self._weights[ngrams.buckets] * values[:, None]
            for row, (start, stop) in enumerate(zip(ngrams.starts[:-1], ngrams.starts[1:], strict=True), first):
                length = np.sqrt((values[start:stop] ** 2).sum())
                if length:
                    logits[row] += products[start:stop].sum(axis=0) / length
        narratives = logits.shape[1] - self._stances
        return Logits(logits[:, :narratives], logits[:, narratives:])
