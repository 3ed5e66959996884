"""Byte streams: opening plain and compressed files, and splitting them into lines of bounded length."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

import pyarrow as pa

from narratrace.inference.archives.rows import MAX_ROW_BYTES
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODECS = {".gz": "gzip", ".zst": "zstd"}
"""Compression by file suffix."""

_LONG_WINDOW = "requires too much memory for decoding"
"""What Zstandard says of a window of more than 128 MiB, as ``zstd --ultra --long=31`` takes for very large files."""

_NOT_ASCII = re.compile("[^\0-\x7f]")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one sentence that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{printable(path)} does not exist.") from None
    except PermissionError:
        raise InputError(f"{printable(path)} may not be read: permission denied.") from None
    except (OSError, EOFError, pa.ArrowException) as error:
        if _LONG_WINDOW in str(error):
            raise InputError(
                f"{printable(path)} was compressed with a window that is longer than can be read here; unpack it "
                f"first: zstd -d --long=31 {quote(printable(path))}"
            ) from error
        reason = printable(str(error).splitlines()[0]).rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"{printable(path)} is damaged, cut off or not what its name says ({reason}).") from error


class ByteStream:
    """A file read from start to end, decompressed on the way where its name says so.

    Raises
    ------
    InputError
        On opening or on reading, if the file cannot be read or its compressed data are damaged or cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self._file = path.open("rb")
            codec = CODECS.get(path.suffix.lower())
            # An empty file is no valid gzip, yet holds what a plain empty file holds: nothing.
            if codec and path.stat().st_size:
                unpacked = pa.CompressedInputStream(pa.PythonFile(self._file, mode="r"), codec)
                self.buffer = io.BufferedReader(unpacked, 2**16)
            else:
                self.buffer = self._file

    @property
    def bytes_read(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def lines(self) -> Iterator[Line]:
        """Yield the lines of the stream, without a byte order mark before the first."""
        number = 0
        while True:
            number += 1
            with reading(self.path):
                data = self.buffer.readline(MAX_ROW_BYTES)
                complete = len(data) < MAX_ROW_BYTES or data.endswith(b"\n")
                if not complete:
                    self._skip_line()
            if not data:
                return
            if number == 1:
                data = data.removeprefix(b"\xef\xbb\xbf")
            try:
                yield Line(number, data.decode("utf-8"), complete, repaired=False)
            except UnicodeDecodeError:
                yield Line(number, data.decode("utf-8", "replace"), complete, repaired=True)

    def _skip_line(self) -> None:
        while (more := self.buffer.readline(2**16)) and not more.endswith(b"\n"):
            pass


@dataclass(frozen=True, slots=True)
class Line:
    """A physical line of a text file.

    Attributes
    ----------
    number
        Counted from 1.
    text
        With its line end; bytes that are not UTF-8 are replaced by U+FFFD.
    complete
        False where the line was longer than `MAX_ROW_BYTES` and `text` is only its start.
    repaired
        Whether bytes were replaced.
    """

    number: int
    text: str
    complete: bool
    repaired: bool


def check_encoding(path: Path) -> None:
    """Refuse a text file that is plainly not UTF-8, before thousands of posts are scored as gibberish.

    Some bad bytes are no reason: they are replaced where they stand.

    Raises
    ------
    InputError
        If it is UTF-16, ends its lines with a bare carriage return, or what is not ASCII in its first 256 KiB is
        mostly not UTF-8 either.
    """
    stream = ByteStream(path)
    try:
        with reading(path):
            sample = stream.buffer.read(2**18)
    finally:
        stream.close()
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{printable(path)} is UTF-16; make it UTF-8 first: {_conversion(path, 'UTF-16')}")
    decoded = sample.decode("utf-8", "replace")
    bad = decoded.count("�")
    if bad >= 64 and bad > len(sample) / 50 and bad > len(_NOT_ASCII.findall(decoded)) / 2:
        raise InputError(
            f"{printable(path)} is not UTF-8; make it UTF-8 first, with its true encoding (often GB18030 or BIG5): "
            f"{_conversion(path, 'GB18030')}"
        )
    if "\r" in decoded and "\n" not in decoded:
        raise InputError(f"{printable(path)} ends its lines with a bare carriage return; change them: tr '\\r' '\\n'.")


def _conversion(path: Path, encoding: str) -> str:
    shown, new = quote(printable(path)), quote(f"utf8-{printable(path.name)}")
    return f"iconv -f {encoding} -t UTF-8 {shown} > {new}"
