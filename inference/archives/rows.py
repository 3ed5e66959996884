"""Rows: what every reader of a file format yields, before the columns are given their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ROW_BYTES = 16 * 2**20
"""A longer row is rejected: no post is that long, so a quote or a line end is missing."""

MAX_DEPTH = 8
"""Levels of objects inside objects, or of structs, whose fields are columns of their own."""

MAX_EXCERPT = 200
"""Characters of a bad row that the rejects file quotes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that its format could read.

    Attributes
    ----------
    line
        Where it starts: the physical line in a text file, the row in Parquet; both count from 1.
    values
        One value for each column asked for; None where the row has none.
    repaired
        Whether bytes that are not UTF-8 were replaced by U+FFFD.
    """

    line: int
    values: tuple[object, ...]
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class PlainValue:
    """What a row has in the place of the object that the wanted field should be in: no text, no time, and not nothing.

    Attributes
    ----------
    value
        As ``bob`` where ``user.id`` is wanted of ``{"user": "bob"}``.
    """

    value: object

    def __str__(self) -> str:
        """Show the value as none of its own kind."""
        return f"<{self.value}>"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be scored.

    Attributes
    ----------
    line
        As in `Row`.
    reason
        Why, in words that are the same for every row with this fault, so that they can be counted.
    detail
        What is particular to this row; may be empty.
    excerpt
        The start of the row, shortened.
    """

    line: int
    reason: str
    detail: str
    excerpt: str


class RowReader(Protocol):
    """The contract of a file format: which columns there are, and the rows of those asked for, as a stream."""

    columns: tuple[str, ...]

    def rows(self, wanted: Sequence[str | None]) -> Iterator[Row | BadRow]:
        """Yield every row of the file once, in order, with the wanted columns (None: a column of nothing)."""
        ...

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, as it lies on disk, that have been read so far."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def shorten(text: str) -> str:
    """Cut a text to `MAX_EXCERPT` characters that any encoding and JSON can hold."""
    cut = text[:MAX_EXCERPT] + ("…" if len(text) > MAX_EXCERPT else "")
    return cut.encode("utf-8", "replace").decode("utf-8")
