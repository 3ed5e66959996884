"""Checkpoints: a training that is stopped, by a signal, a person or a power cut, goes on where it was.

The Trainer writes weights, optimiser, schedule and random numbers; what narratrace keeps beside them is added, and a
mark last. A checkpoint without the mark was cut off while it was written, and is passed over.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

_COMPLETE = "complete"


class Kept(Protocol):
    """What has a state of its own that a checkpoint must hold."""

    def save(self, checkpoint: Path) -> None:
        """Write the state into the folder of a checkpoint."""

    def load(self, checkpoint: Path) -> None:
        """Take the state from the folder of a checkpoint."""


class Checkpoints(TrainerCallback):
    """Writes a checkpoint every few minutes and when the training is asked to stop.

    Parameters
    ----------
    folder
        Where checkpoints go: the Trainer's ``output_dir``.
    minutes
        Time between two checkpoints; 0 writes one after every step.
    kept
        What has to be written beside the Trainer's own state.
    asked_to_stop
        Asked after every step.

    Attributes
    ----------
    stopped
        Whether the training stopped before its end, on request, with a checkpoint.
    """

    def __init__(self, folder: Path, minutes: float, kept: Sequence[Kept], asked_to_stop: Callable[[], bool]) -> None:
        self._folder = folder
        self._seconds = 60 * minutes
        self._kept = kept
        self._last = time.monotonic()
        self._asked_to_stop = asked_to_stop
        self.stopped = False

    def all(self) -> list[Path]:
        """All checkpoints, complete or not."""
        return list(self._folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))

    def resume(self) -> Path | None:
        """Find the newest complete checkpoint and take back what is kept; None where there is none."""
        newest = max((path for path in self.all() if (path / _COMPLETE).exists()), key=_step, default=None)
        for checkpoint in self.all():
            if checkpoint != newest:
                shutil.rmtree(checkpoint)
        if newest:
            for one in self._kept:
                one.load(newest)
        return newest

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Ask for a checkpoint when it is time, or when the training has to stop."""
        if control.should_training_stop or state.global_step >= state.max_steps:
            return control
        if self._asked_to_stop():
            self.stopped = control.should_save = control.should_training_stop = True
        elif time.monotonic() - self._last >= self._seconds:
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Add what is kept to the checkpoint that the Trainer has just written, and mark it as complete."""
        checkpoint = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        for one in self._kept:
            one.save(checkpoint)
        (checkpoint / _COMPLETE).touch()
        self._last = time.monotonic()
        for other in self.all():
            if _step(other) < state.global_step:
                shutil.rmtree(other)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
