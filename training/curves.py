"""A page with the curves of a run's trainings: loss, and figures on watched posts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from narratrace.model.pages import write_page
from narratrace.training.trainer import EPOCHS

_FIGURES = {
    "epoch_loss": ("Loss", "Mean loss over the posts of each epoch, as they are changed in training."),
    "macro_f1": (
        "Macro-F1 of watched posts",
        "Each narrative's F1 at its best threshold on these very posts: for comparing epochs, not for judging a model.",
    ),
    "stance_accuracy": ("Stance accuracy of watched posts", "Share of posts whose stance is right."),
    "learning_rate": ("Learning rate", "Of the lowest layer that learns."),
}


def write_curves(logs: Path, page: Path) -> None:
    """Draw what the trainings of a run logged.

    Parameters
    ----------
    logs
        Folder with one folder for each training, each with a file :data:`~narratrace.training.trainer.EPOCHS`.
    page
        The HTML file to write.
    """
    trainings = {
        path.parent.name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(logs.glob(f"*/{EPOCHS}"))
    }
    plots = [
        (title, note, plot)
        for figure, (title, note) in _FIGURES.items()
        if (plot := _draw(trainings, figure)) is not None
    ]
    write_page(page, "narratrace.training", "curves.html", library=Markup(get_plotlyjs()), plots=plots)


def _draw(trainings: dict[str, list[dict[str, float]]], figure: str) -> Markup | None:
    drawing = go.Figure()
    for name, lines in trainings.items():
        points = [(line["epoch"], line[figure]) for line in lines if figure in line]
        if points:
            epochs, values = zip(*points, strict=True)
            drawing.add_trace(go.Scatter(x=epochs, y=values, name=name, mode="lines+markers"))
    if not drawing.data:
        return None
    layout: dict[str, Any] = {"height": 360, "margin": {"l": 50, "r": 20, "t": 20, "b": 40}}
    drawing.update_layout(xaxis_title="epoch", template="plotly_white", **layout)
    return Markup(drawing.to_html(full_html=False, include_plotlyjs=False))
