"""What a command says of an archive: which column is taken for what, and what is left out."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from narratrace.inference.archives.archive import Archive, PostBatch


def show_archive(archive: Archive, console: Console) -> None:
    """Print the columns that are read of an archive's files, and the files that are skipped."""
    from rich.markup import escape

    from narratrace.inference.scoring import mappings
    from narratrace.model.printable import printable

    for use in mappings(archive):
        what = f"{use.files:,} file{'s' if use.files > 1 else ''}"
        columns = ", ".join(f"{post} ← {printable(column)}" for post, column in use.columns.items()) or "no rows"
        layout = f" ({use.layout})" if use.layout else ""
        console.print(f"Reading {what}: {escape(columns)}{layout}", soft_wrap=True)
    for sentence in archive.skipped:
        console.print(escape(sentence), soft_wrap=True)


@contextmanager
def reading(
    archive: Archive, console: Console, batch_size: int, limit: int | None = None
) -> Iterator[Iterator[PostBatch]]:
    """Read an archive, and at the end print which files were skipped and how many rows were rejected for what.

    Yields
    ------
    iterator of PostBatch
        What :meth:`~narratrace.inference.archives.archive.Archive.read` gives; whoever has enough may leave early.
    """
    from narratrace.inference.archives.faults import say_faults

    rejects: Counter[str] = Counter()

    def read() -> Iterator[PostBatch]:
        for batch in archive.read(batch_size, limit):
            rejects.update(reject.reason for reject in batch.rejects)
            yield batch

    yield read()
    for sentence in [*archive.skipped, *say_faults(rejects, {})]:
        console.print(sentence, markup=False, soft_wrap=True)
