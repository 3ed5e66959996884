"""Innocent explanations: groups whose posts may be alike because of a share button, a headline, a poem and the like.

They are hints by the look of the text, for a person who reads the groups: a campaign may push a headline, and a poem
may be missed. Such groups are marked, not left out.

Where a look is one that a campaign may have too, what calls on its readers does not have it: a headline or a poem does
not shout, and asks nobody to pass it on.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from narratrace.model.text import normalise

SHARE_BUTTON, HEADLINE, POEM, GREETING, WEATHER = "share button", "headline", "poem", "greeting", "weather notice"

_SHARE = re.compile(
    r"分享自|分享(?:了|一首)?(?:图片|圖片|视频|影片|单曲|歌曲|文章)|转发微博|轉發微博|[（(]来自 ?@"
    r"|我(?:在|也)?(?:刚刚|剛剛)?(?:参与|參與|参加|參加)了.{0,30}投票"
    r"|我在.{1,12}(?:签到|打卡)|我(?:刚刚|剛剛)?在.{1,12}(?:获得|抽中|領取)|下载.{0,12}(?:APP|客户端)"
    r"|(?:^|\s)via @\w|\bShared? (?:from|via)\b|\bSign (?:the|this) petition\b"
    r"|\bI(?:'ve| have)? (?:just )?(?:liked|added|earned|signed|posted|uploaded|entered|scored)\b"
    r".{0,60}(?:@YouTube|video|petition|photo|giveaway)",
    re.IGNORECASE,
)
_APP = re.compile(
    r"^I(?:'ve| have)?(?: just)? (?:walked|ran|run|rode|cycled|swam|hiked|burned|scored|earned|completed|finished"
    r"|reached|unlocked|read|learned)\b.{0,12}?\d.{0,40}?\b(?:with|on|in|using|via) [@#]?[A-Z]"
)
"""I walked 8,871 steps today with StepBuddy; also needs a link."""
_LINK = r"https?://\S"
_LINKED_SHARE = 0.8
"""Of the posts of a headline or an app's text."""
_CALLS = re.compile(
    r"[!！]|[轉转][發发傳传]|[廣广][傳传]|[擴扩]散|大家|快看|必看|你們|你们|我們|我们|我哋|你哋"
    r"|\b(?:[Ww]e|[Oo]ur|[Uu]s|[Yy]ou|[Yy]our|[Ww]ake|[Ss]hare|[Rr]etweet|RETWEET)\b"
)
_NEWS_TAG = re.compile(
    r"^\s*(?:RT @\w+: ?)?【(?:[即實实][時时]|突[發发]|快[訊讯]|速[報报]|最新|更新|有片|[獨独]家|直播"
    r"|[^】]{0,8}(?:新聞|新闻|消息))】"
)
"""Needs no link: nothing but news begins so."""
_BRACKETED = re.compile(r"^\s*(?:RT @\w+: ?)?【[^】]{4,40}】")
_SOURCE = re.compile(
    r"\S\s*(?:[|｜]|\s[-–—]\s|——)\s*"
    r"(?:[A-Z\u3400-\u9fff][^\s|]{1,14}(?: \w{2,12}){0,2}|[A-Z]\w*(?: (?:of|the|and|for|&|[A-Z]\w*)){0,5})$"
)
_WORD = re.compile(r"[A-Za-z']+")
_ENGLISH = re.compile(r"[A-Za-z]{4,}")
_TITLE_WORDS = 5
_TITLE_SHARE = 0.8
_VERSES = (5, 7)
_VERSE = re.compile(r"[\u3400-\u9fff]+")
_ATTRIBUTED = re.compile(r"^\s*《[^》]{1,12}》|(?:——|--)\s*(?:《[^》]{1,12}》|[\u3400-\u9fff·]{2,8})")
"""A title before the verses, or an author or a title after them."""
_GREETING = re.compile(
    r"(?:中秋|新[年春]|[聖圣][誕诞]|元[宵旦]|端午|重[陽阳]|生日|[節节]日|母[親亲][節节]|父[親亲][節节]|[週周]末|冬至)[節节]?"
    r"(?:快[樂乐]|愉快|安康)|恭喜[發发][財财]|[萬万]事如意|早安|晚安"
    r"|\bmerry christmas\b|\bhappy (?:new year|birthday|easter|mid-autumn|thanksgiving|mother's day|father's day)\b",
    re.IGNORECASE,
)
_GREETING_LETTERS = 16
"""A greeting says little more; a word of letters counts as one and a half."""
_WEATHER = re.compile(
    r"天文台.{0,12}(?:[號号](?:波|[風风]|[熱热])|信[號号]|警告)|[一三八九十][號号](?:波|[風风]球|烈[風风]|[熱热][帶带])"
    r"|(?:暴雨|[颱台][風风]|高[溫温]|大[霧雾]|雷[雨暴]|寒潮|霜[凍冻])[紅红黃黄黑橙藍蓝]?色?(?:警告|[預预]警|信[號号])"
    r"|\b(?:typhoon|rainstorm|thunderstorm|storm|hurricane|tornado|flood) (?:signal|warning|watch)\b",
    re.IGNORECASE,
)


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
        `SHARE_BUTTON`, `WEATHER`, `HEADLINE`, `POEM` or `GREETING` by group, for those that have one.
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
    if _SHARE.search(text) or (is_linked and _APP.search(text)):
        return SHARE_BUTTON
    if _WEATHER.search(text):
        return WEATHER
    plain = normalise(text).text
    if not _CALLS.search(plain):
        looks = _BRACKETED.match(text) or _SOURCE.search(plain) or _is_title(plain)
        if _NEWS_TAG.match(text) or (is_linked and looks):
            return HEADLINE
        if _is_poem(text, plain):
            return POEM
    if _GREETING.search(text) and _length(plain) <= _GREETING_LETTERS:
        return GREETING
    return None


def _is_poem(text: str, plain: str) -> bool:
    """Tell whether a text is four verses of equal length or more, or two or more with a title or an author."""
    verses = [len(verse) for verse in _VERSE.findall(plain)]
    for length in _VERSES:
        number = verses.count(length)
        rest = [other for other in verses if other != length]
        is_verse = number >= 4 and not rest
        if is_verse or (number >= 2 and sum(rest) <= 12 and len(rest) <= 3 and _ATTRIBUTED.search(text)):
            return True
    return False


def _length(plain: str) -> float:
    return sum(map(len, _VERSE.findall(plain))) + 1.5 * len(_WORD.findall(plain))


def _is_title(plain: str) -> bool:
    """Tell whether an English text is Written Like This."""
    words = _ENGLISH.findall(plain)
    return len(words) >= _TITLE_WORDS and sum(map(str.istitle, words)) >= _TITLE_SHARE * len(words)
