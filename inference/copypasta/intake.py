"""Intake: posts as a list of strings, a list of `Post`, a data frame or an Arrow table, as one Arrow table."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from narratrace.inference.archives.fields import clean, to_time
from narratrace.inference.posts import POST_COLUMNS, POST_SCHEMA, Post, posts_to_batch
from narratrace.model.errors import InputError

Posts: TypeAlias = Any
"""Texts or `Post` records in a sequence, texts in an Arrow array, an Arrow table or batch, or a pandas or Polars data
frame."""


def to_table(posts: Posts, first_row: int = 0) -> pa.Table:
    """Bring posts into the columns of `POST_SCHEMA`, in order; other columns are left out.

    Parameters
    ----------
    posts
        Texts, `Post` records, or a table with at least the column ``text``. Columns that are not there become null;
        a post without id is called by its row. Times may be whatever an archive may have there, as strings too.
    first_row
        Row of the first post, for posts without an id.

    Raises
    ------
    InputError
        If there is no column ``text``, a text is no string, or a column cannot be read as its type.
    """
    if isinstance(posts, str):
        raise InputError("Give the posts as a list of texts, not as one text.")
    if hasattr(posts, "to_arrow"):  # Polars
        posts = posts.to_arrow()
    if isinstance(posts, pa.Array | pa.ChunkedArray):
        table = pa.table({"text": posts})
    elif isinstance(posts, pa.RecordBatch):
        table = pa.Table.from_batches([posts])
    elif isinstance(posts, pa.Table):
        table = posts
    elif hasattr(posts, "columns"):  # pandas
        table = _from_pandas(posts)
    else:
        table = _from_records(list(posts))
    if "text" not in table.column_names:
        raise InputError(f"The posts have no column text, only {', '.join(table.column_names) or 'none at all'}.")
    rows = table.num_rows
    columns = []
    for field in POST_SCHEMA:
        if field.name not in table.column_names:
            columns.append(pa.nulls(rows, field.type))
            continue
        column = table[field.name]
        if field.name in ("id", "account_id") and pa.types.is_floating(column.type):
            raise InputError(f"The column {field.name} holds floating-point numbers, which lose digits; give strings.")
        try:
            column = _times(column) if pa.types.is_timestamp(field.type) else column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"The column {field.name} cannot be read as {field.type}: {error}.") from error
        # What lists and archives are cleaned of; a string of Arrow holds no lone surrogates.
        columns.append(pc.replace_substring(column, "\0", "\ufffd") if pa.types.is_string(field.type) else column)
    if columns[2].null_count:
        raise InputError(f"{columns[2].null_count} posts have no text; leave them out.")
    called = pa.array([str(row) for row in range(first_row, first_row + rows)], pa.string())
    columns[0] = pc.coalesce(columns[0], called) if columns[0].null_count else columns[0]
    return pa.table(columns, schema=POST_SCHEMA)


def _from_pandas(frame: Any) -> pa.Table:
    if "text" in frame.columns:
        frame = frame[[name for name in POST_COLUMNS if name in frame.columns]]
    try:
        try:
            return pa.Table.from_pandas(frame, preserve_index=False)
        except UnicodeEncodeError:  # a lone surrogate
            frame = frame.apply(
                lambda column: column.map(lambda value: clean(value) if isinstance(value, str) else value)
            )
            return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"The posts have a column of mixed types: {error}.") from error


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read times as those of an archive; a time is refused if it cannot be read, and null if it is empty."""
    kind = POST_SCHEMA.field("created_at").type
    if pa.types.is_temporal(column.type) or pa.types.is_null(column.type):
        return column.cast(kind)
    times = {value: to_time(value) for value in column.unique().to_pylist()}
    for value, time in times.items():
        if time is None and value not in (None, ""):
            raise pa.ArrowInvalid(f"{value!r} is no time")
    return pa.chunked_array([pa.array(map(times.get, column.to_pylist()), kind)])


def _from_records(records: list[Any]) -> pa.Table:
    if all(isinstance(record, Post) for record in records):
        return pa.Table.from_batches([posts_to_batch([_cleaned(record) for record in records])])
    for place, record in enumerate(records):
        if not isinstance(record, str):
            kind = type(record).__name__
            raise InputError(f"Post {place} is of type {kind}; give texts, or Post records throughout.")
    return pa.table({"text": pa.array([clean(text) for text in records], pa.string())})


def _cleaned(post: Post) -> Post:
    """Make every string of a post one that Arrow can hold."""
    return Post._make(clean(value) if isinstance(value, str) else value for value in post)
