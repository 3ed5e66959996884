"""The wide part hears the message and not its script, case, digits or punctuation."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import opencc
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from narratrace.model.wide import BUCKETS, LONGEST, Wide, count_ngrams, fold

POSTS = [
    "支持警察止暴制乱",
    "警察警察警察",
    "Stand with Hong Kong",
    "a",
    "",
    "警",
    "2019!!!",
    "黑暴 riot 警察 stop stop",
]
WORDS = (
    "支持警察嚴正執法 暴徒打砸 止暴制乱 香港人加油 外國勢力 Stand firm with Hong Kong police media fake news".split()
)
posts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
noise = st.text("0123456789.,!?;:'\"#$%*()-。,!?、「」《》…—", max_size=3)


@cache
def converter(name: str) -> opencc.OpenCC:
    return opencc.OpenCC(name)


def reference(text: str) -> dict[int, float]:
    """Weights of the buckets of a post, in plain Python."""
    padded = f" {fold(text)} "
    found: Counter[int] = Counter()
    for size in range(1, LONGEST + 1):
        for start in range(len(padded) - size + 1):
            ngram = padded[start : start + size]
            if " " not in ngram[1:-1] and ngram != " ":
                found[bucket(ngram)] += 1
    return {key: 1 + math.log(count) for key, count in found.items()}


def bucket(ngram: str) -> int:
    wrap = 2**64
    hashed = 0
    for character in ngram:
        hashed = (hashed * 1_000_003 + ord(character)) % wrap
    hashed = (hashed + len(ngram) * 0x9E3779B97F4A7C15) % wrap
    hashed = (hashed ^ hashed >> 30) * 0xBF58476D1CE4E5B9 % wrap
    hashed = (hashed ^ hashed >> 27) * 0x94D049BB133111EB % wrap
    return (hashed ^ hashed >> 31) % BUCKETS


@pytest.fixture(scope="module")
def wide() -> Wide:
    rng = np.random.default_rng(7)
    idf = rng.uniform(0.5, 3, BUCKETS).astype(np.float32)
    idf[rng.random(BUCKETS) < 0.2] = 0
    weights = rng.normal(size=(BUCKETS, 6)).astype(np.float32)
    return Wide(idf, weights, rng.normal(size=6).astype(np.float32), stances=4)


@given(st.lists(posts | st.sampled_from(POSTS) | st.text(max_size=20).map(fold), max_size=5))
@settings(deadline=None)
def test_ngrams_are_those_of_a_plain_reference(texts: list[str]) -> None:
    ngrams = count_ngrams(texts)
    assert len(ngrams.starts) == len(texts) + 1
    for text, start, end in zip(texts, ngrams.starts[:-1], ngrams.starts[1:], strict=True):
        expected = reference(text)
        assert ngrams.buckets[start:end].tolist() == sorted(expected)
        np.testing.assert_allclose(ngrams.weights[start:end], [expected[key] for key in sorted(expected)], rtol=1e-6)


def test_logits_are_those_of_a_plain_reference() -> None:
    rng = np.random.default_rng(1)
    idf = rng.uniform(0, 2, BUCKETS).astype(np.float32)
    weights = rng.normal(size=(BUCKETS, 5)).astype(np.float32)
    bias = np.arange(5, dtype=np.float32)
    logits = Wide(idf, weights, bias, stances=4).run(POSTS)
    for row, text in enumerate(POSTS):
        values = {key: weight * idf[key] for key, weight in reference(text).items()}
        length = math.sqrt(sum(value**2 for value in values.values()))
        expected = bias + sum((value / length * weights[key] for key, value in values.items()), np.zeros(5))
        np.testing.assert_allclose(logits.narratives[row], expected[:1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(logits.stances[row], expected[1:], rtol=1e-4, atol=1e-5)


@given(posts)
@settings(deadline=None)
def test_script_makes_no_difference(text: str) -> None:
    simplified = converter("t2s").convert(text)
    traditional = converter("s2t").convert(simplified)
    assume(converter("t2s").convert(traditional) == simplified)  # OpenCC does not come back from every conversion
    assert fold(traditional) == fold(simplified)


@given(posts, st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
@settings(deadline=None)
def test_case_makes_no_difference(text: str, change: object) -> None:
    assert fold(change(text)) == fold(text)  # type: ignore[operator]


@given(st.lists(st.tuples(st.sampled_from(WORDS), noise), min_size=1, max_size=6))
@settings(deadline=None)
def test_digits_and_punctuation_make_no_difference(parts: list[tuple[str, str]]) -> None:
    assert fold("".join(f"{word} {mark} " for word, mark in parts)) == fold(" ".join(word for word, _ in parts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("乾、坤", "乾坤"),  # OpenCC converts the first by itself otherwise than in this word
        ("暴,徒", "暴徒"),
        ("止暴 制亂", "止暴制乱"),
        ("警察2019加油", "警察加油"),
        ("don't", "don t"),
    ],
)
def test_marks_within_a_word_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_words_stay_words() -> None:
    assert fold("Stand FIRM,with us 警察 ok") == "stand firm with us 警察 ok"


def test_a_post_does_not_depend_on_its_neighbours(wide: Wide) -> None:
    many = [f"{post} {number}{'甲乙丙丁'[number % 4]}" for number in range(40) for post in POSTS]  # more than at once
    together = wide.run(many)
    for row in range(0, len(many), 17):
        alone = wide.run([many[row]])
        np.testing.assert_allclose(together.narratives[row], alone.narratives[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(together.stances[row], alone.stances[0], rtol=1e-5, atol=1e-6)


def test_no_posts_and_posts_without_letters(wide: Wide) -> None:
    assert [part.shape for part in wide.run([])] == [(0, 2), (0, 4)]
    assert count_ngrams([]).starts.tolist() == [0]
    empty, digits = wide.run(["", "2019!"]).narratives
    np.testing.assert_array_equal(empty, digits)


def test_half_precision_on_disk_changes_little(wide: Wide, tmp_path: Path) -> None:
    wide.save(tmp_path / "wide.safetensors")
    loaded = Wide.load(tmp_path / "wide.safetensors", 4).run(POSTS)
    for part, same in zip(loaded, wide.run(POSTS), strict=True):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, same, atol=5e-3)
    assert (tmp_path / "wide.safetensors").stat().st_size == pytest.approx(BUCKETS * 7 * 2, rel=0.01)
