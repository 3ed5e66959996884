"""What a training tells after every epoch."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from narratrace.model.scores import Logits
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices

MACRO_F1 = "macro_f1"
"""Name of the figure that early stopping goes by, where narratives are learnt."""

STANCE_ACCURACY = "stance_accuracy"
"""Name of the one that it goes by where stances alone are."""

_EPOCHS = "epochs.json"
_RECENT = 20


class EpochLog(TrainerCallback):
    """Writes one JSON line after every epoch: mean loss, learning rate, and the figures on watched posts.

    Parameters
    ----------
    path
        The file of lines.
    steps
        Steps in an epoch.
    watch
        Gives figures on posts that are not learnt from; None where none are watched.

    Attributes
    ----------
    lines
        What was written so far.
    """

    def __init__(
        self,
        path: Path,
        steps: int,
        watch: Callable[[], dict[str, float]] | None,
    ) -> None:
        self._path, self._steps, self._watch = path, steps, watch
        self._losses: list[float] = []
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self.lines: list[dict[str, float]] = []

    def add(self, loss: float) -> None:
        """Count the loss of a batch."""
        self._losses.append(loss)
        self._recent.append(loss)

    @property
    def last_loss(self) -> float:
        """Mean loss of the last batches."""
        return float(np.mean(self._recent))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write a line when an epoch is over."""
        if state.global_step % self._steps and state.global_step < state.max_steps:
            return
        line: dict[str, float] = {"epoch": round(state.global_step / self._steps, 3), "step": state.global_step}
        line["epoch_loss"] = float(np.mean(self._losses))
        line["learning_rate"] = float(kwargs["lr_scheduler"].get_last_lr()[0])
        if self._watch:
            line |= self._watch()
        self._losses = []
        self.lines.append(line)
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")

    def save(self, checkpoint: Path) -> None:
        """Write the lines, and the losses of the epoch that is not over."""
        content = json.dumps({"lines": self.lines, "losses": self._losses})
        (checkpoint / _EPOCHS).write_text(content, encoding="utf-8")

    def load(self, checkpoint: Path) -> None:
        """Go on with the lines of a checkpoint."""
        content = json.loads((checkpoint / _EPOCHS).read_text(encoding="utf-8"))
        self.lines, self._losses = content["lines"], content["losses"]
        self._write()


def watched_figures(logits: Logits, posts: Sequence[LabelledPost], taxonomy: Taxonomy) -> dict[str, float]:
    """Figures that tell how a training goes: macro-F1 and stance accuracy.

    There are no calibration and thresholds yet, so each narrative's F1 is that of its best threshold on these very
    posts: higher than what a finished artefact reaches, and good for comparing epochs alone.
    """
    labels, known = label_matrix(posts, taxonomy), known_matrix(posts, taxonomy)
    scores = [
        _best_f1(labels[rows, column], logits.narratives[rows, column])
        for column, rows in enumerate(known.T)
        if labels[rows, column].any()
    ]
    stances = stance_indices(posts)
    right = logits.stances.argmax(axis=1)[stances >= 0] == stances[stances >= 0]
    return {
        MACRO_F1: float(np.mean(scores)) if scores else 0.0,
        STANCE_ACCURACY: float(right.mean()) if len(right) else 0.0,
    }


def _best_f1(truth: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    precision, recall, _ = precision_recall_curve(truth, scores)
    return float((2 * precision * recall / np.maximum(precision + recall, 1e-9)).max())
