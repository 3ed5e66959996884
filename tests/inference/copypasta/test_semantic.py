"""Rewritten and translated posts: what vectors tie, what they do not, and that large sets lose few neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from narratrace.inference.copypasta.grouper import CopypastaGrouper
from narratrace.inference.copypasta.neighbours import find_neighbours
from narratrace.inference.copypasta.settings import default_settings
from narratrace.model.errors import InputError

SEED = "机场瘫痪两天，上千航班取消，带着孩子的旅客睡在地上。这就是你们要的自由？别人的自由算不算自由？"
COPY = "機場癱瘓兩天，上千航班取消，帶着孩子的旅客睡在地上。這就是你們要的自由？別人的自由算不算自由？ https://t.co/a"
PARAPHRASE = "机场大厅成了难民营：上千航班停飞，妈妈抱着婴儿在地板上过夜。口口声声讲自由的人，有没有想过旁人？"
TRANSLATION = (
    "The airport was paralysed for two days, over a thousand flights were cancelled and travellers with children "
    "slept on the floor. Is this the freedom you want? Does other people's freedom not count?"
)
TOPIC = "机场瘫痪两天后恢复运作，航空公司宣布被取消的航班可以免费改签，请旅客留意广播。"
OTHER = "今日天氣好好，去咗行山影相，落山食咗碗雲吞麵先返屋企，聽日仲要返工添。"
# The cosine of each with the seed.
COSINES = {SEED: 1.0, COPY: 1.0, PARAPHRASE: 0.93, TRANSLATION: 0.95, TOPIC: 0.7, OTHER: 0.1}

# Thresholds for these cosines; the default ones belong to the built-in artefact's embedding.
_DEFAULT = default_settings()
_SEMANTIC = {
    "min_cosine": 0.6,
    "min_score": 0.95,
    "min_score_in_letters": 0.95,
    "lexical_weight": 0.3,
    "max_free_shared": 0.1,
    "min_free_cosine": 0.9,
    "min_translation_cosine": 0.9,
}
SETTINGS = _DEFAULT.model_copy(update={"semantic": _DEFAULT.semantic.model_copy(update=_SEMANTIC)})


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors that stand at the given cosine from the seed's, each in a direction of its own."""
    vectors = np.zeros((len(texts), len(COSINES)), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row, 0] = COSINES[text]
        vectors[row, list(COSINES).index(text)] += np.sqrt(1 - COSINES[text] ** 2)
    return vectors


POSTS = [SEED, SEED, COPY, PARAPHRASE, TRANSLATION, TRANSLATION, TOPIC, OTHER]


def test_rewritten_and_translated_posts_join_and_topics_do_not() -> None:
    grouper = CopypastaGrouper(SETTINGS, embed=embed).fit(POSTS)
    assert grouper.labels_.tolist() == [0, 0, 0, 0, 0, 0, -1, -1]
    stages = grouper.links_["stage"].to_pylist()
    assert stages == ["exact", "script", "semantic", "translation", "translation"]
    assert grouper.links_["similarity"].to_pylist()[2:] == pytest.approx([0.93, 0.95, 0.95])
    assert grouper.why(0, 4).stage == "translation"
    assert grouper.why(0, 6).stage is None


def test_words_turned_against_a_text_need_a_higher_cosine_than_other_words() -> None:
    other_words = "候机楼成了露营地，带着孩子的父母无处可去，成千班次停飞。争取自己的权利，就可以拿走别人回家的路吗？"
    turned = "机场瘫痪了两天，旅客却说不怪示威者。上千个航班取消，是机管局自己喊停的，这种自由谁给的？"
    semantic = SETTINGS.semantic.model_copy(update={"min_score": 1.2, "lexical_weight": 0.4})
    settings = SETTINGS.model_copy(update={"semantic": semantic})

    def stage(text: str, cosine: float) -> str | None:
        vectors = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32)
        return CopypastaGrouper(settings).fit([SEED, text], vectors).why(0, 1).stage

    assert stage(other_words, 0.92) == "semantic"
    assert stage(other_words, 0.88) is None
    assert stage(turned, 0.92) is None


def test_texts_in_letters_have_a_threshold_of_their_own() -> None:
    chinese = [SEED, "机场瘫痪了整整两天，一千多个航班没了，旅客抱着孩子睡地板。这就是你们要的自由吗？"]
    english = [
        TRANSLATION,
        "airport down for two days, 1000+ flights gone, kids sleeping on the floor. some freedom that is",
    ]
    vectors = np.array([[1, 0], [0.9, np.sqrt(1 - 0.9**2)]], dtype=np.float32)

    def stages(**thresholds: float) -> list[str | None]:
        settings = SETTINGS.model_copy(update={"semantic": SETTINGS.semantic.model_copy(update=thresholds)})
        return [CopypastaGrouper(settings).fit(texts, vectors).why(0, 1).stage for texts in (chinese, english)]

    assert stages(min_score=0.95, min_score_in_letters=2.0) == ["semantic", None]
    assert stages(min_score=2.0, min_score_in_letters=0.95) == [None, "semantic"]


