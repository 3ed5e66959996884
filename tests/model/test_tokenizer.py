"""Posts become windows of token ids: what is lost is said to be, and a megabyte costs no more than an article."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.script import convert_script
from narratrace.model.text import normalise
from narratrace.model.tokenizer import CHARACTERS_PER_TOKEN, OVERLAP, WINDOWS, PostTokenizer, pad

MAX_TOKENS = 16
BODY = MAX_TOKENS - 2  # tokens of a window between start and end
SHARED = int(BODY * OVERLAP)
SENTENCE = "支持香港警察嚴正執法, stop the violence now. "


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> PostTokenizer:
    return PostTokenizer(tiny_base / "tokenizer.json", MAX_TOKENS)


@pytest.fixture(scope="module")
def whole(tiny_base: Path) -> tokenizers.Tokenizer:
    """The same vocabulary without windows."""
    return tokenizers.Tokenizer.from_file(str(tiny_base / "tokenizer.json"))


def join(windows: list[list[int]]) -> list[int]:
    """Put windows together again."""
    joined = windows[0][1:-1]
    for window in windows[1:]:
        assert window[1 : 1 + SHARED] == joined[-SHARED:], "a window begins with the end of the one before it"
        joined += window[1 + SHARED : -1]
    return joined


def test_a_short_post_is_one_window(tokenizer: PostTokenizer) -> None:
    read = tokenizer(["警察辛苦了"])
    assert (read.texts, read.windows, read.truncated) == (["警察辛苦了"], [1], [False])
    assert read.ids == tokenizer.encode(["警察辛苦了"])


@given(st.text(alphabet="支持香港警察严正执法后面发财里干 stop!", max_size=40))
def test_both_scripts_give_the_same_ids(tokenizer: PostTokenizer, text: str) -> None:
    assert tokenizer([convert_script(text, "s2t")]).ids == tokenizer([text]).ids


@pytest.mark.parametrize("times", [1, 2, 3, 6])
def test_windows_overlap_and_lose_nothing(tokenizer: PostTokenizer, whole: tokenizers.Tokenizer, times: int) -> None:
    read = tokenizer([SENTENCE * times])
    assert read.truncated == [False]
    assert join(read.ids) == whole.encode(convert_script(read.texts[0], "t2s")).ids[1:-1]


def test_each_post_has_its_own_windows_in_order(tokenizer: PostTokenizer) -> None:
    posts = ["", SENTENCE * 3, "hello", SENTENCE * 2]
    together = tokenizer(posts)
    alone = [tokenizer([post]) for post in posts]
    assert together.windows == [one.windows[0] for one in alone]
    assert together.ids == [ids for one in alone for ids in one.ids]
    assert together.texts == [normalise(post).text for post in posts]


def test_what_is_beyond_the_last_window_is_cut_and_said_to_be(
    tokenizer: PostTokenizer, whole: tokenizers.Tokenizer
) -> None:
    fits = BODY + (WINDOWS - 1) * (BODY - SHARED)  # tokens that all windows hold
    word = next(word for word in ("police", "the", "a") if len(whole.encode(f"{word} {word}").ids) == 4)
    for tokens, truncated in ((fits, False), (fits + 1, True), (fits * 2, True)):
        read = tokenizer([" ".join([word] * tokens)])
        assert read.windows == [WINDOWS]
        assert read.truncated == [truncated], tokens
        assert len(join(read.ids)) == min(tokens, fits)


@pytest.mark.parametrize("unit", ["警", "a", "x ", " ", "\n", "\U0001f600", "&amp;", "@u ", "\u200b", "ﷺ"])
def test_a_megabyte_costs_no_more_than_an_article(tokenizer: PostTokenizer, unit: str) -> None:
    start = time.process_time()
    read = tokenizer([unit * (1_000_000 // len(unit))])
    assert time.process_time() - start < 2
    assert read.truncated == [True]
    assert read.windows[0] == len(read.ids) <= WINDOWS
    assert len(read.texts[0]) <= 18 * WINDOWS * MAX_TOKENS * CHARACTERS_PER_TOKEN  # NFKC makes 18 characters of one


def test_an_empty_post_is_one_empty_window(tokenizer: PostTokenizer) -> None:
    for post in ("", " \n", "\u200b", "https://t.co/abc", "\ud800"):
        read = tokenizer([post])
        assert (read.texts, read.windows, read.truncated) == ([""], [1], [False])
        assert read.ids == [[0, 2]]
    assert tokenizer([]).ids == []


@settings(deadline=None, max_examples=50)
@given(posts=st.lists(st.text(max_size=80), max_size=4))
def test_any_posts_become_windows(tokenizer: PostTokenizer, posts: list[str]) -> None:
    read = tokenizer(posts)
    assert len(read.texts) == len(read.windows) == len(read.truncated) == len(posts)
    assert sum(read.windows) == len(read.ids)
    assert all(windows >= 1 for windows in read.windows)
    assert all(2 <= len(ids) <= MAX_TOKENS and (ids[0], ids[-1]) == (0, 2) for ids in read.ids)


def test_the_padding_token_is_found_by_name(tokenizer: PostTokenizer) -> None:
    assert tokenizer.pad_id == 1


def test_padding_goes_at_the_end_and_is_masked() -> None:
    ids, mask = pad([[5, 6, 7], [8], []], pad_id=1)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1], [1, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert pad([], 1)[0].shape == (0, 0)
