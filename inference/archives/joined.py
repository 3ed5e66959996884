"""Joining: every post of a shard with the scores of its text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from narratrace.inference.archives.arrow_files import map_arrow
from narratrace.inference.archives.distinct import look_up
from narratrace.inference.archives.ledger import files_left, replacing
from narratrace.inference.archives.shards import keys_in, partition_of
from narratrace.inference.archives.tallies import tally, write_tally
from narratrace.inference.archives.writers import ScoreFormat, open_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from narratrace.inference.engine import Said


@dataclass(frozen=True)
class JoinScores:
    """The work of writing: a unit is a shard, and its only step.

    Each leaves ``scored/<shard>.<format>``: its posts with their scores, in the order of the archive; and its tally.
    """

    runs_network: ClassVar[bool] = False

    folder: Path
    partitions: int
    form: ScoreFormat
    text: bool

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Join a shard."""
        posts = map_arrow(self.folder / "posts" / f"{unit}.arrow")
        scored = join(posts, self.folder, self.partitions)
        tallied = write_tally(self.folder, unit, *tally(scored, keys_in(posts)))
        if not self.text:
            scored = scored.drop_columns(["text"])
        path = self.folder / "scored" / f"{unit}.{self.form}"
        with replacing(path) as scratch:
            writer = open_writer(self.form, scratch, scored.schema)
            try:
                for batch in scored.to_batches():
                    writer.write(batch)
            finally:
                writer.close()
        said = {"unit": unit, "share": 1, "count": scored.num_rows} | count(scored)
        yield unit, said | files_left(self.folder, path, *tallied)


def join(posts: pa.Table, folder: Path, partitions: int) -> pa.Table:
    """Put the scores of their texts beside posts that have keys."""
    keys = keys_in(posts)
    part = partition_of(keys, partitions)
    order, found = [], []
    for partition in np.unique(part).tolist() or [0]:
        rows = np.flatnonzero(part == partition)
        order.append(rows)
        found.append(look_up(folder, partition, keys[rows]))
    scores = pa.concat_tables(found).take(np.argsort(np.concatenate(order)))
    joined = posts.drop_columns(["key_high", "key_low"])
    for name in scores.column_names:
        joined = joined.append_column(name, scores[name])
    return joined


def count(scored: pa.Table) -> Said:
    """Count what was found in scored posts."""
    labels, abstained = (scored[name].to_pylist() for name in ("labels", "abstained"))
    return {
        "truncated": int(np.count_nonzero(scored["truncated"].to_numpy())),
        "flagged": sum(map(bool, labels)),
        "abstained": sum(map(bool, abstained)),
        "languages": Counter(scored["language"].to_pylist()),
        "stances": Counter(scored["stance"].to_pylist()),
        "labels": Counter(label for row in labels for label in row),
        "abstentions": Counter(label for row in abstained for label in row),
    }
