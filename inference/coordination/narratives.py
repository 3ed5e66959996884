"""Narratives: the labels that an archive already carries because `narratrace score` wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from narratrace.inference.archives import fields
from narratrace.inference.archives.rows import Row

if TYPE_CHECKING:
    from narratrace.inference.archives.archive import Archive

_SCORED = {"id", "labels", "stance"}
"""Columns by which a file of scores is recognised."""


def read_narratives(archive: Archive) -> dict[str, tuple[str, ...]] | None:
    """Read which narratives the scored posts of an archive advance, by post id.

    Posts that advance none are left out. None if no file of the archive holds scores.
    """
    found: dict[str, tuple[str, ...]] | None = None
    for mapped in archive.sources:
        reader = mapped.source.open()
        try:
            if not set(reader.columns) >= _SCORED:
                continue
            found = {} if found is None else found
            for row in reader.rows(("id", "labels")):
                if isinstance(row, Row) and (identifier := fields.to_id(row.values[0])) and row.values[1]:
                    found[identifier] = _labels(row.values[1])
        finally:
            reader.close()
    return found


def _labels(cell: object) -> tuple[str, ...]:
    """Read a list of labels; in CSV they are joined by ``|``."""
    return tuple(map(str, cell)) if isinstance(cell, list) else tuple(str(cell).split("|"))
