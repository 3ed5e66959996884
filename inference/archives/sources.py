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
from narratrace.inference.archives.streams import CODECS
from narratrace.model.errors import InputError

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
        What it is called in ids, messages and the rejects file; different for every source of an archive.
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


def find_sources(inputs: Sequence[str | Path], exclude: Path | None = None) -> list[Source]:
    """Find the files of an archive.

    Parameters
    ----------
    inputs
        Files, folders (every file of a known format below them, hidden ones left out) and globs (``**`` too).
    exclude
        A folder whose files are left out: where the results go.

    Returns
    -------
    list of Source
        In the order of the inputs, sorted within each; every file once.

    Raises
    ------
    InputError
        If an input does not exist, matches nothing, or is a file of no known format.
    """
    found: dict[Path, Source] = {}
    excluded = exclude.resolve() if exclude else None
    for given in inputs:
        for source in _expand(given):
            path = source.path.resolve()
            if excluded is None or not path.is_relative_to(excluded):
                found.setdefault(path, source)
    if not found:
        raise InputError(f"{', '.join(map(str, inputs))}: no posts to read there.")
    sources = list(found.values())
    names = Counter(source.name for source in sources)
    # Two folders may hold files of the same name: then the whole path tells them apart.
    return [source if names[source.name] == 1 else Source(source.path, source.path.as_posix()) for source in sources]


def _expand(given: str | Path) -> Iterator[Source]:
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
            raise InputError(f"{path} holds no file of a known format ({_known()}).")
        yield from (Source(file, file.relative_to(path).as_posix()) for file in files)
    elif path.exists():
        if reader_of(path) is None:
            raise InputError(f"{path} is of no known format; known are {_known()}, each also as .gz or .zst.")
        yield Source(path, path.name)
    else:
        files = [Path(match) for match in sorted(glob.glob(str(given), recursive=True))]  # noqa: PTH207 - absolute globs
        files = [file for file in files if file.is_file()]
        if not files:
            what = "matches no file" if glob.has_magic(str(given)) else "does not exist"
            raise InputError(f"{given} {what}.")
        for file in files:
            yield from _expand(file)


def _known() -> str:
    return " ".join(FORMATS)
