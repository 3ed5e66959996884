"""The search finds exactly the pairs that comparing everything with everything finds."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.training.near_duplicates import SIMILAR, find_near_duplicates


def grams(text: str) -> set[str]:
    return {text[at : at + 3] for at in range(len(text) - 2)}


def by_hand(texts: list[str], similar: float) -> dict[tuple[int, int], float]:
    texts = [re.sub(r"(.)\1{3,}", r"\1\1\1", text) for text in texts]  # as normalisation does
    found = {}
    for (first, one), (second, other) in combinations(enumerate(texts), 2):
        if one == other:
            shared = 1.0 if texts.index(one) == first else 0.0  # each is paired with the first alone
        elif texts.index(one) != first or texts.index(other) != second or not grams(one) or not grams(other):
            continue
        else:
            shared = len(grams(one) & grams(other)) / len(grams(one) | grams(other))
        if shared >= similar:
            found[first, second] = shared
    return found


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text(alphabet="abc", min_size=1, max_size=12), max_size=25),
    st.sampled_from([0.3, 0.5, SIMILAR, 0.9, 1.0]),
)
def test_every_similar_pair_is_found_and_no_other(texts: list[str], similar: float) -> None:
    found = {(pair.first, pair.second): pair.similarity for pair in find_near_duplicates(texts, similar)}
    assert found == pytest.approx(by_hand(texts, similar))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=12), max_size=25), st.integers(0, 25))
def test_only_pairs_with_one_that_is_asked_of_are_found(texts: list[str], asked: int) -> None:
    every = find_near_duplicates(texts, 0.5)
    assert find_near_duplicates(texts, 0.5, asked) == [pair for pair in every if pair.first < asked]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_may_come(texts: list[str]) -> None:
    for pair in find_near_duplicates(texts):
        assert 0 <= pair.first < pair.second < len(texts)
        assert SIMILAR - 1e-6 <= pair.similarity <= 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("支持香港警察，嚴正執法！", "支持香港警察严正执法"),
        ("Stand FIRM with the 2019 police of Hong Kong", "stand firm with the police of hong kong."),
        ("止暴制亂，恢復秩序，是香港當前最緊迫的任務", "【轉】止暴制亂，恢復秩序，是香港當前最緊迫的任務！"),
    ],
    ids=["script", "case and digits", "frame"],
)
def test_copies_are_found(one: str, other: str) -> None:
    assert [(pair.first, pair.second) for pair in find_near_duplicates(["香港今日天晴", one, other])] == [(1, 2)]


def test_posts_without_a_letter_are_no_duplicates() -> None:
    assert find_near_duplicates(["", "123", "!!!", "😀"]) == []


def test_more_posts_than_are_compared_at_once() -> None:
    texts = [chr(0xAC00 + number) * 4 for number in range(600)]
    assert [(pair.first, pair.second) for pair in find_near_duplicates([*texts, texts[599] + "a", texts[0]])] == [
        (0, 601),
    ]
