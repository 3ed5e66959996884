"""What examples/README.md promises of the example archive and its key."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from narratrace import CopypastaGrouper
from narratrace.model.taxonomy import STANCES, Taxonomy

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def posts() -> list[Row]:
    return read("posts.jsonl")


@pytest.fixture(scope="module")
def key() -> list[Row]:
    return read("posts_key.jsonl")


@pytest.fixture(scope="module")
def groups(posts: list[Row], key: list[Row]) -> dict[str, list[Row]]:
    members = defaultdict(list)
    for post, truth in zip(posts, key, strict=True):
        if truth["group"] is not None:
            members[truth["group"]].append(post | truth)
    return dict(members)


def time(post: Row) -> datetime:
    return datetime.strptime(post["created_at"], "%Y-%m-%dT%H:%M:%SZ")


def test_every_example_is_named() -> None:
    named = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    entries = [path for path in EXAMPLES.iterdir() if path.name not in {"README.md", "__pycache__"}]
    names = [f"`{path.name}/`" if path.is_dir() else f"`{path.name}`" for path in entries]
    assert [name for name in names if name not in named] == []


def test_posts_have_the_documented_fields(posts: list[Row]) -> None:
    assert len(posts) == 314
    for post in posts:
        assert list(post) == ["id", "account_id", "text", "created_at", "is_repost"]
        assert post["text"].strip() == post["text"] != ""
        assert isinstance(post["is_repost"], bool)
    assert len({post["id"] for post in posts}) == len(posts)
    assert len({post["account_id"] for post in posts}) == 71
    assert {post["is_repost"] for post in posts} == {True, False}


def test_posts_are_in_order_of_time_from_june_to_october(posts: list[Row]) -> None:
    assert all(time(earlier) <= time(later) for earlier, later in pairwise(posts))
    assert {time(post).month for post in posts} == {6, 7, 8, 9, 10}
    assert {time(post).year for post in posts} == {2019}


def test_the_key_goes_line_by_line_with_the_posts(posts: list[Row], key: list[Row]) -> None:
    assert [truth["id"] for truth in key] == [post["id"] for post in posts]


def test_stances_and_labels_agree(key: list[Row]) -> None:
    narrative_ids = set(Taxonomy.load("hong_kong_2019").narrative_ids)
    for truth in key:
        assert truth["stance"] in STANCES
        assert bool(truth["labels"]) == (truth["stance"] == "A"), truth["id"]
    assert {label for truth in key for label in truth["labels"]} == narrative_ids


def test_reports_and_counter_speech_are_about_as_frequent_as_advancing_posts(key: list[Row]) -> None:
    assert Counter(truth["stance"] for truth in key) == {"A": 97, "R": 74, "C": 76, "N": 67}


def test_every_language_has_every_stance(key: list[Row]) -> None:
    for language in ("zh-Hans", "zh-Hant", "yue", "en", "mixed"):
        assert {truth["stance"] for truth in key if truth["language"] == language} == set(STANCES)


def test_no_text_is_repeated_outside_its_group(posts: list[Row], key: list[Row]) -> None:
    groups_of_text = defaultdict(list)
    for post, truth in zip(posts, key, strict=True):
        groups_of_text[post["text"]].append(truth["group"])
    for text, found in groups_of_text.items():
        assert len(found) == 1 or (len(set(found)) == 1 and found[0] is not None), text


def test_groups_are_whole(groups: dict[str, list[Row]]) -> None:
    assert list(groups) == [f"g{number:02d}" for number in range(1, 22)]
    assert Counter(members[0]["repetition"] for members in groups.values()) == {
        "campaign": 12,
        "chain": 3,
        "innocent": 6,
    }
    for members in groups.values():
        assert len(members) >= 3
        assert len({post["account_id"] for post in members}) >= 3
        assert [post["variation"] for post in members].count("seed") == 1
        assert members[0]["variation"] == "seed"
        for field in ("stance", "labels", "repetition"):
            assert all(post[field] == members[0][field] for post in members)


def test_variations_are_what_they_say(groups: dict[str, list[Row]]) -> None:
    kinds = {post["variation"] for members in groups.values() for post in members}
    assert kinds == {"seed", "exact", "noise", "script", "edit", "translation"}
    for members in groups.values():
        seed = members[0]
        for post in members[1:]:
            same_text = post["text"] == seed["text"]
            same_language = post["language"] == seed["language"]
            assert same_text == (post["variation"] == "exact")
            if post["variation"] == "translation":
                assert not same_language
            if post["variation"] == "script":
                assert {post["language"], seed["language"]} == {"zh-Hans", "zh-Hant"}
                assert len(post["text"]) == len(seed["text"])


def test_two_campaigns_are_bursts(groups: dict[str, list[Row]]) -> None:
    bursts = {
        name
        for name, members in groups.items()
        if any((time(later) - time(first)).seconds < 600 for first, later in zip(members, members[5:], strict=False))
        and members[0]["repetition"] == "campaign"
    }
    assert bursts == {"g09", "g21"}


def test_campaigns_are_pushed_by_one_network(groups: dict[str, list[Row]]) -> None:
    accounts = Counter(
        post["account_id"]
        for members in groups.values()
        for post in members
        if post["repetition"] == "campaign" and not post["is_repost"]
    )
    assert len(accounts) == 17
    assert min(accounts.values()) >= 2
    innocent = {
        post["account_id"] for members in groups.values() for post in members if post["repetition"] != "campaign"
    }
    assert innocent.isdisjoint(accounts)


def test_near_misses_name_a_group_and_are_in_none(key: list[Row], groups: dict[str, list[Row]]) -> None:
    near = [truth for truth in key if truth["near_miss_of"] is not None]
    assert len(near) == 9
    for truth in near:
        assert truth["near_miss_of"] in groups
        assert truth["group"] is None


def test_held_out_families_are_not_among_those_that_are_learnt_from() -> None:
    learnt = read("families.jsonl") + read("families_reworded.jsonl")
    held_out = read("families_held_out.jsonl")
    assert {row["family"] for row in held_out}.isdisjoint(row["family"] for row in learnt)
    labels = CopypastaGrouper().fit([row["text"] for row in learnt + held_out]).labels_
    of_learnt, of_held_out = labels[: len(learnt)], labels[len(learnt) :]
    assert set(of_held_out[of_held_out >= 0]).isdisjoint(of_learnt)


@pytest.mark.parametrize(
    ("name", "count"), [("families.jsonl", 1120), ("families_reworded.jsonl", 2231), ("families_held_out.jsonl", 80)]
)
def test_families_have_a_post_and_what_says_the_same_or_only_looks_so(name: str, count: int) -> None:
    families = defaultdict(list)
    for row in read(name):
        assert list(row) == ["family", "kind", "lang", "text"]
        families[row["family"]].append(row["kind"])
    assert len(families) == count
    for family, kinds in families.items():
        assert Counter(kinds)["seed"] == 1, family
        assert set(kinds) >= {"paraphrase", "register", "translation", "distractor"}, family
        assert set(kinds) <= {"seed", "paraphrase", "register", "translation", "distractor"}, family
