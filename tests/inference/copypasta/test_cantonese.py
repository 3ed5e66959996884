"""What folding Cantonese to Mandarin promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace import CopypastaGrouper
from narratrace.inference.copypasta import cantonese
from narratrace.inference.copypasta.cantonese import replace_cantonese
from narratrace.inference.copypasta.folding import lexical_form, script_forms


@pytest.mark.parametrize(
    ("cantonese_text", "mandarin_text"),
    [
        ("佢哋嗰日喺度", "他們那天在這裡"),
        ("點解冇人同我講", "為什麼沒人跟我說"),
        ("佢琴晚三個鐘頭都未返屋企", "他昨晚三個小時也沒回家"),
        ("啲差佬日日喺屋企門口企住", "警察每天在家門口站著"),
    ],
)
def test_the_same_in_both_varieties_has_one_form(cantonese_text: str, mandarin_text: str) -> None:
    one, other = map(lexical_form, script_forms([cantonese_text, mandarin_text]))
    assert one == other


@pytest.mark.parametrize("word", ["电话", "普通话", "关系", "紧张", "知识", "住宅", "热闹", "个女人", "口号"])
def test_words_that_only_contain_a_cantonese_one_stay(word: str) -> None:
    assert replace_cantonese("佢" + word) == "他" + word


@given(st.text("我们他的了在有一天去来说看人家住话系紧埋 abc。", max_size=40))
def test_mandarin_stays_as_it_is(text: str) -> None:
    assert replace_cantonese(text) == text


def test_no_replacement_leaves_cantonese_behind() -> None:
    for word, mandarin in cantonese._WORDS.items():
        assert not cantonese._MARK.search(mandarin), word
        assert not cantonese._MARK.search(word) or word != mandarin, word


def test_a_post_and_its_cantonese_version_are_one_group_without_embeddings() -> None:
    posts = [
        "昨晚几个年轻人在地铁站里被人打，警察三个小时都没来，现在还说什么都没看见，为什么没有人说真话？",
        "琴晚幾個後生仔喺地鐵站入面俾人打，差人三個鐘都冇嚟，而家仲話乜都睇唔到，點解冇人講真話？",
        "昨晚地铁站停了三个小时，几个年轻人帮一位老人下楼，车站职员说现在已经恢复正常，请大家不要在站内聚集。",
    ]
    grouper = CopypastaGrouper().fit(posts)
    assert grouper.labels_[0] == grouper.labels_[1] >= 0
    assert grouper.labels_[2] < 0
    assert grouper.why(0, 1).stage == "fuzzy"
