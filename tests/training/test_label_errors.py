"""Labels that were flipped on purpose come to light, and few others with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.label_errors import DOUBT, LEAST, confident_classes, find_label_errors
from narratrace.training.labelled import LabelledPost

WORDS = {
    "police_heroes": "感謝警察 辛苦 執法 守護 英雄 敬禮 專業 克制".split(),
    "social_harm": "經濟 旅遊 生意 店鋪 交通 癱瘓 蕭條 遊客".split(),
    "": "天氣 晚飯 電影 音樂 足球 貓咪 咖啡 旅行".split(),
}


def posts(each: int = 50, seed: int = 0) -> list[LabelledPost]:
    rng = np.random.default_rng(seed)
    made = []
    for narrative, words in WORDS.items():
        for _ in range(each):
            text = "，".join([*rng.choice(words, 4, replace=False), *rng.choice(WORDS[""], 1)])
            labels = (narrative,) if narrative else ()
            made.append(LabelledPost(text, "zh-Hant", "A" if labels else "N", labels, ()))
    return made


def test_flipped_labels_are_found_first(taxonomy: Taxonomy) -> None:
    clean = posts()
    noisy = list(clean)
    flipped = [3, 20, 60, 77]
    for row in flipped:
        wrong = "social_harm" if "police_heroes" in clean[row].labels else "police_heroes"
        noisy[row] = LabelledPost(clean[row].text, "zh-Hant", "A", (wrong,), ())
    found = find_label_errors(noisy, taxonomy, np.arange(len(noisy)))
    assert {error.row for error in found} == {*flipped}
    assert {(error.name, error.given, error.likely) for error in found if error.row == 3} == {
        ("police_heroes", "no", "yes"),
        ("social_harm", "yes", "no"),
    }
    assert [error.confidence for error in found] == sorted(error.confidence for error in found)
    assert all(0 <= error.confidence <= DOUBT for error in found)


def test_what_is_not_known_or_too_rare_is_not_judged(taxonomy: Taxonomy) -> None:
    clean = posts(each=LEAST - 1)
    assert find_label_errors(clean, taxonomy, np.arange(len(clean))) == []
    unknown = [
        LabelledPost(post.text, post.language, None, (), (), taxonomy.narrative_ids[:-1]) for post in posts(each=40)
    ]
    assert find_label_errors(unknown, taxonomy, np.arange(len(unknown))) == []


def test_a_label_that_goes_with_one_account_is_not_judged(taxonomy: Taxonomy) -> None:
    """A model that never saw the account of all other posts would doubt every one of them."""
    made = posts()
    groups = np.array([at if post.labels == ("police_heroes",) else -1 for at, post in enumerate(made)])
    assert find_label_errors(made, taxonomy, groups) == []


def test_too_few_unrelated_posts_are_said(taxonomy: Taxonomy) -> None:
    with pytest.raises(InputError, match="too few"):
        find_label_errors(posts(), taxonomy, np.zeros(len(posts()), dtype=np.int64))


@given(st.integers(0, 100), st.integers(2, 4))
def test_a_class_that_the_model_is_sure_of_stays(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    given_classes = np.concatenate([np.arange(classes), rng.integers(classes, size=20)])
    probabilities = rng.dirichlet(np.ones(classes), size=len(given_classes))
    likely = confident_classes(probabilities, given_classes)
    agrees = probabilities.argmax(axis=1) == given_classes
    np.testing.assert_array_equal(likely[agrees], given_classes[agrees])
    changed = likely != given_classes
    assert (probabilities.argmax(axis=1)[changed] == likely[changed]).all()
