"""Putting what the network says of a long post's windows together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from narratrace.model.scores import Logits


def merge_windows(logits: Logits, windows: Sequence[int]) -> Logits:
    """Turn the rows of windows into rows of posts.

    A narrative's logit is that of the window that advances it most. The stance is of the whole post: the windows' mean;
    so a long report with one loaded paragraph stays a report.

    Parameters
    ----------
    logits
        One row for each window.
    windows
        Number of windows of each post, at least 1 each.
    """
    if len(logits.narratives) == len(windows):
        return logits
    starts = _starts(windows)
    stances = np.add.reduceat(logits.stances, starts)
    stances /= np.array(windows)[:, None]
    return Logits(np.maximum.reduceat(logits.narratives, starts), stances)


def merge_embeddings(embeddings: NDArray[np.float32], windows: Sequence[int]) -> NDArray[np.float32]:
    """Turn the embeddings of windows into those of posts: their mean, scaled to unit length."""
    if len(embeddings) == len(windows):
        return embeddings
    merged = np.add.reduceat(embeddings, _starts(windows))
    merged /= np.linalg.norm(merged, axis=1, keepdims=True).clip(min=1e-9)
    return np.asarray(merged)


def _starts(windows: Sequence[int]) -> NDArray[np.int64]:
    counts = np.array(windows, dtype=np.int64)
    return np.asarray(np.cumsum(counts) - counts)
