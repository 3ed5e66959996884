"""Results: the folder that a run leaves, under its final names only when it is complete."""

from __future__ import annotations

import contextlib
import shutil
from functools import partial
from typing import TYPE_CHECKING, Literal

import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from narratrace.inference.archives.ledger import keep_names, replacing
from narratrace.inference.archives.writers import open_writer
from narratrace.model.errors import InputError
from narratrace.model.printable import printable
from narratrace.model.settings import save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from pydantic import BaseModel

    from narratrace.inference.archives.writers import ScoreFormat

SCORES = {form: f"scores.{form}" for form in ("parquet", "jsonl", "csv")}
REJECTS = "rejects.jsonl"
SETTINGS = "settings.yaml"
REPORT = "report.html"
SUMMARY = "summary.json"
"""Put in place last of all: where it stands, the results are complete."""
_NAMES = (*SCORES.values(), SUMMARY, REJECTS, SETTINGS, REPORT)
TABLES = ("groups", "posts", "links", "accounts", "edges")
"""What a grouping run leaves in place of scores. `CopypastaGrouper` describes the columns of the first three,
`Coordination` those of the others and what it adds to the groups.
"""
GRAPHS: dict[Literal["graphml", "gexf"], str] = {"graphml": "graph.graphml", "gexf": "graph.gexf"}
GROUPING = (*(f"{table}.{suffix}" for table in TABLES for suffix in ("parquet", "csv")), *GRAPHS.values())
"""The files of these tables and graphs. Others call their files so too, so that these count as results only where
``groups.parquet`` stands beside a run's summary.
"""
UNFINISHED = ".unfinished"
"""The folder, inside that of the results, of a run that goes on or was stopped; hidden, so that nothing reads it."""
LEDGER = "ledger.jsonl"
LOCK = f"{UNFINISHED}.lock"
"""Held by the run that writes to the folder. It stays there: who takes a lock file away may take another run's."""


def check_free(folder: Path, overwrite: bool, more: Sequence[str] = ()) -> None:
    """Refuse a folder that holds results already, or that is no folder; one of a stopped run is free.

    Parameters
    ----------
    folder
        For the results.
    overwrite
        Whether results may be replaced.
    more
        Names of files that are replaced beside those that every run writes.

    Raises
    ------
    InputError
        If results may not go there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{printable(folder)} is a file; name a folder for the results.")
    there = [name for name in (*_NAMES, *more) if (folder / name).exists()]
    if there and not overwrite and not (folder / UNFINISHED / LEDGER).exists():
        raise InputError(
            f"{printable(folder)} holds results already ({there[0]}); name another folder or add --overwrite."
        )


@contextlib.contextmanager
def claim(folder: Path, overwrite: bool, more: Sequence[str] = ()) -> Iterator[None]:
    """Keep every other run out of a folder that is free for results, until this one ends, however it ends.

    The parameters are those of `check_free`.

    Raises
    ------
    InputError
        If another run writes to the folder, or results may not go there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"Another run writes to {printable(folder)}: wait until it has ended, or name another folder."
        ) from error
    with held:
        check_free(folder, overwrite, more)  # until the lock was free, another run may have left its results
        yield


def publish(
    folder: Path, files: Mapping[str, Callable[[Path], object]], settings: BaseModel, summary: BaseModel
) -> None:
    """Write files and put them under their final names, in place of older results; take the unfinished run away.

    Whenever this is stopped, it can be done again: what it is made from goes last.

    Parameters
    ----------
    folder
        Of the results.
    files
        What writes each file, by name; `SETTINGS` and `SUMMARY` come to them.
    settings, summary
        Of the run.
    """
    complete = folder / UNFINISHED / "complete"
    summed_up = summary.model_dump_json(indent=2) + "\n"
    # The summary is last: where it stands, the results are complete.
    made: dict[str, Callable[[Path], object]] = {
        **files,
        SETTINGS: partial(save_settings, settings),
        SUMMARY: partial(_write_text, summed_up),
    }
    for name, write in made.items():
        with replacing(complete / name) as path:
            write(path)
    older = GROUPING if is_result(folder / GROUPING[0]) else ()
    for name in (SUMMARY, *SCORES.values(), *older):
        (folder / name).unlink(missing_ok=True)
    for name in made:
        (complete / name).replace(folder / name)
    keep_names(folder)
    discard(folder)


def discard(folder: Path) -> None:
    """Take an unfinished run away; its ledger first, without which the rest counts for nothing."""
    (folder / UNFINISHED / LEDGER).unlink(missing_ok=True)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def merge_scores(form: ScoreFormat, parts: Sequence[Path], path: Path) -> None:
    """Put files of scores with the same columns together."""
    if form == "parquet":
        with parts[0].open("rb") as file:
            schema = pq.read_schema(file)
        writer = open_writer(form, path, schema)
        try:
            for part in parts:
                with part.open("rb") as file:
                    for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches():
                        writer.write(batch)
        finally:
            writer.close()
        return
    header = 0
    if form == "csv":  # every part begins with the same header
        with parts[0].open("rb") as file:
            header = len(file.readline())
    concatenate(parts, path, header)


def concatenate(parts: Sequence[Path], path: Path, header: int = 0) -> None:
    """Write files one after the other, all but the first without their first `header` bytes."""
    with path.open("wb") as out:
        for number, part in enumerate(parts):
            with part.open("rb") as file:
                file.seek(header if number else 0)
                shutil.copyfileobj(file, out)


def write_counted(name: str, write: Callable[[Path], object], rows: int, path: Path) -> None:
    """Write a file of results, by its name, and make sure that it holds as many rows as it should.

    Raises
    ------
    InputError
        If it does not.
    """
    write(path)
    found = count_rows(path, name.rpartition(".")[2])
    if found != rows:
        raise InputError(
            f"{name} came out with {found:,} rows instead of {rows:,}, so no results were put in place: give the same "
            "command again, and check the disk if this comes back."
        )


def count_rows(path: Path, form: str) -> int:
    """Count the rows that a file of scores or rejects holds; a CSV's header is none."""
    with path.open("rb") as file:
        if form == "parquet":
            return int(pq.read_metadata(file).num_rows)
        if form == "jsonl":
            return sum(block.count(b"\n") for block in _blocks(file))
        ends = quotes = 0
        for block in _blocks(file):
            for outside in block.split(b'"'):  # a line end between quotes belongs to its cell
                ends += 0 if quotes % 2 else outside.count(b"\n")
                quotes += 1
            quotes -= 1
        return ends - 1


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, 2**20), b"")


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def is_result(path: Path, out: Path | None = None) -> bool:
    """Tell whether a file is what a run writes: by its name, in the folder `out` or beside an earlier run's results."""
    folder = path.parent
    if path.name in _NAMES and out is not None and folder.resolve() == out.resolve():
        return True
    if not ((folder / SUMMARY).exists() and (folder / SETTINGS).exists()):
        return False
    return path.name in _NAMES or (path.name in GROUPING and (folder / GROUPING[0]).exists())


@contextlib.contextmanager
def writing(folder: Path, advice: str = "") -> Iterator[None]:
    """Turn a full disk or a missing permission into one sentence, with a piece of advice after it."""
    try:
        yield
    except OSError as error:
        reason = printable(error.strerror or error)
        raise InputError(f"The results cannot be written to {printable(folder)}: {reason}. {advice}".strip()) from error
