"""No group is ever split, sizes keep their bounds, and shares come close to their targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from narratrace.model.errors import InputError
from narratrace.training.folds import are_related, assign_folds, measure_shares, related_groups, split
from narratrace.training.labelled import LabelledPost


def post(number: int, stance: str | None, labels: tuple[str, ...] = (), ties: tuple[str, ...] = ()) -> LabelledPost:
    """A post whose text is like no other number's."""
    return LabelledPost(chr(0xAC00 + number) * 5, ("en", "yue", "zh-Hans")[number % 3], stance, labels, ties)


def many(count: int = 240) -> list[LabelledPost]:
    rng = np.random.default_rng(4)
    posts = []
    for number in range(count):
        labels = tuple(name for name, share in (("common", 0.6), ("rare", 0.1)) if rng.random() < share)
        ties = (f"account:{rng.integers(120)}", f"text:{number}")
        posts.append(post(number, "A" if labels else str(rng.choice(["R", "C", "N"])), labels, ties))
    return posts


some_posts = st.lists(
    st.tuples(
        st.integers(0, 15),  # equal numbers have equal texts
        st.sampled_from(["R", "C", "N", None]),
        st.sampled_from([(), ("x",), ("y",), ("x", "y")]),
        st.lists(st.sampled_from([f"tie {number}" for number in range(8)]), max_size=2),
    ).map(lambda drawn: post(drawn[0], "A" if drawn[2] else drawn[1], drawn[2], tuple(drawn[3]))),
    min_size=2,
    max_size=40,
)
some_fractions = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(
    lambda parts: [one / sum(parts) for one in parts]
)


def check(posts: Sequence[LabelledPost], fractions: Sequence[float], parts: NDArray[np.int64]) -> None:
    """Assert what `split` promises."""
    groups = related_groups(posts)
    assert all(len({*parts[groups == group].tolist()}) == 1 for group in set(groups.tolist()))
    largest = np.bincount(groups).max()
    sizes = np.bincount(parts, minlength=len(fractions))
    targets = np.asarray(fractions) * len(posts)
    assert len(sizes) == len(fractions)
    assert (sizes > 0).all()
    assert (sizes < targets + largest + 1e-6).all()
    assert (sizes > targets - (len(fractions) - 1) * largest - 1e-6).all()


@settings(deadline=None, max_examples=150)
@given(some_posts, some_fractions, st.integers(0, 5))
def test_no_group_is_split_and_sizes_keep_their_bounds(
    posts: list[LabelledPost], fractions: list[float], seed: int
) -> None:
    if len(set(related_groups(posts).tolist())) < len(fractions):
        with pytest.raises(InputError, match="too few"):
            split(posts, fractions, seed)
        return
    parts = split(posts, fractions, seed)
    check(posts, fractions, parts)
    np.testing.assert_array_equal(split(posts, fractions, seed), parts)


@pytest.mark.parametrize("fractions", [[0.8, 0.1, 0.1], [0.5, 0.5], [0.2] * 5])
def test_shares_come_close_to_their_targets(fractions: list[float]) -> None:
    posts = many()
    parts = split(posts, fractions, seed=1)
    check(posts, fractions, parts)
    shares = measure_shares(posts, parts, fractions)
    assert [(share.kind, share.name) for share in shares] == [
        ("posts", "all"),
        *(("narrative", name) for name in ("common", "rare")),
        *(("language", name) for name in ("en", "yue", "zh-Hans")),
        *(("stance", name) for name in "ACNR"),
    ]
    for share in shares:
        assert sum(share.counts) == pytest.approx(sum(share.targets))
        assert share.off <= 0.08, share
    random = np.random.default_rng(0).choice(len(fractions), len(posts), p=fractions)  # splits groups, and yet:
    assert np.mean([share.off for share in shares]) < np.mean(
        [share.off for share in measure_shares(posts, random, fractions)]
    )


