"""Graph files can be read back, whatever accounts are called."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import networkx as nx
import pytest

from narratrace.inference.coordination.coordination import coordinate
from narratrace.inference.coordination.graph import build_graph, write_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from narratrace.inference.coordination.settings import CoordinationSettings

NAMES = [
    "<script>alert(1)</script>",
    "]]><!--&amp;",
    "\0\x1b[2J",
    "\\x00\\x1b[2J",
    "\ufffe\uffff",
    "\u202etxt.exe",
    '"quoted"',
    " space ",
    "微博用户",
    "=1+1",
]


@pytest.mark.parametrize(("suffix", "read"), [("graphml", nx.read_graphml), ("gexf", nx.read_gexf)])
def test_hostile_names_do_not_break_the_files(
    tables: Callable, settings: CoordinationSettings, tmp_path: Path, suffix: str, read: Callable
) -> None:
    time = datetime(2019, 8, 1, tzinfo=UTC)
    rows = [(name, group, time, False) for group, pair in enumerate(pairwise(NAMES)) for name in pair]
    graph = coordinate(*tables(rows), settings).graph
    path = tmp_path / f"graph.{suffix}"
    write_graph(suffix, graph, path)
    found = read(path)
    assert found.number_of_edges() == len(NAMES) - 1
    assert set(found) == set(graph)  # ids apart, although two labels look the same
    labels = [attributes["label"] for _, attributes in found.nodes(data=True)]
    assert "<script>alert(1)</script>" in labels
    assert labels.count("\\x00\\x1b[2J") == 2
    assert all(attributes["weight"] == 1 for _, _, attributes in found.edges(data=True))


def test_only_the_heaviest_ties_are_drawn(tables: Callable, settings: CoordinationSettings) -> None:
    rows = [("a", group, None, False) for group in range(3)] + [("b", group, None, False) for group in range(2)]
    found = coordinate(*tables([*rows, ("c", 2, None, False)]), settings)
    assert found.ties.num_rows == 2
    graph = build_graph(found.accounts, found.ties, 1)
    assert {graph.nodes[node]["label"] for node in graph} == {"a", "b"}
