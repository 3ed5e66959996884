"""``narratrace evaluate``: how well an artefact does on labelled posts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from narratrace.commands.options import BackendName, LabelledColumns, Threads, parse_labelled_columns
from narratrace.commands.score import THRESHOLDS_HELP

if TYPE_CHECKING:
    from rich.console import Console

BUILTIN_NAME = "builtin"

SECONDS_BETWEEN_LINES = 10.0


def evaluate(
    artefact: Annotated[str, typer.Argument(help=f"Artefact folder, or '{BUILTIN_NAME}'.", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]DATA",
            help="Labelled posts that nothing was learnt from: JSONL, CSV, Parquet or a data set; the dev sets of "
            "--config if not given.",
            show_default=False,
        ),
    ] = None,
    maps: LabelledColumns = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report, figures and card.")] = Path("evaluation"),
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings of the artefact's training: adds baselines that learn from the same posts, leakage, and "
            "figures on posts without any relation to these.",
            show_default=False,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one of these settings.", show_default=False),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="Another backend to compare with, as torch.", show_default=False)
    ] = None,
    backend: BackendName = None,
    thresholds: Annotated[
        Literal["f1", "precision"] | None, typer.Option(help=THRESHOLDS_HELP, show_default=False)
    ] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation that is in OUT.")] = False,
) -> None:
    r"""Measure an artefact on labelled posts: figures with intervals, beside baselines, and its worst mistakes.

    OUT gets evaluation.html (a report that quotes posts), evaluation.json
    (its figures alone) and card.md (the artefact's card from these figures). Needs the extra \[train].

    [bold]Examples[/bold]

    The built-in artefact on posts of your own:

        narratrace evaluate builtin mine=posts.jsonl -o evaluation

    A spreadsheet whose columns are called otherwise:

        narratrace evaluate builtin posts.csv --map text=body --map account=user -o evaluation

    Your own artefact, beside baselines that learn from the same posts, and int8 beside torch:

        narratrace evaluate runs/mine/artefact --config runs/mine/settings.yaml --compare torch -o evaluation
    """
    from rich.console import Console

    from narratrace.inference.classifier import Classifier
    from narratrace.model.artefact import Artefact
    from narratrace.model.errors import InputError, MissingExtraError
    from narratrace.model.printable import printable
    from narratrace.model.settings import load_settings

    try:
        from narratrace.training.evaluation.evaluate import Learnt
        from narratrace.training.evaluation.evaluate import evaluate as run
        from narratrace.training.evaluation.report import FIGURES, REPORT, write_evaluation
        from narratrace.training.labelled import read_labelled
        from narratrace.training.run_posts import read_posts
        from narratrace.training.settings import TrainingSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Evaluating") from error

    if (out / FIGURES).exists() and not overwrite:
        raise InputError(f"There is an evaluation in {out}: choose another folder with -o, or add --overwrite.")
    opened = Artefact.open(None if artefact == BUILTIN_NAME else artefact)
    if maps and not data:
        raise InputError("--map is for DATA: name some, or use --set data.columns.text=body for those of --config.")
    learnt, columns = None, None
    if config:
        settings = load_settings(TrainingSettings, config, overrides or ())
        learnt, columns = Learnt(read_posts(settings, opened.taxonomy), settings), settings.data.columns
    if data:
        columns = parse_labelled_columns(maps, columns)
        sets = {name: read_labelled(source, opened.taxonomy, columns) for name, source in _name(data).items()}
    else:
        sets = learnt.posts.dev if learnt else {}
    empty = [name for name, posts in sets.items() if not posts]
    if empty or not sets:
        raise InputError(f"There are no labelled posts{f' in {empty[0]}' if empty else ''}: name a file of some.")

    classifier = Classifier(opened, backend, threads, thresholds)
    other = Classifier(opened, compare, threads, thresholds) if compare else None
    console = Console(stderr=True, highlight=False)
    with _Display(console) as display:
        found = run(classifier, sets, learnt, other, display.update)
    write_evaluation(found, opened, out)
    _show(found.figures, Console(highlight=False))
    console.print(f"The whole report: {printable(out / REPORT)}", soft_wrap=True, markup=False)


def _name(data: Sequence[str]) -> dict[str, str]:
    """Sources of data by the name that was given, else that of the file."""
    from narratrace.model.errors import InputError

    named: dict[str, str] = {}
    for argument in data:
        name, mark, source = argument.partition("=")
        if not mark or not name.isidentifier():
            name, source = Path(argument.partition("#")[0]).stem, argument
        if name in named:
            raise InputError(f"Two sets are called '{name}': name them, as in first={named[name]} second={source}.")
        named[name] = source
    return named


class _Display:
    """A bar for what is being done; a line now and then where there is no terminal."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> _Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Show how far a part is."""
        for name, task in self._tasks.items():
            self._bars.update(task, visible=name == what)
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(f"{what} {done}/{total}", markup=False, soft_wrap=True)


def _show(figures: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    from narratrace.model.printable import printable
    from narratrace.training.metrics import HEADLINES, headline

    for name, found in figures["sets"].items():
        for title, rows in ((name, found["rows"]), (f"{name}, unrelated to what was learnt from", found["untied"])):
            if not rows:
                continue
            own = next(iter(rows.values()))
            table = Table(
                title=f"{title}: {own['posts']:,} posts, {own['counted']} narratives in macro averages",
                title_justify="left",
                box=None,
                pad_edge=False,
                padding=(0, 2, 0, 0),
            )
            table.add_column("")
            for row in rows:
                table.add_column(row, justify="right")
            for key, what in HEADLINES.items():
                table.add_row(what, *(headline(measured, key) for measured in rows.values()))
            console.print(table)
            console.print()
    for row, why in figures["left_out"].items():
        console.print(f"The row '{row}' is left out. {printable(why)}", soft_wrap=True, markup=False)
