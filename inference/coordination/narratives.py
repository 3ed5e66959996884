"""Narratives: what the posts of groups advance, where the archive is one that `narratrace score` wrote."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def list_advanced(posts: pa.Table) -> pa.Table | None:
    """List the narratives that posts of groups advance.

    Parameters
    ----------
    posts
        With the columns ``group``, ``account_id`` and ``narratives``.

    Returns
    -------
    pyarrow.Table or None
        ``group``, ``account_id`` and ``narrative``, a row for each narrative of each post; None if no post at all is
        scored.
    """
    if posts["narratives"].null_count == posts.num_rows:
        return None
    members = posts.select(["group", "account_id", "narratives"]).filter(pc.is_valid(posts["group"])).combine_chunks()
    lists = members["narratives"].combine_chunks()
    rows = pc.list_parent_indices(lists)
    return members.select(["group", "account_id"]).take(rows).append_column("narrative", pc.list_flatten(lists))
