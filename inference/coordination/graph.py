"""Graph: the accounts and their ties for networkx and for programs that draw graphs, in GraphML and GEXF."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narratrace.inference.coordination.ties import Ties
from narratrace.model.printable import printable

if TYPE_CHECKING:
    import networkx as nx

# Characters beyond those that `printable` shows as codes which XML 1.0 does not allow.
_NOT_XML = re.compile("[\ufffe\uffff]")

_NODE_ATTRIBUTES = ("posts", "copies", "groups", "originated", "partners", "strength", "cluster", "p", "q")


def find_clusters(ties: Ties, min_groups: int, most: int, seed: int) -> dict[int, int]:
    """Find accounts that are tied among each other more than to others.

    By the Louvain method (Blondel et al. 2008, "Fast unfolding of communities in large networks", J. Stat. Mech.
    P10008), as networkx has it, over repeated ties alone: one text that many posted makes no cluster.

    Parameters
    ----------
    ties
        Between accounts.
    min_groups
        Shared groups from which a tie is repeated.
    most
        Ties that are looked at, the heaviest.
    seed
        Of the random numbers.

    Returns
    -------
    dict
        Cluster by account; 0 has the most accounts.
    """
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    chosen = np.flatnonzero(ties.groups >= min_groups)
    chosen = np.sort(chosen[np.argsort(-ties.weight[chosen], kind="stable")[:most]])
    graph.add_weighted_edges_from(
        zip(ties.a[chosen].tolist(), ties.b[chosen].tolist(), ties.weight[chosen].tolist(), strict=True)
    )
    if not graph:
        return {}
    found = nx.community.louvain_communities(graph, seed=seed)
    found.sort(key=lambda accounts: (-len(accounts), min(accounts)))
    return {account: number for number, accounts in enumerate(found) for account in accounts}


def build_graph(accounts: pa.Table, ties: pa.Table, most: int) -> nx.Graph[str]:
    """Build the graph of accounts.

    Parameters
    ----------
    accounts, ties
        As the run writes them. Of the ties, those of one layer.
    most
        Ties to take, the heaviest; accounts without any of them are left out.

    Returns
    -------
    networkx.Graph
        Nodes are called n0, n1 and so on, in the order of `accounts`. ``label`` is the account id with codes for
        characters that XML or a terminal could not bear.
    """
    import networkx as nx

    graph: nx.Graph[str] = nx.Graph()
    heaviest = ties.take(pc.sort_indices(ties, [("weight", "descending")])[:most])
    place = {account: number for number, account in enumerate(accounts["account_id"].to_pylist())}
    edges = [
        (
            place[row["account_a"]],
            place[row["account_b"]],
            _present(row, ("weight", "groups", "within", "median_gap_s")),
        )
        for row in heaviest.to_pylist()
    ]
    nodes = sorted({end for edge in edges for end in edge[:2]})
    for number, row in zip(nodes, accounts.take(pa.array(nodes, pa.int64())).to_pylist(), strict=True):
        graph.add_node(f"n{number}", label=name_of(row["account_id"]), **_present(row, _NODE_ATTRIBUTES))
    graph.add_edges_from((f"n{a}", f"n{b}", attributes) for a, b, attributes in edges)
    return graph


def write_graph(form: Literal["graphml", "gexf"], graph: nx.Graph[str], path: Path) -> None:
    """Write a graph for networkx, Gephi and the like."""
    import networkx as nx

    with path.open("wb") as file:
        (nx.write_gexf if form == "gexf" else nx.write_graphml_xml)(graph, file)


def name_of(account: str) -> str:
    """Make an account id fit for XML."""
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", printable(account))


def _present(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if row[name] is not None}
