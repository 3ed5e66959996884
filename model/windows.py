"""Putting what the network says of a long post's windows together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from narratrace.model.backends import ForwardPass


def merge_windows(forward: ForwardPass, windows: Sequence[int]) -> ForwardPass:
    """Turn the rows of windows into rows of posts.

    A narrative's logit is that of the window that advances it most. Stance and embedding are of the whole post: the
    windows' mean; so a long report with one loaded paragraph stays a report.

    Parameters
    ----------
    forward
        One row for each window.
    windows
        Number of windows of each post, at least 1 each.
    """
    if len(forward.narratives) == len(windows):
        return forward
    counts = np.array(windows, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    narratives = np.maximum.reduceat(forward.narratives, starts)
    stances = np.add.reduceat(forward.stances, starts)
    stances /= counts[:, None]
    embeddings = np.add.reduceat(forward.embeddings, starts)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True).clip(min=1e-9)
    return ForwardPass(narratives, stances, embeddings)
