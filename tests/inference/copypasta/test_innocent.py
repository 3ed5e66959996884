"""Innocent explanations: share buttons, headlines and poems are marked, campaigns are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from narratrace.inference.copypasta.grouper import CopypastaGrouper
from narratrace.inference.copypasta.innocent import explain
from narratrace.model.taxonomy import Taxonomy

EXAMPLES = Path(__file__).parents[3] / "examples"


def explained(texts: list[str]) -> list[str | None]:
    """Explain each text as a group of its own."""
    found = explain(dict(enumerate(texts)), pa.table({"text": texts}), np.arange(len(texts)))
    return [found.get(group) for group in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("香港又到落雨嘅季節，大家出街記住帶遮呀 - 分享自 LIHKG 討論區", "share button"),
        ("I liked a @YouTube video about a cat that plays the piano https://youtu.be/x", "share button"),
        ("【港铁公布新票价安排】港铁公司今日公布，下月起调整票价，学生优惠维持不变。 https://t.co/a1", "headline"),
        ("Storm Closes Harbour Ferries For Second Day As Winds Rise https://t.co/a1", "headline"),
        ("Harbour City Imposes New Tariffs On Soybeans https://example.org/world/us-and-you-share", "headline"),
        ("白日依山尽，黄河入海流，欲穷千里目，更上一层楼。", "poem"),
        ("一个警察被几十人围着打，头盔都打掉了，还是没有开枪。请看 https://t.co/a1", None),
        ("The whole city saw who threw the first stone, so do not let them tell you otherwise.", None),
    ],
)
def test_innocent_explanations(text: str, explanation: str | None) -> None:
    grouper = CopypastaGrouper().fit([text, text, "今日天氣好好，去咗行山影相，落山食咗碗雲吞麵先返屋企。"])
    assert grouper.groups_["innocent"].to_pylist() == [explanation]
    assert grouper.summary().innocent == ({explanation: 1} if explanation else {})


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("Harbour ferries stop for a second day as the winds rise via @harbournews", "share button"),
        ("我在参与了@海港科技 发起的投票【你会换手机吗】", "share button"),
        ("I walked 8,871 steps today with StepBuddy! Join me and start moving: https://example.org/s", "share button"),
        ("【即時】海港站、碼頭站下午一時半起關閉，渡輪公司稱因應大風。", "headline"),
        ("【海港新闻】渡轮公司下月起调整票价，学生优惠维持不变。", "headline"),
        (
            "Harbour ferries stop for a second day as winds rise | South Harbour Morning Post https://t.co/a1",
            "headline",
        ),
        ("Harbour ferries stop for a second day as winds rise - The Bank of Harbour Times https://t.co/a1", "headline"),
        ("《登鹳雀楼》 唐·王之涣 白日依山尽，黄河入海流，欲穷千里目，更上一层楼。", "poem"),
        ("白日依山尽，黄河入海流。——王之涣", "poem"),
        ("但願人長久，千里共嬋娟。中秋快樂🌕", "greeting"),
        ("Wishing you and all at home a happy new year", "greeting"),
        ("天文台話聽日掛八號風球，打工仔記得早啲返屋企。", "weather notice"),
        ("Observatory: rainstorm warning for the whole territory until noon, stay indoors.", "weather notice"),
    ],
)
def test_the_look_of_what_ordinary_people_repeat(text: str, explanation: str) -> None:
    assert explained([text]) == [explanation]


def test_what_calls_on_its_readers_has_no_innocent_look() -> None:
    assert not any(
        explained(
            [
                "支持警察嚴格執法！止暴制亂護香港！齊心合力撐政府！明天一定會更好！",
                "止暴制亂護香港吧，支持警察嚴執法呀，大家一齊撐警隊啦，香港明天會更好",
                "The Truth They Hide From You About The Harbour Riots https://t.co/a1",
                "Wake Up Harbour Before Foreign Hands Destroy Everything https://t.co/a1",
                "【真相】昨晚的片段被剪走了，快看。 https://t.co/a1",
                "【社評】汽油彈擲向民居，暴徒無法無天。 https://t.co/a1",
                "【这就是他们要的自由】机场瘫痪两天，大家转发！ https://t.co/a1",
                "祝所有支持警察、反對暴徒、守護家園的香港市民中秋快樂",
                "I saw 3,000 rioters on Nathan Road, and nobody reported it https://t.co/a1",
            ]
        )
    )


def test_campaigns_have_no_innocent_explanation_and_most_innocent_examples_have() -> None:
    posts = [json.loads(line) for line in (EXAMPLES / "posts.jsonl").read_text(encoding="utf-8").splitlines()]
    key = [json.loads(line) for line in (EXAMPLES / "posts_key.jsonl").read_text(encoding="utf-8").splitlines()]
    repetition = {row["id"]: (row["repetition"], row["group"]) for row in key}
    found: dict[str, set[str]] = {"campaign": set(), "chain": set(), "innocent": set()}
    for post, why in zip(posts, explained([post["text"] for post in posts]), strict=True):
        kind, group = repetition[post["id"]]
        if kind and why:
            found[kind].add(group)
    assert found["campaign"] | found["chain"] == set()
    # A modern couplet without a source looks as a slogan does.
    assert found["innocent"] == {"g04", "g06", "g08", "g16", "g18"}


def test_the_example_campaign_and_narratives_have_no_innocent_explanation() -> None:
    lines = (EXAMPLES / "campaign.jsonl").read_text(encoding="utf-8").splitlines()
    found = explained([json.loads(line)["text"] for line in lines])
    assert {why for why in found if why} == {"share button"}  # the news item that its generator means innocently
    texts = [
        text
        for narrative in Taxonomy.load("hong_kong_2019").narratives
        for texts in narrative.examples.values()
        for text in texts
    ]
    assert len(texts) > 50
    assert not [(text, why) for text, why in zip(texts, explained(texts), strict=True) if why]
