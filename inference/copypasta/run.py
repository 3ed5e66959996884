"""Run: from an archive on disk to the folder with its copypasta groups."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.results import REJECTS, SETTINGS, SUMMARY, check_free, partial, writing
from narratrace.inference.copypasta.grouper import CopypastaGrouper, GroupingSummary
from narratrace.inference.posts import POST_SCHEMA
from narratrace.inference.scoring import mappings
from narratrace.inference.summary import MappingUse
from narratrace.model.settings import save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from narratrace.inference.copypasta.semantic import Embed
    from narratrace.inference.copypasta.settings import CopypastaSettings

TABLES = ("groups", "posts", "links")
"""Each is a Parquet file; `CopypastaGrouper` describes the columns."""
_READ_AT_ONCE = 2**14


class GroupingRunSummary(BaseModel):
    """What a grouping run found; ``summary.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

    files: list[MappingUse] = Field(description="The files read, by column mapping.")
    skipped: list[str] = Field(description="Files left out, and why.")
    rejects: dict[str, int] = Field(description="Rejected rows by reason.")
    oddities: dict[str, int] = Field(description="Posts of which something was unreadable or missing, by what.")
    found: GroupingSummary


def group_archive(
    inputs: Archive | Sequence[str | Path],
    out: str | Path,
    settings: CopypastaSettings | None = None,
    *,
    embed: Embed | None = None,
    overwrite: bool = False,
    on_progress: Callable[[str, float], None] | None = None,
) -> GroupingRunSummary:
    """Find the copypasta of an archive.

    Parameters
    ----------
    inputs
        Files, folders and globs, or an archive opened before.
    out
        Folder for ``groups.parquet``, ``posts.parquet``, ``links.parquet``, ``rejects.jsonl``, ``settings.yaml`` and
        ``summary.json``. They have ``.partial`` in their names until all are complete.
    settings
        When two posts are the same; the defaults if None.
    embed
        What embeds texts, as `Classifier.embed`, for the semantic and translation stages; None leaves them out.
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
    grouper = CopypastaGrouper(settings, embed=embed).fit(pa.Table.from_batches(batches, POST_SCHEMA))
    tell("Grouping", 1.0)
    summary = GroupingRunSummary(
        files=mappings(archive),
        skipped=list(archive.skipped),
        rejects=dict(rejects),
        oddities=dict(oddities),
        found=grouper.summary(),
    )
    with writing(out):
        for name in TABLES:
            pq.write_table(getattr(grouper, f"{name}_"), partial(out / f"{name}.parquet"), compression="zstd")
        save_settings(grouper.settings, partial(out / SETTINGS))
        partial(out / SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (out / SUMMARY).unlink(missing_ok=True)  # where it stands, the results are complete
        for name in (*(f"{table}.parquet" for table in TABLES), REJECTS, SETTINGS, SUMMARY):
            partial(out / name).replace(out / name)
    return summary