def test_chinese_full_of_numbers_is_no_translation_of_chinese() -> None:
    regions = ["武汉16902例4.03%", "孝感2541例2.85%", "黄冈2252例1.76%", "随州1049例0.95%", "荆州1045例1.44%"]
    numbers = "全省新冠肺炎病例29631例，其中" + "，".join(regions)
    other = "北京昨天新增报告一例境外输入病例，为美国输入病例，累计报告境外输入确诊病例六十五例。"
    vectors = np.array([[1, 0], [0.95, np.sqrt(1 - 0.95**2)]], dtype=np.float32)
    grouper = CopypastaGrouper(SETTINGS).fit([numbers, other], vectors)
    assert grouper.why(0, 1).stage != "translation"


# Edits of the translation: the first says what the seed says; the second one's end, and so its vector, goes elsewhere,
# though to the translation it is as near by its letters.
EDITED = TRANSLATION.replace("two days", "2 days")
ASTRAY = TRANSLATION[: TRANSLATION.index(" Is this")] + " We sell tents, mats and sleeping bags for a fair price."
ASTRAY_TOO = ASTRAY + " Call now!"
COSINES |= {EDITED: 0.94, ASTRAY: 0.1, ASTRAY_TOO: 0.1}


@pytest.mark.parametrize("is_given", [False, True])
def test_no_chaining_across_stages(is_given: bool) -> None:
    posts = [SEED] * 7 + [TRANSLATION] * 3 + [EDITED, ASTRAY, ASTRAY_TOO]
    grouper = CopypastaGrouper(SETTINGS, embed=None if is_given else embed)
    parts = [posts[:8], posts[8:]]
    for part in parts:
        grouper.partial_fit(part, embed(part) if is_given else None)
    whole = CopypastaGrouper(SETTINGS, embed=embed).fit(posts)
    assert grouper.labels_.tolist() == whole.labels_.tolist() == [0] * 11 + [1] * 2
    assert whole.links_["stage"].to_pylist() == ["exact"] * 6 + ["translation"] * 4 + ["fuzzy"]
    for row in range(1, 11):  # what a group says of a post is what the post's own text says
        link = whole.links_.slice(row - 1, 1).to_pylist()[0]
        found = whole.why(0, row)
        assert (found.stage, found.similarity) == (link["stage"], pytest.approx(link["similarity"]))
    assert whole.why(7, 11).stage == "fuzzy"
    assert whole.why(0, 11).stage is None
    assert whole.predict([EDITED, ASTRAY, TRANSLATION + " https://t.co/b"]).tolist() == [0, 1, 0]


def test_a_text_that_stays_behind_alone_has_no_group() -> None:
    grouper = CopypastaGrouper(SETTINGS, embed=embed).fit([SEED] * 6 + [TRANSLATION] * 3 + [ASTRAY])
    assert grouper.labels_.tolist() == [0] * 9 + [-1]
    grouper.partial_fit([ASTRAY])
    assert grouper.labels_.tolist() == [0] * 9 + [1, 1]


def test_predict_knows_a_group_that_stayed_behind_by_its_vector() -> None:
    offer = "机场瘫痪两天，旅客睡在地上。本店有帐篷、垫子和睡袋，价钱公道，欢迎大家来看看再买。"

    def with_offer(texts: Sequence[str]) -> NDArray[np.float32]:
        return embed([ASTRAY if text == offer else text for text in texts])

    grouper = CopypastaGrouper(SETTINGS, embed=with_offer).fit([SEED] * 6 + [TRANSLATION] * 3 + [ASTRAY] * 2)
    assert grouper.labels_.tolist() == [0] * 9 + [1] * 2
    assert grouper.predict([offer]).tolist() == [1]


def test_vectors_may_be_given() -> None:
    asked = CopypastaGrouper(SETTINGS, embed=embed).fit(POSTS)
    given = CopypastaGrouper(SETTINGS).fit(POSTS, embed(POSTS))
    assert given.labels_.tolist() == asked.labels_.tolist()
    assert given.why(0, 3).stage == "semantic"
    with pytest.raises(InputError, match="8 posts, but 2 embeddings"):
        CopypastaGrouper(SETTINGS).fit(POSTS, embed(POSTS[:2]))


def test_without_vectors_there_are_no_semantic_links() -> None:
    assert CopypastaGrouper(SETTINGS).fit(POSTS).labels_.tolist() == [0, 0, 0, -1, 1, 1, -1, -1]