def test_what_is_rare_is_spread_although_groups_are_large() -> None:
    """Six posts of a narrative, each in a group of ten: two groups go to each of three folds."""
    posts = [
        post(group * 10 + number, "A", ("rare",) if group < 6 and number == 0 else ("common",), (f"account:{group}",))
        for group in range(30)
        for number in range(10)
    ]
    folds = assign_folds(posts, 3, seed=0)
    rare = Counter(fold for one, fold in zip(posts, folds.tolist(), strict=True) if "rare" in one.labels)
    assert rare == {0: 2, 1: 2, 2: 2}


def test_folds_are_parts_of_one_size() -> None:
    posts = many()
    np.testing.assert_array_equal(assign_folds(posts, 4, 3), split(posts, [0.25] * 4, 3))
    sizes = Counter(assign_folds(posts, 4, 3).tolist())
    assert max(sizes.values()) - min(sizes.values()) <= 4


def test_the_seed_decides() -> None:
    posts = many()
    once, other = (assign_folds(posts, 3, seed) for seed in (1, 2))
    assert (once != other).any()


def test_near_duplicates_are_related_as_ties_are() -> None:
    texts = [
        "警察執法公正嚴明，市民支持警察止暴制亂",
        "警察执法公正严明!!! 市民支持警察止暴制乱",
        "天氣很好",
        "今日落雨",
    ]
    ties = [("account:1",), (), ("account:1",), ()]
    posts = [LabelledPost(text, "zh-Hant", "N", (), tie) for text, tie in zip(texts, ties, strict=True)]
    groups = related_groups(posts)
    assert groups[0] == groups[1] == groups[2] != groups[3]
    assert related_groups([]).shape == (0,)


def test_a_rewriting_is_related_to_its_source_whichever_is_asked_of() -> None:
    original, rewriting, other = (
        LabelledPost(text, "en", "N", (), ties, id=own)
        for text, ties, own in (("one", (), "id:1"), ("two", ("id:1",), None), ("three", (), "id:2"))
    )
    assert are_related([original, other], [rewriting]).tolist() == [True, False]
    assert are_related([rewriting, other], [original]).tolist() == [True, False]
    assert are_related([], [original]).tolist() == []
    assert are_related([original], []).tolist() == [False]


def test_a_near_duplicate_is_related_and_so_is_what_another_post_ties_to_it() -> None:
    learnt = LabelledPost("警察執法公正嚴明，市民支持警察止暴制亂", "zh-Hant", "N", (), ())
    near = LabelledPost("警察执法公正严明!!! 市民支持警察止暴制乱", "zh-Hans", "N", (), ("account:1",))
    same_account, other = LabelledPost("天氣很好", "zh-Hant", "N", (), ("account:1",)), post(1, "N")
    assert are_related([near, same_account, other], [learnt, post(2, "N")]).tolist() == [True, True, False]


@settings(deadline=None, max_examples=100)
@given(some_posts, st.integers(0, 40))
def test_posts_are_related_to_others_where_they_share_a_group(posts: list[LabelledPost], first: int) -> None:
    groups = related_groups(posts)
    expected = np.isin(groups[:first], groups[first:])
    np.testing.assert_array_equal(are_related(posts[:first], posts[first:]), expected)


@pytest.mark.parametrize(
    "posts",
    [[], [post(0, "R"), post(1, "C")], [post(number, "N", ties=("account:1",)) for number in range(9)]],
    ids=["none", "two", "all related"],
)
def test_too_few_posts_are_refused(posts: list[LabelledPost]) -> None:
    with pytest.raises(InputError, match="too few"):
        assign_folds(posts, 3, seed=1)


@pytest.mark.parametrize("fractions", [[], [0.5, 0.6], [1.5, -0.5], [1.0, 0.0], [0.3]])
def test_fractions_have_to_be_a_whole(fractions: list[float]) -> None:
    with pytest.raises(InputError, match="1 in all"):
        split(many(), fractions, seed=1)
