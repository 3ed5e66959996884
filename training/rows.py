"""The rows of a labelled file: JSONL, CSV, Parquet, or a Hugging Face data set."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from narratrace.model.artefact import hash_file
from narratrace.model.errors import InputError

HUB = "hf:"
"""What the id of a data set on the Hugging Face hub begins with, to tell it from a folder."""

SPLIT = "split"
"""Column that says of which split a row of a file is."""

_MAX_FIELD = 2**24
"""Characters of the longest CSV field that is read; Python's own limit is shorter than a long post."""


class Row(NamedTuple):
    """One row of a labelled file.

    Attributes
    ----------
    where
        File and line, as shown in messages.
    fields
        The row's values by column; empty where it could not be read.
    fault
        Why it could not be read; empty where it could.
    """

    where: str
    fields: Mapping[str, Any]
    fault: str = ""


def read_rows(source: str | Path) -> Iterator[Row]:
    """Yield the rows of a labelled file.

    Parameters
    ----------
    source
        A ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file; a folder that ``datasets`` wrote or can read; or
        ``hf:ID`` or ``hf:ID:SUBSET``, a data set on the Hugging Face hub. ``#SPLIT`` at the end takes one split
        alone: of a file the rows whose column ``split`` says so.

    Raises
    ------
    InputError
        There is no such file, it cannot be read, has an unknown ending, or lacks the split.
    """
    name, split = _parse(source)
    path = Path(name)
    if name.startswith(HUB) or path.is_dir():
        yield from _read_dataset(name, split)
        return
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"Cannot read labelled posts from {name}: give a {', '.join(readers)} file, a folder of a data set, or "
            f"{HUB}ID for one on the Hugging Face hub."
        )
    found: set[str] = set()
    try:
        for row in reader(path):
            if split and not row.fault:
                found.add(str(row.fields.get(SPLIT)))
            if not split or row.fault or str(row.fields.get(SPLIT)) == split:  # a broken row may be of any split
                yield row
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"Cannot read labelled posts from {name}: {_in_a_line(error)}.") from error
    if split and split not in found:
        raise InputError(f"{name} has no split '{split}' in a column '{SPLIT}', only {', '.join(sorted(found))}.")


def fingerprint(source: str | Path) -> str:
    """SHA-256 of what a source holds, hexadecimal: of a file's bytes, of any other source's rows."""
    path = Path(_parse(source)[0])
    if path.is_file():
        return hash_file(path)
    digest = hashlib.sha256()
    for row in read_rows(source):
        digest.update(json.dumps(row.fields, sort_keys=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def _parse(source: str | Path) -> tuple[str, str]:
    """Tell a source's name from the split that it asks for."""
    if Path(source).exists():
        return str(source), ""
    name, _, split = str(source).partition("#")
    return name, split


def _read_jsonl(path: Path) -> Iterator[Row]:
    # newline="\n", or a line would be broken at the other line ends that JSON strings may hold.
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            fault = "" if isinstance(fields, dict) else "this is no JSON object with text, stance and labels"
            yield Row(f"{path}, line {number}", fields if isinstance(fields, dict) else {}, fault)


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        header = next(reader, [])
        if double := {name for name in header if header.count(name) > 1}:
            raise InputError(f"{path} has several columns named '{min(double)}': give each its own name.")
        next_line = reader.line_num + 1
        for values in reader:
            line, next_line = next_line, reader.line_num + 1  # a record may have several lines; the first is named
            if not values:
                continue
            where, fault = f"{path}, line {line}", ""
            if len(values) != len(header):
                fault = f"the row has {len(values)} fields where the header has {len(header)}"
            yield Row(where, {} if fault else dict(zip(header, values, strict=True)), fault)


def _read_parquet(path: Path) -> Iterator[Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            for fields in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", fields)


def _read_dataset(name: str, split: str) -> Iterator[Row]:
    import datasets

    try:
        if name.startswith(HUB):
            found = datasets.load_dataset(*name.removeprefix(HUB).split(":", 1))
        elif any((Path(name) / file).is_file() for file in ("dataset_info.json", "dataset_dict.json")):
            found = datasets.load_from_disk(name)
        else:
            found = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError, pa.ArrowException) as error:
        raise InputError(f"Cannot read the data set {name}: {_in_a_line(error)}.") from error
    if isinstance(found, datasets.DatasetDict):
        if not split and len(found) > 1:
            raise InputError(f"{name} has several splits: choose one, as in {name}#{next(iter(found))}.")
        split = split or next(iter(found))
        if split not in found:
            raise InputError(f"{name} has no split '{split}', only {', '.join(map(str, found))}.")
        found = found[split]
    elif split:
        raise InputError(f"{name} is a single split: leave '#{split}' out.")
    for number, fields in enumerate(found, 1):
        named = {column: _class_names(found.features[column], value) for column, value in fields.items()}
        yield Row(f"{name}, row {number}", named)


def _class_names(feature: Any, value: Any) -> Any:
    """Replace the class numbers of a data set by the names that its features give them; -1 is none."""
    if isinstance(value, list):
        inner = getattr(feature, "feature", None)
        return [_class_names(inner, one) for one in value]
    if hasattr(feature, "int2str") and isinstance(value, int):
        return feature.int2str(value) if value >= 0 else None
    return value


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).removesuffix(".")
