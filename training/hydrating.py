"""Putting the texts back to labels of posts that may not be passed on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from narratrace.model.errors import InputError
from narratrace.training.rows import read_rows

KEY = "sha256"
"""Column that names the post of a label."""

_HASH = re.compile(r"[0-9a-f]{64}")


class Hydrated(NamedTuple):
    """How many labels found their post, and how many did not."""

    found: int
    missing: int


def hash_text(text: str) -> str:
    """SHA-256 of a post's UTF-8 text exactly as published, hexadecimal: nothing is trimmed or normalised.

    Examples
    --------
    >>> hash_text("支持警察")[:16]
    '9a50644966b7b868'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hydrate(labels: Path, posts: Iterable[tuple[str, str | None]], out: Path) -> Hydrated:
    """Write the labelled posts whose texts are found, one JSON object a line in the order of the labels.

    Parameters
    ----------
    labels
        Labels by hash: columns ``sha256`` and whatever else a labelled post may have.
    posts
        Texts and accounts of an archive. Of equal texts the first counts.
    out
        File to make, if any text is found. A row is that of the labels with ``text``, and with ``account_id`` where the
        archive has one and the labels have none.

    Raises
    ------
    InputError
        The labels cannot be read, a row has no hash, or ``out`` is there already.
    """
    if out.exists():
        raise InputError(f"{out} is there already: choose another name, or remove it.")
    rows = list(read_rows(labels))
    for row in rows:
        if row.fault or not _HASH.fullmatch(str(row.fields.get(KEY))):
            raise InputError(f"{row.where}: a label needs the '{KEY}' of its post's text, 64 hexadecimal digits.")
    wanted = {row.fields[KEY] for row in rows}
    texts: dict[str, tuple[str, str | None]] = {}
    for text, account in posts:
        key = hash_text(text)
        if key in wanted:
            texts.setdefault(key, (text, account))
            if len(texts) == len(wanted):
                break
    lines = []
    for row in rows:
        if row.fields[KEY] in texts:
            text, account = texts[row.fields[KEY]]
            found = {"text": text, **({"account_id": account} if account else {})}
            given = {name: value for name, value in row.fields.items() if value is not None}
            lines.append(json.dumps(found | given | {"text": text}, ensure_ascii=False, default=str) + "\n")
    if lines:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(lines), encoding="utf-8", errors="backslashreplace", newline="\n")
    return Hydrated(len(lines), len(rows) - len(lines))
