"""Posts: what narratrace reads from an archive, one record per post, whatever the archive's own layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

POST_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("account_id", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("is_repost", pa.bool_()),
        pa.field("language", pa.string()),
    ]
)
"""The Post columns. Ids are always strings: numbers lose digits (1.04e+18) and leading zeros."""

PostColumn = Literal["id", "account_id", "text", "created_at", "is_repost", "language"]
POST_COLUMNS: tuple[PostColumn, ...] = get_args(PostColumn)


class Post(NamedTuple):
    """One post of an archive.

    Attributes
    ----------
    id
        The archive's own id of the post, or ``<file name>:<row number>`` where it has none.
    account_id
        The account that published it, or None.
    text
        The text as published; never empty.
    created_at
        When it was published, in UTC, or None where unknown or unreadable.
    is_repost
        Whether it repeats another account's post, or None where unknown.
    language
        The language that the archive states, unchecked, or None.
    """

    id: str
    account_id: str | None
    text: str
    created_at: datetime | None = None
    is_repost: bool | None = None
    language: str | None = None


def posts_to_batch(posts: Sequence[Post]) -> pa.RecordBatch:
    """Turn posts into an Arrow batch with the schema `POST_SCHEMA`, in the same order."""
    columns = zip(*posts, strict=True) if posts else [()] * len(POST_SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, type=field.type) for values, field in zip(columns, POST_SCHEMA, strict=True)],
        schema=POST_SCHEMA,
    )
