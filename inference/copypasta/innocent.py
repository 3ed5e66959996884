"""Innocent explanations: groups whose posts may be alike because of a share button, a headline or a poem.

They are hints by the look of the text, for a person who reads the groups: a campaign may push a headline, and a poem
may be missed. Such groups are marked, not left out.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from narratrace.model.text import normalise

SHARE_BUTTON, HEADLINE, POEM = "share button", "headline", "poem"

_SHARE = re.compile(
    r"分享自|分享(?:了|一首)?(?:图片|圖片|视频|影片|单曲|歌曲|文章)|转发微博|轉發微博|[（(]来自 ?@|我参与了.{0,30}投票"
    r"|我在.{1,12}(?:签到|打卡)|我(?:刚刚|剛剛)?在.{1,12}(?:获得|抽中|領取)|下载.{0,12}(?:APP|客户端)"
    r"|(?:^|\s)via @(?:YouTube|Change\w*)\b|\bShared? (?:from|via)\b|\bSign (?:the|this) petition\b"
    r"|\bI(?:'ve| have)? (?:just )?(?:liked|added|earned|signed|posted|uploaded|entered|scored)\b"
    r".{0,60}(?:@YouTube|video|petition|photo|giveaway)",
    re.IGNORECASE,
)
_LINK = r"https?://\S"
_LINKED_SHARE = 0.8
"""Of the posts of a headline."""
_BRACKETED = re.compile(r"^\s*(?:RT @\w+: ?)?【[^】]{4,40}】")
_SOURCE = re.compile(r"\S\s*(?:[|｜]|\s[-–—]\s|——)\s*[A-Z\u3400-\u9fff][^\s|]{1,14}(?: \w{2,12}){0,2}$")
_ENGLISH = re.compile(r"[A-Za-z]{4,}")
_TITLE_WORDS = 5
_TITLE_SHARE = 0.8
_VERSES = (5, 7)
_VERSE = re.compile(r"[\u3400-\u9fff]+")


def explain(representatives: dict[int, str], posts: pa.Table, label: NDArray[np.int64]) -> dict[int, str]:
    """Find innocent explanations.

    Parameters
    ----------
    representatives
        Text of each group's representative.
    posts
        All posts, with the column ``text``.
    label
        Group of each post, -1 for none.

    Returns
    -------
    dict of int to str
        `SHARE_BUTTON`, `HEADLINE` or `POEM` by group, for those that have one.
    """
    grouped = np.flatnonzero(label >= 0)
    if not len(grouped):
        return {}
    linked = pc.match_substring_regex(posts["text"].take(pa.array(grouped)), _LINK).to_numpy()
    total = np.bincount(label[grouped])
    links = np.bincount(label[grouped], linked) / np.maximum(total, 1)
    found = {group: _explain(text, bool(links[group] >= _LINKED_SHARE)) for group, text in representatives.items()}
    return {group: explanation for group, explanation in found.items() if explanation}


def _explain(text: str, is_linked: bool) -> str | None:
    if _SHARE.search(text):
        return SHARE_BUTTON
    plain = normalise(text).text
    if is_linked and (_BRACKETED.match(text) or _SOURCE.search(plain) or _is_title(plain)):
        return HEADLINE
    verses = [len(verse) for verse in _VERSE.findall(plain)]
    if len(verses) >= 4 and len(set(verses)) == 1 and verses[0] in _VERSES:
        return POEM
    return None


def _is_title(plain: str) -> bool:
    """Tell whether an English text is Written Like This."""
    words = _ENGLISH.findall(plain)
    return len(words) >= _TITLE_WORDS and sum(map(str.istitle, words)) >= _TITLE_SHARE * len(words)
