"""Run: from an archive on disk to the folder with its copypasta groups."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.ledger import Ledger
from narratrace.inference.archives.results import (
    GROUPING,
    LEDGER,
    REJECTS,
    REPORT,
    SETTINGS,
    SUMMARY,
    TABLES,
    UNFINISHED,
    check_free,
    discard,
    is_result,
    partial,
    writing,
)
from narratrace.inference.archives.writers import open_writer
from narratrace.inference.coordination.coordination import CoordinationSummary, coordinate
from narratrace.inference.coordination.graph import write_graph
from narratrace.inference.coordination.narratives import read_narratives
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
from narratrace.model.settings import save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from narratrace.inference.copypasta.semantic import Embed
    from narratrace.inference.copypasta.settings import GroupSettings
    from narratrace.inference.engine import Engine

GRAPHS = ("graph.graphml", "graph.gexf")
_READ_AT_ONCE = 2**14


class GroupingRunSummary(BaseModel):
    """What a grouping run found; ``summary.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

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
        Folder for a Parquet file of each of `TABLES` (as CSV too where the settings say so), `GRAPHS`, `REPORT`,
        ``rejects.jsonl``, ``settings.yaml`` and ``summary.json``. They have ``.partial`` in their names until all are
        complete.
    settings
        When two posts are the same and accounts tied; the defaults if None.
    embed
        What embeds texts, as `Classifier.embed`, for the semantic and translation stages; None leaves them out.
    engine
        What carries the units out; here, if None.
    overwrite
        Whether results that are in `out` already may be replaced.
    on_progress
        Called with what is being done and which share of it is done, 0 to 1.

    Raises
    ------
    InputError
        If the inputs cannot be read or the results not be written.
    """
    out = Path(out)
    check_free(out, overwrite)
    archive = inputs if isinstance(inputs, Archive) else Archive.open(inputs, out=out)
    _check_tables(out, archive, overwrite)
    tell = on_progress or (lambda doing, done: None)
    rejects: Counter[str] = Counter()
    oddities: Counter[str] = Counter()
    batches = []
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with writing(out):
            file = stack.enter_context(partial(out / REJECTS).open("w", encoding="utf-8", newline="\n"))
        for batch in archive.read(_READ_AT_ONCE):
            batches.append(batch.posts)
            oddities.update(batch.oddities)
            rejects.update(reject.reason for reject in batch.rejects)
            with writing(out):
                file.writelines(json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in batch.rejects)
            tell("Reading", batch.bytes_read / max(archive.size, 1))
    tell("Grouping", 0.0)
    settings = settings or default_settings()
    # The vector of one text stands for what embeds the others.
    artefact = hashlib.sha256(embed(["?"]).tobytes()).hexdigest()[:12] if embed else ""
    run = run_of(archive, artefact, settings)
    with contextlib.closing(Ledger(out / UNFINISHED / LEDGER, run, over=overwrite)) as ledger:
        units = Units(engine or NativeEngine(), ledger, tell)
        grouper = CopypastaGrouper(
            settings,
            embed=SpreadEmbed(embed, units) if embed else None,
            fuzzy=functools.partial(SpreadFuzzyStage, units=units),
        )
        grouper.fit(pa.Table.from_batches(batches, POST_SCHEMA))
    tell("Tying accounts", 0.0)
    narratives = read_narratives(archive)
    tied = coordinate(grouper.posts_, grouper.groups_, settings.coordination, narratives)
    tables = (tied.groups, grouper.posts_, grouper.links_, tied.accounts, tied.ties)
    tell("Writing", 0.0)
    summary = GroupingRunSummary(
        files=mappings(archive),
        skipped=list(archive.skipped),
        rejects=dict(rejects),
        oddities=dict(oddities),
        found=grouper.summary(),
        coordination=tied.summary(settings.coordination),
    )
    with writing(out):
        if is_result(out / GROUPING[0]):
            for name in GROUPING:
                (out / name).unlink(missing_ok=True)
        for name, table in zip(TABLES, tables, strict=True):
            pq.write_table(table, partial(out / f"{name}.parquet"), compression="zstd")
            if settings.csv:
                _write_csv(table, partial(out / f"{name}.csv"))
        for name in GRAPHS:
            write_graph(tied.graph, partial(out / name))
        write_report(partial(out / REPORT), _title(archive), grouper.posts_, tied, settings.coordination, narratives)
        save_settings(settings, partial(out / SETTINGS))
        partial(out / SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (out / SUMMARY).unlink(missing_ok=True)  # where it stands, the results are complete
        suffixes = ("parquet", "csv") if settings.csv else ("parquet",)
        named = [f"{table}.{suffix}" for table in TABLES for suffix in suffixes]
        for name in (*named, *GRAPHS, REPORT, REJECTS, SETTINGS, SUMMARY):
            partial(out / name).replace(out / name)
        discard(out)
    return summary


def _check_tables(out: Path, archive: Archive, overwrite: bool) -> None:
    """Refuse to replace posts that are read, or files that no run wrote."""
    read = {mapped.source.path.resolve() for mapped in archive.sources}
    for name in GROUPING:
        if (out / name).resolve() in read:
            raise InputError(f"{printable(out / name)} would be replaced by the results; name another folder for them.")
        if (out / name).exists() and not overwrite:
            raise InputError(f"{printable(out)} holds {name}; name another folder or add --overwrite.")


def _title(archive: Archive) -> str:
    names = [mapped.source.name for mapped in archive.sources]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more files"


def _write_csv(table: pa.Table, path: Path) -> None:
    writer = open_writer("csv", path, table.schema)
    for batch in table.to_batches():
        writer.write(batch)
    writer.close()
