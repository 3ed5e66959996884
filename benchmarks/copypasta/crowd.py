"""Crowds: archives of any size, made of the clauses of real posts, with a known part of them in groups."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from variants import KINDS

_CLAUSE = re.compile(r"[^，。！？!?,.;；\n]{4,80}[，。！？!?,.;；\n]?")
GROUPED = 0.4
"""Share of the posts that are in groups."""


def clauses(texts: Sequence[str]) -> list[str]:
    """Cut posts into clauses, to be put together anew."""
    found = dict.fromkeys(clause for text in texts for clause in _CLAUSE.findall(text))
    return list(found)


def make_crowd(pool: Sequence[str], posts: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Make posts, and the group of each (-1 for none).

    A post is three to six clauses of the pool. A group has 2 to 200 posts, few many; half of them are copies, half
    variants of any kind.
    """
    chance = random.Random(seed)
    kinds = list(KINDS.values())
    texts: list[str] = []
    groups: list[int] = []
    group = 0
    while len(texts) < GROUPED * posts:
        message = _message(pool, chance)
        size = min(int(2 / (1 - chance.random()) ** 0.8), 200)
        for _ in range(size):
            texts.append(message if chance.random() < 0.5 else chance.choice(kinds)(message, chance))
            groups.append(group)
        group += 1
    while len(texts) < posts:
        texts.append(_message(pool, chance))
        groups.append(-1)
    order = list(range(len(texts)))
    chance.shuffle(order)
    return [texts[at] for at in order][:posts], [groups[at] for at in order][:posts]


def _message(pool: Sequence[str], chance: random.Random) -> str:
    return "".join(chance.choice(pool) for _ in range(chance.randint(3, 6)))
