"""Accounts: what each account posted together with others, and how close in time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from narratrace.inference.coordination.bursts import Burst
from narratrace.inference.coordination.copies import UNKNOWN, Copies
from narratrace.inference.coordination.ties import Ties

ACCOUNT_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("posts", pa.int64(), nullable=False),
        pa.field("copies", pa.int64(), nullable=False),
        pa.field("groups", pa.int64(), nullable=False),
        pa.field("originated", pa.int64(), nullable=False),
        pa.field("median_delay_s", pa.float64()),
        pa.field("first_seen", pa.timestamp("us", tz="UTC")),
        pa.field("last_seen", pa.timestamp("us", tz="UTC")),
        pa.field("partners", pa.int64(), nullable=False),
        pa.field("repeated_partners", pa.int64(), nullable=False),
        pa.field("strength", pa.float64(), nullable=False),
        pa.field("cluster", pa.int64()),
        pa.field("close_pairs", pa.int64(), nullable=False),
        pa.field("expected_close_pairs", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
    ]
)
"""Columns of ``accounts.parquet``, the strongest tied first: a row for each account with a post that counts. One that
only reposts has none unless reposts count, though the layer of reposts may tie it.

``posts``: all its posts, without reposts where these do not count; one that the archive holds twice counts once.
``copies``: those in groups that another account posted too, and ``groups``: these groups. ``originated``: groups of
which it posted the earliest copy. ``median_delay_s``: median time from a group's earliest copy to its own first one, in
seconds. ``first_seen``, ``last_seen``: its first and last post. ``partners``: accounts that it is tied to;
``repeated_partners``: by at least ``min_groups`` groups. ``strength``: sum of the weights of its ties. ``cluster``: see
`narratrace.inference.coordination.graph.find_clusters`; null for none. ``close_pairs`` to ``q``: see
`narratrace.inference.coordination.bursts`.
"""


def describe_accounts(
    everything: Copies, shared: Copies, ties: Ties, burst: Burst, clusters: Mapping[int, int], min_groups: int
) -> pa.Table:
    """Make the table of accounts.

    Parameters
    ----------
    everything
        All posts of the layer.
    shared
        Those of groups that tie accounts.
    ties
        Between the accounts.
    burst
        Tests of the accounts, in the order of `everything.accounts`.
    clusters
        Cluster of an account, by its place.
    min_groups
        Shared groups from which a tie is repeated.
    """
    number = len(everything.accounts)
    first = shared.first_of_accounts()
    known = first.where(first.time != UNKNOWN)
    earliest = np.full(len(first.groups), UNKNOWN)
    np.minimum.at(earliest, known.group, known.time)
    delay = (known.time - earliest[known.group]) / 1e6
    timed = everything.where(everything.time != UNKNOWN)
    first_seen, last_seen = np.full(number, UNKNOWN), np.full(number, -UNKNOWN)
    np.minimum.at(first_seen, timed.account, timed.time)
    np.maximum.at(last_seen, timed.account, timed.time)
    ends = np.concatenate([ties.a, ties.b])
    repeated = np.tile(ties.groups >= min_groups, 2)
    strength = np.bincount(ends, np.tile(ties.weight, 2), number)
    cluster = np.array([clusters.get(account, -1) for account in range(number)], dtype=np.int64)
    table = pa.table(
        [
            pa.array(everything.accounts, pa.string()),
            np.bincount(everything.account, minlength=number),
            np.bincount(shared.account, minlength=number),
            np.bincount(first.account, minlength=number),
            np.bincount(known.account[delay == 0], minlength=number),
            _floats(_median_by(known.account, delay, number)),
            _times(first_seen, UNKNOWN),
            _times(last_seen, -UNKNOWN),
            np.bincount(ends, minlength=number),
            np.bincount(ends[repeated], minlength=number),
            strength,
            pa.array(cluster, mask=cluster < 0),
            burst.close,
            _floats(burst.expected),
            _floats(burst.p),
            _floats(burst.q),
        ],
        schema=ACCOUNT_SCHEMA,
    )
    return table.take(pa.array(np.argsort(-strength, kind="stable")))


def _median_by(unit: NDArray[np.int64], value: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    medians = np.full(number, np.nan)
    order = np.argsort(unit, kind="stable")
    starts = np.searchsorted(unit[order], np.arange(number + 1))
    for place in np.flatnonzero(np.diff(starts)).tolist():
        medians[place] = np.median(value[order[starts[place] : starts[place + 1]]])
    return medians


def _floats(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _times(values: NDArray[np.int64], unknown: int) -> pa.Array:
    return pa.array(values, pa.int64(), mask=values == unknown).cast(pa.timestamp("us", tz="UTC"))
