"""Bursts: whether copies came closer together in time than their accounts' own habits explain.

The null model: every account posts as much on each day as it did, at the times at which it did, but *which* of its
posts comes at which of these times is chance. So the times are shuffled among the posts of one account on one day
(UTC), and the **close pairs** counted again: pairs of copies of one group, by different accounts, within the window. p
is the share of shuffles with at least as many close pairs as there were, counting what was as one of them: (b + 1) / (n
+ 1) (Phipson and Smyth 2010, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9). A group or
account that 20 shuffles have matched is not shuffled on, and has p = 20 / shuffles so far (Besag and Clifford 1991,
"Sequential Monte Carlo p-values", Biometrika 78). Over many groups or accounts, q is p adjusted after Benjamini and
Hochberg (1995, "Controlling the false discovery rate", J. R. Stat. Soc. B 57).

Groups of more than 1,000 copies are shuffled less often than the others, and so are their accounts, so that a campaign
of 100,000 copies costs no more than others do.

A group whose posts are their accounts' only ones of the day cannot be tested: its times cannot be shuffled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.inference.coordination.copies import UNKNOWN, Copies

ENOUGH = 20
"""Shuffles with as many close pairs after which a group or an account is not shuffled on."""
FEWEST = 199
"""Shuffles of even the largest group."""
MOST_MOVES = 5_000_000
"""Copies times shuffles of one group, beyond which it gets fewer shuffles: with 10,000 copies, 500."""
_SHUFFLES_BETWEEN_CHECKS = 25
_DAY = 86_400 * 10**6
_DAYS = 10_000 * 366
"""More than any calendar has."""


class Burst(NamedTuple):
    """How close in time copies came; shape (groups,) or (accounts,).

    Attributes
    ----------
    close
        Close pairs: copies of one group, by different accounts, within the window. Of an account: those with a copy of
        its own, in groups that can be tested.
    expected
        Mean of the same over the shuffles; NaN where not tested.
    p
        Of as many close pairs under the null model; NaN where not tested.
    q
        p adjusted for the number of tests, after Benjamini and Hochberg; NaN where not tested.
    """

    close: NDArray[np.int64]
    expected: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]


def find_bursts(copies: Copies, window: float, shuffles: int, seed: int) -> tuple[Burst, Burst]:
    """Test the times of all groups and accounts.

    Parameters
    ----------
    copies
        **All** posts of the accounts: those without a group show when an account posts. Random numbers are
        dealt in their order (`narratrace.inference.coordination.copies.list_once`).
    window
        How close in time counts as close, in seconds.
    shuffles
        How often the times are shuffled, at most; of large groups and their accounts less often, by `MOST_MOVES`.
    seed
        Of the random numbers; the same copies and seed give the same p.

    Returns
    -------
    tuple of Burst
        By group and by account.
    """
    copies = copies.where(copies.time != UNKNOWN)
    stratum = np.unique(copies.account * _DAYS + copies.time // _DAY, return_inverse=True)[1]
    width = int(window * 1000)
    copies = copies._replace(time=_compress(copies.time // 1000, width))
    shared = copies.is_shared()
    close = np.zeros(len(shared), dtype=np.int64)
    close[shared] = _close_copies(copies.where(shared), width)
    movable = shared & _can_move(stratum, copies.group)
    can_move = np.bincount(copies.group[movable], minlength=len(copies.groups) + 1) > 0
    tested = shared & can_move[copies.group]

    # How many shuffles there will be depends on sizes alone, not on what shuffles show: that would spoil p.
    sizes = np.bincount(copies.group[tested], minlength=len(copies.groups))
    limit = np.clip(MOST_MOVES // np.maximum(sizes, 1), min(FEWEST, shuffles), shuffles)
    limit_of_account = np.full(len(copies.accounts), shuffles)
    np.minimum.at(limit_of_account, copies.account[tested], limit[copies.group[tested]])
    of_group = _Count(copies.group[tested], close[tested], limit)
    of_account = _Count(copies.account[tested], close[tested], limit_of_account)
    random = np.random.default_rng(seed)
    at = np.flatnonzero(tested)
    shuffler = _Shuffler(copies.time, stratum, at)
    for done in range(shuffles):
        if done % _SHUFFLES_BETWEEN_CHECKS == 0:
            needed = of_group.running[copies.group[at]]
            account_needs = np.zeros(len(copies.groups), dtype=bool)
            account_needs[copies.group[at][of_account.running[copies.account[at]]]] = True
            needed |= account_needs[copies.group[at]]
            if not needed.any():
                break
            if not needed.all():
                at = at[needed]
                shuffler = _Shuffler(copies.time, stratum, at)
        moved = Copies(copies.account[at], copies.group[at], shuffler.times(random), copies.accounts, copies.groups)
        found = _close_copies(moved, width)
        of_group.add(moved.group, found)
        of_account.add(moved.account, found)
    group = of_group.result()
    # A pair has two copies, so that the sums over the copies of a group are twice its pairs.
    pairs = np.bincount(copies.group[shared], close[shared], len(copies.groups)).astype(np.int64) // 2
    return Burst(pairs, group.expected / 2, group.p, group.q), of_account.result()


def _compress(time: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Shorten the times at which nobody posts to just over `width`, so that a wrong year makes no number too large."""
    order = np.argsort(time)
    compressed = np.zeros(len(time), dtype=np.int64)
    compressed[order[1:]] = np.cumsum(np.minimum(np.diff(time[order]), width + 1))
    return compressed


