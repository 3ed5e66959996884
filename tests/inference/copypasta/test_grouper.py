"""The grouper's promises: what is tied and why, order, increments, chains, ids, size."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from narratrace.inference.copypasta.grouper import CopypastaGrouper
from narratrace.inference.copypasta.settings import default_settings
from narratrace.inference.posts import Post
from narratrace.model.errors import InputError

MESSAGE = "一个警察被几十人围着打，头盔都打掉了，还是没有开枪。这要是换成纽约街头，结果会怎样？请大家看清楚谁在克制。"
TRADITIONAL = (
    "一個警察被幾十人圍着打，頭盔都打掉了，還是沒有開槍。這要是換成紐約街頭，結果會怎樣？請大家看清楚誰在克制。"
)
EDITED = "一名警员被几十人围着打，头盔都打掉了，还是忍住没有开枪。这要是换成纽约街头，结果会怎样？看清楚到底谁在克制！"
CANTONESE = (
    "一個差人俾幾十人圍住打，頭盔都打甩咗，都仲係冇開槍。呢個如果喺紐約街頭，結果會點？請大家睇清楚邊個喺度克制。"
)
DISTRACTOR = (
    "一个警察被几十人围着打，最后是几个戴口罩的示威者手拉手把他护送出去的。"
    "头盔都打掉了，这一段却没人播，请大家看清楚谁在救人。"
)
ENGLISH = "The airport was paralysed for two days and travellers with children slept on the floor of the hall."
OTHERS = [
    "今日天氣好好，去咗行山影相，落山食咗碗雲吞麵先返屋企。",
    "机场瘫痪两天，上千航班取消，带着孩子的旅客睡在地上。这就是你们要的自由？",
    "My neighbour's cat has been missing since Tuesday, please check your sheds and garages.",
]


def partition(labels: object) -> set[frozenset[int]]:
    groups = defaultdict(set)
    for row, label in enumerate(labels):
        if label >= 0:
            groups[int(label)].add(row)
    return {frozenset(rows) for rows in groups.values()}


@pytest.mark.parametrize(
    ("other", "stage"),
    [
        (MESSAGE, "exact"),
        (MESSAGE + " #香港", "fuzzy"),
        ("@someone " + MESSAGE + " https://t.co/AbCdEf1234", "normalised"),
        (MESSAGE + " x7Kq2Zp", "normalised"),
        (MESSAGE + " 9f86d081884c7d659a2f", "normalised"),
        (MESSAGE + " #StandWithHK", "fuzzy"),
        (MESSAGE + " 🇨🇳🇨🇳", "normalised"),
        ("～～★★" + MESSAGE + "！！！！！", "normalised"),
        (MESSAGE.replace("，", "").replace("。", ""), "normalised"),
        (TRADITIONAL, "script"),
        (EDITED, "fuzzy"),
        (MESSAGE[:32] + "…", "fuzzy"),
        (MESSAGE[18:36] + MESSAGE[36:] + MESSAGE[:18], "fuzzy"),
        (CANTONESE, "fuzzy"),
    ],
)
def test_each_stage_ties_what_it_is_for(other: str, stage: str) -> None:
    grouper = CopypastaGrouper().fit([MESSAGE, MESSAGE, other, *OTHERS])
    assert partition(grouper.labels_) == {frozenset({0, 1, 2})}
    assert grouper.links_["stage"].to_pylist() == ["exact", stage]
    assert grouper.why(0, 2).stage == stage


def test_latin_letters_in_disguise_and_full_width_are_the_same_text() -> None:
    disguised = ENGLISH.replace("a", "а").replace("e", "е")
    wide = "".join(chr(ord(each) + 0xFEE0) if each != " " else "\u3000" for each in ENGLISH)
    grouper = CopypastaGrouper().fit([ENGLISH, disguised, wide, *OTHERS])
    assert partition(grouper.labels_) == {frozenset({0, 1, 2})}
    assert set(grouper.links_["stage"].to_pylist()) == {"normalised"}


def test_a_text_on_the_same_matter_is_no_copy() -> None:
    grouper = CopypastaGrouper().fit([MESSAGE, EDITED, DISTRACTOR])
    assert grouper.labels_.tolist() == [0, 0, -1]


def test_short_posts_are_kept_apart_and_noted() -> None:
    grouper = CopypastaGrouper().fit(["加油"] * 3 + ["rt", "rt", "😀", "😀", "", "哈" * 500, "哈" * 400])
    assert (grouper.labels_ == -1).all()
    assert set(grouper.posts_["note"].to_pylist()) == {"short"}


def test_no_chaining_through_a_bridge() -> None:
    first, second = MESSAGE, OTHERS[1]
    bridge = first[:30] + second[:30]
    grouper = CopypastaGrouper().fit([first, first, second, second, bridge])
    assert grouper.labels_[0] != grouper.labels_[2]
    assert (grouper.labels_[[0, 2]] >= 0).all()


def test_tables_say_what_is_in_a_group() -> None:
    posts = [
        Post("p1", "a", MESSAGE, datetime(2019, 8, 2, tzinfo=UTC)),
        Post("p2", "b", EDITED, datetime(2019, 8, 3, tzinfo=UTC)),
        Post("p3", "b", MESSAGE, datetime(2019, 8, 1, tzinfo=UTC)),
        Post("p4", None, OTHERS[0]),
    ]
    grouper = CopypastaGrouper().fit(posts)
    (group,) = grouper.groups_.to_pylist()
    cohesion = group.pop("cohesion")
    assert 0.5 < cohesion < 1
    assert group == {
        "group": 0,
        "posts": 3,
        "texts": 2,
        "accounts": 2,
        "first_seen": datetime(2019, 8, 1, tzinfo=UTC),
        "last_seen": datetime(2019, 8, 3, tzinfo=UTC),
        "stages": ["exact", "fuzzy"],
        "innocent": None,
        "representative": "p3",
        "representative_row": 2,
        "text": MESSAGE,
    }
    assert grouper.links_.select(["post", "representative", "stage"]).to_pylist() == [
        {"post": "p1", "representative": "p3", "stage": "exact"},
        {"post": "p2", "representative": "p3", "stage": "fuzzy"},
    ]
    assert grouper.posts_["group"].to_pylist() == [0, 0, 0, None]
    assert grouper.summary().stages["fuzzy"] == 1


def test_why_gives_both_texts_back() -> None:
    grouper = CopypastaGrouper().fit([Post("a", None, MESSAGE), Post("b", None, EDITED), Post("c", None, OTHERS[0])])
    found = grouper.why("a", "b")
    assert found.groups == (0, 0)
    assert "".join(piece.a for piece in found.diff) == MESSAGE
    assert "".join(piece.b for piece in found.diff) == EDITED
    assert "[个|名]" in str(found)
    assert grouper.why("a", "c").stage is None
    with pytest.raises(InputError, match="no post with the id"):
        grouper.why("a", "zzz")
    with pytest.raises(InputError, match="no post 3"):
        grouper.why(0, 3)


def test_numbers_at_the_end_are_told_apart() -> None:
    posts = [f"{MESSAGE} 热线 91234567", f"{MESSAGE} 热线 98765432"]
    found = CopypastaGrouper().fit(posts).why(0, 1)
    assert found.stage == "fuzzy"
    assert found.similarity < 1


def test_the_similarity_of_a_part_is_well_below_1() -> None:
    rebuttal = (
        f"「{MESSAGE}」这是谣言：当晚现场有三段完整录像，清楚显示他先拔枪指向人群，记者也在旁边；"
        "所谓头盔被打掉根本没有发生过，请不要再转发。"
    )
    truncated = MESSAGE[: len(MESSAGE) * 3 // 5]
    grouper = CopypastaGrouper().fit([MESSAGE, MESSAGE, rebuttal, truncated])
    similarity = dict(zip(grouper.links_["row"].to_pylist(), grouper.links_["similarity"].to_pylist(), strict=True))
    assert similarity[1] == 1
    assert similarity[2] < 0.8
    assert similarity[3] < 0.85
    assert grouper.groups_["cohesion"][0].as_py() < 0.9


def test_a_grouper_is_cloned_as_an_estimator() -> None:
    class Network:
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("a network cannot be copied")

        def embed(self, texts: list[str]) -> None: ...

    grouper = CopypastaGrouper(embed=Network().embed)
    again = clone(grouper)
    assert again.get_params() == grouper.get_params()
    assert len(again.labels_) == 0
    assert again.set_params(embed=None).fit_predict([MESSAGE, EDITED]).tolist() == [0, 0]
    with pytest.raises(InputError, match="no parameter threshold, only settings, embed, fuzzy"):
        again.set_params(threshold=1)


@pytest.mark.parametrize("written", ["2019-01-01 10:00", "2019/1/1 10:00", 1546336800, "2019-01-01T18:00:00+08:00"])
def test_times_are_read_as_those_of_an_archive(written: object) -> None:
    for posts in (pd.DataFrame, pa.table):
        found = CopypastaGrouper().fit(posts({"text": [MESSAGE, MESSAGE], "created_at": [written, None]})).posts_
        assert found["created_at"].to_pylist() == [datetime(2019, 1, 1, 10, tzinfo=UTC), None]


def test_posts_come_in_many_kinds() -> None:
    texts = [MESSAGE, EDITED, *OTHERS]
    expected = CopypastaGrouper().fit(texts).labels_.tolist()
    frame = pd.DataFrame({"text": texts, "id": range(5)})
    kinds = [tuple(texts), frame, frame["text"], pa.table({"text": texts}), pa.record_batch({"text": texts})]
    kinds += [pa.array(texts), pa.chunked_array([texts[:2], texts[2:]], pa.large_string())]
    if find_spec("polars"):
        polars = import_module("polars")
        kinds += [polars.DataFrame({"text": texts}), polars.Series(texts)]
    for posts in kinds:
        assert CopypastaGrouper().fit(posts).labels_.tolist() == expected
    assert CopypastaGrouper().fit(frame).posts_["id"].to_pylist() == list("01234")


@pytest.mark.parametrize(
    ("posts", "said"),
    [
        ("one text", "list of texts"),
        ([MESSAGE, 3], "Post 1 is of type int"),
        (pd.DataFrame({"body": [MESSAGE]}), "no column text"),
        (pd.DataFrame({"text": [MESSAGE], "id": [1.04e18]}), "floating-point"),
        (pa.table({"text": [MESSAGE, None]}), "no text"),
        (pd.DataFrame({"text": [MESSAGE], "created_at": ["yesterday"]}), "created_at cannot be read .*'yesterday'"),
    ],
)
def test_what_is_no_posts_is_refused(posts: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        CopypastaGrouper().fit(posts)


def test_no_posts_make_no_groups() -> None:
    grouper = CopypastaGrouper().fit([])
    assert grouper.groups_.num_rows == grouper.links_.num_rows == len(grouper.labels_) == 0
    assert grouper.predict([MESSAGE]).tolist() == [-1]
    assert grouper.predict([]).tolist() == []


def test_predict_names_the_known_group() -> None:
    grouper = CopypastaGrouper().fit([*OTHERS, OTHERS[1], MESSAGE, TRADITIONAL])
    label = int(grouper.labels_[4])
    asked = [MESSAGE, EDITED, DISTRACTOR, OTHERS[0], OTHERS[1], "加油", ""]
    assert grouper.predict(asked).tolist() == [label, label, -1, -1, int(grouper.labels_[1]), -1, -1]


def test_ids_stay_when_posts_are_added() -> None:
    grouper = CopypastaGrouper().fit([OTHERS[0], OTHERS[0], MESSAGE, MESSAGE])
    before = grouper.labels_.tolist()
    grouper.partial_fit([EDITED, OTHERS[1], MESSAGE])
    assert grouper.labels_.tolist() == [*before, 1, -1, 1]
    grouper.partial_fit([OTHERS[1]])
    assert grouper.labels_.tolist() == [*before, 1, 2, 1, 2]


words = st.sampled_from(
    "警察 香港 游行 自由 机场 旅客 國旗 紐約 今晚 大家 看清楚 唔好 返屋企 police airport freedom tonight "
    "头盔 街头 克制 航班 孩子 示威者 差人 落山 影相 travellers paralysed children floor".split()
)
# Long enough, and of words that differ, so that an edited copy is one to the fuzzy stage.
seeds = st.lists(words, min_size=8, max_size=14, unique=True)


def edited(message: list[str]) -> st.SearchStrategy[list[str]]:
    """A word put in, in the place of up to four others."""
    edits = st.tuples(st.integers(0, len(message) - 1), words, st.integers(0, 4))
    return edits.map(lambda edit: [*message[: edit[0]], edit[1], *message[edit[0] + edit[2] :]])


def copied(message: list[str]) -> st.SearchStrategy[str]:
    """The message as it is, or edited once or twice."""
    once = edited(message)
    return st.one_of(st.just(message), once, once.flatmap(edited)).map("".join)


archives = st.lists(seeds, min_size=1, max_size=3).flatmap(
    lambda each: st.lists(st.sampled_from(each).flatmap(copied), max_size=14)
)


def in_order(posts: list[str], order: list[int]) -> set[frozenset[int]]:
    """Groups of posts that come in another order, by their places in this one."""
    labels = CopypastaGrouper().fit([posts[at] for at in order]).labels_
    return {frozenset(order[place] for place in group) for group in partition(labels)}


@settings(max_examples=40, deadline=None)
@given(archives, st.randoms(use_true_random=False))
def test_the_order_of_posts_does_not_matter(posts: list[str], chance: random.Random) -> None:
    order = list(range(len(posts)))
    chance.shuffle(order)
    assert in_order(posts, order) == partition(CopypastaGrouper().fit(posts).labels_)


def test_the_order_of_equally_good_representatives_does_not_matter() -> None:
    chance = random.Random(1)
    vocabulary = (
        "警察 香港 游行 自由 机场 旅客 國旗 紐約 今晚 大家 看清楚 唔好 返屋企 头盔 街头 克制 航班 孩子 示威者 落山 影相"
    )
    message = chance.sample(vocabulary.split(), 14)
    posts = []
    for _ in range(40):
        variant = list(message)
        for _ in range(7):
            variant[chance.randrange(len(variant))] = chance.choice(vocabulary.split())
        posts.append("".join(variant))
    order = list(range(len(posts)))
    expected = in_order(posts, order)
    assert len(expected) > 1
    for _ in range(8):
        chance.shuffle(order)
        assert in_order(posts, order) == expected


@settings(max_examples=40, deadline=None)
@given(archives, st.integers(0, 14))
def test_increments_find_the_groups_of_one_fit(posts: list[str], cut: int) -> None:
    whole = CopypastaGrouper().fit(posts)
    parts = CopypastaGrouper().fit(posts[:cut]).partial_fit(posts[cut:])
    assert partition(parts.labels_) == partition(whole.labels_)
    assert parts.links_["stage"].to_pylist() == whole.links_["stage"].to_pylist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_text_can_be_grouped(posts: list[str]) -> None:
    grouper = CopypastaGrouper().fit(posts + posts)
    labels = grouper.labels_
    assert (labels[: len(posts)] == labels[len(posts) :]).all()
    assert grouper.predict(posts).tolist() == labels[: len(posts)].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "!?" * 20_000,
        "é" + "\u0301" * 20_000,
        "a" * 50_000,
        "警察" * 20_000,
        "\ud800" * 50,
        "&amp;" * 9_000,
        "x7Kq2Zp " * 5_000,
    ],
    ids=["symbols", "marks", "letter", "word", "surrogates", "entities", "tokens"],
)
def test_hostile_texts_do_not_stop_it(text: str) -> None:
    grouper = CopypastaGrouper().fit([text, text + " 1", MESSAGE, MESSAGE])
    assert grouper.labels_[2] == grouper.labels_[3] >= 0


def test_what_arrow_cannot_hold_is_replaced_in_texts_and_in_posts() -> None:
    text = f"{MESSAGE}\ud800"
    texts = CopypastaGrouper().fit([text, text]).posts_["text"].to_pylist()
    posts = CopypastaGrouper().fit([Post("p\ud800", "a\ud800", text)]).posts_
    assert texts == [f"{MESSAGE}\N{REPLACEMENT CHARACTER}"] * 2
    for frame in (pd.DataFrame({"text": [text, text]}, dtype=object), pa.table({"text": [f"{MESSAGE}\0"] * 2})):
        assert CopypastaGrouper().fit(frame).posts_["text"].to_pylist() == texts
    assert posts.select(["id", "account_id", "text"]).to_pylist() == [
        {"id": "p\N{REPLACEMENT CHARACTER}", "account_id": "a\N{REPLACEMENT CHARACTER}", "text": texts[0]}
    ]


def test_a_campaign_of_copies_costs_what_one_post_costs() -> None:
    background = [f"{text}{place}" for place, text in enumerate(OTHERS)]
    few = CopypastaGrouper().fit([MESSAGE, EDITED, *background])
    many = CopypastaGrouper().fit([MESSAGE] * 100_000 + [EDITED] * 1_000 + background)
    assert many.comparisons_ == few.comparisons_
    assert many.groups_["posts"].to_pylist() == [101_000]


def test_variants_of_one_message_are_compared_a_few_times_each() -> None:
    posts = [f"{MESSAGE[: place % 40]}{chr(0x4E00 + place)}{MESSAGE[place % 40 :]}" for place in range(2_000)]
    grouper = CopypastaGrouper().fit(posts)
    assert grouper.groups_["posts"].to_pylist() == [2_000]
    assert grouper.comparisons_ < 100 * len(posts)


def test_of_equally_similar_groups_the_same_one_is_predicted_whatever_the_order() -> None:
    one, other = "机场瘫痪两天上千航班取消旅客睡地上", "港铁停运三日数十车站关闭市民走路回"
    found = []
    for posts in ([one, one, other, other], [other, other, one, one]):
        grouper = CopypastaGrouper().fit(posts)
        found.append(posts[int(np.flatnonzero(grouper.labels_ == grouper.predict([one + other])[0])[0])])
    assert found[0] == found[1]


def test_settings_that_are_changed_count_from_the_next_fit_on() -> None:
    grouper = CopypastaGrouper().fit([MESSAGE, MESSAGE])
    grouper.set_params(settings=default_settings().model_copy(update={"min_information": 100.0}))
    assert grouper.partial_fit(["加油"]).labels_.tolist() == [0, 0, -1]
    assert grouper.fit([MESSAGE, MESSAGE]).labels_.tolist() == [-1, -1]


def test_posts_that_cannot_be_read_leave_the_fit_of_before() -> None:
    grouper = CopypastaGrouper().fit([MESSAGE, MESSAGE])
    with pytest.raises(InputError):
        grouper.fit([MESSAGE, 3])  # type: ignore[list-item]
    assert grouper.labels_.tolist() == [0, 0]


def test_posts_of_symbols_alone_are_not_similar() -> None:
    assert CopypastaGrouper().fit(["!!!", "😀"]).why(0, 1).similarity == 0.0
