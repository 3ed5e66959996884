"""Embedding: the vectors of an archive's texts, in units that an engine carries out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from narratrace.inference.archives.arrow_files import map_arrow
from narratrace.inference.archives.ledger import files_left
from narratrace.inference.copypasta.units import Units, numbered, write_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from narratrace.inference.copypasta.neighbours import Vectors
    from narratrace.inference.copypasta.semantic import Embed
    from narratrace.inference.engine import Said

UNIT = 2**12
"""Texts of a unit."""


class SpreadEmbed:
    """Embeds texts as another function does, in units.

    Parameters
    ----------
    embed
        What embeds some texts, as `Classifier.embed`; can be pickled.
    units
        What carries the units out.
    """

    def __init__(self, embed: Embed, units: Units) -> None:
        self._embed = embed
        self._units = units
        self._asked = 0

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: vectors of unit length, shape (texts, dimension)."""
        self._asked += 1
        folder = self._units.folder / f"embed-{self._asked}"
        count = max(math.ceil(len(texts) / UNIT), 1)
        for number in range(count):
            part = texts[number * UNIT : (number + 1) * UNIT]
            write_columns(folder / "texts" / f"{number}.arrow", text=pa.array(part, pa.large_string()))
        self._units.do(f"Embedding {self._asked}", EmbedTexts(folder, self._embed), count)
        vectors = [map_arrow(path)["vector"].combine_chunks() for path in numbered(folder / "vectors")]
        return np.concatenate([part.flatten().to_numpy().reshape(len(part), -1) for part in vectors])


@dataclass(frozen=True)
class EmbedTexts:
    """The work of embedding: a unit is ``texts/<unit>.arrow`` of a folder; it leaves ``vectors/<unit>.arrow`` there."""

    runs_network: ClassVar[bool] = True

    folder: Path
    embed: Embed

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        """Embed some texts."""
        texts = map_arrow(self.folder / "texts" / f"{unit}.arrow")["text"].to_pylist()
        vectors = self.embed(texts)
        flat = pa.array(vectors.ravel(), pa.float32())
        columns = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        path = write_columns(self.folder / "vectors" / f"{unit}.arrow", vector=columns)
        yield unit, files_left(self.folder.parent, path)
