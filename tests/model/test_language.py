from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.language import LANGUAGES, identify

CASES = [
    ("支持警察严正执法，止暴制乱", "zh-Hans"),
    ("支持警察嚴正執法，止暴制亂", "zh-Hant"),
    ("支持警察严正执法止暴制乱", "zh-Hans"),
    ("市民在台北街頭看見群眾，又去了后海", "zh-Hant"),
    ("今晚唔好出街，啲人又喺度搞事", "yue"),
    ("今晚唔好出街，啲人又喺度搞事嘅话点算", "yue"),
    ("我哋系香港人，唔使惊，撑住", "yue"),
    ("班友又話去飲茶囉", "yue"),
    ("政府發言人感慨地表示，這些年來他們的努力沒有白費，市民是看得到的", "zh-Hant"),
    ("警方表示，示威者向他們掟磚，但是沒有人受傷，這是他們的責任，也是市民的期望", "zh-Hant"),
    ("Stay safe out there", "en"),
    ("hong kong police protest", "en"),
    ("STAY SAFE OUT THERE", "en"),
    ("Don’t believe everything you read in the café", "en"),
    ("Les manifestants sont dans la rue avec nous", "other"),
    ("Los manifestantes de la ciudad no son los únicos que protestan", "other"),
    ("polisi Hong Kong yang menangkap orang itu", "other"),
    ("Người biểu tình ở Hồng Kông", "other"),
    ("日本語で書かれた文章です", "other"),
    ("홍콩 시위대를 지지합니다", "other"),
    ("ขอให้ทุกคนปลอดภัย", "other"),
    ("Протесты в Гонконге", "other"),
    ("احتجاجات هونغ كونغ", "other"),
    ("今日個 system 又 crash 咗, boss 話要 OT", "mixed"),
    ("这个 statement 的 English version 完全不一样 lol", "mixed"),
    ("他在 Twitter 上說政府應該馬上回應市民的五大訴求", "zh-Hant"),
    ("The slogan 加油 was heard all over the city on Sunday", "en"),
    ("", "und"),
    ("  12:30 …!? 😂🔥", "und"),
    ("https://t.co/AbCdEf @some_user", "und"),
    ("https://t.co/AbCdEf @some_user 加油香港人", "zh-Hans"),
]


@pytest.mark.parametrize(("text", "language"), CASES)
def test_identifies(text: str, language: str) -> None:
    assert identify(text) == language


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_any_text_has_a_language(text: str) -> None:
    assert identify(text) in LANGUAGES


def test_case_does_not_matter() -> None:
    for text, language in CASES:
        assert identify(text.upper()) == language


def test_agrees_with_the_key_of_the_example_posts() -> None:
    def rows(name: str) -> list[dict[str, str]]:
        path = Path(__file__).parents[2] / "examples" / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    expected = {row["id"]: row["language"] for row in rows("posts_key.jsonl")}
    right = [identify(post["text"]) == expected[post["id"]] for post in rows("posts.jsonl")]
    assert sum(right) >= 0.97 * len(right)
