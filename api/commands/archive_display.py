"""What a command says of an archive: which column is taken for what, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from narratrace.inference.archives.archive import Archive


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


def show_left_out(archive: Archive, rejects: Mapping[str, int], console: Console) -> None:
    """Print the files of an archive that were skipped, and how many rows were rejected for which reason."""
    from narratrace.inference.archives.faults import say_faults

    for sentence in [*archive.skipped, *say_faults(rejects, {})]:
        console.print(sentence, markup=False, soft_wrap=True)