def _close_copies(copies: Copies, width: int) -> NDArray[np.int64]:
    """Count, for each copy, those of its group by other accounts no more than `width` before or after it."""
    step = int(copies.time.max(initial=0)) + width + 1
    own = np.unique(copies.group * len(copies.accounts) + copies.account, return_inverse=True)[1]
    return _within(copies.group * step + copies.time, width) - _within(own * step + copies.time, width)


def _within(key: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    ordered = np.sort(key)
    return np.searchsorted(ordered, key + width, "right") - np.searchsorted(ordered, key - width, "left")


def adjust(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for their number: the least false discovery rate at which each would be named; NaN stay."""
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(-p[tested], kind="stable")]
    rank = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(np.minimum(p[order] * len(order) / rank, 1.0))
    return adjusted


def _can_move(stratum: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which posts have a post beside them, of their account and day, that is not of their group."""
    lowest = np.full(stratum.max(initial=-1) + 1, UNKNOWN)
    highest = np.full(len(lowest), -2)
    np.minimum.at(lowest, stratum, group)
    np.maximum.at(highest, stratum, group)
    can_move: NDArray[np.bool_] = (lowest != highest)[stratum]
    return can_move


class _Count:
    """Shuffles with at least as many close copies as there were, of each group or account."""

    def __init__(self, units: NDArray[np.int64], close: NDArray[np.int64], limit: NDArray[np.int64]) -> None:
        number = len(limit)
        self._limit = limit
        self._observed = np.bincount(units, close, number).astype(np.int64)
        self.running = np.zeros(number, dtype=bool)
        self.running[units] = True
        self._draws = np.zeros(number)
        self._matched = np.zeros(number)
        self._sum = np.zeros(number)

    def add(self, unit: NDArray[np.int64], close: NDArray[np.int64]) -> None:
        """Count one shuffle, of those still running."""
        found = np.bincount(unit, close, len(self._observed))
        self._draws += self.running
        self._sum += found * self.running
        self._matched += (found >= self._observed) & self.running
        self.running &= (self._matched < ENOUGH) & (self._draws < self._limit)

    def result(self) -> Burst:
        draws, matched = self._draws, self._matched
        with np.errstate(invalid="ignore"):
            p = np.where(matched >= ENOUGH, matched / draws, (matched + 1) / (draws + 1))
            expected = self._sum / draws
        p[draws == 0] = np.nan
        return Burst(self._observed, expected, p, adjust(p))


class _Shuffler:
    """Shuffles the times of posts among the posts of their account and day."""

    def __init__(self, time: NDArray[np.int64], stratum: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        needed = np.zeros(stratum.max(initial=-1) + 1, dtype=bool)
        needed[stratum[at]] = True
        posts = np.flatnonzero(needed[stratum])
        posts = posts[np.argsort(stratum[posts], kind="stable")]
        self._time = time[posts]
        self._stratum = np.unique(stratum[posts], return_inverse=True)[1].astype(np.float64)
        place = np.empty(len(time), dtype=np.int64)
        place[posts] = np.arange(len(posts))
        self._wanted = place[at]

    def times(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Return new times of the posts asked for."""
        order = np.argsort(self._stratum + random.random(len(self._stratum)))
        return self._time[order][self._wanted]
