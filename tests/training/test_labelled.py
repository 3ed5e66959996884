"""Labelled posts: every fault names file and line, and related posts are known as such."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.errors import InputError
from narratrace.model.language import LANGUAGES
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.labelled import (
    Fault,
    LabelledPost,
    label_matrix,
    parse,
    read_labelled,
    stance_indices,
    tie_groups,
)
from narratrace.training.rows import Row
from narratrace.training.settings import COLUMNS

Read = Callable[..., list[LabelledPost]]


@pytest.fixture
def read(tmp_path: Path, taxonomy: Taxonomy) -> Read:
    def write_and_read(*posts: dict[str, Any] | str) -> list[LabelledPost]:
        lines = [post if isinstance(post, str) else json.dumps(post, ensure_ascii=False) for post in posts]
        (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return read_labelled(tmp_path / "posts.jsonl", taxonomy)

    return write_and_read


def post(text: str, stance: str = "N", labels: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"text": text, "stance": stance, "labels": labels or [], **fields}


def test_posts_are_read_as_they_are(read: Read, taxonomy: Taxonomy) -> None:
    posts = read(
        post("警察辛苦了！", "A", ["police_heroes", "call_for_crackdown"], lang="zh-Hant"),
        "",
        post("Nice weather in the park today", note="ignored"),
    )
    assert [(one.text, one.language, one.stance, one.labels) for one in posts] == [
        ("警察辛苦了！", "zh-Hant", "A", ("police_heroes", "call_for_crackdown")),
        ("Nice weather in the park today", "en", "N", ()),
    ]
    assert stance_indices(posts).tolist() == [0, 3]
    matrix = label_matrix(posts, taxonomy)
    assert matrix.shape == (2, len(taxonomy.narratives))
    assert [taxonomy.narrative_ids[column] for column in matrix[0].nonzero()[0]] == [
        "police_heroes",
        "call_for_crackdown",
    ]
    assert label_matrix([], taxonomy).shape == (0, len(taxonomy.narratives))


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\u200b"])
def test_only_a_line_end_ends_a_line(read: Read, character: str) -> None:
    posts = read(post(f"one{character}post"), post("another"))
    assert [one.text for one in posts] == [f"one{character}post", "another"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("3", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ({"text": "x"}, "neither the stance nor any narrative"),
        ({"text": "x", "labels": [], "unknown": "*"}, "neither the stance nor any narrative"),
        (post("x", "A", ["*"]), "unknown narratives"),
        (post(" \n"), "text is empty"),
        ({"text": None, "stance": "N", "labels": []}, "text is empty"),
        (post("x", "X"), "'X' is none of A, R, C, N"),
        (post("x", "A", ["police_heros"]), "police_heroes"),
        (post("x", "A", [3]), "'3'"),  # type: ignore[list-item]
        (post("x", "A"), "needs at least one"),
        (post("x", "C", ["police_heroes"]), "stance C advances nothing"),
    ],
)
def test_a_fault_names_file_and_line(read: Read, line: dict[str, Any] | str, what: str) -> None:
    with pytest.raises(InputError, match=r"posts\.jsonl, line 2: ") as error:
        read(post("fine"), line)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
FIELDS = ("text", "labels", "stance", "lang", "unknown", "account_id", "group", "id", "from")


@settings(deadline=None)
@given(fields=st.dictionaries(st.sampled_from(FIELDS), anything | st.sampled_from(["A", "C", "police_heroes", "*"])))
def test_whatever_a_row_holds_it_is_a_post_or_has_a_fault(taxonomy: Taxonomy, fields: dict[str, Any]) -> None:
    found = parse(Row("row", fields), taxonomy, COLUMNS)
    if isinstance(found, Fault):
        assert found.message
        return
    assert found.text.strip()
    assert found.language in LANGUAGES
    assert {*found.labels} <= {*taxonomy.narrative_ids} - {*found.unknown}
    assert found.stance in (None, "A") or not found.labels
    found.text.encode()  # no half of a surrogate pair


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, taxonomy: Taxonomy) -> None:
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.jsonl", tmp_path, binary):
        with pytest.raises(InputError) as error:
            read_labelled(path, taxonomy)
        assert str(path) in str(error.value)


def grouped(posts: list[LabelledPost]) -> list[list[int]]:
    groups = tie_groups(posts).tolist()
    return [[row for row, one in enumerate(groups) if one == group] for group in dict.fromkeys(groups)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (post("支持警察！！"), post("支持 警察")),
        (post("Stand FIRM"), post("stand firm.")),
        (post("a", group="g1"), post("b", group="g1")),
        (post("a", account_id="7"), post("b", account_id="7")),
        (post("a", family="f"), post("b", family="f")),
        (post("a", id="1"), post("b", **{"from": "1"})),
        (post("a", **{"from": "1"}), post("b", **{"from": "1"})),
    ],
    ids=["copy", "case", "group", "account", "family", "rewriting", "two rewritings"],
)
def test_related_posts_are_tied(read: Read, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert grouped(read(one, post("unrelated"), other)) == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (post("🔥🔥", account_id="x"), post("👍", account_id="y")),
        (post("https://t.co/1"), post("https://t.co/2")),
        (post("!!!"), post("@someone")),
        (post("a", id="1"), post("b", id="1")),  # two files that both number their posts
    ],
    ids=["emoji", "link", "no letter", "id"],
)
def test_posts_that_share_nothing_are_not_tied(read: Read, one: dict[str, Any], other: dict[str, Any]) -> None:
    posts = read(one, other)
    assert grouped(posts) == [[0], [1]]


def test_ties_reach_through_others_and_not_across_kinds(read: Read) -> None:
    posts = read(
        post("a", group="1", account_id="x"),
        post("b", group="2", account_id="y"),
        post("c", group="1", account_id="y"),  # ties the first two
        post("d", account_id="1", family="2"),  # the same names of other things
        post("e"),
    )
    assert grouped(posts) == [[0, 1, 2], [3], [4]]
    assert tie_groups([]).tolist() == []
