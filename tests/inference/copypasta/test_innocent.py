"""Innocent explanations: share buttons, headlines and poems are marked, campaigns are not."""

from __future__ import annotations

import pytest

from narratrace.inference.copypasta.grouper import CopypastaGrouper


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("香港又到落雨嘅季節，大家出街記住帶遮呀 - 分享自 LIHKG 討論區", "share button"),
        ("I liked a @YouTube video about a cat that plays the piano https://youtu.be/x", "share button"),
        ("【港铁公布新票价安排】港铁公司今日公布，下月起调整票价，学生优惠维持不变。 https://t.co/a1", "headline"),
        ("Storm Closes Harbour Ferries For Second Day As Winds Rise https://t.co/a1", "headline"),
        ("白日依山尽，黄河入海流，欲穷千里目，更上一层楼。", "poem"),
        ("一个警察被几十人围着打，头盔都打掉了，还是没有开枪。请看 https://t.co/a1", None),
        ("The whole city saw who threw the first stone, so do not let them tell you otherwise.", None),
    ],
)
def test_innocent_explanations(text: str, explanation: str | None) -> None:
    grouper = CopypastaGrouper().fit([text, text, "今日天氣好好，去咗行山影相，落山食咗碗雲吞麵先返屋企。"])
    assert grouper.groups_["innocent"].to_pylist() == [explanation]
    assert grouper.summary().innocent == ({explanation: 1} if explanation else {})
