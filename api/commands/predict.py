"""``narratrace predict``: say what single posts advance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from narratrace.commands.score import BACKEND_HELP, THRESHOLDS_HELP

if TYPE_CHECKING:
    from rich.console import RenderableType

    from narratrace.inference.classifier import Classifier, Prediction

SHOWN_SCORE = 0.1
"""Score from which a narrative is worth a line although it is no label."""


def predict(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="Posts; without any, one post a line from stdin.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with every score.")] = False,
    artefact: Annotated[
        Path | None, typer.Option(help="Artefact folder; the built-in one if not given.", show_default=False)
    ] = None,
    backend: Annotated[str | None, typer.Option(help=BACKEND_HELP, show_default=False)] = None,
    thresholds: Annotated[
        Literal["f1", "precision"] | None, typer.Option(help=THRESHOLDS_HELP, show_default=False)
    ] = None,
) -> None:
    """Say which narratives posts advance, and their stance, with the scores behind it.

    [bold]Examples[/bold]

        narratrace predict "The so-called protesters are nothing but terrorists"

        narratrace predict --json "暴徒打砸搶燒，支持警察" "有片有真相，警察亂咁打人"

        cat posts.txt | narratrace predict --json | jq .labels
    """
    if texts:
        # Python hides bytes that are not UTF-8 in surrogates, which could not be printed.
        posts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    else:
        lines = sys.stdin.buffer.read().decode("utf-8", "replace").split("\n")
        posts = [line.strip() for line in lines if line.strip()]

    from narratrace.inference.classifier import Classifier

    classifier = Classifier.load(artefact, backend=backend, thresholds=thresholds)
    predictions = classifier.predict(posts)
    if as_json:
        import dataclasses
        import json

        for post, prediction in zip(posts, predictions, strict=True):
            typer.echo(json.dumps({"text": post, **dataclasses.asdict(prediction)}, ensure_ascii=False))
        return

    from rich.console import Console

    console = Console(highlight=False)
    for post, prediction in zip(posts, predictions, strict=True):
        console.print(_render(post, prediction, classifier))


def _render(post: str, prediction: Prediction, classifier: Classifier) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from narratrace.model.printable import printable
    from narratrace.model.taxonomy import STANCE_NAMES

    manifest = classifier.artefact.manifest
    shown = [
        name
        for name, score in sorted(prediction.scores.items(), key=lambda item: -item[1])
        if name in prediction.labels or name in prediction.abstained or score >= SHOWN_SCORE
    ]
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    for name in shown:
        threshold = manifest.threshold(classifier.thresholds, name, prediction.language)
        bound = "" if threshold is None else f"threshold {threshold:.2f}"
        if name in prediction.labels:
            verdict, style = "advances", "bold"
        elif name in prediction.abstained:
            verdict, bound, style = "for a person to review", "", "yellow"
        elif threshold is not None and prediction.scores[name] >= threshold:
            verdict, style = "named, not advanced", "dim"  # the stance speaks against it
        else:
            verdict, style = "below threshold", "dim"
        title = classifier.artefact.taxonomy[name].title
        table.add_row(verdict, title, f"{prediction.scores[name]:.2f}", bound, style=style)
    stance = f"{STANCE_NAMES[prediction.stance]} ({prediction.stances[prediction.stance]:.2f})"
    notes = [f"read in {prediction.windows} windows"] if prediction.windows > 1 else []
    if prediction.truncated:
        notes.append("its end was not read")
    head = Text.assemble(
        Text(printable(" ".join(post.split())), style="italic"),
        "\n",
        Text(" · ".join([f"stance: {stance}", f"language: {prediction.language}", *notes])),
    )
    return Group(head, table if shown else Text("  no narrative", style="dim"), Text())
