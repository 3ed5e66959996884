from __future__ import annotations

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from narratrace.model.text import normalise

HASHED = "F05zyhmf5zjcBKHB1v3qH1MWcwhc0qj4YhEnEPEuU0="

CASES = {
    # NFKC, case and punctuation
    "full-width forms": ("ＡＢＣ１２，好！", "ABC12,好!"),
    "case and punctuation stay": ("Stop. It; NOW — “please”。", "Stop. It; NOW — “please”。"),
    "composition": ("cafe\u0301", "café"),
    "traditional stays traditional": ("撐警行動", "撐警行動"),
    # invisible characters
    "zero width": ("暴\u200b徒\ufeff", "暴徒"),
    "soft hyphen and bidi": ("a\u00adb\u202ec\u2069", "abc"),
    "hidden in an entity": ("&am\u200bp;", "&"),
    "control characters": ("a\x00b\x07c\x85d", "a b c d"),
    "surrogates": ("a\ud83db\udc00", "ab"),
    "joined emoji": ("👨‍👩‍👧❤️‍🔥", "👨‍👩‍👧❤️‍🔥"),
    "keycap": ("1️⃣", "1️⃣"),
    "flag of tags": (
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ),
    "skin tone and flag": ("👍🏽🇭🇰", "👍🏽🇭🇰"),
    "stray joiner and selector": ("a\u200db\ufe0fc", "abc"),
    # entities
    "entity": ("Q&amp;A &lt;3 &#39;ok&#x27;", "Q&A <3 'ok'"),
    "entity twice": ("&amp;lt;", "<"),
    "entity many times": ("&amp;amp;amp;quot;", '"'),
    "entity within an entity": ("&am&#112;;", "&"),
    "invisible entity": ("暴&#8203;徒", "暴徒"),
    "entity of a combining mark": ("e&#x301;", "é"),
    "no entity": ("AT&T; &foo; R&D &copy", "AT&T; &foo; R&D &copy"),
    "no character": ("&#99999999; &#x110000; &#xD800;", "\ufffd \ufffd \ufffd"),
    "entity with a run of digits": ("&#x1F000; &#0000000038; &#x10000;", "🀀 & 𐀀"),
    # URLs
    "URL": ("see https://t.co/AbC1 now", "see now"),
    "URL before Chinese": ("看https://t.co/AbC1他們", "看 他們"),
    "URL ends a sentence": ("看http://example.com/a?b=1#c。他", "看 。他"),
    "URL before a full-width comma": ("见http://t.cn/A6，他", "见 ,他"),
    "truncated URL": ("他 https://t.co/ab…", "他"),
    "URL cut in its scheme": ("他 https:… http…", "他"),
    "no scheme": ("t.co/AbC1 pic.twitter.com/xYz www.example.com 好", "好"),
    "no scheme, glued": ("好t.co/AbC1好pic.twitter.com/xYz", "好 好"),
    "URLs in a row": ("http://a.co/1http://a.co/2 b", "b"),
    "URL of an entity": ("a http&#58;//t.co/1 b", "a b"),
    "not a URL": ("Mr.co/op at.co/x and http", "Mr.co/op at.co/x and http"),
    # mentions
    "mention": ("thanks @user_1!", "thanks !"),
    "glued mention": ("支持@user你好", "支持 你好"),
    "mentions in a row": ("@a@b @c: x", "x"),
    "dot before a mention": (".@user said", ". said"),
    "hashed id": (f"@{HASHED} hi", "hi"),
    "glued hashed id": (f"支持@{HASHED}你", "支持 你"),
    "e-mail": ("write to jane.doe@example.com", "write to jane.doe@example.com"),
    "place": ("今晚@旺角 集合", "今晚@旺角 集合"),
    "Chinese name": ("@人民日报:好", "好"),
    "Weibo forward": ("好//@名字:坏//@abc_中文:差", "好 坏 差"),
    "Weibo reply": ("回复@某人6：同意", "同意"),
    "retweet": ("RT @user: hello", "hello"),
    "retweet of a retweet": ("RT @a: RT @b: hello", "hello"),
    "retweet of a hashed id": (f"RT @{HASHED}: hello", "hello"),
    "no retweet": ("RT this, START @user", "RT this, START"),
    # hashtags
    "hashtag": ("#撐警行動", "撐警行動"),
    "hashtags in a row": ("#HongKong#香港 #2019年", "HongKong 香港 2019年"),
    "Weibo topic": ("#话题#正文 #香港 警察#", "话题 正文 香港 警察"),
    "number sign": ("#1 C# no. # 5", "#1 C# no. # 5"),
    # runs and white space
    "run": ("哈哈哈哈哈哈 soooooo!!!!!", "哈哈哈 sooo!!!"),
    "run of three": ("哈哈哈 ooo", "哈哈哈 ooo"),
    "numbers keep their zeros": ("1000000人上街!!!!!!", "1000000人上街!!!"),
    "run of emoji": ("😂😂😂😂😂❤️❤️❤️❤️❤️", "😂😂😂❤️❤️❤️"),
    "run that makes an entity": ("&gggg;", "⋙"),
    "white space": (" a\n\n b\u3000c\u00a0\td ", "a b c d"),
    "nothing": ("", ""),
    "nothing left": ("@user https://t.co/1 \u200b", ""),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_normalises(text: str, expected: str) -> None:
    assert normalise(text).text == expected


@pytest.mark.parametrize("text", [text for text, _ in CASES.values()], ids=CASES)
def test_normalised_again_is_the_same(text: str) -> None:
    once = normalise(text).text
    assert normalise(once).text == once


@pytest.mark.parametrize(
    ("text", "words", "origins"),
    [
        ("RT @user: 暴\u200b徒！", ["暴徒", "!"], ["暴\u200b徒", "！"]),
        ("a &amp;amp; b", ["&", "b"], ["&amp;amp;", "b"]),
        ("看https://t.co/AbC1他們 #撐警#", ["看", "他們", "撐警"], ["看", "他們", "撐警"]),
        ("Ｈｉ cafe\u0301s", ["Hi", "café", "s"], ["Ｈｉ", "cafe\u0301", "s"]),
        ("① ﬁn ㈱!", ["1", "fin", "(株)", "!"], ["①", "ﬁn", "㈱", "!"]),
        ("x \u1112\u1161\u11ab y", ["x", "한", "y"], ["x", "\u1112\u1161\u11ab", "y"]),
        ("哈哈哈哈哈 end", ["end"], ["end"]),
        ("e&#x301;t", ["é", "t"], ["e&#x301;", "t"]),
    ],
)
def test_span_leads_to_the_original(text: str, words: list[str], origins: list[str]) -> None:
    found = normalise(text)
    spans = [found.span(at := found.text.index(word), at + len(word)) for word in words]
    assert [text[start:end] for start, end in spans] == origins


def test_span_covers_what_was_removed_between() -> None:
    found = normalise("before @user https://t.co/1 after")
    assert found.span(0, len(found.text)) == (0, 33)
    assert found.original[slice(*found.span(6, 7))] == " @user https://t.co/1 "


def test_empty_span_is_empty() -> None:
    found = normalise("@user ab")
    assert [found.span(at, at) for at in range(3)] == [(6, 6), (7, 7), (8, 8)]
    assert normalise("@user").span(0, 0) == (0, 0)


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, 3), (3, 3)])
def test_span_outside_the_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="does not lie in a text of 2 characters"):
        normalise("ab").span(start, end)


