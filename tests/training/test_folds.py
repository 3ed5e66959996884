from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.errors import InputError
from narratrace.training.folds import assign_folds
from narratrace.training.labelled import LabelledPost, tie_groups


def post(stance: str, labels: tuple[str, ...] = (), ties: tuple[str, ...] = ()) -> LabelledPost:
    return LabelledPost("text", "en", stance, labels, ties)


def many(count: int = 120) -> list[LabelledPost]:
    rng = np.random.default_rng(4)
    posts = []
    for number in range(count):
        labels = tuple(name for name, share in (("common", 0.6), ("rare", 0.1)) if rng.random() < share)
        ties = (f"account:{rng.integers(60)}", f"text:{number}")
        posts.append(post("A" if labels else str(rng.choice(["R", "C", "N"])), labels, ties))
    return posts


labelled_posts = st.builds(
    lambda stance, label, ties: post("A" if label else stance, (label,) if label else (), tuple(ties)),
    st.sampled_from("RCN"),
    st.sampled_from([None, "x", "y"]),
    st.lists(st.sampled_from([f"tie {number}" for number in range(8)]), max_size=2),
)


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=40)
@given(st.lists(labelled_posts, min_size=4, max_size=30), st.integers(2, 4), st.integers(0, 5))
def test_no_tie_is_ever_split(posts: list[LabelledPost], folds: int, seed: int) -> None:
    try:
        assigned = assign_folds(posts, folds, seed)
    except InputError:
        return  # too few for so many folds
    assert set(assigned.tolist()) <= set(range(folds))
    where: dict[int, set[int]] = {}
    for group, fold in zip(tie_groups(posts).tolist(), assigned.tolist(), strict=True):
        where.setdefault(group, set()).add(fold)
    assert all(len(found) == 1 for found in where.values())


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_fold_gets_its_share(folds: int) -> None:
    posts = many()
    assigned = assign_folds(posts, folds, seed=1)
    sizes = Counter(assigned.tolist())
    assert sorted(sizes) == list(range(folds))
    assert min(sizes.values()) > 0.6 * len(posts) / folds
    rare = Counter(fold for one, fold in zip(posts, assigned.tolist(), strict=True) if "rare" in one.labels)
    assert max(rare.values()) - min(rare[fold] for fold in range(folds)) <= 3


def test_the_seed_decides() -> None:
    posts = many()
    once, again, other = (assign_folds(posts, 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


@pytest.mark.parametrize(
    "posts",
    [
        [],
        [post("R"), post("C"), post("N")],
        [post("N", ties=("account:1",)) for _ in range(9)],
    ],
    ids=["none", "few of each kind", "all related"],
)
def test_too_few_posts_are_refused(posts: list[LabelledPost]) -> None:
    with pytest.raises(InputError, match="too few"):
        assign_folds(posts, 3, seed=1)
