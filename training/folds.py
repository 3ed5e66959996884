"""Cross-validation folds that keep related posts together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from narratrace.model.errors import InputError
from narratrace.training.labelled import LabelledPost, tie_groups


def assign_folds(posts: Sequence[LabelledPost], folds: int, seed: int) -> NDArray[np.int64]:
    """Number the fold of each post; shape (posts,), 0 to ``folds`` - 1.

    Posts that share a tie (copies, an account, a rewriting's source, a family) are in one fold, and every fold gets
    its share of each post's rarest narrative, or stance where it has none (scikit-learn's StratifiedGroupKFold).

    Raises
    ------
    InputError
        There are too few posts of every kind, or too few that are not related, for so many folds.
    """
    counts: dict[str, int] = {}
    for post in posts:
        for label in post.labels:
            counts[label] = counts.get(label, 0) + 1
    strata = [min(post.labels, key=lambda label: (counts[label], label), default=str(post.stance)) for post in posts]
    groups = tie_groups(posts)
    if max(Counter(strata).values(), default=0) < folds or len(set(groups.tolist())) < folds:
        raise InputError(f"There are too few labelled posts, or too few unrelated ones, for {folds} folds.")
    assigned = np.zeros(len(posts), dtype=np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(posts)), strata, groups)):
        assigned[held_out] = fold
    return assigned
