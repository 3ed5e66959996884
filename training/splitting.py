"""Splitting files of labelled posts into parts, with a record of how that was done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.folds import Share, measure_shares, split
from narratrace.training.labelled import Fault, parse_rows
from narratrace.training.rows import fingerprint
from narratrace.training.settings import ColumnSettings

RECORD = "split.json"
"""File that says what was split, and how."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def split_files(
    sources: Sequence[str],
    taxonomy: Taxonomy,
    columns: ColumnSettings,
    parts: Mapping[str, float],
    out: Path,
    seed: int,
) -> list[Share]:
    """Split labelled posts by :func:`narratrace.training.folds.split` and write each part to ``out/NAME.jsonl``.

    A post keeps all its columns. ``out/split.json`` records sources, their fingerprints, fractions, seed and shares.

    Parameters
    ----------
    sources
        As for :func:`narratrace.training.rows.read_rows`.
    taxonomy, columns
        As for :func:`narratrace.training.labelled.read_labelled`.
    parts
        Name and fraction of each part.
    out
        Folder to make, or to add the files to.
    seed
        Decides among what is equally good.

    Returns
    -------
    list of Share
        How far each narrative's, language's and stance's share is from its target.

    Raises
    ------
    InputError
        A row has a fault, the posts cannot be split so, or a file is there already.
    """
    if wrong := [name for name in parts if not _NAME.fullmatch(name)]:
        raise InputError(f"'{wrong[0]}' cannot name a part: use letters, digits, - and _.")
    targets = {name: out / f"{name}.jsonl" for name in parts}
    if there := [path for path in (*targets.values(), out / RECORD) if path.exists()]:
        raise InputError(f"{there[0]} is there already: choose another folder, or remove it.")
    rows, posts = [], []
    for source in sources:
        for row, found in parse_rows(source, taxonomy, columns):
            if isinstance(found, Fault):
                raise InputError(f"{row.where}: {found.message}; 'narratrace data check' lists all faults.")
            rows.append(row)
            posts.append(found)
    fractions = list(parts.values())
    assigned = split(posts, fractions, seed)
    shares = measure_shares(posts, assigned, fractions)
    out.mkdir(parents=True, exist_ok=True)
    for part, path in enumerate(targets.values()):
        chosen = (row for row, at in zip(rows, assigned, strict=True) if at == part)
        lines = (json.dumps(row.fields, ensure_ascii=False, default=str) + "\n" for row in chosen)
        # Half of a surrogate pair, which is no UTF-8, stays the JSON escape that it was.
        path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace", newline="\n")
    record = {
        "sources": {source: fingerprint(source) for source in sources},
        "taxonomy": f"{taxonomy.id}@{taxonomy.version}",
        "parts": dict(parts),
        "seed": seed,
        "shares": [share._asdict() for share in shares],
    }
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return shares
