"""Stopping a training that no longer gets better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from narratrace.training.epochs import MACRO_F1, EpochLog

_BEST = "best.safetensors"


class EarlyStopping(TrainerCallback):
    """Ends a training that no longer gets better, and keeps the weights of its best epoch.

    Source: Prechelt 1998, "Early stopping - but when?".

    Parameters
    ----------
    log
        Tells each epoch's figures; must be called before this.
    network
        What is measured and kept: the averaged network, or the one that learns.
    patience
        Epochs in a row that may pass without a better figure.
    figure
        Name of the figure.
    """

    def __init__(self, log: EpochLog, network: nn.Module, patience: int, figure: str = MACRO_F1) -> None:
        self._log, self._network, self._patience, self._figure = log, network, patience, figure
        self._seen = 0
        self._best: dict[str, Tensor] = {}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Compare an epoch that has just ended with those before it."""
        lines = self._log.lines
        if len(lines) > self._seen:
            self._seen = len(lines)
            best = max(range(len(lines)), key=lambda epoch: (lines[epoch][self._figure], -epoch))
            if best == len(lines) - 1:
                self._best = {name: value.detach().clone() for name, value in self._network.state_dict().items()}
            control.should_training_stop |= len(lines) - 1 - best >= self._patience
        return control

    def restore(self) -> None:
        """Put the weights of the best epoch into the network."""
        self._network.load_state_dict(self._best)

    def save(self, checkpoint: Path) -> None:
        """Write the weights of the best epoch, where one has ended."""
        if self._best:
            save_file({name: value.contiguous() for name, value in self._best.items()}, checkpoint / _BEST)

    def load(self, checkpoint: Path) -> None:
        """Take the best epoch of a checkpoint; the log must have its lines back already."""
        self._seen = len(self._log.lines)
        if self._seen:
            self._best = load_file(checkpoint / _BEST)
