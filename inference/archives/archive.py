"""Archive: the posts of many files as one stream of batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from narratrace.inference.archives import fields
from narratrace.inference.archives.cells import restore
from narratrace.inference.archives.delimited import DelimitedReader
from narratrace.inference.archives.mapping import ColumnMapping, choose_mapping
from narratrace.inference.archives.rows import BadRow, PlainValue, Row, shorten
from narratrace.inference.archives.sources import Source, find_sources
from narratrace.inference.posts import POST_COLUMNS, Post, PostColumn, posts_to_batch
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SCORED = frozenset({"labels", "stance"})
"""Columns by which a file that `narratrace score` wrote is recognised."""
_NEUTRALISED = SCORED | {"artefact"}
"""Columns of a CSV that `narratrace score` wrote: labelled posts may have labels and a stance, too."""
NARRATIVES: pa.DataType = pa.list_(pa.string())
"""Type of `PostBatch.narratives`."""
MAX_BATCH_CHARACTERS = 2**24
"""A batch of long posts ends early, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not scored.

    Attributes
    ----------
    file
        The source's name.
    line
        Physical line in a text file, row in Parquet; both count from 1.
    reason
        Why, in words that can be counted.
    detail
        What is particular to this row; may be empty.
    excerpt
        The start of the row.
    """

    file: str
    line: int
    reason: str
    detail: str
    excerpt: str


@dataclass
class PostBatch:
    """Posts in a row of one archive, with what was found on the way to them.

    Attributes
    ----------
    posts
        Columns of `POST_SCHEMA`.
    rejects
        Rows between these posts that cannot be scored.
    rows_read
        Rows that made this batch: its posts and its rejects.
    bytes_read
        Bytes of the archive read up to the end of this batch.
    narratives
        Narratives that each of these posts advances, lists of strings; null for posts of files that are not scored.
    oddities
        Counts of posts that are scored although something about them was unreadable, by what it was.
    """

    posts: pa.RecordBatch
    narratives: pa.Array
    rejects: list[Reject]
    rows_read: int
    bytes_read: int
    oddities: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class MappedSource:
    """A file of an archive whose columns are known."""

    source: Source
    mapping: ColumnMapping | None
    """None for a file without a header, that is without rows."""
    size: int
    scored: bool = False
    """Whether `narratrace score` wrote it, so that its posts come with narratives."""
    neutralised: bool = False
    """Whether its cells have an apostrophe where a spreadsheet would run them."""


class Archive:
    """A set of posts on disk, ready to be read.

    Attributes
    ----------
    sources
        The files with posts, in the order of reading, with the mapping chosen for each.
    skipped
        Sentences about the files that were left out.
    """

    def __init__(self, sources: Sequence[MappedSource], skipped: Sequence[str]) -> None:
        self.sources = tuple(sources)
        self.skipped = tuple(skipped)

    @classmethod
    def open(
        cls, inputs: Sequence[str | Path], mapping: Mapping[PostColumn, str] | None = None, out: Path | None = None
    ) -> Archive:
        """Find the files and look at the head of each, so that whatever is wrong with them shows before any work.

        Parameters
        ----------
        inputs
            Files, folders and globs.
        mapping
            Post column to file column, for layouts that are not recognised.
        out
            The folder where the results will go, so that they are not taken for posts.

        Raises
        ------
        InputError
            If there is no post to read, a file is unreadable, or its text column is not known.
        """
        sources = []
        found, skipped = find_sources(inputs, out)
        for source in found:
            reader = source.open()
            try:
                columns = reader.columns
            finally:
                reader.close()
            if not columns:
                chosen = None
            elif (chosen := choose_mapping(printable(source.path), columns, mapping or {})) is None:
                skipped.append(f"{source.name}: skipped, it lists accounts and holds no posts.")
                continue
            scored = SCORED.issubset(columns)
            if chosen is not None:
                _check_single((*chosen.wanted, "labels" if scored else None), columns, source)
            neutralised = isinstance(reader, DelimitedReader) and _NEUTRALISED.issubset(columns)
            size = source.path.stat().st_size
            sources.append(MappedSource(source, chosen, size, scored, neutralised))
        if not sources:
            raise InputError(" ".join(["No posts to read.", *skipped]))
        return cls(sources, skipped)

    @property
    def title(self) -> str:
        """What to call it on a page: the name of its first file, and how many more there are."""
        first, more = self.sources[0].source.name, len(self.sources) - 1
        return f"{first} and {more:,} more file{'s' if more > 1 else ''}" if more else first

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(source.size for source in self.sources)

    def read(self, batch_size: int, limit: int | None = None) -> Iterator[PostBatch]:
        """Read the posts in order.

        Parameters
        ----------
        batch_size
            Posts in a batch; the last one of all has fewer, and so have batches of very long posts.
        limit
            Stop after this many posts.

        Raises
        ------
        InputError
            If a file turns out damaged; the batch read up to there is yielded before.
        """
        batch = _Batch()
        bytes_before = 0
        remaining = limit
        for mapped in self.sources:
            if remaining == 0:
                break
            reader = mapped.source.open()
            try:
                wanted = mapped.mapping.wanted if mapped.mapping else (None,) * len(POST_COLUMNS)
                rows = reader.rows((*wanted, "labels" if mapped.scored else None))
                for row in map(_restored, rows) if mapped.neutralised else rows:
                    if batch.add(mapped, row) and remaining is not None:
                        remaining -= 1
                    if batch.is_full(batch_size):
                        yield batch.take(bytes_before + reader.bytes_read)
                    if remaining == 0:
                        break
            except InputError:
                if batch.rows_read:
                    yield batch.take(bytes_before + reader.bytes_read)
                raise
            finally:
                reader.close()
            bytes_before += mapped.size
        if batch.rows_read:
            yield batch.take(bytes_before)


def _check_single(wanted: Sequence[str | None], columns: Sequence[str], source: Source) -> None:
    """Refuse a file in which the name of a column that is read does not say which column it is."""
    double = next((name for name in wanted if name is not None and columns.count(name) > 1), None)
    if double is not None:
        raise InputError(
            f"{printable(source.path)} has several columns named '{printable(double)}'; give each its own name."
        )


def _restored(row: Row | BadRow) -> Row | BadRow:
    """Undo in a row what keeps a spreadsheet from running its cells."""
    if isinstance(row, BadRow):
        return row
    values = tuple(restore(value) if isinstance(value, str) else value for value in row.values)
    return replace(row, values=values)


class _Batch:
    """A batch in the making."""

    def __init__(self) -> None:
        self.rows_read = 0
        self._posts: list[Post] = []
        self._narratives: list[list[str] | None] = []
        self._rejects: list[Reject] = []
        self._characters = 0
        self._oddities: Counter[str] = Counter()

    def is_full(self, size: int) -> bool:
        return max(len(self._posts), len(self._rejects)) >= size or self._characters >= MAX_BATCH_CHARACTERS

    def take(self, bytes_read: int) -> PostBatch:
        """Return what was gathered and start anew."""
        narratives = pa.array(self._narratives, NARRATIVES)
        batch = PostBatch(
            posts_to_batch(self._posts), narratives, self._rejects, self.rows_read, bytes_read, self._oddities
        )
        self.__init__()  # type: ignore[misc]
        return batch

    def add(self, mapped: MappedSource, row: Row | BadRow) -> bool:
        """Add a row; return whether it is a post."""
        self.rows_read += 1
        file = mapped.source.name
        if isinstance(row, Row):
            fault = self._add_post(file, row, mapped.scored)
            if fault is None:
                return True
            reason, detail = fault
            shown = row.values[: len(POST_COLUMNS)]
            excerpt = shorten(" | ".join("" if value is None else str(value) for value in shown))
        else:
            reason, detail, excerpt = row.reason, row.detail, row.excerpt
        self._rejects.append(Reject(file, row.line, reason, detail, excerpt))
        return False

    def _add_post(self, file: str, row: Row, scored: bool) -> tuple[str, str] | None:
        """Add a readable row as a post; return reason and detail if it is none."""
        raw_id, raw_account, raw_text, raw_time, raw_flag, raw_language, raw_labels = row.values
        text = fields.to_text(raw_text)
        if raw_text is None or isinstance(raw_text, PlainValue):
            return "no text", ""
        if text is None:
            return "text is not a string", f"it is a {type(raw_text).__name__}"
        if not text.strip():
            return "empty text", ""
        if isinstance(raw_account, PlainValue):
            # Some posts may name their account where others hold an object with its id.
            raw_account = raw_account.value
        identifier = fields.to_id(raw_id)
        account = fields.to_id(raw_account)
        created_at = fields.to_time(raw_time)
        if identifier is None:
            self._oddities["id missing"] += 1
        elif fields.is_rounded(identifier):
            self._oddities["id rounded"] += 1
        if account is None and raw_account and raw_account == raw_account:  # NaN, which says "none", is not itself
            self._oddities["account_id unreadable"] += 1
        elif account is not None and fields.is_rounded(account):
            self._oddities["account_id rounded"] += 1
        if created_at is None and raw_time not in (None, ""):
            self._oddities["created_at unreadable"] += 1
        as_stored = text.encode("utf-8") if isinstance(raw_text, bytes) else text
        if row.repaired or as_stored != raw_text:
            self._oddities["text repaired"] += 1
        self._posts.append(
            Post(
                id=identifier or f"{file}:{row.line}",
                account_id=account,
                text=text,
                created_at=created_at,
                is_repost=fields.to_flag(raw_flag),
                language=fields.to_text(raw_language) or None,
            )
        )
        self._narratives.append(fields.to_labels(raw_labels) if scored else None)
        self._characters += len(text)
        return None
