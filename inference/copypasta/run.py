"""Run: from an archive on disk to the folder with its copypasta groups."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from narratrace.inference.archives.archive import NARRATIVES, Archive
from narratrace.inference.archives.faults import say_faults
from narratrace.inference.archives.ledger import Ledger, replacing
from narratrace.inference.archives.results import (
    GRAPHS,
    GROUPING,
    LEDGER,
    REJECTS,
    REPORT,
    TABLES,
    UNFINISHED,
    check_free,
    claim,
    concatenate,
    publish,
    writing,
)
from narratrace.inference.archives.writers import json_line, open_writer
from narratrace.inference.coordination.coordination import CoordinationSummary, coordinate
from narratrace.inference.coordination.graph import write_graph
from narratrace.inference.coordination.report import write_report
from narratrace.inference.copypasta.embedding import SpreadEmbed
from narratrace.inference.copypasta.grouper import CopypastaGrouper, GroupingSummary
from narratrace.inference.copypasta.settings import default_settings
from narratrace.inference.copypasta.spread import SpreadFuzzyStage
from narratrace.inference.copypasta.units import Units
from narratrace.inference.engine import NativeEngine
from narratrace.inference.posts import POST_SCHEMA
from narratrace.inference.scoring import mappings, run_of
from narratrace.inference.summary import MappingUse
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from narratrace.inference.archives.writers import ScoreFormat
    from narratrace.inference.copypasta.semantic import Embed
    from narratrace.inference.copypasta.settings import GroupSettings
    from narratrace.inference.engine import Engine

_READ_AT_ONCE = 2**14


class GroupingRunSummary(BaseModel):
    """What a grouping run found; ``summary.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

    artefact: str = Field(description="Id of the artefact that embedded posts; empty if none did.")
    files: list[MappingUse] = Field(description="The files read, by column mapping.")
    skipped: list[str] = Field(description="Files left out, and why.")
    rejects: dict[str, int] = Field(description="Rejected rows by reason.")
    oddities: dict[str, int] = Field(description="Posts of which something was unreadable or missing, by what.")
    found: GroupingSummary
    coordination: CoordinationSummary


def group_archive(
    inputs: Archive | Sequence[str | Path],
    out: str | Path,
    settings: GroupSettings | None = None,
    *,
    embed: Embed | None = None,
    artefact: str = "",
    engine: Engine | None = None,
    overwrite: bool = False,
    on_progress: Callable[[str, float], None] | None = None,
) -> GroupingRunSummary:
    """Find the copypasta of an archive.

    The fuzzy stage and the embedding work in units, recorded in a ledger in ``.unfinished`` below `out`: stopped at
    whatever moment and called again with the same arguments, the run does not repeat those that are done.

    Parameters
    ----------
    inputs
        Files, folders and globs, or an archive opened before.
    out
        Folder for a Parquet file of each of `TABLES` (as CSV too where the settings say so), `GRAPHS`,
        ``report.html``, ``rejects.jsonl``, ``settings.yaml`` and ``summary.json``. They appear when all are complete.
    settings
        When two posts are the same and accounts tied; the defaults if None.
    embed
        What embeds texts, as `Classifier.embed`, for the semantic and translation stages; None leaves them out.
    artefact
        Id of the artefact that `embed` belongs to, for the ledger and the summary: a stopped run goes on with the same
        one only.
    engine
        What carries the units out; here, if None.
    overwrite
        Whether results that are in `out` already, or a stopped run that differs from this one, may be replaced.
    on_progress
        Called with what is being done and which share of it is done, 0 to 1.

    Raises
    ------
    InputError
        If the inputs cannot be read or the results not be written, another run writes to `out`, or it holds a stopped
        run of other inputs, another artefact or other settings.
    """
    settings = settings or default_settings()
    out = Path(out)
    check_free(out, overwrite, GROUPING)
    archive = inputs if isinstance(inputs, Archive) else Archive.open(inputs, out=out)
    _check_inputs(out, archive)
    folder = out / UNFINISHED
    tell = on_progress or (lambda doing, done: None)
    rejects: Counter[str] = Counter()
    oddities: Counter[str] = Counter()
    batches, narratives = [], []
    going_on = "When that is mended, the same command goes on from there."
    with writing(out, going_on), claim(out, overwrite, GROUPING):
        with contextlib.closing(Ledger(folder / LEDGER, run_of(archive, artefact, settings), over=overwrite)) as ledger:
            with replacing(folder / REJECTS) as path, path.open("w", encoding="utf-8", newline="\n") as file:
                for batch in archive.read(_READ_AT_ONCE):
                    batches.append(batch.posts)
                    narratives.append(batch.narratives)
                    oddities.update(batch.oddities)
                    rejects.update(reject.reason for reject in batch.rejects)
                    file.writelines(json_line(asdict(reject)) for reject in batch.rejects)
                    tell("Reading", batch.bytes_read / max(archive.size, 1))
            tell("Grouping", 0.0)
            units = Units(engine or NativeEngine(), ledger, tell)
            grouper = CopypastaGrouper(
                settings,
                embed=SpreadEmbed(embed, units) if embed else None,
                fuzzy=functools.partial(SpreadFuzzyStage, units=units),
            )
            grouper.fit(pa.Table.from_batches(batches, POST_SCHEMA))
        tell("Tying accounts", 0.0)
        posts = grouper.posts_.append_column("narratives", pa.chunked_array(narratives, NARRATIVES))
        tied = coordinate(posts, grouper.groups_, settings.coordination)
        tell("Writing", 0.0)
        summary = GroupingRunSummary(
            artefact=artefact,
            files=mappings(archive),
            skipped=list(archive.skipped),
            rejects=dict(rejects),
            oddities=dict(oddities),
            found=grouper.summary(),
            coordination=tied.summary(settings.coordination),
        )
        tables = (tied.groups, posts, grouper.links_, tied.accounts, tied.ties)
        files: dict[str, Callable[[Path], object]] = {
            f"{name}.{form}": functools.partial(_write_table, form, table)
            for name, table in zip(TABLES, tables, strict=True)
            for form in (("parquet", "csv") if settings.csv else ("parquet",))
        }
        files |= {name: functools.partial(write_graph, form, tied.graph) for form, name in GRAPHS.items()}
        files[REJECTS] = functools.partial(concatenate, [folder / REJECTS])
        files[REPORT] = functools.partial(
            write_report,
            title=archive.title,
            posts=posts,
            found=tied,
            settings=settings.coordination,
            faults=say_faults(rejects, oddities),
        )
        publish(out, files, settings, summary)
    return summary


def _check_inputs(out: Path, archive: Archive) -> None:
    """Refuse to replace posts that are read."""
    read = {mapped.source.path.resolve() for mapped in archive.sources}
    for name in GROUPING:
        if (out / name).resolve() in read:
            raise InputError(f"{printable(out / name)} would be replaced by the results; name another folder for them.")


def _write_table(form: ScoreFormat, table: pa.Table, path: Path) -> None:
    writer = open_writer(form, path, table.schema)
    try:
        for batch in table.to_batches():
            writer.write(batch)
    finally:
        writer.close()
