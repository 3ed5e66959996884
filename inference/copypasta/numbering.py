"""Numbering: ids of groups that stay the same as posts are added, and the posts that represent them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def number_groups(star: NDArray[np.int64], known: NDArray[np.int64], next_group: int) -> tuple[NDArray[np.int64], int]:
    """Give each star a number: that of the known group of which it has most posts, or else the next one free.

    Parameters
    ----------
    star
        The node that each post's group stands around; -1 for none.
    known
        Group of the first posts, as it was before; -1 for none.
    next_group
        Smallest number that no group ever had.

    Returns
    -------
    label
        Group of each post; -1 for none. New groups are numbered in the order of their first posts.
    next_group
        Smallest number that is still free.
    """
    number = np.full(star.max(initial=-1) + 2, -1, dtype=np.int64)  # the last one is for no star
    old_star = star[: len(known)]
    both = (known >= 0) & (old_star >= 0)
    pairs, count = np.unique(np.stack([old_star[both], known[both]]), axis=1, return_counts=True)
    taken = set()
    for each, old in pairs[:, np.lexsort((pairs[0], pairs[1], -count))].T.tolist():
        if number[each] < 0 and old not in taken:
            number[each] = old
            taken.add(old)
    stars, first = np.unique(star, return_index=True)
    first = first[(stars >= 0) & (number[stars] < 0)]
    fresh = star[np.sort(first)]
    number[fresh] = np.arange(next_group, next_group + len(fresh))
    return number[star], next_group + len(fresh)


def choose_representatives(
    rows: NDArray[np.int64], star: NDArray[np.int64], text_of: NDArray[np.int64], created_at: pa.ChunkedArray
) -> NDArray[np.int64]:
    """Choose the post that represents each star: the earliest with the text that is there most often.

    Parameters
    ----------
    rows
        Posts to choose from.
    star, text_of, created_at
        Of all posts: the star, the number of the text as published, and the time, where it is known.

    Returns
    -------
    array
        Row of the representative of each star; -1 where there is none.
    """
    found = np.full(star.max(initial=-1) + 1, -1, dtype=np.int64)
    if len(rows):
        copies = np.bincount(text_of)[text_of[rows]]
        created = created_at.take(pa.array(rows)).cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
        ordered = rows[np.lexsort((rows, created, -copies, star[rows]))]
        first = np.append(True, star[ordered][1:] != star[ordered][:-1])
        found[star[ordered[first]]] = ordered[first]
    return found
