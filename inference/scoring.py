"""Scoring an archive: posts in, scored posts, rejects and a summary out."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from narratrace.configs import CONFIGS
from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.distinct import BatchClassifier, ScoreTexts
from narratrace.inference.archives.joined import JoinScores
from narratrace.inference.archives.keys import Distinct
from narratrace.inference.archives.ledger import InputFile, Ledger, Run
from narratrace.inference.archives.results import (
    LEDGER,
    REJECTS,
    REPORT,
    SCORES,
    UNFINISHED,
    check_free,
    claim,
    concatenate,
    merge_scores,
    publish,
    write_counted,
    writing,
)
from narratrace.inference.archives.shards import ReadPosts, count_partitions, group_sources, shard_name
from narratrace.inference.archives.streams import reading
from narratrace.inference.archives.tallies import add_up
from narratrace.inference.archives.writers import ScoreFormat
from narratrace.inference.classifier import Classifier
from narratrace.inference.engine import Engine, NativeEngine, Said, Work
from narratrace.inference.posts import PostColumn
from narratrace.inference.report import write_report
from narratrace.inference.summary import MappingUse, Summary, summarise
from narratrace.model.artefact import ThresholdSet, hash_file
from narratrace.model.settings import Settings

DEFAULT_SETTINGS = CONFIGS / "scoring" / "default.yaml"
"""The shipped settings, with a comment for each."""


class ScoringSettings(Settings):
    """How an archive is scored and what is written."""

    mapping: dict[PostColumn, str] = Field(
        default_factory=dict, description="Post column to the archive's column, for layouts that are not recognised."
    )
    format: ScoreFormat = Field(default="parquet", description="Format of the scores: parquet, jsonl or csv.")
    text: bool = Field(default=True, description="Whether the scores repeat the text of each post.")
    limit: int | None = Field(default=None, ge=1, description="Stop after this many posts; null scores them all.")
    distinct: Distinct = Field(
        default="normalised",
        description="Which texts are the same and scored once: those that are, once normalised, or only exact copies.",
    )
    shard_size: int = Field(default=2**16, ge=1, description="Posts that are read, and written, in one step.")
    window: int = Field(
        default=2**13,
        ge=1,
        description="Distinct texts that are sorted by length and scored in one step; a stopped run loses no more.",
    )
    artefact: Path | None = Field(default=None, description="Artefact folder; null is the one that narratrace ships.")
    backend: str | None = Field(
        default=None,
        description="What computes the scores: onnx-int8, onnx or torch; null is torch on a GPU, else onnx-int8.",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; null takes one for each core.")
    engine: str = Field(
        default="native",
        description="What carries the work out: native (this machine), ray (the Ray cluster that it belongs to) or "
        "ray://HOST:PORT.",
    )
    thresholds: ThresholdSet | None = Field(
        default=None,
        description="Which thresholds decide on labels: f1, or precision (only labels that keep a promised precision, "
        "the others for review); null is the artefact's own choice.",
    )


Step = Literal["Reading", "Scoring", "Writing"]


@dataclass(frozen=True, slots=True)
class ScoringProgress:
    """How far a run is.

    Attributes
    ----------
    step
        What is being done: posts are read, their distinct texts scored, and the scores written.
    count
        Posts read, texts scored or posts written in this step.
    rejected
        Rows rejected.
    done
        Share of the step that is done, 0 to 1.
    seconds
        Since this step began, or went on.
    new_count, new_done
        `count` and `done`, less what an earlier run that was stopped had done of it.
    """

    step: Step
    count: int
    rejected: int
    done: float
    seconds: float
    new_count: int
    new_done: float

    @property
    def per_second(self) -> float:
        """How many of `count` are done in a second."""
        return self.new_count / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to go in this step at the pace so far; None before anything is done."""
        return self.seconds * (1 - self.done) / self.new_done if self.new_done > 0 else None


