"""``narratrace train``: make an artefact from labelled posts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

SECONDS_BETWEEN_LINES = 30.0


def train(
    config: Annotated[Path, typer.Argument(help="Settings of the run, as configs/training/hong_kong_2019.yaml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change one setting, as in --set optimiser.epochs=2.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings side by side; each takes some 3 GB.")] = 1,
) -> None:
    """Fine-tune an encoder on labelled posts, and save it with calibration and thresholds as an artefact.

    Cross-validation trains once per fold, then the final training sees every post. Each finished training is kept in
    OUT: after an interruption the same command goes on where it was.

    [bold]Example[/bold]

        narratrace base build runs/base

        narratrace train configs/training/hong_kong_2019.yaml -o runs/hong_kong_2019 --jobs 2
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from narratrace.model.errors import MissingExtraError
    from narratrace.model.settings import load_settings

    try:
        from narratrace.training.run import train as run
        from narratrace.training.settings import TrainingSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Training") from error

    settings = load_settings(TrainingSettings, config, overrides or ())
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}
        last_line = time.monotonic()

        def show(steps: dict[str, tuple[int, int]]) -> None:
            nonlocal last_line
            for name, (done, total) in steps.items():
                if name not in tasks:
                    tasks[name] = progress.add_task(name, total=None)
                progress.update(tasks[name], completed=done, total=total or None)
            if not console.is_terminal and time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                console.print(", ".join(f"{name} {done}/{total}" for name, (done, total) in steps.items()))

        artefact, _ = run(settings, out, jobs=jobs, on_progress=show)
    console.print(f"Artefact {artefact.id} is in {artefact.path}; look at it with: narratrace info {artefact.path}")
