"""Corpora: files of texts that show which words an encoder will meet."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narratrace.model.errors import InputError
from narratrace.model.script import convert_script
from narratrace.model.text import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")

_SCRIPTS = ("s2t", "t2s", "s2hk")
"""OpenCC's conversions: to traditional, to simplified, to the traditional script as written in Hong Kong."""


@dataclass(frozen=True)
class Corpus:
    """A file of texts.

    Attributes
    ----------
    path
        A ``.txt`` file (one text a line), or a ``.jsonl`` or ``.parquet`` file with the texts in a column.
    column
        The name of that column.
    """

    path: Path
    column: str = "text"

    @classmethod
    def parse(cls, argument: str) -> Corpus:
        """Read ``FILE`` or ``FILE:COLUMN``, as the command takes it.

        Examples
        --------
        >>> Corpus.parse("pairs.parquet:zh").column
        'zh'
        """
        file, colon, column = argument.rpartition(":")
        # The colon of a Windows drive, or one in a file's own name, begins no column.
        if not colon or not Path(file).suffix or Path(argument).exists():
            return cls(Path(argument))
        return cls(Path(file), column)

    def texts(self) -> Iterator[str]:
        """Yield the texts in the order of the file, empty ones left out.

        Raises
        ------
        InputError
            If the file is missing, unreadable, damaged, of another format, or lacks the column.
        """
        if not self.path.is_file():
            raise InputError(f"There is no corpus file {self.path}.")
        readers = {".txt": _read_lines, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
        reader = readers.get(self.path.suffix.lower())
        if reader is None:
            raise InputError(f"{self.path} is of no known format: a corpus is a {', '.join(readers)} file.")
        try:
            yield from (text for text in reader(self.path, self.column) if text)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from error


def read_texts(corpora: Iterable[Corpus], track: Callable[..., Iterable[Any]] | None = None) -> list[str]:
    """Read and normalise the texts of some corpora, each distinct one once, in the order of their first appearance.

    Parameters
    ----------
    corpora : iterable of Corpus
        Where to read.
    track : callable, optional
        Wraps what is iterated over to show progress: ``rich.progress.track``, or one with its signature.
    """
    raw = list(dict.fromkeys(text for corpus in corpora for text in corpus.texts()))
    texts = (normalise(text).text for text in (track(raw, "Normalising texts") if track else raw))
    return list(dict.fromkeys(text for text in texts if text))


def convert_scripts(text: str) -> list[str]:
    """Return the text with its conversions to the other Chinese scripts, each distinct one once, the text first.

    Examples
    --------
    >>> convert_scripts("支持香港警察")
    ['支持香港警察']
    >>> convert_scripts("头发")
    ['头发', '頭髮']
    """
    if not _HAN.search(text):
        return [text]
    return list(dict.fromkeys([text, *(convert_script(text, script) for script in _SCRIPTS)]))


def is_held_out(text: str) -> bool:
    """Tell whether a text belongs to the tenth that is never used for counting; its SHA-256 decides."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]) % 10 == 0


def _read_lines(path: Path, column: str) -> Iterator[str]:
    if column != "text":
        raise InputError(f"{path} is plain text, which has no column {column}.")
    with path.open(encoding="utf-8-sig") as file:
        yield from (line.strip() for line in file)


def _read_jsonl(path: Path, column: str) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)[column]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}: no JSON object with the field {column}.") from error
            if text is not None:
                yield str(text)


def _read_parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise InputError(f"{path} has no column {column}: name one of {', '.join(names)} as {path}:COLUMN.")
            for batch in file.iter_batches(columns=[column]):
                yield from (str(text) for text in batch.column(0).to_pylist() if text is not None)
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error
