"""``narratrace train``: make an artefact from labelled posts."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from narratrace.training.trainer import Step

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
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in the folder, and refuse to begin one.", show_default=False),
    ] = False,
) -> None:
    r"""Fine-tune an encoder on labelled posts, and save it with calibration and thresholds as an artefact.

    Cross-validation trains once per fold; with final: all, one more training sees every post. Ctrl-C leaves
    checkpoints, as does a power cut: the same command goes on where it was, and gives the same artefact. With --resume
    it refuses a folder that holds no run, so that a mistyped one is noticed.
    OUT/training.html has the curves, while it runs: tensorboard --logdir OUT/logs. Needs the extra \[train].

    [bold]Example[/bold], an invented campaign:

        narratrace train examples/new_campaign/training.yaml -o runs/verano
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from narratrace.model.errors import MissingExtraError
    from narratrace.model.printable import printable
    from narratrace.model.settings import load_settings

    try:
        from narratrace.training.run import train as run
        from narratrace.training.settings import TrainingSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Training") from error

    settings = load_settings(TrainingSettings, config, overrides or ())
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}
        last_line = time.monotonic()

        def show(steps: dict[str, Step]) -> None:
            nonlocal last_line
            for name, step in steps.items():
                if name not in tasks:
                    tasks[name] = progress.add_task(name, total=step.total, completed=step.done, state="")
                speed = progress.tasks[tasks[name]].speed
                rate = f"{speed:.2f} steps/s" if speed and step.done < step.total else ""
                loss = "" if math.isnan(step.loss) else f"loss {step.loss:.3f}"
                progress.update(tasks[name], completed=step.done, state=f"{loss} {rate}".strip())
            if not console.is_terminal and time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                console.print(", ".join(_line(name, step) for name, step in steps.items()))

        artefact, _ = run(settings, out, jobs=jobs, resume=resume, on_progress=show)
    folder = escape(printable(artefact.path))
    console.print(
        f"Artefact {escape(artefact.id)} is in {folder}; look at it with: narratrace info {folder}", soft_wrap=True
    )


def _line(name: str, step: Step) -> str:
    loss = "" if math.isnan(step.loss) else f" (loss {step.loss:.3f})"
    return f"{name} {step.done}/{step.total}{loss}"
