"""``narratrace predict``: say what single posts advance."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from narratrace.commands.options import ArtefactFolder, BackendName
from narratrace.commands.score import THRESHOLDS_HELP
from narratrace.model.errors import SettingsError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from rich.console import RenderableType

    from narratrace.inference.classifier import Classifier, Prediction

READ_AT_ONCE = 2**13
"""Bytes of stdin that are answered together at most, some dozens of posts."""

SHOWN_SCORE = 0.1
"""Score from which a narrative is worth a line although it is no label."""


def predict(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="Posts; without any, one post a line from stdin.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with every score.")] = False,
    as_jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Posts from stdin are JSON objects, one a line, with a text and, if you like, an id, which the answer "
            "repeats; answers are as with --json.",
        ),
    ] = False,
    artefact: ArtefactFolder = None,
    backend: BackendName = None,
    thresholds: Annotated[
        Literal["f1", "precision"] | None, typer.Option(help=THRESHOLDS_HELP, show_default=False)
    ] = None,
) -> None:
    r"""Say which narratives posts advance, and their stance, with the scores behind it.

    [bold]Examples[/bold]

        narratrace predict "The so-called protesters are nothing but terrorists"

        narratrace predict --json "暴徒打砸搶燒，支持警察" "有片有真相，警察亂咁打人"

        cat posts.txt | narratrace predict --json | jq .labels

    Posts from stdin are answered as they come, so a program may keep the
    command running and send it one post after another:

        echo '{"id": 7, "text": "前線暴徒收錢\n支持警察"}' | narratrace predict --jsonl
    """
    if texts and as_jsonl:
        raise SettingsError("--jsonl reads posts from stdin: leave the texts out, or leave --jsonl out.")

    from narratrace.inference.archives.fields import clean
    from narratrace.inference.archives.writers import json_line
    from narratrace.inference.classifier import Classifier

    classifier = Classifier.load(artefact, backend=backend, thresholds=thresholds)
    if as_json or as_jsonl:
        show = _print_json
    else:
        from rich.console import Console

        console = Console(highlight=False)

        def show(post: dict[str, Any], prediction: Prediction) -> None:
            console.print(_render(post["text"], prediction, classifier))

    # Python hides bytes of the command line that are not UTF-8 in surrogates, which could not be printed.
    given = [{"text": clean(text)} for text in texts or ()]
    for posts in [given] if texts else _from_stdin(as_jsonl):
        predictions = iter(classifier.predict([post["text"] for post in posts if "error" not in post]))
        for post in posts:
            if "error" in post:
                typer.echo(json_line(post), nl=False)
            else:
                show(post, next(predictions))


def _from_stdin(as_jsonl: bool) -> Iterator[list[dict[str, Any]]]:
    """Yield posts as soon as they come: a program that sends one gets its answer before it sends another."""
    stdin = cast("io.BufferedIOBase", sys.stdin.buffer)
    started: list[bytes] = []
    while chunk := stdin.read1(READ_AT_ONCE):
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            yield _posts(b"".join([*started, whole]), as_jsonl)
            started.clear()
        started.append(rest)
    yield _posts(b"".join(started), as_jsonl)


def _posts(data: bytes, as_jsonl: bool) -> list[dict[str, Any]]:
    lines = (line.removeprefix("\ufeff").strip() for line in data.decode("utf-8", "replace").split("\n"))
    return [_record(line) if as_jsonl else {"text": line} for line in lines if line]


def _record(line: str) -> dict[str, Any]:
    """Id and text of a JSON object; in place of the text what is wrong with it, so that every line has an answer."""
    from narratrace.inference.archives.fields import to_text

    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # brackets nested without end
        return {"error": "unreadable JSON"}
    if not isinstance(record, dict):
        return {"error": "not a JSON object"}
    known = {"id": record["id"]} if "id" in record else {}
    text = to_text(record.get("text"))
    if text is None:
        return known | {"error": "text is not a string" if "text" in record else "no text"}
    return known | {"text": text}


def _print_json(post: dict[str, Any], prediction: Prediction) -> None:
    from narratrace.inference.archives.writers import json_line

    typer.echo(json_line(post | dataclasses.asdict(prediction)), nl=False)


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
            verdict, style = "no threshold" if threshold is None else "below threshold", "dim"
        title = Text(printable(classifier.artefact.taxonomy[name].title))
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