# What the steps look for, whole and in pieces, so that removing one thing may bring the next together.
PIECES = [
    *"&;#@:./-_ \n1aexgw香港가\u1100\u1161\u11a8ﾞ",
    *"\u0301\u0323\u0344\u200b\u200d\ufe0f\u20e3\x00\ud800👨❤\U000e0067\U000e007f！，：；＆＠＃…´ﷺ\u3164\u1160",
    *["amp;", "lt;", "38;", "#x26;", "&#x200d;", "&zwj;", "&#x301;", "&semi;", "&num;", "&commat;", "&colon;", "&ggg"],
    *[
        "http",
        "https://",
        "://",
        "t.co/",
        "www.",
        "bit.ly/",
        "...",
        "RT ",
        "//",
        "回复",
        "@名字",
        "#话题",
        "#1",
        "🏴",
        HASHED,
    ],
]
texts = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(), max_size=30),  # lone surrogates too
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    # Few different pieces, so that they repeat and nest.
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).flatmap(
        lambda few: st.lists(st.sampled_from(few), max_size=30).map("".join)
    ),
)


@settings(max_examples=1000, deadline=None)
@given(texts)
@example("http…bit.ly/")
@example("@a@b@c@d x")
@example("&#x20&#x200d;0d;&#x20&#x20&#x200d;0d;0d;")
@example("\u0344" * 40)
def test_any_text(text: str) -> None:
    found = normalise(text)
    assert normalise(found.text).text == found.text
    assert unicodedata.is_normalized("NFKC", found.text)
    assert found.text == found.text.strip()

    length = len(found.text)
    spans = [found.span(at, at + 1) for at in range(length)]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(spans))
    if length:
        assert found.span(0, length) == (spans[0][0], spans[-1][1])
    empty = [found.span(at, at) for at in range(length + 1)]
    assert empty == sorted(empty)
    assert all(start == end <= len(text) for start, end in empty)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["C"], exclude_characters="&#@./"), max_size=30))
def test_each_character_is_made_from_its_span(text: str) -> None:
    found = normalise(text)
    for at, character in enumerate(found.text):
        start, end = found.span(at, at + 1)
        assert character in unicodedata.normalize("NFKC", text[start:end]) or text[start:end].isspace()


ADVERSARIAL = [
    "&",
    "&amp;",
    "amp;",
    "&#x26;",
    "&#x20&#x200d;0d;",
    ";a",
    "&a",
    "@",
    "@a",
    "@香",
    "@" + "aB1" * 30,
    "#",
    "#a",
    "#1",
    "#a" + " b" * 15,
    "http",
    "https://",
    "https://.:.: ",
    "http...",
    "www.",
    ".",
    "/",
    "RT \n",
    "RT @a:",
    "回复 ",
    "\u0301",
    "\u0315\u0316",
    "\u1100\u1161",
    "👨\u200d",
    "\u200b",
    " ",
    "我，们！",
    "Plain words, and more. ",
]


def seconds(text: str) -> float:
    start = time.process_time()
    found = normalise(text)
    found.span(0, len(found.text))
    return time.process_time() - start


def grows_no_faster_than_length(once: str, twice: str) -> bool:
    """Whether twice the text ever takes at most three times as long; in quadratic time it takes four times, always.

    A machine that is busy for a moment spoils single rounds, so the best of twenty counts.
    """
    # What takes less than 5 ms is too quick to compare; quadratic time would not be.
    return any(seconds(twice) <= 3 * max(seconds(once), 0.005) for _ in range(20))


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_grows_with_length_alone(piece: str) -> None:
    once = piece * (40_000 // len(piece))
    assert grows_no_faster_than_length(once, once * 2)


@pytest.mark.parametrize("lead", ["&", "&amp", "@", "#", "https://"])
def test_time_grows_with_length_alone_after_one_start(lead: str) -> None:
    once = "amp;" * 10_000
    assert grows_no_faster_than_length(lead + once, lead + once * 2)
