"""Shards: an archive's posts on disk in parts of bounded size, each with the distinct texts that it needs scored."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from narratrace.inference.archives.archive import Archive, MappedSource, PostBatch
from narratrace.inference.archives.arrow_files import write_arrow
from narratrace.inference.archives.keys import Distinct, first_of_each, keys_of, scored_form
from narratrace.inference.archives.ledger import files_left, replacing
from narratrace.inference.archives.streams import CODECS
from narratrace.inference.archives.writers import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from narratrace.inference.engine import Said

BATCH_POSTS = 1024
MAX_SHARD_BYTES = 2**26
"""A shard of long posts ends early, so that memory stays bounded."""
GROUP_BYTES = 2**28
"""Files that follow each other are read in one go until they have as many bytes on disk."""
PARTITION_BYTES = 2**26
"""Bytes of an archive, unpacked, for each part of its distinct texts; one part is held in memory at once."""
_UNPACKED = 4  # times as big as on disk, about


def group_sources(archive: Archive, limit: int | None) -> tuple[tuple[MappedSource, ...], ...]:
    """Cut the files of an archive into groups that can be read apart; one group where a limit counts through all."""
    groups: list[list[MappedSource]] = [[]]
    for source in archive.sources:
        if limit is None and groups[-1] and sum(each.size for each in groups[-1]) >= GROUP_BYTES:
            groups.append([])
        groups[-1].append(source)
    return tuple(map(tuple, groups))


def count_partitions(archive: Archive) -> int:
    """Into how many parts the distinct texts are cut: by the archive's size, so that each is about equally big."""
    unpacked = sum(
        mapped.size * (_UNPACKED if mapped.source.path.suffix.lower() in {*CODECS, ".parquet", ".pq"} else 1)
        for mapped in archive.sources
    )
    return min(max(math.ceil(unpacked / PARTITION_BYTES), 1), 1024)


def shard_name(group: int, number: int) -> str:
    """Name a shard; names sort in the order of the archive."""
    return f"{group:05}-{number:05}"


@dataclass(frozen=True)
class ReadPosts:
    """The work of reading: a unit is the number of a group of files, a step is a shard of its posts.

    Each shard leaves ``posts/<shard>.arrow`` (the posts with the keys of their texts), ``texts/<shard>.arrow`` (its
    distinct texts, with one record batch for each partition) and ``rejects/<shard>.jsonl``.
    """

    runs_network: ClassVar[bool] = False

    folder: Path
    groups: tuple[tuple[MappedSource, ...], ...]
    limit: int | None
    shard_size: int
    partitions: int
    distinct: Distinct
    done: frozenset[str]
    """Shards that an earlier run wrote."""

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Read a group."""
        archive = Archive(self.groups[int(unit)], ())
        shards = read_before = 0
        for batches in self._shards(archive):
            name = shard_name(int(unit), shards)
            read = batches[-1].bytes_read if batches else 0
            if name not in self.done:
                share = (read - read_before) / max(archive.size, 1)
                yield name, self._write(name, batches) | {"unit": unit, "share": share}
            read_before = read
            shards += 1
        rest = 1 - read_before / max(archive.size, 1)
        yield unit, {"unit": unit, "share": rest, "count": 0, "rejects": {}, "shards": shards}

    def _shards(self, archive: Archive) -> Iterator[list[PostBatch]]:
        """Gather batches to shards: at least one, even of nothing."""
        shard: list[PostBatch] = []
        posts = rejects = size = cut = 0
        for batch in archive.read(min(BATCH_POSTS, self.shard_size), self.limit):
            shard.append(batch)
            posts += batch.posts.num_rows
            rejects += len(batch.rejects)
            size += batch.posts.nbytes
            if max(posts, rejects) >= self.shard_size or size >= MAX_SHARD_BYTES:
                yield shard
                shard = []
                posts = rejects = size = 0
                cut += 1
        if shard or not cut:
            yield shard

    def _write(self, name: str, batches: list[PostBatch]) -> Said:
        keyed = [add_keys(batch.posts, self.distinct) for batch in batches]
        texts = pa.Table.from_batches([texts for _, texts in keyed], TEXTS_SCHEMA)
        posts_path, texts_path = (self.folder / kind / f"{name}.arrow" for kind in ("posts", "texts"))
        rejects_path = self.folder / "rejects" / f"{name}.jsonl"
        write_arrow(posts_path, KEYED_SCHEMA, [posts for posts, _ in keyed], compressed=True)
        write_arrow(texts_path, TEXTS_SCHEMA, split_texts(texts, self.partitions), compressed=True)
        with (
            replacing(rejects_path) as path,
            path.open("w", encoding="utf-8", newline="\n") as file,
        ):
            file.writelines(json_line(asdict(reject)) for batch in batches for reject in batch.rejects)
        reasons = Counter(reject.reason for batch in batches for reject in batch.rejects)
        return files_left(self.folder, posts_path, texts_path, rejects_path) | {
            "count": sum(batch.posts.num_rows for batch in batches),
            "rows_read": sum(batch.rows_read for batch in batches),
            "rejects": dict(reasons),
            "oddities": dict(sum((batch.oddities for batch in batches), Counter())),
        }


KEY_FIELDS = (pa.field("key_high", pa.uint64()), pa.field("key_low", pa.uint64()))
"""The two halves of a key."""
KEYED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("account_id", pa.string()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("is_repost", pa.bool_()),
        pa.field("text", pa.string()),
        *KEY_FIELDS,
    ]
)
"""Posts of a shard, in the order of the archive, with the key of what is scored in the place of each."""
TEXTS_SCHEMA = pa.schema([*KEY_FIELDS, pa.field("text", pa.string())])
"""Texts to be scored."""


def add_keys(posts: pa.RecordBatch, distinct: Distinct) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Turn posts into a batch of `KEYED_SCHEMA`, and into one of `TEXTS_SCHEMA` with as many rows."""
    forms = [scored_form(text, distinct) for text in posts["text"].to_pylist()]
    keys = keys_of(forms)
    high, low = pa.array(keys[:, 0]), pa.array(keys[:, 1])
    columns = [posts[name] for name in KEYED_SCHEMA.names[:-2]]
    return (
        pa.RecordBatch.from_arrays([*columns, high, low], schema=KEYED_SCHEMA),
        pa.RecordBatch.from_arrays([high, low, pa.array(forms, pa.string())], schema=TEXTS_SCHEMA),
    )


def split_texts(texts: pa.Table, partitions: int) -> list[pa.RecordBatch]:
    """Keep each distinct text once and give one batch for each partition, in the order of the keys."""
    keys = keys_in(texts)
    rows = first_of_each(keys)
    part = partition_of(keys[rows], partitions)
    split: list[pa.RecordBatch] = []
    for number in range(partitions):
        # One contiguous batch, also where the rows come from many.
        table = texts.take(rows[part == number]).combine_chunks()
        split += table.to_batches() or [pa.RecordBatch.from_pylist([], schema=TEXTS_SCHEMA)]
    return split


def keys_in(table: pa.Table) -> NDArray[np.uint64]:
    """Keys of the rows of a table, shape (rows, 2)."""
    return np.stack([table["key_high"].to_numpy(), table["key_low"].to_numpy()], axis=1)


def partition_of(keys: NDArray[np.uint64], partitions: int) -> NDArray[np.uint64]:
    """Partition that each key belongs to."""
    return keys[:, 0] % np.uint64(partitions)
