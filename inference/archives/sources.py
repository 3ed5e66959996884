"""Sources: the files that an archive consists of, found in files, folders and globs."""

from __future__ import annotations

import glob
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from narratrace.inference.archives.delimited import DelimitedReader
from narratrace.inference.archives.json_lines import JsonLinesReader
from narratrace.inference.archives.parquet import ParquetReader
from narratrace.inference.archives.results import is_result
from narratrace.inference.archives.streams import CODECS
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from narratrace.inference.archives.rows import RowReader

FORMATS: dict[str, Callable[[Path], RowReader]] = {
    ".csv": DelimitedReader,
    ".tsv": DelimitedReader,
    ".jsonl": JsonLinesReader,
    ".ndjson": JsonLinesReader,
    ".json": JsonLinesReader,
    ".parquet": ParquetReader,
    ".pq": ParquetReader,
}
"""The reader of each file suffix. A new format needs a reader (see `RowReader`) and a line here."""


@dataclass(frozen=True)
class Source:
    """One file of an archive.

    Attributes
    ----------
    path
        Where it lies.
    name
        What it is called in ids, messages and the rejects file; printable, and different for every source of an
        archive.
    """

    path: Path
    name: str

    def open(self) -> RowReader:
        """Open the file with the reader of its format."""
        reader = reader_of(self.path)
        assert reader is not None
        return reader(self.path)


def reader_of(path: Path) -> Callable[[Path], RowReader] | None:
    """Return the reader for a file name, or None if its format is not known."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in CODECS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def find_sources(inputs: Sequence[str | Path], out: Path | None = None) -> tuple[list[Source], list[str]]:
    """Find the files of an archive.

    Parameters
    ----------
    inputs
        Files, folders (every file of a known format below them, hidden ones left out) and globs (``**`` too).
    out
        The folder where the results go.

    Returns
    -------
    sources : list of Source
        In the order of the inputs, sorted within each; every file once.
    skipped : list of str
        A sentence about each folder whose results, of an earlier run or of the one to come, were left out.

    Raises
    ------
    InputError
        If an input does not exist, matches nothing, is a file of no known format or one that the run would replace,
        or if only results are there.
    """
    found: dict[Path, Source] = {}
    results: dict[Path, set[str]] = {}
    for given in inputs:
        path = Path(given)
        named = path.exists() and not path.is_dir()
        for source in [Source(path, printable(path.name))] if named else _search(given):
            if is_result(source.path, out) and not named:
                results.setdefault(source.path.parent, set()).add(source.path.name)
            else:
                _check(source.path, out)
                found.setdefault(source.path.resolve(), source)
    skipped = [
        f"{printable(folder)}: skipped {', '.join(sorted(left_out))}, which a scoring run writes."
        for folder, left_out in results.items()
    ]
    if not found:
        raise InputError(" ".join([f"{', '.join(map(printable, inputs))}: no posts to read there.", *skipped]))
    sources = list(found.values())
    names = Counter(source.name for source in sources)
    # Two folders may hold files of the same name: then the whole path tells them apart.
    return [
        source if names[source.name] == 1 else Source(source.path, printable(source.path.as_posix()))
        for source in sources
    ], skipped


def _check(path: Path, out: Path | None) -> None:
    if reader_of(path) is None:
        raise InputError(f"{printable(path)} is of no known format; known are {_known()}, each also as .gz or .zst.")
    if out is not None and path.parent.resolve() == out.resolve() and is_result(path, out):
        raise InputError(f"{printable(path)} would be replaced by the results; name another folder for them.")


def _search(given: str | Path) -> Iterator[Source]:
    """Find the files of a folder or a glob."""
    path = Path(given)
    if path.is_dir():
        files = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file()
            and reader_of(file)
            and not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)
        ]
        if not files:
            raise InputError(f"{printable(path)} holds no file of a known format ({_known()}).")
        yield from (Source(file, printable(file.relative_to(path).as_posix())) for file in files)
    else:
        files = [Path(match) for match in sorted(glob.glob(str(given), recursive=True))]  # noqa: PTH207 - absolute globs
        files = [file for file in files if file.is_file()]
        if not files:
            what = "matches no file" if glob.has_magic(str(given)) else "does not exist"
            raise InputError(f"{printable(given)} {what}.")
        yield from (Source(file, printable(file.name)) for file in files)


def _known() -> str:
    return " ".join(FORMATS)
