"""Report: the page that shows a grouping at a glance."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narratrace.inference.coordination.bursts import ENOUGH
from narratrace.inference.coordination.narratives import list_advanced
from narratrace.inference.coordination.plots import (
    Advanced,
    Copied,
    plot_graph,
    plot_narratives,
    plot_timeline,
    plotly_script,
)
from narratrace.inference.coordination.spans import span
from narratrace.inference.copypasta.explanation import compare
from narratrace.model.pages import write_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from narratrace.inference.coordination.coordination import Coordination
    from narratrace.inference.coordination.settings import CoordinationSettings

MOST_VARIANTS = 6
"""Texts of a group that are set beside its representative, the most different first."""
MOST_ACCOUNTS = 25
"""Accounts of a group that are listed, in order of their first copies; also accounts in the table of accounts."""
MOST_NAMES = 1000
"""Accounts of a group that the search of the page knows."""
MOST_CHARACTERS = 1500
"""Of a text; the rest is left out."""
PLOTTED_GROUPS = 25
"""Groups in a plot, those that most accounts posted."""


def write_report(
    path: Path,
    title: str,
    posts: pa.Table,
    found: Coordination,
    settings: CoordinationSettings,
    faults: Sequence[str],
) -> None:
    """Write the page: groups, timeline, graph of accounts, narratives, method.

    Parameters
    ----------
    path
        The file.
    title
        What was read, for the heading.
    posts
        ``CopypastaGrouper.posts_``, with the column ``narratives``.
    found
        Of `coordinate`.
    settings
        Those that it was found with.
    faults
        Sentences about rows that were odd or rejected.
    """
    shown = _choose(found.groups, settings.page_groups)
    members = _members(posts, shown["group"])
    with_reposts = settings.reposts == "include"
    groups = [_view(group, members[group["group"]], with_reposts) for group in shown.to_pylist()]
    timed = [group for group in groups if len(group["times"]) > 1][:PLOTTED_GROUPS]
    timeline = graph = narratives_plot = None
    if timed:
        copies = [Copied(_name(group), *zip(*group["times"], strict=True)) for group in timed]
        timeline = plot_timeline(copies, _times(posts, with_reposts))
    advancing = [group for group in groups if group["advanced"]][:PLOTTED_GROUPS]
    if advancing:
        narratives_plot = plot_narratives([Advanced(_name(group), dict(group["advanced"])) for group in advancing])
    narratives = _narratives(found.groups, posts)
    drawn = 0
    if found.graph:
        graph, drawn = plot_graph(found.graph, settings.page_accounts, settings.min_groups)
    write_page(
        path,
        __package__,
        "group.html",
        title=title,
        script=plotly_script(),
        faults=faults,
        posts=posts.num_rows,
        all_groups=found.groups.num_rows,
        summary=found.summary(settings),
        settings=settings,
        enough=ENOUGH,
        groups=groups,
        timeline=timeline,
        timeline_groups=len(timed),
        graph=graph,
        drawn=drawn,
        accounts=[
            row | {"median_delay": span(row["median_delay_s"])}
            for row in found.accounts.slice(0, MOST_ACCOUNTS).to_pylist()
            if row["partners"]
        ],
        narratives=narratives,
        number_of={row["name"]: str(number) for number, row in enumerate(narratives or ())},
        narratives_plot=narratives_plot,
        advancing_groups=len(advancing),
        languages=sorted({language for group in groups for language in group["languages"]}),
    )


def _times(posts: pa.Table, with_reposts: bool) -> NDArray[np.datetime64]:
    """Times of all copies."""
    posts = posts.select(["group", "created_at", "is_repost"])  # filtered without the texts
    counts = pc.and_(pc.is_valid(posts["group"]), pc.is_valid(posts["created_at"]))
    if not with_reposts:
        counts = pc.and_(counts, pc.invert(pc.fill_null(posts["is_repost"], False)))
    times: NDArray[np.datetime64] = posts.filter(counts)["created_at"].to_numpy()
    return times


def _choose(groups: pa.Table, most: int) -> pa.Table:
    """Choose the groups that most accounts posted, and those whose copies came closest for chance."""
    size = [("posters", "descending"), ("accounts", "descending"), ("posts", "descending"), ("group", "ascending")]
    largest = pc.sort_indices(groups, size)[:most].to_pylist()
    closest = pc.sort_indices(groups, [("q", "ascending"), *size]).to_pylist()[: most // 2]
    tested = [at for at in closest if groups["q"][at].is_valid]
    kept = set(tested) | set(largest[: most - len(set(tested) - set(largest))])
    chosen = groups.take(pa.array(sorted(kept), pa.int64()))
    return chosen.take(pc.sort_indices(chosen, size))


def _members(posts: pa.Table, groups: pa.ChunkedArray) -> dict[int, list[dict[str, Any]]]:
    chosen = posts.filter(pc.is_in(posts["group"], groups.combine_chunks()))
    columns = ["id", "account_id", "text", "created_at", "is_repost", "group", "stage", "similarity", "narratives"]
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for post in chosen.select(columns).to_pylist():
        found[post["group"]].append(post)
    return found


def _view(group: dict[str, Any], posts: list[dict[str, Any]], with_reposts: bool) -> dict[str, Any]:
    """Gather what the page shows of a group."""
    text = _cut(group["text"])
    posts.sort(key=lambda post: (post["created_at"] is None, post["created_at"]))
    counted = [post for post in posts if with_reposts or not post["is_repost"]]
    firsts: dict[str, dict[str, Any]] = {}
    # Where reposts do not count, an account is listed by one only if it has no other copy.
    for post in [*counted, *posts]:
        firsts.setdefault(post["account_id"] or "", post)
    copies = Counter(post["account_id"] or "" for post in counted)
    start = group["first_seen"]
    counts = Counter(label for post in posts for label in post["narratives"] or ())
    return group | {
        "text": text,
        "excerpt": " ".join(group["text"].split())[:90],
        "median_gap": span(group["median_gap_s"]),
        "lasted": span((group["last_seen"] - group["first_seen"]).total_seconds() if group["first_seen"] else None),
        "times": [(post["account_id"] or "unknown", post["created_at"]) for post in counted if post["created_at"]],
        "variants": _variants(text, posts),
        "listed": [
            {
                "account": account or None,
                "copies": copies[account],
                "time": _clock(post["created_at"]),
                "delay": span((post["created_at"] - start).total_seconds())
                if copies[account] and post["created_at"]
                else None,
                "repost": post["is_repost"],
            }
            for account, post in list(firsts.items())[:MOST_ACCOUNTS]
        ],
        "names": " ".join(list(firsts)[:MOST_NAMES]),
        "unlisted": max(len(firsts) - MOST_ACCOUNTS, 0),
        "burst_start": _clock(group["burst_start"]),
        "first_seen": _clock(group["first_seen"]),
        "last_seen": _clock(group["last_seen"]),
        "advanced": counts.most_common(),
        "narratives": sorted(counts),
    }


def _variants(text: str, posts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Set the texts least like the representative beside it."""
    counts = Counter(_cut(post["text"]) for post in posts)
    one = {_cut(post["text"]): post for post in reversed(posts)}
    one.pop(text, None)
    others = sorted(one.items(), key=lambda item: (item[1]["similarity"], -counts[item[0]], item[0]))
    return [
        {
            "stage": post["stage"],
            "similarity": post["similarity"],
            "posts": counts[variant],
            "pieces": compare(text, variant),
        }
        for variant, post in others[:MOST_VARIANTS]
    ]


def _narratives(groups: pa.Table, posts: pa.Table) -> list[dict[str, Any]] | None:
    """Count groups, posts and accounts by narrative, and name the largest group of each; None without scores."""
    found = list_advanced(posts)
    if found is None:
        return None
    sizes = dict(zip(groups["group"].to_pylist(), groups["accounts"].to_pylist(), strict=True))
    counted = found.group_by("narrative").aggregate(
        [([], "count_all"), ("group", "distinct"), ("account_id", "count_distinct")]
    )
    rows = [
        {
            "name": row["narrative"],
            "groups": len(row["group_distinct"]),
            "posts": row["count_all"],
            "accounts": row["account_id_count_distinct"],
            "largest": max(row["group_distinct"], key=lambda group: (sizes[group], -group)),
        }
        for row in counted.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["accounts"], row["name"]))


def _name(group: dict[str, Any]) -> str:
    """Name a group in a plot."""
    return f"{group['group']}: {group['excerpt'][:24]}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _clock(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else None
