"""Changed posts keep their message, are never empty, and come out the same from the same seed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.text import normalise
from narratrace.model.wide import fold
from narratrace.training.augmentation import Augmentation, strip_punctuation
from narratrace.training.settings import AugmentationSettings

CHANGES = ("strip_punctuation", "strip_digits", "lower_case", "change_script")
LONG = "警方昨晚在旺角拘捕了多名示威者，市民表示支持。Police arrested several protesters in Mong Kok on 31 August."


def augmentation(**probabilities: float) -> Augmentation:
    return Augmentation(AugmentationSettings(**dict.fromkeys(CHANGES, 0.0) | probabilities))


normalised = st.text(max_size=100).map(lambda text: normalise(text).text).filter(bool)


@settings(deadline=None)
@given(normalised, st.integers(0, 2**32))
def test_a_post_is_never_emptied(text: str, seed: int) -> None:
    everything: Any = dict.fromkeys(CHANGES, 1.0)
    assert augmentation(**everything)(text, random.Random(seed)).strip()


@settings(deadline=None)
@given(normalised, st.integers(0, 2**32))
def test_settings_of_zero_leave_a_post_as_it_is(text: str, seed: int) -> None:
    assert augmentation()(text, random.Random(seed)) == text


def test_the_seed_decides() -> None:
    often: Any = dict.fromkeys(CHANGES, 0.5)
    change = augmentation(**often)
    once, again = ([change(LONG, random.Random(seed)) for seed in range(30)] for _ in range(2))
    assert once == again
    assert len(set(once)) > 5


@pytest.mark.parametrize(
    ("change", "text", "expected"),
    [
        ("strip_punctuation", "警察，加油！Stand firm, now.", "警察加油Stand firm now"),
        ("strip_punctuation", "don't", "don t"),
        ("strip_punctuation", "!!!", "!!!"),  # nothing would be left
        ("strip_digits", "721元朗 2019", "元朗 "),
        ("strip_digits", "2019", "2019"),
        ("lower_case", "Hong KONG 警察", "hong kong 警察"),
    ],
)
def test_each_change_does_what_it_says(change: str, text: str, expected: str) -> None:
    assert augmentation(**{change: 1.0})(text, random.Random(0)) == expected


def test_another_script_is_the_same_message() -> None:
    written = {augmentation(change_script=1.0)("支持警察严正执法", random.Random(seed)) for seed in range(20)}
    assert len(written) > 1
    assert {fold(text) for text in written} == {"支持警察严正执法"}


@given(normalised)
def test_stripped_posts_have_no_marks_left(text: str) -> None:
    stripped = strip_punctuation(text)
    assert strip_punctuation(stripped) == stripped
    assert fold(stripped) == fold(text) or not text.isascii()