def test_rewritten_posts_are_found_in_increments_and_by_predict() -> None:
    parts = CopypastaGrouper(SETTINGS, embed=embed).fit(POSTS[:3])
    assert parts.predict([PARAPHRASE, TRANSLATION, TOPIC, OTHER]).tolist() == [0, 0, -1, -1]
    asked: list[int] = []
    parts.embed = lambda texts: asked.append(len(texts)) or embed(texts)  # type: ignore[func-returns-value]
    assert parts.predict(["加油", "rt", SEED]).tolist() == [-1, -1, 0]
    assert not asked  # too short, or known
    for post in POSTS[3:]:
        parts.partial_fit([post])
    assert parts.labels_.tolist() == CopypastaGrouper(SETTINGS, embed=embed).fit(POSTS).labels_.tolist()


def test_two_known_groups_that_become_one_keep_the_id_of_the_larger() -> None:
    grouper = CopypastaGrouper(SETTINGS, embed=embed).fit([OTHER, TRANSLATION, TRANSLATION, OTHER])
    assert grouper.labels_.tolist() == [0, 1, 1, 0]
    grouper.partial_fit([SEED, SEED, SEED])
    assert grouper.labels_.tolist() == [0, 1, 1, 0, 1, 1, 1]


def test_cells_find_nearly_all_neighbours_of_a_large_set() -> None:
    chance = np.random.default_rng(0)
    topics = chance.normal(size=(100, 24))
    points = topics[chance.integers(0, 100, 12_000)] + chance.normal(size=(12_000, 24))
    points = np.concatenate([points, points[:9_000] + 0.15 * chance.normal(size=(9_000, 24))]).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    priority = chance.permutation(len(points)).astype(np.uint64)
    a, b = find_neighbours(points, 0, 0.97, priority)
    assert ((points[a] * points[b]).sum(axis=1) > 0.9699).all()
    assert (a < b).all()
    twins = np.flatnonzero((points[:9_000] * points[12_000:]).sum(axis=1) >= 0.97)
    found = set(zip(a.tolist(), b.tolist(), strict=True))
    assert sum((row, 12_000 + row) in found for row in twins.tolist()) > 0.99 * len(twins) > 1_000


DISGUISED = TRANSLATION.replace("a", "а").replace("e", "е")  # Cyrillic letters: the same node, another vector


def embed_disguised(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of which those of a disguised text are far from the others."""
    plain = embed([TRANSLATION if text == DISGUISED else text for text in texts])
    return np.array([-row if text == DISGUISED else row for text, row in zip(texts, plain, strict=True)])


@pytest.mark.parametrize("given", [True, False])
def test_a_disguised_copy_that_comes_first_does_not_speak_for_the_others(given: bool) -> None:
    posts = [DISGUISED, SEED, TRANSLATION, TRANSLATION]
    found = []
    for order in ([0, 1, 2, 3], [2, 3, 0, 1], [3, 1, 0, 2]):
        drawn = [posts[place] for place in order]
        grouper = CopypastaGrouper(SETTINGS, embed=None if given else embed_disguised)
        labels = grouper.fit(drawn, embed_disguised(drawn) if given else None).labels_
        found.append([int(labels[order.index(place)]) for place in range(len(posts))])
    assert found == [[0, 0, 0, 0]] * 3


def test_texts_too_short_to_be_grouped_stand_for_nobody() -> None:
    short = "机场瘫痪两天，上千航班取消，睡在地上。"
    settings = SETTINGS.model_copy(update={"min_information": 20.0})
    grouper = CopypastaGrouper(settings, embed=lambda texts: np.ones((len(texts), 1), np.float32))
    assert grouper.fit([short] * 5 + [TRANSLATION] * 2).labels_.tolist() == [-1] * 5 + [0, 0]
    assert grouper.predict([short]).tolist() == [-1]


def test_what_fails_adds_nothing() -> None:
    fails = [False, True, False]

    def sometimes(texts: Sequence[str]) -> NDArray[np.float32]:
        if fails.pop(0):
            raise ConnectionError
        return embed(texts)

    grouper = CopypastaGrouper(SETTINGS, embed=sometimes).fit([SEED])
    with pytest.raises(ConnectionError):
        grouper.partial_fit([TRANSLATION])
    assert grouper.labels_.tolist() == [-1]
    assert grouper.partial_fit([TRANSLATION]).labels_.tolist() == [0, 0]
    assert grouper.posts_["id"].to_pylist() == ["0", "1"]


def test_vectors_that_cannot_be_compared_are_refused() -> None:
    grouper = CopypastaGrouper(SETTINGS).fit([SEED, TRANSLATION], embed([SEED, TRANSLATION]))
    with pytest.raises(InputError, match="have 2 dimensions"):
        grouper.partial_fit([TOPIC], np.array([[1, 0]], dtype=np.float32))
    with pytest.raises(InputError, match="length 1"):
        grouper.partial_fit([TOPIC], 3 * embed([TOPIC]))
    with pytest.raises(InputError, match="shape"):
        grouper.partial_fit([TOPIC], np.ones(1, dtype=np.float32))
    assert grouper.partial_fit([TOPIC], embed([TOPIC])).labels_.tolist() == [0, 0, -1]
