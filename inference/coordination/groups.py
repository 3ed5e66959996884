"""Groups: who posted each copypasta group first, how fast it spread, in which languages and scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from narratrace.inference.coordination.bursts import Burst
from narratrace.inference.coordination.copies import UNKNOWN, Copies
from narratrace.inference.coordination.narratives import list_advanced
from narratrace.model.language import identify
from narratrace.model.script import convert_script
from narratrace.model.text import normalise

MOST_ORIGINATORS = 5
"""Accounts named as first, where several posted in the same second."""

GROUP_FIELDS: tuple[pa.Field, ...] = (
    pa.field("posters", pa.int64(), nullable=False),
    pa.field("reposts", pa.int64(), nullable=False),
    pa.field("median_gap_s", pa.float64()),
    pa.field("originators", pa.list_(pa.string()), nullable=False),
    pa.field("languages", pa.list_(pa.string()), nullable=False),
    pa.field("scripts", pa.list_(pa.string()), nullable=False),
    pa.field("narratives", pa.list_(pa.string())),
    pa.field("burst_accounts", pa.int64()),
    pa.field("burst_start", pa.timestamp("us", tz="UTC")),
    pa.field("close_pairs", pa.int64()),
    pa.field("expected_close_pairs", pa.float64()),
    pa.field("p", pa.float64()),
    pa.field("q", pa.float64()),
)
"""Columns that coordination adds to the groups.

``posters``: accounts whose posts count as copies, without those that only reposted unless reposts count. ``reposts``:
posts that are reposts. ``median_gap_s``: median time from one account's first copy to the next account's,
in seconds. ``originators``: the accounts with the earliest copy. ``languages``, ``scripts``: of its posts, the most
frequent first. ``narratives``: that its posts advance, the most frequent first; null where posts are not scored.
``burst_accounts``: the most accounts whose first copies came within one window, which began at ``burst_start``.
``close_pairs``, ``expected_close_pairs``, ``p``, ``q``: see `narratrace.inference.coordination.bursts`; null where the
group has an innocent explanation, or p and q where its times cannot be tested.
"""


def describe_groups(
    groups: pa.Table,
    posts: pa.Table,
    copies: Copies,
    burst: Burst,
    window: float,
) -> pa.Table:
    """Add the columns of `GROUP_FIELDS` to a table of groups.

    Parameters
    ----------
    groups
        ``CopypastaGrouper.groups_``, sorted by ``group``.
    posts
        ``CopypastaGrouper.posts_``, with the column ``narratives``.
    copies
        The posts that count as copies, with the groups of `groups`.
    burst
        Tests of the groups, in the order of `copies.groups`.
    window
        How close in time counts as close, in seconds.
    """
    numbers = groups["group"].to_pylist()
    members = posts.filter(pc.is_valid(posts["group"]))
    member_group = members["group"].to_pylist()
    reposts = Counter(
        group for group, repost in zip(member_group, members["is_repost"].to_pylist(), strict=True) if repost
    )
    languages: dict[int, Counter[str]] = {}
    scripts: dict[int, Counter[str]] = {}
    texts: dict[str, tuple[str, str]] = {}
    for group, text in zip(member_group, members["text"].to_pylist(), strict=True):
        if text not in texts:
            texts[text] = identify(text), script_of(text)
        language, script = texts[text]
        languages.setdefault(group, Counter())[language] += 1
        scripts.setdefault(group, Counter())[script] += 1
    scored = set(members.filter(pc.is_valid(members["narratives"]))["group"].to_pylist())
    advanced: dict[int, Counter[str]] = {}
    if (found := list_advanced(posts)) is not None:
        for row in found.group_by(["group", "narrative"]).aggregate([([], "count_all")]).to_pylist():
            advanced.setdefault(row["group"], Counter())[row["narrative"]] = row["count_all"]

    first = copies.first_of_accounts()
    timed = _timing(first, window)
    posters = np.bincount(first.group, minlength=len(copies.groups)).tolist()
    at = {number: place for place, number in enumerate(copies.groups.tolist())}
    innocent = groups["innocent"].to_pylist()
    rows: list[tuple[Any, ...]] = []
    for number, why in zip(numbers, innocent, strict=True):
        place = at.get(number)
        gap, originators, size, start = timed.get(place, (None, [], None, None))
        tests: tuple[Any, ...] = (None,) * 4
        if place is not None and place in timed and why is None:
            tests = (int(burst.close[place]), *(_known(of[place]) for of in (burst.expected, burst.p, burst.q)))
        rows.append(
            (
                0 if place is None else posters[place],
                reposts[number],
                gap,
                originators,
                _ranked(languages[number]),
                _ranked(scripts[number]),
                _ranked(advanced.get(number, Counter())) if number in scored else None,
                size,
                start,
                *tests,
            )
        )
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(GROUP_FIELDS)
    for field, column in zip(GROUP_FIELDS, columns, strict=True):
        groups = groups.append_column(field, pa.array(column, field.type))
    return groups


def script_of(text: str) -> str:
    """Tell the script of a text by its code in ISO 15924.

    Of most of its letters: ``Hans`` and ``Hant`` where more characters are of one Chinese script than of the other,
    ``Hani`` where all are of both, ``Latn``, or ``Zyyy`` for anything else.

    >>> [script_of(text) for text in ("支持香港警察执法", "支持香港警察執法", "Support the police", "ตำรวจ")]
    ['Hans', 'Hant', 'Latn', 'Zyyy']
    """
    letters = [character for character in normalise(text).text if character.isalpha()]
    if 2 * sum("\u3400" <= letter <= "\u9fff" for letter in letters) >= max(len(letters), 1):
        simplified = _differences(text, convert_script(text, "s2t"))
        traditional = _differences(text, convert_script(text, "t2s"))
        return "Hani" if simplified == traditional else "Hans" if simplified > traditional else "Hant"
    return "Latn" if 2 * sum(letter < "\u0250" for letter in letters) > len(letters) else "Zyyy"


def _differences(a: str, b: str) -> int:
    return sum(one != other for one, other in zip(a, b, strict=False))


def _timing(first: Copies, window: float) -> dict[int | None, tuple[float | None, list[str], int, int]]:
    """Tell gap, originators, size and start of the densest window of each group, by place; unknown times left out."""
    first = first.where(first.time != UNKNOWN)
    found: dict[int | None, tuple[float | None, list[str], int, int]] = {}
    starts = np.append(np.flatnonzero(np.diff(first.group, prepend=-1)), len(first.group)).tolist()
    for begin, end in pairwise(starts):
        time = first.time[begin:end]
        gap = float(np.median(np.diff(time))) / 1e6 if len(time) > 1 else None
        inside = np.searchsorted(time, time + int(window * 1e6), "right") - np.arange(len(time))
        densest = int(np.argmax(inside))
        earliest: NDArray[np.int64] = np.flatnonzero(time == time[0])[:MOST_ORIGINATORS]
        originators = first.accounts[first.account[begin + earliest]].tolist()
        found[int(first.group[begin])] = gap, originators, int(inside[densest]), int(time[densest])
    return found


def _ranked(counts: Counter[str]) -> list[str]:
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
