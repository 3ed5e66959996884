"""Scoring an archive: posts in, scored posts, rejects and a summary out."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from pydantic import Field

from narratrace.configs import CONFIGS
from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.read_ahead import read_ahead
from narratrace.inference.archives.results import Results, check_free, partial
from narratrace.inference.archives.writers import ScoreFormat
from narratrace.inference.posts import PostColumn, posts_to_batch
from narratrace.inference.summary import MappingUse, Summary, Tally
from narratrace.model.artefact import ThresholdSet
from narratrace.model.errors import InputError
from narratrace.model.printable import printable
from narratrace.model.settings import Settings

DEFAULT_SETTINGS = CONFIGS / "scoring" / "default.yaml"
"""The shipped settings, with a comment for each."""

_KEPT = ("id", "account_id", "created_at", "is_repost", "text")


class ScoringSettings(Settings):
    """How an archive is scored and what is written."""

    mapping: dict[PostColumn, str] = Field(
        default_factory=dict, description="Post column to the archive's column, for layouts that are not recognised."
    )
    format: ScoreFormat = Field(default="parquet", description="Format of the scores: parquet, jsonl or csv.")
    text: bool = Field(default=True, description="Whether the scores repeat the text of each post.")
    limit: int | None = Field(default=None, ge=1, description="Stop after this many posts; null scores them all.")
    batch_size: int = Field(default=1024, ge=1, description="Posts handed to the classifier at once.")
    artefact: Path | None = Field(default=None, description="Artefact folder; null is the one that narratrace ships.")
    backend: str | None = Field(
        default=None,
        description="What computes the scores: onnx-int8, onnx or torch; null is torch on a GPU, else onnx-int8.",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; null leaves the choice to the backend.")
    thresholds: ThresholdSet | None = Field(
        default=None,
        description="Which thresholds decide on labels: f1, or precision (only labels that keep a promised precision, "
        "the others for review); null is the artefact's own choice.",
    )


class BatchClassifier(Protocol):
    """The contract of whatever scores posts; `narratrace.Classifier` fulfils it."""

    def batch(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score the posts of the column ``text``: arrays of as many rows, by column name."""
        ...


@dataclass(frozen=True, slots=True)
class ScoringProgress:
    """How far a run is.

    Attributes
    ----------
    posts
        Posts scored.
    rejected
        Rows rejected.
    done
        Share of the archive that is done, 0 to 1: by its bytes, as the number of posts is not known before.
    seconds
        Since the start.
    """

    posts: int
    rejected: int
    done: float
    seconds: float

    @property
    def posts_per_second(self) -> float:
        """Posts scored per second so far."""
        return self.posts / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to go at the pace so far; None before anything is done."""
        return self.seconds * (1 - self.done) / self.done if self.done else None


def score_archive(
    inputs: Archive | Sequence[str | Path],
    out: str | Path,
    classifier: BatchClassifier,
    settings: ScoringSettings | None = None,
    *,
    overwrite: bool = False,
    on_progress: Callable[[ScoringProgress], None] | None = None,
) -> Summary:
    """Score every post of an archive.

    Parameters
    ----------
    inputs
        Files, folders and globs, or an archive opened before.
    out
        Folder for ``scores.parquet`` (or ``.jsonl``, ``.csv``), ``rejects.jsonl``, ``settings.yaml`` and
        ``summary.json``. They have ``.partial`` in their names until all are complete.
    classifier
        What scores the posts.
    settings
        How; the defaults if None. Their ``mapping`` applies to inputs that are not opened yet; ``artefact``,
        ``backend`` and ``threads`` are only recorded here, as the classifier is loaded already.
    overwrite
        Whether results that are in `out` already may be replaced.
    on_progress
        Called after every batch.

    Returns
    -------
    Summary
        What was found. Rows read are always posts plus rejected rows.

    Raises
    ------
    InputError
        If the inputs cannot be read or the results not be written. Posts scored before that stay in
        ``scores.partial.*``.
    """
    settings = settings or ScoringSettings()
    out = Path(out)
    check_free(out, overwrite)
    archive = inputs if isinstance(inputs, Archive) else Archive.open(inputs, settings.mapping, out=out)
    results = Results(out, settings.format)
    tally = Tally()
    started_at, start = datetime.now(UTC), time.perf_counter()
    try:
        with contextlib.closing(read_ahead(archive.read(settings.batch_size, settings.limit))) as batches:
            for batch in batches:
                results.write_rejects(batch.rejects)
                tally.add_batch(batch)
                if batch.posts.num_rows:
                    _score(batch.posts, classifier, settings, results, tally)
                if on_progress:
                    done = max(batch.bytes_read / archive.size, tally.posts / (settings.limit or np.inf))
                    seconds = time.perf_counter() - start
                    on_progress(ScoringProgress(tally.posts, results.rejects_written, min(done, 1.0), seconds))
        if not tally.posts:  # the file of scores has its columns even where no post is
            _score(posts_to_batch([]), classifier, settings, results, tally)
    except BaseException as error:
        with contextlib.suppress(InputError):  # the first error is the one to tell
            results.close()
        if isinstance(error, InputError) and tally.posts:
            raise InputError(
                f"{error} The {tally.posts:,} posts before are scored in {printable(partial(results.scores))}."
            ) from error
        raise
    if not tally.rows_read == results.posts_written + results.rejects_written:
        raise RuntimeError(
            f"{tally.rows_read} rows were read, but {results.posts_written} written and {results.rejects_written} "
            "rejected: this is a bug in narratrace, please report it."
        )
    seconds = time.perf_counter() - start
    summary = tally.summary(started_at, seconds, results.rejects_written, mappings(archive), list(archive.skipped))
    results.finish(settings, summary)
    return summary


def _score(
    posts: pa.RecordBatch, classifier: BatchClassifier, settings: ScoringSettings, results: Results, tally: Tally
) -> None:
    scores = classifier.batch({"text": posts["text"].to_numpy(zero_copy_only=False)})
    kept = [name for name in _KEPT if name != "text" or settings.text]
    found = {name: pa.array(values.tolist(), type=_type_of(name)) for name, values in _in_order(scores).items()}
    results.write_scores(pa.RecordBatch.from_pydict({name: posts[name] for name in kept} | found))
    tally.add_scores(scores)


def _in_order(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Order the columns of the classifier as they are read: what was found, then how sure."""
    first = ("language", "labels", "stance")
    last = ("abstained", "windows", "truncated", "artefact")
    between = (name for name in scores if name not in first + last)
    return {name: scores[name] for name in (*first, *between, *last)}


def _type_of(name: str) -> pa.DataType:
    if name.startswith(("score_", "stance_")):
        return pa.float32()
    if name in ("labels", "abstained"):
        return pa.list_(pa.string())
    return {"windows": pa.int16(), "truncated": pa.bool_()}.get(name, pa.string())


def mappings(archive: Archive) -> list[MappingUse]:
    """Return the column mappings of an archive, each with the number of files that are read with it."""
    uses = Counter(source.mapping for source in archive.sources)
    return [
        MappingUse(
            files=count, layout=mapping.layout if mapping else "", columns=dict(mapping.columns) if mapping else {}
        )
        for mapping, count in uses.items()
    ]
