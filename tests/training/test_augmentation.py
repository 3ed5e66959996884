"""Changed posts keep their message, are never empty, and come out the same from the same seed."""

from __future__ import annotations

import difflib
import random
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.text import normalise
from narratrace.model.wide import fold
from narratrace.training.augmentation import Augmentation, add_typos, strip_punctuation
from narratrace.training.settings import AugmentationSettings

CHANGES = tuple(name for name, field in AugmentationSettings.model_fields.items() if field.annotation is float)
LONG = "警方昨晚在旺角拘捕了多名示威者，市民表示支持。Police arrested several protesters in Mong Kok on 31 August."


TAGS = ("HongKong", "香港")


def augmentation(**probabilities: float) -> Augmentation:
    return Augmentation(AugmentationSettings(tags=TAGS, **dict.fromkeys(CHANGES, 0.0) | probabilities))


def within(shorter: str, longer: str) -> bool:
    """Whether all characters of one text stand in the other, in their order."""
    rest = iter(longer)
    return all(character in rest for character in shorter)


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


@given(normalised)
def test_stripped_posts_have_no_marks_left(text: str) -> None:
    stripped = strip_punctuation(text)
    assert strip_punctuation(stripped) == stripped
    assert fold(stripped) == fold(text) or not text.isascii()


@settings(deadline=None)
@given(normalised, st.integers(0, 2**32), st.sampled_from(["add_tags", "add_emoji"]))
def test_what_is_added_leaves_every_word_where_it_was(text: str, seed: int, change: str) -> None:
    changed = augmentation(**{change: 1.0})(text, random.Random(seed))
    assert len(changed) > len(text)
    assert within(text, changed)


def test_tags_are_of_the_campaign_common_or_random() -> None:
    change = augmentation(add_tags=1.0)
    changed = [change(LONG, random.Random(seed)) for seed in range(200)]
    added = {word for text in changed for word in text.replace(LONG, "").split()}
    assert added >= {*TAGS, "news", "生活"}
    assert len(added) > 60
    assert 100 < sum(text.startswith(LONG) for text in changed) < 190


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("香港 支持警察 hongkong news", "支持警察"),
        ("支持 HongKong 警察", "支持 HongKong 警察"),
        ("HongKong 香港", "HongKong 香港"),  # nothing would be left
    ],
)
def test_tags_at_the_ends_are_dropped(text: str, expected: str) -> None:
    assert augmentation(drop_tags=1.0)(text, random.Random(0)) == expected


def test_emoji_stand_between_words_not_within_them() -> None:
    for seed in range(200):
        changed = augmentation(add_emoji=1.0)(LONG, random.Random(seed))
        assert changed != LONG
        assert all(word in changed for word in ("Police", "arrested", "several", "August"))


@settings(deadline=None)
@given(
    st.text("警察暴徒示威者的是香港支持不沒有police riots are not here,。", min_size=1, max_size=200),
    st.integers(0, 2**32),
)
def test_typos_are_few_and_spare_negations(text: str, seed: int) -> None:
    changed = add_typos(text, random.Random(seed))
    edits = max(1, len(text) // 20)
    assert abs(len(changed) - len(text)) <= edits
    shared = sum(size for _, _, size in difflib.SequenceMatcher(None, text, changed, False).get_matching_blocks())
    assert shared >= len(text) - 2 * edits
    for negation in "不沒":
        assert changed.count(negation) == text.count(negation)


def test_typos_are_of_every_kind() -> None:
    text = "香港警方昨晚在旺角拘捕了示威者 protesters"
    changed = {add_typos(text, random.Random(seed)) for seed in range(300)}
    assert text not in {*changed} or len(changed) > 50
    assert {len(one) - len(text) for one in changed} >= {-1, 0, 1}
    assert any("再旺角" in one for one in changed)  # 在
    assert any("protesters" not in one and "香港警方昨晚在旺角拘捕了示威者" in one for one in changed)


def test_homoglyphs_look_the_same_and_are_others() -> None:
    changed = augmentation(homoglyphs=1.0)(LONG, random.Random(0))
    assert changed != LONG
    differing = [(one, other) for one, other in zip(LONG, changed, strict=True) if one != other]
    assert 1 <= len(differing) <= 3
    assert all(one.isascii() and "CYRILLIC" in unicodedata.name(other) for one, other in differing)
