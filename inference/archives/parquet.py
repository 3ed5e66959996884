"""Reading Parquet, one small batch of the wanted columns at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from narratrace.inference.archives.fields import from_epoch
from narratrace.inference.archives.rows import MAX_DEPTH, Row
from narratrace.inference.archives.streams import CODECS, ByteStream, reading
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_ROWS = 1024
# What Arrow raises where a value, or one inside a list or struct, is no UTF-8, out of range, or of an unknown zone.
_UNHOLDABLE = (ValueError, OverflowError, LookupError, pa.ArrowException)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class ParquetReader:
    """The rows of a Parquet file.

    A field inside a struct is written with a dot (``user.id``, ``data.text.body``), down to `MAX_DEPTH` levels. A
    Parquet file that was compressed once more as a whole is first unpacked to a temporary file: its index stands at
    its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._rows_read = 0
        with reading(path):
            self._unpacked = _unpack(path) if path.suffix.lower() in CODECS else None
            # Bytes, as the name may be no UTF-8. Without pre_buffer a row group is read page by page, not held whole.
            file = self._unpacked or pa.OSFile(os.fsencode(path))
            self._file = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
            schema = self._file.schema_arrow
        paths = [path for field in schema for path in _paths(field)]
        self.columns: tuple[str, ...] = tuple(map(".".join, paths))
        self._paths = dict(zip(self.columns, paths, strict=True))
        double = next((name for name, times in Counter(self.columns).items() if times > 1), None)
        if double is not None:
            self.close()
            raise InputError(
                f"{printable(path)} has several columns named '{printable(double)}'; give each its own name."
            )

    @property
    def bytes_read(self) -> int:
        """Bytes of the file on disk that the rows read so far take, about."""
        total = self._file.metadata.num_rows
        return self._size * self._rows_read // total if total else self._size

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)
        if self._unpacked:
            self._unpacked.close()

    def rows(self, wanted: Sequence[str | None]) -> Iterator[Row]:
        """Yield every row."""
        tops = sorted({self._paths[name][0] for name in wanted if name is not None})
        with reading(self._path):
            batches = self._file.iter_batches(batch_size=BATCH_ROWS, columns=tops)
        while True:
            with reading(self._path):
                batch = next(batches, None)
            if batch is None:
                return
            columns: list[list[object]] = []
            for name in wanted:
                if name is None:
                    columns.append([None] * batch.num_rows)
                    continue
                top, *inner = self._paths[name]
                column = batch.column(top)
                for field in inner:
                    column = column.field(field)
                columns.append(_to_python(column))
            for values in zip(*columns, strict=True):
                self._rows_read += 1
                yield Row(self._rows_read, values)


def _unpack(path: Path) -> IO[bytes]:
    stream = ByteStream(path)
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the reader
    try:
        shutil.copyfileobj(stream.buffer, unpacked)
    except BaseException:
        unpacked.close()
        raise
    finally:
        stream.close()
    unpacked.seek(0)
    return unpacked


def _paths(field: pa.Field, depth: int = MAX_DEPTH) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to a field, and to each of the fields inside it."""
    yield (field.name,)
    if pa.types.is_struct(field.type) and depth > 1:
        for place in range(field.type.num_fields):
            yield from ((field.name, *inner) for inner in _paths(field.type.field(place), depth - 1))


class ArrowValue:
    """A value that Python cannot hold, as a day after the year 9999: no text, no time, and not nothing either."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind

    def __str__(self) -> str:
        """Say what it would be."""
        return f"<{self._kind}>"


def _to_python(column: pa.Array) -> list[object]:
    """Python values of an Arrow column; times may lie outside Python's years, strings may not be UTF-8."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        unit = _PER_SECOND[column.type.unit]
        return [
            None if value is None else from_epoch(value, unit) or ArrowValue(column.type)
            for value in column.cast(pa.int64()).to_pylist()
        ]
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except _UNHOLDABLE:
        return [_one_to_python(scalar) for scalar in column]


def _one_to_python(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except _UNHOLDABLE:
        # The raw bytes of a string; whoever reads the field replaces what is not UTF-8.
        return scalar.as_buffer().to_pybytes() if isinstance(scalar, pa.BinaryScalar) else ArrowValue(scalar.type)
