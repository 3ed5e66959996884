"""Ledger: what a run is of and which parts of it are done, so that a stopped run goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import Field

from narratrace.model.errors import InputError
from narratrace.model.printable import printable
from narratrace.model.strict import StrictModel

if TYPE_CHECKING:
    from collections.abc import Iterator


class InputFile(StrictModel):
    """A file of the archive, as it was when the run began."""

    name: str = Field(description="What it is called in ids and messages.")
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Hash of its content.")
    columns: dict[str, str] = Field(default_factory=dict, description="Which column is read as what.")


class Run(StrictModel):
    """All that decides the results of a run: two runs that are equal here give the same files."""

    narratrace: str = Field(description="Version.")
    artefact: str = Field(description="Id of the artefact.")
    settings: dict[str, Any] = Field(description="Every setting.")
    inputs: tuple[InputFile, ...]

    def difference(self, other: Run) -> str | None:
        """Say in words what the other run would do otherwise; None if nothing."""
        if other.narratrace != self.narratrace:
            return f"narratrace is of version {other.narratrace} and was {self.narratrace}"
        if other.artefact != self.artefact:
            return f"the artefact is {other.artefact} and was {self.artefact}"
        for name in sorted(self.settings.keys() | other.settings.keys()):
            now, before = other.settings.get(name), self.settings.get(name)
            if now != before:
                return f"the setting '{name}' is {json.dumps(now)} and was {json.dumps(before)}"
        before_files, now_files = ({file.name: file for file in run.inputs} for run in (self, other))
        for name, file in before_files.items():
            if name not in now_files:
                return f"{name} is not read any more"
            now_file = now_files[name]
            if (now_file.size, now_file.sha256) != (file.size, file.sha256):
                return f"{name} has changed"
            if now_file.columns != file.columns:
                now, before = json.dumps(now_file.columns), json.dumps(file.columns)
                return f"the columns of {name} are read as {now} and were {before}"
        for name in now_files:
            if name not in before_files:
                return f"{name} is new"
        return None if other.inputs == self.inputs else "the files are read in another order"


class Ledger:
    """A run's record: one line for the run itself, then one for each part that is done.

    Lines are only ever appended, each reaches the disk before the next part begins, and a line that was cut off by a
    power loss counts for nothing, so that the file is right at whatever moment the run is stopped. A part counts as
    done only while the files that it left, if it says which (`files_left`), are what they were.

    Parameters
    ----------
    path
        The file.
    run
        What is to be done.
    over
        Whether an unfinished run that differs may be given up.

    Attributes
    ----------
    done
        What each finished part said of itself, by its name.

    Raises
    ------
    InputError
        If the file is of another run, or cannot be read; the message says what differs.
    """

    def __init__(self, path: Path, run: Run, *, over: bool = False) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        lines = _lines(path)
        goes_on = False
        if lines:
            try:
                difference = Run.model_validate_json(lines[0]).difference(run)
                done = {entry["part"]: entry["said"] for entry in map(json.loads, lines[1:])}
            except (ValueError, LookupError, TypeError):
                what = "its ledger is damaged, or of another version of narratrace:"
            else:
                goes_on = difference is None
                what = f"{printable(difference)}: undo that to go on with it,"
            if not goes_on and not over:
                raise InputError(
                    f"{printable(path.parent.parent)} holds a run that was stopped, and {what} name another folder, or "
                    "add --overwrite to start anew."
                )
        if goes_on:
            self.done = done
            _cut(path, lines)
            self._give_up_damaged()
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
            with replacing(path) as scratch:
                scratch.write_text(run.model_dump_json() + "\n", encoding="utf-8")
        self._file: IO[bytes] = path.open("ab")

    def parts(self, step: str) -> frozenset[str]:
        """Name the finished parts of one step, without its name."""
        return frozenset(part.removeprefix(f"{step} ") for part in self.done if part.startswith(f"{step} "))

    def add(self, part: str, said: dict[str, Any]) -> None:
        """Record that a part is done, and what is to be known of it."""
        line = json.dumps({"part": part, "said": said}, ensure_ascii=False) + "\n"
        self._file.write(line.encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done[part] = said

    def check(self) -> None:
        """Make sure that all files which finished parts left are what they were, before anything builds on them.

        Raises
        ------
        InputError
            If one is damaged or missing. Whoever opens the ledger again finds its part not done.
        """
        if found := list(self._damaged().values()):
            raise damaged(found[-1])  # what stands for other files comes after them

    def _give_up_damaged(self) -> None:
        given_up = self._damaged()
        for path in given_up.values():
            path.unlink(missing_ok=True)
        for part in given_up.keys() | {self._last(part) for part in given_up}:
            self.done.pop(part, None)

    def _damaged(self) -> dict[str, Path]:
        """Find finished parts of which a file is not what it was, each with that file.

        The last part of a unit may have put the files of the others together: its own then stand for theirs.
        """
        found: dict[str, Path] = {}
        for part, said in self.done.items():
            for name, size, digest in said.get("files", ()):
                if not _is_as_left(self.path.parent / name, size, digest):
                    found[part] = self.path.parent / name
        whole = {part for part, said in self.done.items() if said.get("files") and part not in found}
        return {part: path for part, path in found.items() if self._last(part) not in whole}

    def _last(self, part: str) -> str:
        step, _, name = part.rpartition(" ")
        return f"{step} {self.done[part].get('unit', name)}"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def files_left(folder: Path, *paths: Path) -> dict[str, list[list[Any]]]:
    """Say which files a part leaves in the folder of a ledger: the name, the size and the digest of each."""
    return {"files": [[path.relative_to(folder).as_posix(), path.stat().st_size, _digest(path)] for path in paths]}


def damaged(path: Path) -> InputError:
    """Make the error that says that a file of an unfinished run is not what it was."""
    return InputError(
        f"{printable(path)} is damaged or missing, though a part of this run had left it whole: give the same command "
        "again, which makes that part anew, and check the disk if this comes back."
    )


def _is_as_left(path: Path, size: int, digest: str) -> bool:
    try:
        return path.stat().st_size == size and _digest(path) == digest
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _lines(path: Path) -> list[bytes]:
    """Read the whole lines of a ledger; what follows the last line end was cut off."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _cut(path: Path, lines: list[bytes]) -> None:
    """Take a line that was cut off away, so that the next one is not glued to it."""
    with path.open("r+b") as file:
        file.truncate(sum(len(line) + 1 for line in lines))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a scratch name to write to; what is written there appears under `path` whole, or not at all.

    Once this is left, a power loss does not take it away again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.scratch")
    try:
        yield scratch
        with scratch.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        scratch.replace(path)
        keep_names(path.parent)
    finally:
        scratch.unlink(missing_ok=True)


def keep_names(folder: Path) -> None:
    """Make the names in a folder outlive a power loss, where a folder can be opened (not on Windows)."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
