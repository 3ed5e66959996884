"""Posts on the same matter that say something else: the negatives from which a sentence embedding learns most.

At random, two posts are about different things, and whoever tells topics apart tells these apart. What groups strangers
in an archive is posts on one topic. So each post gets neighbours, found with what the embedding begins as.

Source: Xiong et al. 2021, "Approximate nearest neighbor negative contrastive learning for dense text retrieval".
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from narratrace.training.messages import Messages

_ALIKE = 0.25
"""Posts that share so many of their pairs of characters (Jaccard) may be copies, and count neither way."""

_LOOKED_AT = 20
"""Nearest posts of each among which neighbours are chosen."""

_AT_ONCE = 256
"""Posts whose cosines are held at once."""


def add_neighbours(messages: Messages, vectors: NDArray[np.float32], count: int) -> None:
    """Let each post of ``messages.posts`` differ from its nearest ones, of it and of ``messages.pool``.

    Parameters
    ----------
    messages
        ``different`` grows.
    vectors
        Of all its texts, shape (texts, width); those on one matter are near each other.
    count
        Neighbours of each post in its own script, Chinese characters or letters, and as many in the other.
    """
    others = np.array([*messages.posts, *messages.pool], dtype=np.int64)
    found = vectors[others] - vectors[others].mean(axis=0)
    found /= np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-9)
    is_chinese = np.array([bool(re.search(r"[\u4e00-\u9fff]", messages.texts[text])) for text in others])
    pairs = [_pairs(messages.texts[text]) for text in others]
    for start in range(0, len(messages.posts), _AT_ONCE):
        cosines = found[start : min(start + _AT_ONCE, len(messages.posts))] @ found.T
        for row, near in enumerate(cosines, start):
            near[row] = -np.inf
            for same_script in (True, False):
                allowed = np.flatnonzero((is_chinese == is_chinese[row]) == same_script)
                nearest = allowed[np.argsort(-near[allowed], kind="stable")[:_LOOKED_AT]]
                chosen = [
                    other
                    for other in nearest.tolist()
                    if others[other] != others[row]
                    and len(pairs[row] & pairs[other]) < _ALIKE * max(len(pairs[row] | pairs[other]), 1)
                ]
                messages.different += [(int(others[row]), int(others[other])) for other in chosen[:count]]


def _pairs(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)}
