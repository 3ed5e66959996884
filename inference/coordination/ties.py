"""Ties: the pairs of accounts that posted the same texts, and how heavy each tie is.

A tie's weight is the sum, over the groups that both accounts posted, of 1 / log2(k), where k is the number of accounts
that posted the group. A text of two accounts counts 1, one of sixteen accounts 0.25, one of 65,536 accounts 0.06. This
is the measure of Adamic and Adar (2003, "Friends and neighbors on the Web", Social Networks 25) for what two pages
share, with logarithms to base 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.coordination.copies import UNKNOWN, Copies

_SHARED_AT_ONCE = 2**22


class Ties(NamedTuple):
    """Pairs of accounts, by account; all arrays have shape (ties,).

    Attributes
    ----------
    a, b
        The accounts, a < b.
    groups
        How many groups both posted.
    weight
        Sum of 1 / log2(accounts) over these groups.
    within
        In how many of them their first copies came within the window.
    gap
        Median time between their first copies, in seconds; NaN where no times are known.
    overlap
        Shared groups as a share of those of the account that has fewer, 0 to 1.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    groups: NDArray[np.int64]
    weight: NDArray[np.float64]
    within: NDArray[np.int64]
    gap: NDArray[np.float64]
    overlap: NDArray[np.float64]


def find_ties(first: Copies, window: float, neighbours: int) -> Ties:
    """Find the accounts that posted the same texts.

    Parameters
    ----------
    first
        First copies of accounts, ordered by group, time and account (`Copies.first_of_accounts`).
    window
        How close in time counts as close, in seconds.
    neighbours
        In each group, an account is paired with so many that came right after it, in
        order of the account ids where times are the same or unknown. So a group of 100,000 accounts gives
        100,000 x `neighbours` pairs rather than five thousand million. Up to `neighbours` + 1 accounts, all are
        paired. For each pair that any group yields, **all** groups that both posted are counted.
    """
    sizes = np.bincount(first.group, minlength=len(first.groups))
    weights = np.zeros(len(sizes))
    weights[sizes > 1] = 1 / np.log2(sizes[sizes > 1])
    a, b = _candidates(first, neighbours)
    by_account = np.lexsort((first.group, first.account))
    key = first.account[by_account] * len(first.groups) + first.group[by_account]
    time = first.time[by_account]
    starts = np.searchsorted(first.account[by_account], np.arange(len(first.accounts) + 1))
    counts = np.diff(starts)

    parts: list[tuple[NDArray[Any], ...]] = []
    for pair, at, other in _shared(a, b, starts, counts, key, len(first.groups)):
        number = int(pair[-1]) + 1 if len(pair) else 0
        gap = np.abs(time[at] - time[other]) / 1e6
        gap[(time[at] == UNKNOWN) | (time[other] == UNKNOWN)] = np.nan
        group = key[at] % len(first.groups)
        parts.append(
            (
                np.bincount(pair, minlength=number).astype(np.float64),
                np.bincount(pair, weights=weights[group], minlength=number),
                np.bincount(pair, weights=gap <= window, minlength=number),
                _medians(pair, gap, number),
            )
        )
    if not parts:
        parts = [(np.zeros(0),) * 4]
    groups, weight, within, gaps = (np.concatenate(column) for column in zip(*parts, strict=True))
    fewer = np.minimum(counts[a], counts[b]) if len(a) else np.ones(0)
    return Ties(a, b, groups.astype(np.int64), weight, within.astype(np.int64), gaps, groups / fewer)


def _candidates(first: Copies, neighbours: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    steps = [np.zeros(0, dtype=np.int64)]
    number = max(len(first.accounts), 1)
    for step in range(1, min(neighbours, len(first.group) - 1) + 1):
        together = first.group[step:] == first.group[:-step]
        if not together.any():
            break
        one, two = first.account[step:][together], first.account[:-step][together]
        steps.append(np.minimum(one, two) * number + np.maximum(one, two))
    found = np.unique(np.concatenate(steps))
    return found // number, found % number


def _shared(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    key: NDArray[np.int64],
    groups: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs in chunks: number of the pair in its chunk and place of either account's copy, by shared group."""
    few = np.where(counts[a] <= counts[b], a, b)
    many = a + b - few
    ends = np.cumsum(counts[few])
    begin = 0
    while begin < len(a):
        before = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, before + _SHARED_AT_ONCE, "right")), begin + 1)
        chunk = slice(begin, end)
        pair = np.repeat(np.arange(end - begin), counts[few[chunk]])
        offset = np.arange(len(pair)) - np.repeat(ends[chunk] - counts[few[chunk]] - before, counts[few[chunk]])
        at = starts[few[chunk]][pair] + offset
        wanted = many[chunk][pair] * groups + key[at] % groups
        other = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        is_shared = key[other] == wanted
        yield pair[is_shared], at[is_shared], other[is_shared]
        begin = end


def _medians(pair: NDArray[np.int64], gap: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Median of the known gaps of each pair; NaN where none is known."""
    known = ~np.isnan(gap)
    pair, gap = pair[known], gap[known]
    gap = gap[np.lexsort((gap, pair))]
    counts = np.bincount(pair, minlength=number)
    starts = np.cumsum(counts) - counts
    medians = np.full(number, np.nan)
    some = np.flatnonzero(counts)
    low, high = (starts + (counts - 1) // 2)[some], (starts + counts // 2)[some]
    medians[some] = (gap[low] + gap[high]) / 2
    return medians
