"""Reading CSV and TSV, one physical line after another, so that a bad row costs only itself."""

from __future__ import annotations

import csv
import re
from collections import deque
from typing import TYPE_CHECKING

from narratrace.inference.archives.rows import MAX_ROW_BYTES, BadRow, Row, shorten
from narratrace.inference.archives.streams import CODECS, ByteStream, check_encoding
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from narratrace.inference.archives.streams import Line

DELIMITERS = (",", "\t", ";")
# A field in quotes, which may go on in the next line.
_QUOTED = re.compile(r'(?:^|(?<=[,\t;]))"[^"]*(?:""[^"]*)*"?')


class DelimitedReader:
    """The rows of a CSV or TSV file with a header.

    Fields are always strings. The delimiter is the comma, tab or semicolon that the header uses most outside quotes; in
    a file whose name ends in ``.tsv`` it is the tab, unless the header has none and another one.

    Notes
    -----
    ``csv.reader`` alone lets one unclosed quote swallow the rest of the file. Here a record that turns out
    unreadable gives up its first line only; the lines after it are read again as records of their own.
    No more is read again than is read, so that hostile quoting cannot make this slow.
    """

    def __init__(self, path: Path) -> None:
        check_encoding(path)
        # The limit is global to the csv module; its default, 128 KiB, is less than a long post.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        self._stream = ByteStream(path)
        name = path.with_suffix("") if path.suffix.lower() in CODECS else path
        self._records = _Records(self._stream.lines(), tabs=name.suffix.lower() == ".tsv")
        header = next(self._records, None)
        if isinstance(header, BadRow):
            self.close()
            raise InputError(f"{printable(path)} has a header that cannot be read as CSV ({header.detail}).")
        self.columns: tuple[str, ...] = tuple(str(name).strip() for name in header.values) if header else ()

    @property
    def bytes_read(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self._stream.bytes_read

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def rows(self, wanted: Sequence[str | None]) -> Iterator[Row | BadRow]:
        """Yield every record below the header; blank lines are no records."""
        places = [self.columns.index(name) if name in self.columns else None for name in wanted]
        width = len(self.columns)
        for record in self._records:
            if isinstance(record, BadRow):
                yield record
            elif len(record.values) != width:
                detail = f"{len(record.values)} instead of {width}"
                excerpt = shorten(self._records.delimiter.join(map(str, record.values)))
                yield BadRow(record.line, "wrong number of fields", detail, excerpt)
            else:
                values = tuple(None if place is None else record.values[place] for place in places)
                yield Row(record.line, values, record.repaired)


class _Records:
    """Iterate over the records of a delimited text: rows with all their fields, and bad rows."""

    def __init__(self, lines: Iterator[Line], *, tabs: bool) -> None:
        self._source = lines
        self._ahead: deque[Line] = deque()  # lines to be read again
        self._taken: list[Line] = []  # lines of the record being read
        self._size = 0  # characters in them
        self._read = 0
        self._reread = 0
        self.delimiter = self._choose_delimiter(tabs)
        self._parser = self._new_parser()

    def __iter__(self) -> _Records:
        return self

    def __next__(self) -> Row | BadRow:
        while True:
            self._taken.clear()
            self._size = 0
            try:
                fields = next(self._parser)  # raises StopIteration at the end of the file
            except (csv.Error, _TooLongError) as error:
                return self._give_up(str(error))
            if fields:
                first = self._taken[0]
                return Row(first.number, tuple(fields), any(line.repaired for line in self._taken))

    def _choose_delimiter(self, tabs: bool) -> str:
        """Look at the first line that is not blank, and put it back; tabs are what the file's name says."""
        first = next((line for line in self._source if line.text.strip("\r\n")), None)
        if first is None:
            return DELIMITERS[0]
        self._ahead.append(first)
        self._read += len(first.text)
        outside = _QUOTED.sub("", first.text)
        if tabs and ("\t" in outside or not any(delimiter in outside for delimiter in DELIMITERS)):
            return "\t"
        return max(DELIMITERS, key=outside.count)

    def _new_parser(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self.delimiter, strict=True)

    def _feed(self) -> Iterator[str]:
        while True:
            if self._ahead:
                line = self._ahead.popleft()
            else:
                following = next(self._source, None)
                if following is None:
                    return
                line = following
                self._read += len(line.text)
            self._taken.append(line)
            self._size += len(line.text)
            if not line.complete or self._size > MAX_ROW_BYTES:
                raise _TooLongError
            yield line.text

    def _give_up(self, problem: str) -> BadRow:
        """Reject the record being read and start again at its second line."""
        first, *rest = self._taken
        size = self._size - len(first.text)
        if self._reread + size <= self._read + MAX_ROW_BYTES:
            self._reread += size
            self._ahead.extendleft(reversed(rest))
            detail = "the quote that it opens is not closed as it should be" if rest else problem
        else:
            detail = f"its quotes swallow the lines up to {self._taken[-1].number}"
        self._parser = self._new_parser()
        reason = "unreadable CSV" if first.complete else "row too long"
        return BadRow(first.number, reason, detail, shorten(first.text.rstrip("\r\n")))


class _TooLongError(Exception):
    """A record longer than `MAX_ROW_BYTES`."""

    def __str__(self) -> str:
        return f"longer than {MAX_ROW_BYTES // 2**20} MiB"
