"""Spread: the fuzzy stage of a big grouping, cut into units that an engine carries out, with files in between.

Three works, each a pure function of the files that it reads:

1. **sketch**: some texts at a time; each text's sketch, and its keys, split by hash into partitions;
2. **pair**: a partition of the keys at a time; the likely pairs of texts that share a key of it;
3. **verify**: some pairs at a time; their similarity.

The pairs then come together where the grouping was called: components and representatives are found there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from narratrace.inference.archives.arrow_files import map_arrow, map_batch, write_arrow
from narratrace.inference.archives.ledger import files_left
from narratrace.inference.copypasta.candidates import KeyIndex
from narratrace.inference.copypasta.fuzzy import FuzzyStage, likely_pairs, link_similarity
from narratrace.inference.copypasta.shingles import SKETCH, Shingles, distinct, sketch
from narratrace.inference.copypasta.stars import Pairs
from narratrace.inference.copypasta.units import numbered, write_columns
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from narratrace.inference.copypasta.settings import FuzzySettings
    from narratrace.inference.copypasta.units import Units
    from narratrace.inference.engine import Said

UNIT = 2**16
"""Texts, or pairs, of a unit; partitions have the keys of about as many texts."""


class SpreadFuzzyStage(FuzzyStage):
    """The fuzzy stage for one grouping of a whole archive, with the very pairs that `FuzzyStage` finds.

    It keeps no index, so that posts can neither be added nor, unless their text is known, predicted.

    Parameters
    ----------
    settings
        When two texts are linked.
    units
        What carries the units out, those of this grouping alone.
    """

    def __init__(self, settings: FuzzySettings, units: Units) -> None:
        super().__init__(settings)
        self._units = units
        self._folder = units.folder
        self._unit = UNIT
        self._asked = 0

    def add(
        self, texts: list[str], shingles: Shingles, priority: NDArray[np.uint64], is_short: NDArray[np.bool_]
    ) -> Pairs:
        """Take all nodes at once; return the verified pairs.

        Raises
        ------
        InputError
            If the units have been used for a grouping, this one or another.
        """
        if self._units.is_grouped:
            raise InputError("This fuzzy stage takes all posts in one fit; for other or more posts, give it new units.")
        self._units.is_grouped = True
        nodes = pa.table(
            {
                "text": pa.array(texts, pa.large_string()),
                "shingles": pa.LargeListArray.from_arrays(shingles.starts, shingles.values),
                "information": shingles.information,
                "in_letters": shingles.in_letters,
                "priority": priority,
                "is_short": is_short,
            }
        )
        units = max(math.ceil(len(texts) / self._unit), 1)
        for number in range(units):
            part = nodes.slice(number * self._unit, self._unit).combine_chunks()
            write_arrow(self._folder / "nodes" / f"{number}.arrow", nodes.schema, part.to_batches())
        self._units.do("Sketching", SketchNodes(self._folder, self._unit, units), units)
        self._units.do("Pairing", PairNodes(self._folder, self._unit), units)
        found = [map_arrow(path)["pair"].to_numpy() for path in numbered(self._folder / "pairs")]
        return self._verified(texts, shingles, found)

    def verify(
        self, texts: list[str], shingles: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Compare pairs of nodes; few of them here."""
        if len(a) <= self._unit:
            return super().verify(texts, shingles, a, b)
        self.comparisons += len(a)
        self._asked += 1
        folder = self._folder / f"verify-{self._asked}"
        units = math.ceil(len(a) / self._unit)
        for number in range(units):
            part = slice(number * self._unit, (number + 1) * self._unit)
            write_columns(folder / "asked" / f"{number}.arrow", a=a[part], b=b[part])
        self._units.do(
            f"Verifying {self._asked}", VerifyPairs(self._folder, folder.name, self._unit, self._settings), units
        )
        return np.concatenate([map_arrow(path)["similarity"].to_numpy() for path in numbered(folder / "found")])

    def candidates(self, shingles: Shingles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Refuse to look for nodes of other texts.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("This fuzzy stage keeps no index to predict with; predict with a grouper that has FuzzyStage.")


@dataclass(frozen=True)
class SketchNodes:
    """The work of sketching: a unit is a file of nodes.

    Each leaves ``sketches/<unit>.arrow``, and ``keys/<unit>.arrow`` with one record batch for each partition.
    """

    runs_network: ClassVar[bool] = False

    folder: Path
    unit: int
    partitions: int

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Sketch some nodes."""
        nodes = map_arrow(self.folder / "nodes" / f"{unit}.arrow")
        made = sketch(_shingles(nodes))
        kind = pa.binary(2 * SKETCH)
        sketches = pa.FixedSizeBinaryArray.from_buffers(kind, len(made.values), [None, pa.py_buffer(made.values)])
        sketched = write_columns(self.folder / "sketches" / f"{unit}.arrow", sketch=sketches)
        kept = ~nodes["is_short"].to_numpy()[made.rows]
        keys, rows = made.keys[kept], made.rows[kept] + np.int32(int(unit) * self.unit)
        part = keys % np.uint64(self.partitions)
        split = [np.flatnonzero(part == number) for number in range(self.partitions)]
        batches = [pa.record_batch({"key": keys[at], "row": rows[at]}) for at in split]
        keyed = self.folder / "keys" / f"{unit}.arrow"
        write_arrow(keyed, batches[0].schema, batches)
        yield unit, files_left(self.folder, sketched, keyed)


@dataclass(frozen=True)
class PairNodes:
    """The work of pairing: a unit is a partition of the keys; it leaves ``pairs/<unit>.arrow``, the likely pairs."""

    runs_network: ClassVar[bool] = False

    folder: Path
    unit: int

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Pair the nodes that share a key of the partition."""
        parts = [map_batch(path, int(unit)) for path in numbered(self.folder / "keys")]
        keys = pa.Table.from_batches(parts)
        rows, place = np.unique(keys["row"].to_numpy(), return_inverse=True)
        priority = _take(self.folder / "nodes", rows, self.unit, ["priority"])["priority"].to_numpy()
        sketched = _take(self.folder / "sketches", rows, self.unit)["sketch"].combine_chunks()
        sketches = np.frombuffer(sketched.buffers()[1], dtype=np.uint16).reshape(-1, SKETCH)[: len(rows)]
        pairs = KeyIndex().add(keys["key"].to_numpy(), place.astype(np.int32), priority, 0)
        found = [likely_pairs(sketches, a, b) for a, b in pairs]
        seen = distinct(np.concatenate([*found, np.zeros(0, dtype=np.int64)]))
        # Rows rise with places: what is the smaller here is so everywhere.
        seen = (rows[seen >> 32].astype(np.int64) << 32) | rows[seen & 0xFFFFFFFF]
        yield unit, files_left(self.folder, write_columns(self.folder / "pairs" / f"{unit}.arrow", pair=seen))


@dataclass(frozen=True)
class VerifyPairs:
    """The work of verifying: a unit is ``asked/<unit>.arrow`` of a folder; it leaves ``found/<unit>.arrow`` there."""

    runs_network: ClassVar[bool] = False

    folder: Path
    name: str
    unit: int
    settings: FuzzySettings

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Compare some pairs."""
        asked = map_arrow(self.folder / self.name / "asked" / f"{unit}.arrow")
        a, b = asked["a"].to_numpy(), asked["b"].to_numpy()
        rows = np.unique(np.concatenate([a, b]))
        nodes = _take(self.folder / "nodes", rows, self.unit)
        a, b = np.searchsorted(rows, a), np.searchsorted(rows, b)
        similarity = link_similarity(nodes["text"].to_pylist(), _shingles(nodes), a, b, self.settings)
        path = write_columns(self.folder / self.name / "found" / f"{unit}.arrow", similarity=similarity)
        yield unit, files_left(self.folder, path)


def _shingles(nodes: pa.Table) -> Shingles:
    lists = nodes["shingles"].combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy()
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    information, in_letters = (nodes[name].to_numpy() for name in ("information", "in_letters"))
    return Shingles(starts, lists.flatten().to_numpy(), information, in_letters)


def _take(folder: Path, rows: NDArray[Any], unit: int, columns: list[str] | None = None) -> pa.Table:
    """Look rows, which rise, up in files of so many each."""
    files = [(map_arrow(path).select(columns) if columns else map_arrow(path)) for path in numbered(folder)]
    ends = np.searchsorted(rows, np.arange(len(files) + 1) * unit)
    parts = [
        table.take(rows[ends[number] : ends[number + 1]].astype(np.int64) - number * unit)
        for number, table in enumerate(files)
    ]
    return pa.concat_tables(parts)
