"""Results: the folder that a run leaves, under its final names only when it is complete."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from narratrace.inference.archives.ledger import replacing
from narratrace.inference.archives.writers import open_writer
from narratrace.model.errors import InputError
from narratrace.model.printable import printable
from narratrace.model.settings import save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
GROUPING = tuple(f"{table}.{suffix}" for table in TABLES for suffix in ("parquet", "csv"))
"""The files of these tables. Others call their files so too, so that these count as results only where
``groups.parquet`` stands beside a run's summary.
"""
UNFINISHED = ".unfinished"
"""The folder, inside that of the results, of a run that goes on or was stopped; hidden, so that nothing reads it."""
LEDGER = "ledger.jsonl"


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds results already, or that is no folder; one of a stopped run is free.

    Raises
    ------
    InputError
        If results may not go there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{printable(folder)} is a file; name a folder for the results.")
    there = [name for name in _NAMES if (folder / name).exists()]
    if there and not overwrite and not (folder / UNFINISHED / LEDGER).exists():
        raise InputError(
            f"{printable(folder)} holds results already ({there[0]}); name another folder or add --overwrite."
        )


def publish(
    folder: Path,
    shards: Sequence[str],
    form: ScoreFormat,
    settings: BaseModel,
    summary: BaseModel,
    write_report: Callable[[Path], None],
) -> None:
    """Put the shards together under the final names, in place of older results, and take the unfinished run away.

    Whenever this is stopped, it can be done again: what it is made from goes last.
    """
    unfinished = folder / UNFINISHED
    complete = unfinished / "complete"
    scores, rejects = complete / SCORES[form], complete / REJECTS
    with replacing(scores) as path:
        merge_scores(form, [unfinished / "scored" / f"{shard}.{form}" for shard in shards], path)
    with replacing(rejects) as path:
        _append(path, [(unfinished / "rejects" / f"{shard}.jsonl", 0) for shard in shards])
    with replacing(complete / SETTINGS) as path:
        save_settings(settings, path)
    with replacing(complete / SUMMARY) as path:
        path.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    with replacing(complete / REPORT) as path:
        write_report(path)
    for name in (SUMMARY, *SCORES.values()):
        (folder / name).unlink(missing_ok=True)
    for made in (scores, rejects, complete / SETTINGS, complete / REPORT, complete / SUMMARY):
        made.replace(folder / made.name)
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
    _append(path, [(part, header if number else 0) for number, part in enumerate(parts)])


def _append(path: Path, parts: Sequence[tuple[Path, int]]) -> None:
    """Write files one after the other, each from a byte on."""
    with path.open("wb") as out:
        for part, start in parts:
            with part.open("rb") as file:
                file.seek(start)
                shutil.copyfileobj(file, out)


def partial(path: Path) -> Path:
    """Return the name of a file while it is incomplete: ``rejects.partial.jsonl``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def is_result(path: Path, out: Path | None = None) -> bool:
    """Tell whether a file is what a run writes: by its name, in the folder `out` or beside an earlier run's results."""
    if path.name in {partial(Path(name)).name for name in _NAMES}:
        return True
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
