"""Progress of a scoring run: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rich.console import Console

    from narratrace.inference.scoring import ScoringProgress

SECONDS_BETWEEN_LINES = 10.0


class ProgressDisplay:
    """Shows how far a run is; a context manager whose `update` fits ``score_archive(on_progress=...)``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal and not console.quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[state]}"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=1.0, state="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, progress: ScoringProgress) -> None:
        """Show the present state."""
        what = "distinct texts" if progress.step == "Scoring" else "posts"
        state = f"{progress.count:,} {what}, {progress.per_second:,.0f} a second"
        if progress.rejected:
            state += f", {progress.rejected:,} rows rejected"
        if progress.seconds_left is not None:
            state += f", {timedelta(seconds=round(progress.seconds_left))} left"
        if self._bar:
            self._bar.update(self._task, description=progress.step, completed=progress.done, state=state)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(f"{progress.step} {progress.done:.0%}: {state}", soft_wrap=True)
