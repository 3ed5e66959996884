"""Cross-validation folds that keep related posts together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from narratrace.training.labelled import LabelledPost, tie_groups


def assign_folds(posts: Sequence[LabelledPost], folds: int, seed: int) -> NDArray[np.int64]:
    """Number the fold of each post; shape (posts,), 0 to ``folds`` - 1.

    Posts that share a tie (copies, an account, a rewriting's source, a family) are in one fold, and every fold gets
    its share of each post's rarest narrative, or stance where it has none (scikit-learn's StratifiedGroupKFold).
    """
    counts: dict[str, int] = {}
    for post in posts:
        for label in post.labels:
            counts[label] = counts.get(label, 0) + 1
    strata = [min(post.labels, key=lambda label: (counts[label], label), default=post.stance) for post in posts]
    assigned = np.zeros(len(posts), dtype=np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(posts)), strata, tie_groups(posts))):
        assigned[held_out] = fold
    return assigned
