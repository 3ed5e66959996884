"""Copies: which account posted which group when, as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UNKNOWN = np.iinfo(np.int64).max
"""A time that is not known; it comes after all that are."""


class Copies(NamedTuple):
    """Posts of known accounts.

    Attributes
    ----------
    account
        Account of each post, a place in `accounts`.
    group
        Its copypasta group, a place in `groups`; -1 for none.
    time
        When it was published, in microseconds since 1970 UTC; `UNKNOWN` where it is not known.
    accounts
        Account ids, sorted.
    groups
        Group numbers, sorted.
    """

    account: NDArray[np.int64]
    group: NDArray[np.int64]
    time: NDArray[np.int64]
    accounts: NDArray[np.object_]
    groups: NDArray[np.int64]

    def where(self, kept: NDArray[np.bool_]) -> Copies:
        """Keep some of the posts; accounts and groups keep their places."""
        return self._replace(account=self.account[kept], group=self.group[kept], time=self.time[kept])

    def is_shared(self) -> NDArray[np.bool_]:
        """Tell which posts are of a group that two accounts or more posted."""
        in_group = self.group >= 0
        number = max(len(self.accounts), 1)
        pairs = np.unique(self.group[in_group] * number + self.account[in_group])
        accounts = np.bincount(pairs // number, minlength=len(self.groups) + 1)  # one more, for -1
        return in_group & (accounts[self.group] > 1)

    def first_of_accounts(self) -> Copies:
        """Keep the first copy of each account in each group, ordered by group, time and account.

        An account that posts a text a hundred times has one first copy: repeating oneself ties nobody closer. Copies of
        one time are ordered by account, so that the order of the archive's rows never tells who came after whom.
        """
        copies = self.where(self.group >= 0)
        order = np.lexsort((copies.time, copies.account, copies.group))
        account, group = copies.account[order], copies.group[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (account[1:] != account[:-1]) | (group[1:] != group[:-1])
        kept = order[is_first]
        kept = kept[np.lexsort((copies.account[kept], copies.time[kept], copies.group[kept]))]
        return Copies(copies.account[kept], copies.group[kept], copies.time[kept], self.accounts, self.groups)


def list_once(posts: pa.Table) -> pa.Table:
    """Order posts by account and time, those of one time by id, and keep one row of each.

    Overlapping crawls, or a file and its backup, hold a post twice. Both rows have one time, which the shuffles of the
    null model would move apart, so that any group would seem closer than chance. The order is that of the posts
    themselves, since random numbers are dealt by it: p is the same in whatever order files come, and rows where posts
    have ids.

    Parameters
    ----------
    posts
        With the columns ``id``, ``account_id``, ``created_at`` and ``group``. Rows are of one post if all four are the
        same: an id alone may be a rounded one, or that of another archive. So those without a time, which are not
        tested, are all kept.
    """
    keys = ("account_id", "created_at", "id", "group")
    posts = posts.sort_by([(key, "ascending") for key in keys])
    rows = max(posts.num_rows - 1, 0)
    is_repeated = np.ones(rows, dtype=bool)
    for key in keys:
        column = pc.fill_null(posts[key], -1) if key == "group" else posts[key]
        is_repeated &= pc.fill_null(pc.equal(column.slice(0, rows), column.slice(1)), False).to_numpy()
    return posts.filter(pa.array(np.append(True, ~is_repeated)[: posts.num_rows]))


def read_copies(posts: pa.Table) -> Copies:
    """Turn a table of posts into numbers.

    Parameters
    ----------
    posts
        With the columns ``account_id``, ``created_at`` and ``group``, as ``CopypastaGrouper.posts_`` has them. Posts of
        unknown accounts are left out: they tie nobody.
    """
    is_known = pc.is_valid(posts["account_id"])
    # Without the texts, which take most of the room.
    found = posts.select(["account_id", "created_at", "group"]).filter(is_known)
    accounts, account = np.unique(np.array(found["account_id"].to_pylist(), dtype=object), return_inverse=True)
    numbers = pc.fill_null(found["group"], -1).to_numpy().astype(np.int64)
    groups = np.unique(numbers[numbers >= 0])
    group = np.where(numbers >= 0, np.searchsorted(groups, numbers), -1)
    time = pc.fill_null(found["created_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), UNKNOWN)
    return Copies(account.astype(np.int64), group.astype(np.int64), time.to_numpy(), accounts, groups)
