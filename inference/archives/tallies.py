"""Tallies: what was found in a shard, by day, language and account, with a few posts, made to be added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narratrace.inference.archives.arrow_files import map_arrow, write_arrow
from narratrace.inference.archives.shards import KEY_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MOST_SAMPLES = 5
"""Posts that are kept for each narrative."""
MOST_ACCOUNTS = 30
"""Accounts that are listed."""
_AT_ONCE = 2**16
"""Counts that are gathered, at least, before they are added up."""

COUNTS = pa.schema([("by", pa.string()), ("value", pa.string()), ("what", pa.string()), ("n", pa.int64())])
"""Counts in one table: of the posts whose day, language or account is `value`, `n` are ``posts`` or ``label <id>``."""

SAMPLES = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("narrative", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("id", pa.string()),
        pa.field("account_id", pa.string()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("text", pa.string()),
        pa.field("language", pa.string()),
        pa.field("stance_A", pa.float32()),
    ]
)
"""Posts, with the narrative that they are a sample of."""


def tally(scored: pa.Table, keys: NDArray[np.uint64]) -> tuple[pa.Table, pa.Table]:
    """Count scored posts, and choose samples of those that advance each narrative.

    A post is chosen by the hash of its text, so that every distinct text has the same chance however often it is
    repeated, and the samples of all shards together are a sample of the archive.

    Parameters
    ----------
    scored
        Posts with their scores.
    keys
        Keys of their texts, shape (posts, 2).

    Returns
    -------
    counts, samples : pyarrow.Table
    """
    groups = {
        "day": scored["created_at"].cast(pa.date32()).cast(pa.string()),
        "language": scored["language"],
        "account": scored["account_id"],
    }
    labels = scored["labels"].combine_chunks()
    owner = pc.list_parent_indices(labels)
    label = pc.list_flatten(labels)
    parts = []
    for by, values in groups.items():
        posts = pa.table({"value": values, "what": pa.repeat("posts", scored.num_rows)})
        found = pa.table({"value": values.take(owner), "what": pc.binary_join_element_wise("label", label, " ")})
        counted = pa.concat_tables([posts, found.cast(posts.schema)]).drop_null().group_by(["value", "what"])
        table = counted.aggregate([([], "count_all")]).rename_columns({"count_all": "n"})
        parts.append(table.append_column("by", pa.repeat(by, table.num_rows)).select(COUNTS.names).cast(COUNTS))
    return pa.concat_tables(parts), _sample(scored, keys, owner.to_numpy(), label)


def _sample(scored: pa.Table, keys: NDArray[np.uint64], owner: NDArray[np.int64], label: pa.Array) -> pa.Table:
    chosen = []
    for narrative in pc.unique(label).to_pylist():
        rows = owner[pc.equal(label, narrative).to_numpy(zero_copy_only=False)]
        _, first = np.unique(keys[rows], axis=0, return_index=True)
        rows = rows[first[:MOST_SAMPLES]]
        columns = {
            "key_high": keys[rows, 0],
            "key_low": keys[rows, 1],
            "narrative": pa.repeat(narrative, len(rows)),
            "score": scored[f"score_{narrative}"].take(rows),
        }
        columns |= {name: scored[name].take(rows) for name in SAMPLES.names[4:]}
        chosen.append(pa.table(columns, schema=SAMPLES))
    return pa.concat_tables(chosen) if chosen else SAMPLES.empty_table()


def write_tally(folder: Path, shard: str, counts: pa.Table, samples: pa.Table) -> list[Path]:
    """Write what :func:`tally` gives for a shard; return the files."""
    tables = {folder / kind / f"{shard}.arrow": table for kind, table in (("counts", counts), ("samples", samples))}
    for path, table in tables.items():
        write_arrow(path, table.schema, table.to_batches(), compressed=True)
    return list(tables)


@dataclass(frozen=True)
class Totals:
    """The tallies of a whole archive.

    Attributes
    ----------
    days, languages
        Counts by day or language: ``posts``, and ``label <id>`` for each narrative.
    accounts
        The same for the accounts with most labels, most first.
    samples
        Posts for each narrative, as rows.
    """

    days: dict[str, dict[str, int]]
    languages: dict[str, dict[str, int]]
    accounts: dict[str, dict[str, int]]
    samples: dict[str, list[dict[str, Any]]]


def add_up(folder: Path, shards: Sequence[str]) -> Totals:
    """Add up the tallies of shards; memory holds one shard's, and one number for each account that has labels."""
    waiting = [COUNTS.empty_table()]
    samples = SAMPLES.empty_table()
    for shard in shards:
        counts = map_arrow(folder / "counts" / f"{shard}.arrow")
        wanted = pc.or_(pc.not_equal(counts["by"], "account"), pc.not_equal(counts["what"], "posts"))
        waiting.append(counts.filter(wanted))
        if sum(table.num_rows for table in waiting[1:]) > max(waiting[0].num_rows, _AT_ONCE):
            waiting = [_sum(pa.concat_tables(waiting))]
        samples = _first_of_each(pa.concat_tables([samples, map_arrow(folder / "samples" / f"{shard}.arrow")]))
    totals = _sum(pa.concat_tables(waiting))
    by = pc.equal(totals["by"], "account")
    labels = totals.filter(by).group_by("value").aggregate([("n", "sum")])
    most = labels.sort_by([("n_sum", "descending"), ("value", "ascending")])["value"][:MOST_ACCOUNTS]
    parts = [totals.filter(pc.and_(by, pc.is_in(totals["value"], most)))]
    for shard in shards:
        counts = map_arrow(folder / "counts" / f"{shard}.arrow")
        its = pc.and_(pc.equal(counts["by"], "account"), pc.equal(counts["what"], "posts"))
        parts.append(counts.filter(pc.and_(its, pc.is_in(counts["value"], most))))
    accounts = _nested(_sum(pa.concat_tables(parts)))
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in samples.to_pylist():
        rows.setdefault(row["narrative"], []).append(row)
    return Totals(
        days=_nested(totals.filter(pc.equal(totals["by"], "day"))),
        languages=_nested(totals.filter(pc.equal(totals["by"], "language"))),
        accounts={account: accounts[account] for account in most.to_pylist()},
        samples=rows,
    )


def _sum(counts: pa.Table) -> pa.Table:
    summed = counts.group_by(["by", "value", "what"]).aggregate([("n", "sum")])
    return summed.rename_columns({"n_sum": "n"}).select(COUNTS.names)


def _nested(counts: pa.Table) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for row in counts.sort_by([("value", "ascending"), ("what", "ascending")]).to_pylist():
        nested.setdefault(row["value"], {})[row["what"]] = row["n"]
    return nested


def _first_of_each(samples: pa.Table) -> pa.Table:
    """Keep the first keys of each narrative, each once."""
    ordered = samples.sort_by([(name, "ascending") for name in ("narrative", "key_high", "key_low")])
    names = ordered["narrative"].to_pylist()
    keys = list(zip(names, ordered["key_high"].to_pylist(), ordered["key_low"].to_pylist(), strict=True))
    kept: list[int] = []
    held: Counter[str] = Counter()
    for row, key in enumerate(keys):
        if (row and key == keys[row - 1]) or held[names[row]] == MOST_SAMPLES:
            continue
        held[names[row]] += 1
        kept.append(row)
    return ordered.take(pa.array(kept, pa.int64()))
