"""Splits that keep related posts together, and every part's share of each narrative, language and stance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from narratrace.model.errors import InputError
from narratrace.training.labelled import LabelledPost, tie_groups
from narratrace.training.near_duplicates import Pair, find_near_duplicates

_ROUNDS = 20
"""Times that every group is looked at again, at most; far fewer change anything."""


class Share(NamedTuple):
    """How the posts with something in common are spread over the parts.

    Attributes
    ----------
    kind, name
        ``posts``, ``narrative``, ``language`` or ``stance``, and which one.
    counts
        Posts in each part, in the order of the parts.
    targets
        Posts that each part would have if it were exact.
    """

    kind: str
    name: str
    counts: tuple[int, ...]
    targets: tuple[float, ...]

    @property
    def off(self) -> float:
        """Greatest distance of a part's share from its target, as a share of all of these posts."""
        apart = max(abs(count - target) for count, target in zip(self.counts, self.targets, strict=True))
        return apart / max(sum(self.counts), 1)


def assign_folds(
    posts: Sequence[LabelledPost], folds: int, seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Number the cross-validation fold of each post: :func:`split` into parts of one size; shape (posts,)."""
    return split(posts, [1 / folds] * folds, seed, groups)


def split(
    posts: Sequence[LabelledPost], fractions: Sequence[float], seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Number the part of each post; shape (posts,), 0 to ``len(fractions)`` - 1.

    Related posts (:func:`related_groups`) are in one part. With G posts in the largest group and k parts, a part of
    the fraction f of n posts has fewer than f n + G posts, and more than f n - (k - 1) G. Within these bounds every
    part gets its fraction of each narrative, language and stance, as far as whole groups allow;
    :func:`measure_shares` tells how far that is.

    Parameters
    ----------
    posts
        The posts.
    fractions
        Share of the posts for each part, above 0, 1 in all.
    seed
        Decides among what is equally good; the same posts and seed give the same parts.
    groups
        What :func:`related_groups` gave, where that is known already; shape (posts,).

    Raises
    ------
    InputError
        Fractions are not above 0 and 1 in all, or there are fewer groups than parts.

    Notes
    -----
    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data"):
    what is rarest among the posts left is dealt out first, each time to the part that still wants most of it. Here
    whole groups are dealt out instead of posts, the largest first, and only to parts below their size. Then single
    groups move to another part as long as that brings the counts closer to their targets (sum over narratives,
    languages, stances and posts of the squared distance over the target's total).
    """
    if min(fractions, default=0) <= 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise InputError("The parts of a split must each be above 0, and 1 in all.")
    numbers, groups = np.unique(related_groups(posts) if groups is None else groups, return_inverse=True)
    if len(numbers) < len(fractions):
        raise InputError(f"There are too few labelled posts, or too few unrelated ones, for {len(fractions)} parts.")
    features = np.array([*_features(posts).values()], dtype=np.float64).T
    counts = np.zeros((len(numbers), features.shape[1]))
    np.add.at(counts, groups, features)
    parts = _deal(counts, np.asarray(fractions), np.random.default_rng(seed))
    return np.asarray(_settle(counts, np.asarray(fractions), parts)[groups], dtype=np.int64)


def related_groups(posts: Sequence[LabelledPost], pairs: Sequence[Pair] | None = None) -> NDArray[np.int64]:
    """Number the groups of posts that are tied or near-duplicates, directly or through others; shape (posts,).

    ``pairs`` is what :func:`~narratrace.training.near_duplicates.find_near_duplicates` gave, where it is known already.
    """
    ties = tie_groups(posts)
    if pairs is None:
        pairs = find_near_duplicates([post.text for post in posts])
    first, second = np.array([ties[[pair.first, pair.second]] for pair in pairs], dtype=np.int64).reshape(-1, 2).T
    size = int(ties.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(pairs), dtype=bool), (first, second)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][ties], dtype=np.int64)


def are_related(posts: Sequence[LabelledPost], others: Sequence[LabelledPost]) -> NDArray[np.bool_]:
    """Whether each post is in a group with one of ``others``, as :func:`related_groups` groups both; shape (posts,)."""
    both = [*posts, *others]
    # A chain from a post ends at the first of the others: how these are related to each other need not be known.
    groups = related_groups(both, find_near_duplicates([post.text for post in both], asked=len(posts)))
    return np.isin(groups[: len(posts)], groups[len(posts) :])


def measure_shares(posts: Sequence[LabelledPost], parts: NDArray[np.int64], fractions: Sequence[float]) -> list[Share]:
    """Measure how all posts, and each narrative, language and stance, are spread over the parts."""
    shares = []
    for (kind, name), has in _features(posts).items():
        counts = tuple(int((has & (parts == part)).sum()) for part in range(len(fractions)))
        shares.append(Share(kind, name, counts, tuple(fraction * float(has.sum()) for fraction in fractions)))
    return shares


def _features(posts: Sequence[LabelledPost]) -> Mapping[tuple[str, str], NDArray[np.bool_]]:
    """What is to be spread evenly: for each, whether a post has it, shape (posts,). All posts come first."""
    found = {("posts", "all"): np.ones(len(posts), dtype=bool)}
    kinds: dict[str, list[tuple[str, ...]]] = {
        "narrative": [post.labels for post in posts],
        "language": [(post.language,) for post in posts],
        "stance": [(post.stance,) if post.stance else () for post in posts],
    }
    for kind, names in kinds.items():
        for name in sorted({name for some in names for name in some}):
            found[kind, name] = np.array([name in some for some in names], dtype=bool)
    return found


def _deal(counts: NDArray[np.float64], fractions: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the groups out, what is rarest first; ``counts`` of shape (groups, features), feature 0 counts posts."""
    parts = np.full(len(counts), -1, dtype=np.int64)
    wanted = np.outer(fractions, counts.sum(axis=0))
    left = counts.sum(axis=0)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, 0], kind="stable")]
    empty = np.ones(len(fractions), dtype=bool)
    undealt = len(counts)
    while undealt:
        feature = int(np.where(left > 0, left, np.inf).argmin())
        for group in order[(parts[order] < 0) & (counts[order, feature] > 0)]:
            open_parts = empty if undealt <= empty.sum() else wanted[:, 0] > 1e-9
            choices = np.flatnonzero(open_parts)
            wishes = zip(wanted[choices, feature], wanted[choices, 0], rng.random(len(choices)), strict=True)
            part = choices[max(enumerate(wishes), key=lambda wish: wish[1])[0]]
            parts[group] = part
            wanted[part] -= counts[group]
            left -= counts[group]
            empty[part] = False
            undealt -= 1
    return parts


def _settle(counts: NDArray[np.float64], fractions: NDArray[np.float64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move single groups while that brings the counts of the parts closer to their targets."""
    totals = counts.sum(axis=0)
    targets = np.outer(fractions, totals)
    over = np.zeros_like(targets)
    np.add.at(over, parts, counts)
    over -= targets
    members = np.bincount(parts, minlength=len(fractions))
    for _ in range(_ROUNDS):
        moved = False
        for group, row in enumerate(counts):
            here = parts[group]
            # What the sum of squares loses here and gains there.
            change = ((2 * over + row) * row / totals).sum(axis=1)
            change -= ((2 * over[here] - row) * row / totals).sum()
            change[(over[:, 0] >= -1e-9) | (np.arange(len(change)) == here)] = np.inf
            there = int(change.argmin())
            if change[there] < -1e-9 and members[here] > 1:
                over[here] -= row
                over[there] += row
                members[here] -= 1
                members[there] += 1
                parts[group] = there
                moved = True
        if not moved:
            break
    return parts
