"""Faults: what was wrong with rows of an archive, in sentences for a terminal or a page."""

from __future__ import annotations

from collections.abc import Mapping

ODDITIES = {
    "id missing": "have no id and are named <file>:<row>",
    "id rounded": "have an id that a spreadsheet seems to have rounded (1.04E+18): others may share it",
    "account_id rounded": "have an account id that a spreadsheet seems to have rounded: several accounts may share it",
    "account_id unreadable": "have an account that cannot be read, as an object is; it is left empty: name the field "
    "that holds its id with --map, as in --map account_id=user.id",
    "created_at unreadable": "have a time that cannot be read; it is left empty",
    "text repaired": "held bytes that are no text; they are replaced by \N{REPLACEMENT CHARACTER}",
}
"""What is odd about posts, by its name in `PostBatch.oddities`."""


def say_faults(rejects: Mapping[str, int], oddities: Mapping[str, int]) -> list[str]:
    """Say what was odd and what was rejected.

    Parameters
    ----------
    rejects
        Rejected rows by reason.
    oddities
        Odd posts by what it was.

    Examples
    --------
    >>> say_faults({"no text": 2}, {"created_at unreadable": 1200})
    ['1,200 posts have a time that cannot be read; it is left empty', '2 rows rejected: no text']
    """
    odd = [f"{posts:,} posts {ODDITIES[what]}" for what, posts in oddities.items()]
    return odd + [f"{rows:,} rows rejected: {reason}" for reason, rows in rejects.items()]
