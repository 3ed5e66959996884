"""Arrow files: the tables that the parts of a run leave for each other."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from narratrace.inference.archives.ledger import damaged, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def write_arrow(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, compressed: bool = False) -> None:
    """Write a file with these very record batches; it appears whole.

    Compressed, it is read back as a whole: single rows cannot be looked up in it.
    """
    options = pa.ipc.IpcWriteOptions(compression="zstd" if compressed else None)
    with (
        replacing(path) as scratch,
        scratch.open("wb") as file,
        pa.ipc.new_file(file, schema, options=options) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def map_arrow(path: Path) -> pa.Table:
    """Map a file: what is looked at costs memory, not what lies there."""
    with _mapping(path) as reader:
        return reader.read_all()


def map_batch(path: Path, number: int) -> pa.RecordBatch:
    """Map one record batch of a file."""
    with _mapping(path) as reader:
        return reader.get_batch(number)


@contextmanager
def _mapping(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    try:
        yield pa.ipc.open_file(pa.memory_map(os.fsencode(path)))  # bytes, as the name may be no UTF-8
    except (OSError, pa.ArrowException) as error:
        raise damaged(path) from error
