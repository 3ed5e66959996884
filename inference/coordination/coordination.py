"""Coordination: everything that groups and times say about accounts, as tables and a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from narratrace.inference.archives.archive import NARRATIVES
from narratrace.inference.coordination.accounts import describe_accounts
from narratrace.inference.coordination.bursts import find_bursts
from narratrace.inference.coordination.copies import Copies, list_once, read_copies
from narratrace.inference.coordination.graph import build_graph, find_clusters
from narratrace.inference.coordination.groups import describe_groups
from narratrace.inference.coordination.ties import Ties, find_ties

if TYPE_CHECKING:
    import networkx as nx

    from narratrace.inference.coordination.settings import CoordinationSettings

TIE_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("account_a", pa.string(), nullable=False),
        pa.field("account_b", pa.string(), nullable=False),
        pa.field("layer", pa.string(), nullable=False),
        pa.field("groups", pa.int64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("within", pa.int64(), nullable=False),
        pa.field("median_gap_s", pa.float64()),
        pa.field("overlap", pa.float64(), nullable=False),
    ]
)
"""Columns of ``edges.parquet``, a row for each tie, the heaviest first.

``layer``: ``posts``, ``reposts`` or ``all``, by the setting of reposts. ``within``: groups of which both posted their
first copies within the window. The others: see `narratrace.inference.coordination.ties.Ties`.
"""


class CoordinationSummary(BaseModel):
    """What was found, in numbers."""

    repeated_rows: int = Field(description="Rows of a post that the archive holds already; they do not count.")
    accounts: int = Field(description="Accounts with a post that counts: without reposts unless these count.")
    tied: int = Field(description="Accounts that posted the same text as another.")
    ties: int = Field(description="Pairs of accounts that posted the same text.")
    repeated: int = Field(description="Those of them that share at least min_groups groups.")
    clusters: int = Field(description="Sets of accounts that repeated ties hold together.")
    tested_groups: int = Field(description="Groups whose times could be tested.")
    close_groups: int = Field(description="Groups whose copies are closer in time than chance explains: q <= max_q.")
    tested_accounts: int = Field(description="Accounts whose times could be tested.")
    close_accounts: int = Field(description="Accounts whose copies are closer to those of others: q <= max_q.")


class Coordination(NamedTuple):
    """What groups and times say about accounts.

    Attributes
    ----------
    groups
        The groups, with the columns of `narratrace.inference.coordination.groups.GROUP_FIELDS`.
    accounts
        Columns of `narratrace.inference.coordination.accounts.ACCOUNT_SCHEMA`.
    ties
        Columns of `TIE_SCHEMA`.
    graph
        Accounts and their heaviest ties; without the layer of reposts where that stands apart.
    repeated_rows
        Rows of a post that the archive holds already.
    """

    groups: pa.Table
    accounts: pa.Table
    ties: pa.Table
    graph: nx.Graph[str]
    repeated_rows: int

    def summary(self, settings: CoordinationSettings) -> CoordinationSummary:
        """Count what was found; `settings` are those it was found with."""
        accounts, groups = self.accounts, self.groups
        ties = self.ties.filter(pc.not_equal(self.ties["layer"], "reposts"))

        def close(table: pa.Table) -> int:
            return int(pc.sum(pc.less_equal(table["q"], settings.max_q)).as_py() or 0)

        return CoordinationSummary(
            repeated_rows=self.repeated_rows,
            accounts=accounts.num_rows,
            tied=int(pc.sum(pc.greater(accounts["partners"], 0)).as_py() or 0),
            ties=ties.num_rows,
            repeated=int(pc.sum(pc.greater_equal(ties["groups"], settings.min_groups)).as_py() or 0),
            clusters=pc.count_distinct(accounts["cluster"], mode="only_valid").as_py(),
            tested_groups=groups.num_rows - groups["p"].null_count,
            close_groups=close(groups),
            tested_accounts=accounts.num_rows - accounts["p"].null_count,
            close_accounts=close(accounts),
        )


def coordinate(
    posts: pa.Table,
    groups: pa.Table,
    settings: CoordinationSettings,
) -> Coordination:
    """Find what groups and times say about accounts.

    Groups with an innocent explanation (a share button's text, a line of verse) are described, but tie nobody unless
    the settings say so. A post that the archive holds more than once counts once, except in the columns of the groups
    that the grouping made.

    Parameters
    ----------
    posts, groups
        As `narratrace.inference.copypasta.grouper.CopypastaGrouper` leaves them; the posts may have one more column,
        ``narratives`` that each advances, null for those that are not scored.
    settings
        What counts as tied.
    """
    if "narratives" not in posts.column_names:
        posts = posts.append_column("narratives", pa.nulls(posts.num_rows, NARRATIVES))
    window = settings.window_minutes * 60
    placed = posts.select(["row", "id", "account_id", "created_at", "group"])  # filtered without the texts
    repost = pc.fill_null(posts["is_repost"], False)
    chosen = placed if settings.reposts == "include" else placed.filter(pc.invert(repost))
    once = list_once(chosen)
    repeated_rows = chosen.num_rows - once.num_rows
    copies = read_copies(once)
    ties_nobody = groups.filter(pc.is_valid(groups["innocent"]))["group"].to_numpy()
    if settings.innocent == "include":
        ties_nobody = ties_nobody[:0]
    tying = _without(copies, ties_nobody)
    of_group, of_account = find_bursts(tying, window, settings.shuffles, settings.seed)
    shared = tying.where(tying.is_shared())
    ties = find_ties(shared.first_of_accounts(), window, settings.neighbours)
    clusters = find_clusters(ties, settings.min_groups, settings.graph_ties, settings.seed)
    accounts = describe_accounts(copies, shared, ties, of_account, clusters, settings.min_groups)
    table = _tabulate(ties, copies, "all" if settings.reposts == "include" else "posts")
    graph = build_graph(accounts, table, settings.graph_ties)
    if settings.reposts == "apart":
        rest = placed.filter(repost)
        once = list_once(rest)
        repeated_rows += rest.num_rows - once.num_rows
        reposted = _without(read_copies(once), ties_nobody)
        shared = reposted.where(reposted.is_shared())
        apart = find_ties(shared.first_of_accounts(), window, settings.neighbours)
        table = pa.concat_tables([table, _tabulate(apart, reposted, "reposts")])
    described = describe_groups(groups, posts, chosen, copies, of_group, ties_nobody, window)
    return Coordination(described, accounts, table, graph, repeated_rows)


def _without(copies: Copies, groups: NDArray[np.int64]) -> Copies:
    """Take posts of some groups for posts without a group."""
    left_out = np.append(np.isin(copies.groups, groups), False)  # the last is for -1
    return copies._replace(group=np.where(left_out[copies.group], -1, copies.group))


def _tabulate(ties: Ties, copies: Copies, layer: str) -> pa.Table:
    order = np.argsort(-ties.weight, kind="stable")
    gap = ties.gap[order]
    return pa.table(
        [
            pa.array(copies.accounts[ties.a[order]], pa.string()),
            pa.array(copies.accounts[ties.b[order]], pa.string()),
            pa.array([layer] * len(order), pa.string()),
            ties.groups[order],
            ties.weight[order],
            ties.within[order],
            pa.array(gap, pa.float64(), mask=np.isnan(gap)),
            ties.overlap[order],
        ],
        schema=TIE_SCHEMA,
    )
