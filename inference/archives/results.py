"""Results: the folder that a run leaves, under its final names only when it is complete."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from narratrace.inference.archives.writers import open_writer
from narratrace.model.errors import InputError
from narratrace.model.printable import printable
from narratrace.model.settings import save_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pydantic import BaseModel

    from narratrace.inference.archives.archive import Reject
    from narratrace.inference.archives.writers import ScoreFormat, ScoreWriter

SCORES = {form: f"scores.{form}" for form in ("parquet", "jsonl", "csv")}
REJECTS = "rejects.jsonl"
SETTINGS = "settings.yaml"
SUMMARY = "summary.json"
"""Put in place last of all: where it stands, the results are complete."""
_NAMES = (*SCORES.values(), SUMMARY, REJECTS, SETTINGS)


class Results:
    """The files of a run in the making.

    Parameters
    ----------
    folder
        Where they go; made if it is not there.
    form
        Format of the scores.

    Raises
    ------
    InputError
        If the folder cannot be written to.

    Notes
    -----
    Results that are there already are replaced when the new ones are complete; `check_free` tells beforehand.
    """

    def __init__(self, folder: Path, form: ScoreFormat) -> None:
        self.folder = folder
        self._form = form
        self._writer: ScoreWriter | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._rejects = partial(folder / REJECTS).open("w", encoding="utf-8", newline="\n")
        self.posts_written = 0
        self.rejects_written = 0

    @property
    def scores(self) -> Path:
        """Where the scores are when the run is complete."""
        return self.folder / SCORES[self._form]

    @property
    def rejects(self) -> Path:
        """Where the rejects are when the run is complete."""
        return self.folder / REJECTS

    def write_scores(self, batch: pa.RecordBatch) -> None:
        """Append scored posts; the first batch sets the columns."""
        with writing(self.folder):
            if self._writer is None:
                self._writer = open_writer(self._form, partial(self.scores), batch.schema)
            self._writer.write(batch)
        self.posts_written += batch.num_rows

    def write_rejects(self, rejects: Iterable[Reject]) -> None:
        """Append rows that cannot be scored."""
        with writing(self.folder):
            for reject in rejects:
                self._rejects.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
                self.rejects_written += 1

    def close(self) -> None:
        """Close the files where they are, under their partial names, so that what they hold can be read."""
        with writing(self.folder):
            self._rejects.close()
            if self._writer:
                self._writer.close()

    def finish(self, settings: BaseModel, summary: BaseModel) -> None:
        """Close the files and give all of them their final names, in place of older results."""
        self.close()
        with writing(self.folder):
            save_settings(settings, partial(self.folder / SETTINGS))
            partial(self.folder / SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
            replaced = [self.folder / name for name in (SUMMARY, *SCORES.values())]
            stopped = [partial(path) for path in replaced[1:] if path != self.scores]
            for path in (*replaced, *stopped):
                path.unlink(missing_ok=True)
            for path in (self.scores, self.rejects, self.folder / SETTINGS, self.folder / SUMMARY):
                partial(path).replace(path)


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds results already, or that is no folder.

    Raises
    ------
    InputError
        If results may not go there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{printable(folder)} is a file; name a folder for the results.")
    there = [name for name in _NAMES if (folder / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{printable(folder)} holds results already ({there[0]}); name another folder or add --overwrite."
        )


def partial(path: Path) -> Path:
    """Return the name of a file while it is incomplete: ``scores.partial.parquet``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def is_result(path: Path, out: Path | None = None) -> bool:
    """Tell whether a file is what a run writes: by its name, in the folder `out` or beside an earlier run's results."""
    if path.name in {partial(Path(name)).name for name in _NAMES}:
        return True
    folder = path.parent
    return path.name in _NAMES and (
        (out is not None and folder.resolve() == out.resolve())
        or ((folder / SUMMARY).exists() and (folder / SETTINGS).exists())
    )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into one sentence."""
    try:
        yield
    except OSError as error:
        reason = printable(error.strerror or error)
        raise InputError(f"The results cannot be written to {printable(folder)}: {reason}.") from error
