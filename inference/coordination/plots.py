"""Plots of the group report: when copies came, and which accounts they tie."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from narratrace.inference.coordination.graph import name_of

if TYPE_CHECKING:
    from datetime import datetime

    import networkx as nx
    from numpy.typing import NDArray

MOST_DOTS = 300
"""Copies of one group that the timeline shows, evenly chosen."""
MOST_BARS = 80
"""Spans of time in which the timeline counts all copies."""
MOST_TIES = 8000
"""Ties that the graph of accounts draws, the heaviest."""

_COLOURS = (
    "#2b5d8a", "#c2571a", "#2f7d4f", "#8a3d7c", "#9a6700", "#3b8f99", "#b3261e", "#5b5bb5", "#6b7a1e", "#a0527f"
)  # fmt: skip
_NO_CLUSTER = "#9aa5b1"
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1d2329"},
    "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
    "showlegend": False,
}


class Copied(NamedTuple):
    """A group on the timeline: its name, and the account and time of each copy."""

    name: str
    accounts: Sequence[str]
    times: Sequence[datetime]


class Advanced(NamedTuple):
    """A group that advances narratives: its name, and how many of its posts advance each."""

    name: str
    posts: Mapping[str, int]


def plotly_script() -> Markup:
    """Return the script that draws the plots, for the head of the page."""
    from plotly.offline import get_plotlyjs

    return Markup("<script>{}</script>").format(Markup(get_plotlyjs()))


def plot_timeline(groups: Sequence[Copied], all_times: NDArray[np.datetime64]) -> Markup:
    """Draw when copies came: all of them as bars, those of some groups as dots, a row for each group."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows = max(len(groups), 1)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[90, 60 + 22 * rows])
    starts, counts, width = _histogram(all_times)
    figure.add_trace(
        go.Bar(
            x=starts,
            y=counts,
            offset=0,
            width=1000 * width,  # milliseconds
            marker={"color": "#b9c6d3"},
            hovertemplate="%{y} copies from %{x|%Y-%m-%d %H:%M:%S}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    for number, group in enumerate(groups):
        chosen = np.unique(np.linspace(0, len(group.times) - 1, min(len(group.times), MOST_DOTS)).astype(int)).tolist()
        figure.add_trace(
            go.Scatter(
                x=[group.times[at] for at in chosen],
                y=[number] * len(chosen),
                mode="markers",
                marker={"size": 8, "opacity": 0.55, "color": _COLOURS[number % len(_COLOURS)]},
                text=[_plain(group.accounts[at]) for at in chosen],
                hovertemplate="%{text}<br>%{x|%Y-%m-%d %H:%M:%S}<extra></extra>",
            ),
            row=2,
            col=1,
        )
    figure.update_layout(**_LAYOUT, height=210 + 22 * rows)
    figure.update_yaxes(title_text="copies", row=1, col=1)
    figure.update_yaxes(
        tickvals=list(range(rows)),
        ticktext=[_plain(group.name) for group in groups],
        range=[rows - 0.4, -0.6],
        automargin=True,
        row=2,
        col=1,
    )
    return _embed(figure, "timeline")


def _histogram(times: NDArray[np.datetime64]) -> tuple[list[datetime], list[int], int]:
    """Count times in spans of equal length, at most `MOST_BARS`: starts, counts, and the length in seconds."""
    seconds = times.astype("datetime64[s]").astype(np.int64)
    first = int(seconds.min())
    width = -(-(int(seconds.max()) - first + 1) // MOST_BARS)
    counts = np.bincount((seconds - first) // width)
    starts: list[datetime] = (first + width * np.arange(len(counts))).astype("datetime64[s]").tolist()
    return starts, counts.tolist(), width


def plot_narratives(groups: Sequence[Advanced]) -> Markup:
    """Draw what groups advance: a bar for each group, stacked of the posts that advance each narrative."""
    import plotly.graph_objects as go

    totals: Counter[str] = Counter()
    for group in groups:
        totals.update(group.posts)
    figure = go.Figure()
    for number, (narrative, _) in enumerate(totals.most_common()):
        figure.add_trace(
            go.Bar(
                name=_plain(narrative),
                x=[group.posts.get(narrative, 0) for group in groups],
                y=list(range(len(groups))),
                orientation="h",
                marker={
                    "color": _COLOURS[number % len(_COLOURS)],
                    "pattern": {"shape": "/" if number >= len(_COLOURS) else ""},
                },
                hovertemplate="%{fullData.name}<br>%{x} posts<extra></extra>",
            )
        )
    legend = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "traceorder": "normal"}
    layout = _LAYOUT | {"showlegend": True, "legend": legend, "barmode": "stack"}
    figure.update_layout(**layout, height=130 + 24 * len(groups))
    figure.update_xaxes(title_text="posts", automargin=True)
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[_plain(group.name) for group in groups],
        range=[len(groups) - 0.4, -0.6],
        automargin=True,
    )
    return _embed(figure, "narratives_plot")


def plot_graph(graph: nx.Graph[str], most_accounts: int, min_groups: int) -> tuple[Markup, int]:
    """Draw accounts and ties.

    Parameters
    ----------
    graph
        Of `build_graph`.
    most_accounts
        Accounts to draw, those with the heaviest ties.
    min_groups
        Shared groups from which a tie is repeated, and drawn darker.

    Returns
    -------
    tuple of Markup and int
        The plot, and how many accounts it shows.
    """
    import plotly.graph_objects as go

    strongest = sorted(graph, key=lambda node: (-graph.nodes[node]["strength"], node))[:most_accounts]
    shown = graph.subgraph(strongest)
    places = _lay_out(shown)
    figure = go.Figure()
    edges = sorted(shown.edges(data=True), key=lambda edge: -edge[2]["weight"])[:MOST_TIES]
    for repeated, colour, width in ((False, "rgba(120,130,140,.25)", 0.7), (True, "rgba(43,93,138,.5)", 1.4)):
        x: list[float | None] = []
        y: list[float | None] = []
        for a, b, tie in edges:
            if (tie["groups"] >= min_groups) == repeated:
                x += [places[a][0], places[b][0], None]
                y += [places[a][1], places[b][1], None]
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip"))
    nodes = [graph.nodes[node] for node in places]
    figure.add_trace(
        go.Scatter(
            x=[place[0] for place in places.values()],
            y=[place[1] for place in places.values()],
            mode="markers",
            marker={
                "size": [min(5 + 2 * math.sqrt(node["strength"]), 28) for node in nodes],
                "color": [
                    _COLOURS[node["cluster"] % len(_COLOURS)] if "cluster" in node else _NO_CLUSTER for node in nodes
                ],
                "line": {"color": "white", "width": 0.7},
            },
            customdata=[node["label"] for node in nodes],
            text=[
                f"{_plain(node['label'])}<br>{node['groups']} groups with others, {node['partners']} partners"
                + (f"<br>cluster {node['cluster']}" if "cluster" in node else "")
                for node in nodes
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.update_layout(**_LAYOUT, height=620, hovermode="closest", dragmode="pan")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return _embed(figure, "graph", scroll=True), len(places)


def _lay_out(graph: nx.Graph[str]) -> dict[str, tuple[float, float]]:
    """Place each set of accounts that hang together by springs (Fruchterman and Reingold 1991), the sets in rows."""
    import networkx as nx

    components = sorted(nx.connected_components(graph), key=lambda nodes: (-len(nodes), min(nodes)))
    width = 3.4 * math.sqrt(sum((math.sqrt(len(nodes)) + 0.4) ** 2 for nodes in components))
    places: dict[str, tuple[float, float]] = {}
    x = y = depth = 0.0
    for nodes in components:
        radius = math.sqrt(len(nodes)) + 0.4
        if x and x + 2 * radius > width:
            x, y, depth = 0.0, y - depth, 0.0
        depth = max(depth, 2 * radius)
        part = graph.subgraph(sorted(nodes))
        found = nx.spring_layout(part, seed=1, method="force", scale=radius - 0.4)
        places |= {node: (x + radius + at[0], y - radius + at[1]) for node, at in found.items()}
        x += 2 * radius
    return places


def _plain(text: str) -> str:
    """Keep Plotly, which takes some tags for markup, from taking any."""
    return html.escape(name_of(text), quote=False)


def _embed(figure: Any, name: str, scroll: bool = False) -> Markup:
    config = {"displaylogo": False, "responsive": True, "scrollZoom": scroll}
    made = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config, default_height="auto")
    return Markup(made)  # Plotly writes data as JSON without < and >
