"""Groups: the tables that a grouping leaves, out of the texts, their stars and the posts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from narratrace.inference.copypasta.innocent import explain
from narratrace.inference.posts import POST_SCHEMA

STAGES = ("exact", "normalised", "script", "fuzzy", "semantic", "translation")
"""Why a post is in a group, from the strictest to the widest."""

GROUP_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("group", pa.int64(), nullable=False),
        pa.field("posts", pa.int64(), nullable=False),
        pa.field("texts", pa.int64(), nullable=False),
        pa.field("accounts", pa.int64(), nullable=False),
        pa.field("first_seen", pa.timestamp("us", tz="UTC")),
        pa.field("last_seen", pa.timestamp("us", tz="UTC")),
        pa.field("cohesion", pa.float32(), nullable=False),
        pa.field("stages", pa.list_(pa.string()), nullable=False),
        pa.field("innocent", pa.string()),
        pa.field("representative", pa.string(), nullable=False),
        pa.field("representative_row", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
"""Columns of ``groups_``."""

LINK_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("post", pa.string(), nullable=False),
        pa.field("group", pa.int64(), nullable=False),
        pa.field("representative", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
"""Columns of ``links_``."""

POSTS_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        *POST_SCHEMA,
        pa.field("group", pa.int64()),
        pa.field("stage", pa.string()),
        pa.field("similarity", pa.float32()),
        pa.field("note", pa.string()),
    ]
)
"""Columns of ``posts_``."""


class Tables(NamedTuple):
    """What a grouping found; `CopypastaGrouper` describes the columns."""

    groups: pa.Table
    links: pa.Table
    posts: pa.Table


class Membership(NamedTuple):
    """Which group each post is in, and why.

    Attributes
    ----------
    label
        Group of each post; -1 for none.
    representative
        Row of the representative of each post's group; -1 for none.
    stage
        Place in `STAGES`; -1 for representatives and posts without a group.
    similarity
        To the representative.
    is_short
        Whether the post says too little to be grouped.
    """

    label: NDArray[np.int64]
    representative: NDArray[np.int64]
    stage: NDArray[np.int64]
    similarity: NDArray[np.float32]
    is_short: NDArray[np.bool_]


def make_tables(posts: pa.Table, text_of: NDArray[np.int64], found: Membership) -> Tables:
    """Write the tables.

    Parameters
    ----------
    posts
        Columns of `POST_SCHEMA`.
    text_of
        Number of each post's distinct text.
    found
        Groups of the posts.
    """
    names = pa.array(STAGES, pa.string())
    in_group = found.label >= 0
    is_linked = found.stage >= 0
    row = np.arange(posts.num_rows, dtype=np.int64)
    stage = names.take(pa.array(found.stage, mask=~is_linked))
    all_posts = pa.table(
        [
            pa.array(row),
            *posts.columns,
            pa.array(found.label, mask=~in_group),
            stage,
            pa.array(found.similarity, mask=~in_group),
            pa.array(["short"], pa.string()).take(pa.array(np.zeros(len(row), np.int64), mask=~found.is_short)),
        ],
        schema=POSTS_SCHEMA,
    )
    linked = np.flatnonzero(is_linked)
    ids = posts["id"]
    links = pa.table(
        [
            pa.array(linked),
            ids.take(pa.array(linked)),
            pa.array(found.label[linked]),
            ids.take(pa.array(found.representative[linked])),
            stage.take(pa.array(linked)),
            pa.array(found.similarity[linked]),
        ],
        schema=LINK_SCHEMA,
    )
    return Tables(_groups(posts, text_of, found), links, all_posts)


def _groups(posts: pa.Table, text_of: NDArray[np.int64], found: Membership) -> pa.Table:
    rows = np.flatnonzero(found.label >= 0)
    if not len(rows):
        return GROUP_SCHEMA.empty_table()
    members = pa.table(
        {
            "group": found.label[rows],
            "text_of": text_of[rows],
            "account_id": posts["account_id"].take(pa.array(rows)),
            "created_at": posts["created_at"].take(pa.array(rows)),
            "similarity": found.similarity[rows],
            "representative": found.representative[rows],
        }
    )
    counted = members.group_by("group").aggregate(
        [
            ([], "count_all"),
            ("text_of", "count_distinct"),
            ("account_id", "count_distinct"),
            ("created_at", "min"),
            ("created_at", "max"),
            ("representative", "min"),
        ]
    )
    # Of distinct texts: a hundred thousand copies of one do not hide that the others are loosely tied.
    distinct = members.group_by(["group", "text_of"]).aggregate([("similarity", "min")])
    cohesion = distinct.group_by("group").aggregate([("similarity_min", "mean")])
    table = counted.join(cohesion, "group").sort_by("group")
    group = table["group"].to_numpy()
    present = np.zeros((len(group), len(STAGES)), dtype=bool)
    linked = np.flatnonzero(found.stage >= 0)
    present[np.searchsorted(group, found.label[linked]), found.stage[linked]] = True
    stages = [[STAGES[at] for at in np.flatnonzero(row)] for row in present]
    representative = table["representative_min"]
    texts = posts["text"].take(representative)
    innocent = explain(dict(zip(group.tolist(), texts.to_pylist(), strict=True)), posts, found.label)
    return pa.table(
        [
            table["group"],
            table["count_all"],
            table["text_of_count_distinct"],
            table["account_id_count_distinct"],
            table["created_at_min"],
            table["created_at_max"],
            pc.cast(table["similarity_min_mean"], pa.float32()),
            pa.array(stages, pa.list_(pa.string())),
            pa.array([innocent.get(each) for each in group.tolist()], pa.string()),
            posts["id"].take(representative),
            representative,
            texts,
        ],
        schema=GROUP_SCHEMA,
    )
