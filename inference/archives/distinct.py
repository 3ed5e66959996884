"""Scoring the distinct texts of an archive, each once, whatever the number of posts that say it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa

from narratrace.inference.archives.arrow_files import map_arrow, map_batch, write_arrow
from narratrace.inference.archives.keys import find_keys, first_of_each
from narratrace.inference.archives.ledger import files_left
from narratrace.inference.archives.shards import TEXTS_SCHEMA, keys_in
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from narratrace.inference.engine import Said

PIECE_TEXTS = 256
PIECE_BYTES = 2**17
"""A piece of long texts ends early, so that the pieces take about as long."""


class BatchClassifier(Protocol):
    """The contract of whatever scores posts; `narratrace.Classifier` fulfils it.

    What it says of a text must not depend on the texts beside it, and, unless texts are told apart exactly, not on
    what `narratrace.model.text.normalise` takes away.
    """

    def batch(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Score the posts of the column ``text``: arrays of as many rows, by column name."""
        ...


@dataclass(frozen=True)
class ScoreTexts:
    """The work of scoring: a unit is the number of a partition, a step is a window of its distinct texts.

    Each window leaves ``scores/<window>.arrow``, and the unit in their place ``scores/<partition>.arrow``: keys, in
    their order, and scores.
    """

    runs_network: ClassVar[bool] = True

    folder: Path
    classifier: BatchClassifier
    window: int
    workers: int

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Score a partition."""
        texts = self._texts(int(unit))
        rows = first_of_each(keys_in(texts))
        together = _path(self.folder, int(unit))
        all_there = _holds(together, len(rows))
        starts = range(0, max(len(rows), 1), self.window)
        windows = []
        for number, start in enumerate(starts):
            name = f"{int(unit):04}-{number:05}"
            path = self.folder / "scores" / f"{name}.arrow"
            windows.append(path)
            window = texts.take(rows[start : start + self.window])
            if not all_there and not _holds(path, window.num_rows):
                scored = score_texts(window, self.classifier, self.workers)
                write_arrow(path, scored.schema, [scored])
            said = {"unit": unit, "share": 1 / len(starts), "count": window.num_rows}
            yield name, said if all_there else said | files_left(self.folder, path)
        if not all_there:
            whole = _one_batch(pa.concat_tables(map(map_arrow, windows)))
            write_arrow(together, whole.schema, [whole])
        for path in windows:
            path.unlink(missing_ok=True)
        yield unit, {"unit": unit, "share": 0, "count": 0} | files_left(self.folder, together)

    def _texts(self, partition: int) -> pa.Table:
        batches = [map_batch(path, partition) for path in sorted((self.folder / "texts").glob("*.arrow"))]
        return pa.Table.from_batches(batches, TEXTS_SCHEMA).combine_chunks()


def score_texts(texts: pa.Table, classifier: BatchClassifier, workers: int = 1) -> pa.RecordBatch:
    """Score a table of texts.

    Texts of like length go through the classifier together, in pieces of bounded size, several at the same time: while
    one piece is in the network, another is tokenised. The pieces are the same whatever the number of workers, and so
    are the scores.

    Parameters
    ----------
    texts
        Columns of `TEXTS_SCHEMA`.
    classifier
        What scores them.
    workers
        Pieces in work at the same time.

    Returns
    -------
    pyarrow.RecordBatch
        ``key_high``, ``key_low`` and the classifier's columns, in the same order.
    """
    # The longest first: at the end, no worker waits long for another.
    pieces = list(_pieces(texts["text"]))[::-1]
    posts = texts["text"].to_numpy(zero_copy_only=False)
    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        scored = list(pool.map(lambda rows: to_arrow(classifier.batch({"text": posts[rows]})), pieces))
    if not scored:
        scored = [to_arrow(classifier.batch({"text": np.empty(0, dtype=object)}))]
    back = np.argsort(np.concatenate([*pieces, np.empty(0, dtype=np.int64)]))
    found = pa.Table.from_batches(scored).take(back)
    keys = {name: texts[name] for name in ("key_high", "key_low")}
    return _one_batch(pa.table(keys | dict(zip(found.column_names, found.columns, strict=True))))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    """Put the rows of a table together; one without rows gives a batch without rows."""
    if not table.num_rows:
        return pa.RecordBatch.from_pylist([], schema=table.schema)
    [batch] = table.combine_chunks().to_batches()
    return batch


def _pieces(texts: pa.ChunkedArray) -> Iterator[NDArray[np.int64]]:
    """Rows that are scored together, shortest texts first."""
    sizes = np.array([len(text.encode("utf-8")) for text in texts.to_pylist()], dtype=np.int64)
    rows: list[int] = []
    size = 0
    for row in np.argsort(sizes, kind="stable").tolist():
        if rows and (len(rows) == PIECE_TEXTS or size + sizes[row] > PIECE_BYTES):
            yield np.array(rows, dtype=np.int64)
            rows, size = [], 0
        rows.append(row)
        size += int(sizes[row])
    if rows:
        yield np.array(rows, dtype=np.int64)


def to_arrow(scores: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    """Turn the columns of ``Classifier.batch`` into Arrow, ordered as they are read: what was found, then how sure."""
    first = ("language", "labels", "stance")
    last = ("abstained", "windows", "truncated", "artefact")
    between = (name for name in scores if name not in first + last)
    return pa.RecordBatch.from_pydict(
        {name: pa.array(scores[name].tolist(), type=_type_of(name)) for name in (*first, *between, *last)}
    )


def _type_of(name: str) -> pa.DataType:
    if name.startswith(("score_", "stance_")):
        return pa.float32()
    if name in ("labels", "abstained"):
        return pa.list_(pa.string())
    return {"windows": pa.int16(), "truncated": pa.bool_()}.get(name, pa.string())


def look_up(folder: Path, partition: int, keys: NDArray[np.uint64]) -> pa.Table:
    """Scores of the texts of one partition that have these keys, in the order asked for.

    The file is mapped, not read: what is looked up costs memory and time, not what lies there.
    """
    scores = map_batch(_path(folder, partition), 0)
    rows = find_keys(keys, scores["key_high"].to_numpy(), scores["key_low"].to_numpy())
    return pa.Table.from_batches([scores]).drop_columns(["key_high", "key_low"]).take(rows)


def _holds(path: Path, rows: int) -> bool:
    """Tell whether a file of so many texts is there and can be opened; a run may end before it is recorded."""
    try:
        return path.exists() and map_batch(path, 0).num_rows == rows
    except InputError:
        return False


def _path(folder: Path, partition: int) -> Path:
    return folder / "scores" / f"{partition:04}.arrow"