def score_archive(
    inputs: Archive | Sequence[str | Path],
    out: str | Path,
    classifier: BatchClassifier,
    settings: ScoringSettings | None = None,
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
    on_progress: Callable[[ScoringProgress], None] | None = None,
) -> Summary:
    """Score every post of an archive.

    The posts are read into shards; every distinct text is scored once; each shard is joined with the scores of its
    texts, and the shards are put together. What is done is recorded in a ledger in ``.unfinished`` below `out`, at
    whatever moment the run is stopped: called again with the same arguments, it goes on from there and leaves the very
    same files.

    Parameters
    ----------
    inputs
        Files, folders and globs, or an archive opened before.
    out
        Folder for ``scores.parquet`` (or ``.jsonl``, ``.csv``), ``rejects.jsonl``, ``report.html``, ``settings.yaml``
        and ``summary.json``. They appear when all are complete.
    classifier
        What scores the posts.
    settings
        How; the defaults if None. Their ``mapping`` applies to inputs that are not opened yet; ``artefact`` is only
        recorded here, as the classifier is loaded already. So are ``backend`` and ``thresholds``: those of a
        `Classifier` are recorded, whatever the settings say. ``threads`` is how many batches it is given at the same
        time, so it is best loaded with one thread.
    overwrite
        Whether results that are in `out` already, or a stopped run that differs from this one, may be replaced.
    engine
        What carries the work out; here, if None.
    on_progress
        Called after every step.

    Returns
    -------
    Summary
        What was found. Rows read are always posts plus rejected rows.

    Raises
    ------
    InputError
        If the inputs cannot be read or the results not be written, another run writes to `out`, or it holds a stopped
        run of other inputs, another artefact or other settings.
    """
    settings = settings or ScoringSettings()
    if isinstance(classifier, Classifier):
        # What it decides by, or a stopped run could go on with a classifier that decides otherwise.
        decides = {"backend": classifier.backend, "thresholds": classifier.thresholds}
        settings = settings.model_copy(update=decides)
    out = Path(out)
    start = time.perf_counter()
    check_free(out, overwrite)
    archive = inputs if isinstance(inputs, Archive) else Archive.open(inputs, settings.mapping, out=out)
    folder = out / UNFINISHED
    with writing(out, "When that is mended, the same command goes on from there."), claim(out, overwrite):
        # One text shows the columns and the artefact, before there is any other.
        sample = classifier.batch({"text": np.array(["?"], dtype=object)})
        run = run_of(archive, str(sample["artefact"][0]), settings)
        ledger = Ledger(folder / LEDGER, run, over=overwrite)
        try:
            job = _Job(ledger, engine or NativeEngine(), on_progress)
            groups = group_sources(archive, settings.limit)
            partitions = count_partitions(archive)
            sizes = {str(number): sum(source.size for source in group) for number, group in enumerate(groups)}
            read = ReadPosts(
                folder,
                groups,
                settings.limit,
                settings.shard_size,
                partitions,
                settings.distinct,
                ledger.parts("Reading"),
            )
            job.do("Reading", read, {unit: size / max(archive.size, 1) for unit, size in sizes.items()})
            shards = [
                shard_name(int(unit), number)
                for unit in sizes
                for number in range(ledger.done[f"Reading {unit}"]["shards"])
            ]
            score = ScoreTexts(folder, classifier, settings.window, settings.threads or count_cores())
            job.do("Scoring", score, {str(number): 1 / partitions for number in range(partitions)})
            join = JoinScores(folder, partitions, settings.format, settings.text)
            job.do("Writing", join, {shard: 1 / len(shards) for shard in shards})
        finally:
            ledger.close()
        narratives = [name.removeprefix("score_") for name in sample if name.startswith("score_")]
        summary = summarise(ledger.done, run.artefact, narratives, mappings(archive), list(archive.skipped))
        if summary.rows_read != summary.posts + summary.rejected:
            raise RuntimeError(
                f"{summary.rows_read} rows were read, but {summary.posts} written and {summary.rejected} rejected: "
                "this is a bug in narratrace, please report it."
            )
        ledger.check()
        report = partial(
            write_report,
            title=archive.title,
            totals=add_up(folder, shards),
            summary=summary,
            texts=settings.text,
            # Of what else scores posts, no more is known than what it says of them.
            classifier=classifier if isinstance(classifier, Classifier) else None,
        )
        form = settings.format
        files = {
            SCORES[form]: partial(merge_scores, form, [folder / "scored" / f"{shard}.{form}" for shard in shards]),
            REJECTS: partial(concatenate, [folder / "rejects" / f"{shard}.jsonl" for shard in shards]),
        }
        rows = {SCORES[form]: summary.posts, REJECTS: summary.rejected}
        files = {name: partial(write_counted, name, write, rows[name]) for name, write in files.items()} | {
            REPORT: report
        }
        publish(out, files, settings, summary)
    return summary.model_copy(update={"seconds": round(time.perf_counter() - start, 3)})


class _Job:
    """The steps of a run, recorded and shown as they are done."""

    def __init__(self, ledger: Ledger, engine: Engine, on_progress: Callable[[ScoringProgress], None] | None) -> None:
        self._ledger = ledger
        self._engine = engine
        self._on_progress = on_progress

    def do(self, step: Step, work: Work, weights: Mapping[str, float]) -> None:
        """Carry out what is not done yet of some units, each with its share of the step, 0 to 1."""
        start = time.perf_counter()
        count_before = count = sum(said["count"] for part, said in self._done(step))
        done_before = done = sum(said["share"] * weights[said["unit"]] for part, said in self._done(step))
        rejected = sum(sum(said["rejects"].values()) for part, said in self._done("Reading"))
        left = [unit for unit in weights if f"{step} {unit}" not in self._ledger.done]
        if left:
            self._ledger.check()
        for part, said in self._engine.run(work, left):
            if f"{step} {part}" in self._ledger.done:
                continue
            self._ledger.add(f"{step} {part}", said)
            count += said["count"]
            done += said["share"] * weights[said["unit"]]
            rejected += sum(said.get("rejects", {}).values())
            if self._on_progress:
                seconds = time.perf_counter() - start
                self._on_progress(
                    ScoringProgress(
                        step, count, rejected, min(done, 1.0), seconds, count - count_before, done - done_before
                    )
                )

    def _done(self, step: Step) -> list[tuple[str, Said]]:
        return [(part, said) for part, said in self._ledger.done.items() if part.startswith(f"{step} ")]


def run_of(archive: Archive, artefact: str, settings: Settings) -> Run:
    """Name all that decides the results."""

    def hash_input(path: Path) -> str:
        with reading(path):  # or it would be the results that cannot be written
            return hash_file(path)

    return Run(
        narratrace=version("narratrace"),
        artefact=artefact,
        # Where the artefact lies, and what carries the work out, changes nothing; the mapping is named with each input.
        settings=settings.model_dump(mode="json", exclude={"artefact", "threads", "engine", "mapping"}),
        inputs=tuple(
            InputFile(
                name=mapped.source.name,
                size=mapped.size,
                sha256=hash_input(mapped.source.path),
                columns=dict(mapped.mapping.columns) if mapped.mapping else {},
            )
            for mapped in archive.sources
        ),
    )


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mappings(archive: Archive) -> list[MappingUse]:
    """Return the column mappings of an archive, each with the number of files that are read with it."""
    uses = Counter(source.mapping for source in archive.sources)
    return [
        MappingUse(
            files=count, layout=mapping.layout if mapping else "", columns=dict(mapping.columns) if mapping else {}
        )
        for mapping, count in uses.items()
    ]
