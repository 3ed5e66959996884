"""Intake: posts as a list of strings, a list of `Post`, a data frame or an Arrow table, as one Arrow table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narratrace.inference.archives.fields import clean, to_time
from narratrace.inference.posts import POST_COLUMNS, POST_SCHEMA, Post
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
        a post without id is called by its row. Times may be whatever an archive may have there, as strings too; what
        is finer than microseconds is cut off, and an empty string or NaN is no time.
    first_row
        Row of the first post, for posts without an id.

    Raises
    ------
    InputError
        If there is no column ``text`` or two of a name, a text is no string, or a column cannot be read as its type.
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
    _check_columns(table.column_names)
    if not table.num_rows:  # pandas makes columns of numbers of what is empty
        return POST_SCHEMA.empty_table()
    if not _is_text(table["text"].type):
        raise InputError(f"The texts are no strings, but of the type {table['text'].type}; give strings.")
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
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InputError(f"The column {field.name} cannot be read as {field.type}: {error}.") from error
        # What lists and archives are cleaned of; a string of Arrow holds no lone surrogates.
        columns.append(pc.replace_substring(column, "\0", "\ufffd") if pa.types.is_string(field.type) else column)
    if columns[2].null_count:
        raise InputError(f"{columns[2].null_count} posts have no text; leave them out.")
    called = pa.array([str(row) for row in range(first_row, first_row + rows)], pa.string())
    columns[0] = pc.coalesce(columns[0], called) if columns[0].null_count else columns[0]
    return pa.table(columns, schema=POST_SCHEMA)


def _check_columns(names: Iterable[object]) -> None:
    names = list(names)
    if "text" not in names:
        raise InputError(f"The posts have no column text, only {', '.join(map(str, names)) or 'none at all'}.")
    for name in POST_COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"The posts have {names.count(name)} columns {name}; leave one of them.")


def _is_text(kind: pa.DataType) -> bool:
    # A cast would also make texts of numbers. Where no post has a text, their type is unknown.
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_kind = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(each(kind) for each in is_kind)


def _from_pandas(frame: Any) -> pa.Table:
    _check_columns(frame.columns)
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
        # pandas has nanoseconds whether or not anybody measured them.
        return column.cast(options=pc.CastOptions(kind, allow_time_truncate=True))
    times = {value: _time(value) for value in column.unique().to_pylist()}
    return pa.chunked_array([pa.array(map(times.get, column.to_pylist()), kind)])


def _time(value: object) -> datetime | None:
    if value is None or value == "" or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    time = to_time(value)
    if time is None:
        raise pa.ArrowInvalid(f"{value!r} is no time")
    return time


def _from_records(records: list[Any]) -> pa.Table:
    if all(isinstance(record, Post) for record in records):
        return pa.table({name: _column(name, [post[at] for post in records]) for at, name in enumerate(POST_COLUMNS)})
    for place, record in enumerate(records):
        if not isinstance(record, str):
            kind = type(record).__name__
            raise InputError(f"Post {place} is of type {kind}; give texts, or Post records throughout.")
    return pa.table({"text": pa.array([clean(text) for text in records], pa.string())})


def _column(name: str, values: list[Any]) -> pa.Array:
    """Make a column of one value of each post, with the type that the values have."""
    try:
        if name == "created_at":  # Arrow would make dates of times that stand behind a date.
            return pa.array([_time(value) for value in values], POST_SCHEMA.field(name).type)
        return pa.array([clean(value) if isinstance(value, str) else value for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InputError(f"The column {name} cannot be read as {POST_SCHEMA.field(name).type}: {error}.") from error
