"""Groups: who posted each copypasta group first, how fast it spread, in which languages and scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
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
"""Accounts named as first, where several posted at the same time, to the microsecond."""

GROUP_FIELDS: tuple[pa.Field, ...] = (
    pa.field("posters", pa.int64(), nullable=False),
    pa.field("reposts", pa.int64(), nullable=False),
    pa.field("first_post", pa.string()),
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
posts that are reposts. ``first_post``: id of the earliest copy; null where only reposts are in the group and these do
not count. ``first_seen`` and ``last_seen``, which the grouping made of all posts, are replaced by those of the posts
that count. ``median_gap_s``: median time from one account's first copy to the next account's, in seconds.
``originators``: the accounts with the earliest copy; where these are more than `MOST_ORIGINATORS`, the first of them by
id. ``languages``, ``scripts``: of its posts, the most frequent first. ``narratives``: that its posts advance, the most
frequent first; null where posts are not scored. ``burst_accounts``: the most accounts whose first copies came within
one window, which began at ``burst_start``. ``close_pairs``, ``expected_close_pairs``, ``p``, ``q``: see
`narratrace.inference.coordination.bursts`; null where the group has an innocent explanation that keeps it apart, or p
and q where its times cannot be tested. p and q are of all close pairs of the group: the densest window has none of its
own.
"""


def describe_groups(
    groups: pa.Table,
    posts: pa.Table,
    counted: pa.Table,
    copies: Copies,
    burst: Burst,
    ties_nobody: NDArray[np.int64],
    window: float,
) -> pa.Table:
    """Add the columns of `GROUP_FIELDS` to a table of groups, and take the times of the posts that count.

    Parameters
    ----------
    groups
        ``CopypastaGrouper.groups_``, sorted by ``group``.
    posts
        ``CopypastaGrouper.posts_``, with the column ``narratives``.
    counted
        Columns ``row``, ``group`` and ``created_at`` of the posts that count as copies: without reposts where these do
        not.
    copies
        The same posts as numbers, those of known accounts.
    burst
        Tests of the groups, in the order of `copies.groups`.
    ties_nobody
        Groups that were left out of these tests.
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

    spans = _spans(counted)
    rows_of_firsts = pa.array([spans[number][0] if number in spans else None for number in numbers], pa.int64())
    first_posts = posts["id"].take(rows_of_firsts).to_pylist()
    first = copies.first_of_accounts()
    timed = _timing(first, window)
    posters = np.bincount(first.group, minlength=len(copies.groups)).tolist()
    at = {number: place for place, number in enumerate(copies.groups.tolist())}
    untested = set(ties_nobody.tolist())
    rows: list[tuple[Any, ...]] = []
    for number, first_post in zip(numbers, first_posts, strict=True):
        place = at.get(number)
        gap, originators, size, start = timed.get(place, (None, [], None, None))
        tests: tuple[Any, ...] = (None,) * 4
        if place is not None and place in timed and number not in untested:
            tests = (int(burst.close[place]), *(_known(of[place]) for of in (burst.expected, burst.p, burst.q)))
        rows.append(
            (
                0 if place is None else posters[place],
                reposts[number],
                first_post,
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
    for place, name in ((1, "first_seen"), (2, "last_seen")):
        times = [spans[number][place] if number in spans else None for number in numbers]
        field = groups.schema.field(name)
        groups = groups.set_column(groups.schema.get_field_index(name), field, pa.array(times, field.type))
    return groups


def _spans(counted: pa.Table) -> dict[int, tuple[int, datetime | None, datetime | None]]:
    """Tell the row of the earliest post of each group, and the times of the earliest and the latest."""
    members = counted.filter(pc.is_valid(counted["group"]))
    members = members.sort_by([("group", "ascending"), ("created_at", "ascending"), ("row", "ascending")])
    found = members.group_by("group", use_threads=False).aggregate(
        [("row", "first"), ("created_at", "min"), ("created_at", "max")]
    )
    columns = (found[name].to_pylist() for name in ("group", "row_first", "created_at_min", "created_at_max"))
    return {group: (row, earliest, latest) for group, row, earliest, latest in zip(*columns, strict=True)}


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
