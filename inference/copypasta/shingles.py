"""Shingles: texts as sets of hashed character n-grams, and the MinHash sketches of these sets.

A shingle is two characters long where it begins with a Chinese character, four elsewhere: a Chinese character carries
about as much as half a word. A tenth of the characters edited leaves two thirds of the pairs of Chinese characters, but
less than half of the runs of four.

MinHash is Broder's (1997, "On the resemblance and containment of documents"): the smallest value of a random hash
function over two sets is the same with the probability of their Jaccard similarity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SKETCH = 96
"""Hash functions of a sketch."""
_ROWS = (3, 2)
"""Hash functions in a band: texts that share a band are candidates. In bands of three that is so with probability
``1 - (1 - j**3)**32`` for a Jaccard similarity of j: 0.56 at 0.3, 0.88 at 0.4, 0.99 at 0.5. Texts in letters have bands
of two as well, ``1 - (1 - j**2)**48``: a fifth of the letters edited leaves a j of 0.26, and 0.97 of these pairs."""

_PART = 2**14
_LATIN_WEIGHT = 1 / 3
"""What a shingle of four letters says, in shingles of two Chinese characters: an English word of about five letters
counts as 1.6 characters, as in language.py."""

_MULTIPLIERS = np.random.default_rng(1).integers(0, 2**63, SKETCH, dtype=np.uint64) * 2 + 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ADDENDS = np.random.default_rng(2).integers(0, 2**63, SKETCH, dtype=np.uint64)


class Shingles(NamedTuple):
    """The shingles of n texts.

    Attributes
    ----------
    starts
        Where each text's shingles begin in ``values``; n + 1 entries.
    values
        Distinct hashes of each text, rising.
    information
        How much each text says, in distinct pairs of Chinese characters; a word of letters is worth about 1.6.
    in_letters
        Whether a text says more in letters and digits than in Chinese characters.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.uint32]
    information: NDArray[np.float32]
    in_letters: NDArray[np.bool_]

    def of(self, row: int) -> NDArray[np.uint32]:
        """Shingles of one text."""
        return self.values[self.starts[row] : self.starts[row + 1]]

    def after(self, row: int) -> Shingles:
        """The texts from this row on."""
        starts = self.starts[row:]
        return Shingles(starts - starts[0], self.values[starts[0] :], self.information[row:], self.in_letters[row:])

    def take(self, rows: NDArray[np.int64]) -> Shingles:
        """Some of the texts, in this order."""
        parts = [self.of(row) for row in rows.tolist()]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        values = np.concatenate([*parts, self.values[:0]])
        return Shingles(starts, values, self.information[rows], self.in_letters[rows])

    def plus(self, other: Shingles) -> Shingles:
        """Put other texts behind these."""
        return Shingles(
            np.append(self.starts, self.starts[-1] + other.starts[1:]),
            np.append(self.values, other.values),
            np.append(self.information, other.information),
            np.append(self.in_letters, other.in_letters),
        )


def shingle(texts: Sequence[str]) -> Shingles:
    """Cut texts into shingles; a text shorter than one is a shingle of its own."""
    parts = [_shingle(texts[first : first + _PART]) for first in range(0, len(texts), _PART)] or [_shingle([])]
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    return Shingles(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.information for part in parts]),
        np.concatenate([part.in_letters for part in parts]),
    )


class Sketches(NamedTuple):
    """MinHash sketches of n texts, and the keys by which candidates meet.

    Attributes
    ----------
    values
        Shape (n, `SKETCH`): the share of equal entries of two rows estimates their Jaccard similarity.
    keys, rows
        A key, and the row of the text that has it. Texts without shingles have keys of their own.
    """

    values: NDArray[np.uint16]
    keys: NDArray[np.uint64]
    rows: NDArray[np.int32]


def sketch(shingles: Shingles) -> Sketches:
    """Sketch texts and hash the bands of the sketches."""
    n = len(shingles.starts) - 1
    sketches = np.empty((n, SKETCH), dtype=np.uint16)
    keys, rows = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int32)]
    for first, end in _parts(shingles.starts):
        starts = shingles.starts[first : end + 1]
        values = shingles.values[starts[0] : starts[-1]].astype(np.uint64)
        filled = np.flatnonzero(np.diff(starts))
        at = starts[:-1][filled] - starts[0]
        mins = np.empty((SKETCH, end - first), dtype=np.uint64)
        mins[:] = np.arange(first, end, dtype=np.uint64) << np.uint64(33)  # beyond any hash
        if len(filled):
            for row in range(SKETCH):
                hashed = (values * _MULTIPLIERS[row] + _ADDENDS[row]) >> np.uint64(32)
                mins[row, filled] = np.minimum.reduceat(hashed, at)
        sketches[first:end] = mins.T.astype(np.uint16)
        for size in _ROWS:
            texts = np.arange(end - first) if size == max(_ROWS) else np.flatnonzero(shingles.in_letters[first:end])
            banded = mins[:, texts].reshape(SKETCH // size, size, len(texts))
            key = (np.arange(len(banded), dtype=np.uint64)[:, None] + np.uint64(1000 * size)) * _GOLDEN
            for row in range(size):
                key = _mixed(key ^ banded[:, row])
            keys.append(key.ravel())
            rows.append(np.tile((texts + first).astype(np.int32), len(banded)))
    return Sketches(sketches, np.concatenate(keys), np.concatenate(rows))


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Sort integers and leave each once: several times faster than the hashing of `numpy.unique`."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _shingle(texts: Sequence[str]) -> Shingles:
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    ends = np.cumsum(lengths)
    left = np.repeat(ends, lengths) - np.arange(len(points))  # characters from here to the text's end
    is_han = ((points >= 0x3400) & (points <= 0x9FFF)) | ((points >= 0x20000) & (points <= 0x3FFFF))
    size = np.where(is_han, 2, 4)
    whole = (left >= size) | (np.repeat(lengths, lengths) == left)  # a short text is one shingle
    hashed = points.copy()
    for step in (1, 2, 3):
        takes = np.flatnonzero((size > step) & (left > step))
        hashed[takes] = _mixed(hashed[takes]) + points[takes + step]
    # Owner, whether it begins with a Chinese character, 31 bits of hash: so they are sorted and distinct for each text.
    values = (is_han[whole].astype(np.uint64) << np.uint64(31)) | (_mixed(hashed[whole]) >> np.uint64(33))
    entries = distinct((owner[whole].astype(np.uint64) << np.uint64(32)) | values)
    owners = (entries >> np.uint64(32)).astype(np.int64)
    han = (entries & np.uint64(1 << 31)) > 0
    weights = np.where(han, 1.0, _LATIN_WEIGHT)
    starts = np.searchsorted(owners, np.arange(len(texts) + 1))
    information = np.bincount(owners, weights, minlength=len(texts)).astype(np.float32)
    in_letters = 2 * np.bincount(owners, han, minlength=len(texts)) < information
    return Shingles(starts, (entries & np.uint64(0xFFFFFFFF)).astype(np.uint32), information, in_letters)


def _parts(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of texts with some 100,000 shingles together, so that what is hashed at once fits a cache."""
    first, n = 0, len(starts) - 1
    while first < n:
        end = max(first + 1, int(np.searchsorted(starts, starts[first] + 2**17, "right")) - 1)
        yield first, min(end, n)
        first = min(end, n)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread hashes over 64 bits (the finaliser of Steele et al. 2014's SplitMix64)."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
