"""Writers: scored posts as Parquet, JSON Lines or CSV, one batch after another."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from narratrace.inference.archives.cells import neutralise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

ScoreFormat = Literal["parquet", "jsonl", "csv"]

ROW_GROUP_POSTS = 2**16
ROW_GROUP_BYTES = 2**26
"""A row group of long posts ends early, so that memory stays bounded."""

# Line ends of Unicode that JSON leaves as they are, though many programs split lines at them.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def json_line(fields: Mapping[str, object]) -> str:
    """Return a line of JSON Lines that every program takes for one line."""
    return json.dumps(fields, ensure_ascii=False).translate(_LINE_ENDS) + "\n"


class ScoreWriter(Protocol):
    """The contract of an output format."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch."""
        ...

    def close(self) -> None:
        """Write what is pending and close the file; nothing happens the second time."""
        ...


class ParquetScoreWriter:
    """Scored posts as Parquet, compressed with zstd, in row groups of `ROW_GROUP_POSTS`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")  # by Arrow itself, a name that is not UTF-8 cannot be opened
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")
        self._pending: list[pa.RecordBatch] = []
        self._posts = 0
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch."""
        self._pending.append(batch)
        self._posts += batch.num_rows
        self._bytes += batch.nbytes
        if self._posts >= ROW_GROUP_POSTS or self._bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> None:
        """Write what is pending and the index, and close the file."""
        try:
            if self._pending:
                self._write_row_group()
            self._writer.close()
        finally:
            self._file.close()

    def _write_row_group(self) -> None:
        table = pa.Table.from_batches(self._pending)
        self._pending = []
        self._posts = self._bytes = 0
        self._writer.write_table(table)


class JsonLinesScoreWriter:
    """Scored posts as JSON Lines: times as ISO 8601, probabilities with 6 decimals."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._names = schema.names
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch."""
        for row in _rows(batch):
            self._file.write(json_line(dict(zip(self._names, row, strict=True))))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CsvScoreWriter:
    """Scored posts as CSV for spreadsheets: lists joined by ``|``, and no cell that would be run as a formula.

    In UTF-8 with a byte order mark, without which Excel takes Chinese for another encoding.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(map(neutralise, schema.names))

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch."""
        self._writer.writerows(map(_cell, row) for row in _rows(batch))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


WRITERS: dict[ScoreFormat, Callable[[Path, pa.Schema], ScoreWriter]] = {
    "parquet": ParquetScoreWriter,
    "jsonl": JsonLinesScoreWriter,
    "csv": CsvScoreWriter,
}
"""The writer of each format."""


def open_writer(form: ScoreFormat, path: Path, schema: pa.Schema) -> ScoreWriter:
    """Start a file of scored posts, replacing what was at `path`."""
    return WRITERS[form](path, schema)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = "|".join(value)
    return neutralise(value) if isinstance(value, str) else value


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    """Rows of plain Python values, as text formats need them."""
    columns = []
    for column in batch.columns:
        values = column.to_pylist()
        if pa.types.is_floating(column.type):
            values = [value if value is None else round(value, 6) for value in values]
        elif pa.types.is_timestamp(column.type):
            values = [value and _iso(value) for value in values]
        columns.append(values)
    return zip(*columns, strict=True)


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
