"""Reading JSON Lines: one JSON object per line."""

from __future__ import annotations

import json
import re
from itertools import islice
from shlex import quote
from typing import TYPE_CHECKING, Any

from narratrace.inference.archives.rows import MAX_DEPTH, MAX_ROW_BYTES, BadRow, PlainValue, Row, shorten
from narratrace.inference.archives.streams import ByteStream, check_encoding
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from narratrace.inference.archives.streams import Line

PEEK_LINES = 1000
PEEK_CHARACTERS = 2**20


class JsonLinesReader:
    """The objects of a JSON Lines file.

    The columns are the keys of the first objects (at most 1,000 lines or 1 MiB); a key inside an object is
    written with a dot (``user.id_str``, ``data.text.body``), down to `MAX_DEPTH` levels.

    Raises
    ------
    InputError
        On opening, if the file is one JSON array or holds no object in its first 1,000 lines.
    """

    def __init__(self, path: Path) -> None:
        check_encoding(path)
        self._path = path
        self.columns: tuple[str, ...] = self._peek()
        self._stream = ByteStream(path)

    @property
    def bytes_read(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self._stream.bytes_read

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def rows(self, wanted: Sequence[str | None]) -> Iterator[Row | BadRow]:
        """Yield every object; blank lines are no rows."""
        for line in self._stream.lines():
            if not line.text.strip():
                continue
            record = _parse(line)
            if isinstance(record, BadRow):
                yield record
            else:
                values = tuple(None if name is None else _find(record, name) for name in wanted)
                yield Row(line.number, values, line.repaired)

    def _peek(self) -> tuple[str, ...]:
        stream = ByteStream(self._path)
        keys: dict[str, None] = {}
        first = ""
        lines = characters = 0
        try:
            for line in islice(stream.lines(), PEEK_LINES):
                first = first or line.text.strip()
                lines += 1
                characters += len(line.text)
                record = _parse(line)
                if not isinstance(record, BadRow):
                    keys |= dict.fromkeys(_columns(record))
                if characters > PEEK_CHARACTERS:
                    break
        finally:
            stream.close()
        if re.match(r"\[\s*(\{|$)", first):
            raise InputError(
                f"{printable(self._path)} is one JSON array; make it JSON Lines first: "
                f"jq -c '.[]' {quote(printable(self._path))} > posts.jsonl"
            )
        if not keys and lines == PEEK_LINES:
            raise InputError(
                f"{printable(self._path)} is not JSON Lines: none of its first {PEEK_LINES:,} lines is a JSON object."
            )
        return tuple(keys)


def _parse(line: Line) -> dict[str, Any] | BadRow:
    if not line.complete:
        return _bad(line, "row too long", f"longer than {MAX_ROW_BYTES // 2**20} MiB")
    try:
        record = json.loads(line.text)
    except json.JSONDecodeError as error:
        return _bad(line, "unreadable JSON", f"{error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets nested without end
        return _bad(line, "unreadable JSON", str(error))
    return record if isinstance(record, dict) else _bad(line, "not a JSON object", "")


def _bad(line: Line, reason: str, detail: str) -> BadRow:
    return BadRow(line.number, reason, detail, shorten(line.text.strip()))


def _columns(record: dict[str, Any], depth: int = MAX_DEPTH) -> Iterator[str]:
    for key, value in record.items():
        yield key
        if isinstance(value, dict) and depth > 1:
            yield from (f"{key}.{inner}" for inner in _columns(value, depth - 1))


def _find(record: dict[str, Any], name: str) -> object:
    value: object = record
    while isinstance(value, dict):
        if name in value:  # a key may have dots of its own
            return value[name]
        key, dot, name = name.partition(".")
        value = value.get(key) if dot else None
    return PlainValue(value) if value else None
