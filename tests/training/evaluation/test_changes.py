from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.text import normalise
from narratrace.training.evaluation.changes import changes, topical_tag

POSTS = [
    "香港警察，支持你們！ #香港 https://t.co/abc",
    "暴徒破壞地鐵站，市民好嬲。 #香港 #HK",
    "Stand firm, Hong Kong police! #HK",
    "no tag at all",
]


def test_the_topical_tag_is_that_of_most_posts() -> None:
    assert topical_tag([*POSTS, POSTS[0]]) == "#香港"
    assert topical_tag(["#a1 #a1 #a1", "#b2", "#b2"]) == "#b2"
    assert topical_tag(["no tag", "#1"]) == "#news"


def test_each_change_alters_what_it_says() -> None:
    made = {what: change(POSTS[0]) for what, change in changes(POSTS, 1).items()}
    assert len(made) == 10
    assert len(set(made.values()) | {POSTS[0]}) >= 10
    assert "你们" in made["to Simplified script"]
    assert made["to Traditional script"] == POSTS[0]
    assert "，" not in made["punctuation stripped"]
    assert made["URL added"].startswith(POSTS[0])
    assert made["mention added"].endswith(POSTS[0])
    assert made["#HK added"] == POSTS[0] + " #HK"
    assert made["full width"].startswith("香港警察，支持你們！ ＃香港 ｈｔｔｐｓ")


def test_the_same_post_is_changed_the_same_way_each_time() -> None:
    for what, change in changes(POSTS, 1).items():
        assert [change(post) for post in POSTS] == [change(post) for post in POSTS], what


@pytest.mark.parametrize("what", ["URL added", "mention added", "zero-width characters"])
@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=40))
def test_what_normalisation_takes_away_leaves_the_text(what: str, post: str) -> None:
    change = changes(POSTS, 1)[what]
    assert normalise(change(post)).text == normalise(post).text


@given(st.text(min_size=1, max_size=60))
def test_any_post_can_be_changed(post: str) -> None:
    for change in changes([post], 1).values():
        assert isinstance(change(post), str)
