"""Families: messages with everything that was made of them, posts that only look alike, and a background."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
from variants import KINDS

SEED, DISTRACTOR, BACKGROUND = "seed", "distractor", "background"
WRITTEN = ("copyedit", "register", "paraphrase", "translation")
LEXICAL = (SEED, *KINDS, "copyedit")
"""Kinds that the stages exact to fuzzy are for."""


@dataclass(frozen=True)
class Collection:
    """Posts with what is known of them: columns of one length."""

    texts: list[str]
    kinds: list[str]
    families: list[str]
    """Empty for the background."""

    @property
    def truth(self) -> np.ndarray:
        """Group of each post; distractors and the background are alone."""
        numbers = {family: place for place, family in enumerate(dict.fromkeys(self.families))}
        alone = 10**6
        return np.array(
            [
                alone + row if kind in (DISTRACTOR, BACKGROUND) else numbers[family]
                for row, (kind, family) in enumerate(zip(self.kinds, self.families, strict=True))
            ]
        )

    def only(self, kinds: Sequence[str]) -> Collection:
        """Keep the posts of some kinds."""
        kept = np.flatnonzero(self.where(kinds)).tolist()
        return Collection(*([column[row] for row in kept] for column in (self.texts, self.kinds, self.families)))

    def where(self, kinds: Sequence[str]) -> np.ndarray:
        """Tell which posts are of some kinds."""
        return np.isin(self.kinds, list(kinds))


def load_halves(families: Path, background: Path, size: int) -> tuple[Collection, Collection]:
    """Read families and background; one half is to choose thresholds on, the other to report.

    Parameters
    ----------
    families
        JSONL with family, kind and text; each family has a seed.
    background
        Parquet file with the column text.
    size
        Posts of the background in each half; no post is in both.
    """
    rows = [json.loads(line) for line in families.read_text(encoding="utf-8").splitlines()]
    posts = pq.read_table(background, columns=["text"])["text"].to_pylist()
    if len(posts) < 2 * size:
        raise SystemExit(f"{background} has {len(posts):,} posts, but two halves of {size:,} are asked for.")
    random.Random(0).shuffle(posts)
    halves = []
    for half in (0, 1):
        mine = [row for row in rows if crc32(row["family"].encode()) % 2 == half]
        for seed in [row for row in mine if row["kind"] == SEED]:
            chance = random.Random(seed["family"])
            variants = [seed | {"kind": kind, "text": change(seed["text"], chance)} for kind, change in KINDS.items()]
            # A text in one script has no variant in that script: a copy of the seed would flatter everybody.
            mine += [variant for variant in variants if variant["text"] != seed["text"]]
        mine += [{"family": "", "kind": BACKGROUND, "text": text} for text in posts[half * size : (half + 1) * size]]
        random.Random(half).shuffle(mine)
        halves.append(Collection(*([row[name] for row in mine] for name in ("text", "kind", "family"))))
    return halves[0], halves[1]
