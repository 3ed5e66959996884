"""What better thresholds could bring an artefact: thresholds and gate that are chosen on the dev posts themselves.

    python benchmarks/classifier/ceiling.py configs/training/hong_kong_2019.yaml [--artefact runs/mine/artefact]

No row but the first may be reported as a result: the others have seen the answers. What they miss, the order in which
scores put the posts is to blame for, and no choice of thresholds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from narratrace import Classifier
from narratrace.model.scores import ADVANCES, Scores
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.evaluation.scored import Scored, score_posts
from narratrace.training.labelled import read_labelled
from narratrace.training.metrics import NOT_ADVANCING, Truth, measure
from narratrace.training.settings import TrainingSettings
from narratrace.training.thresholds import Thresholds, best_f1_thresholds

SHIFTS = np.arange(-0.2, 0.21, 0.01)
GATES = np.arange(0.0, 0.81, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="settings of the training whose dev sets are measured")
    parser.add_argument("--artefact", type=Path, help="artefact folder (default: the built-in one)")
    given = parser.parse_args()
    settings = load_settings(TrainingSettings, given.config, [])
    taxonomy = Taxonomy.load(settings.taxonomy)
    classifier = Classifier.load(given.artefact)
    manifest = classifier.artefact.manifest
    shipped = np.array([manifest.thresholds[narrative].default for narrative in manifest.narratives])
    for name, source in settings.data.dev.items():
        posts = read_labelled(source, taxonomy, settings.data.columns)
        scored = score_posts(classifier, [post.text for post in posts], lambda *_: None)
        dev = Dev(scored, Truth.of(posts, taxonomy), taxonomy.narrative_ids)
        gate = manifest.advances
        rows = {
            "as it ships": dev.measure(shipped, gate),
            "best common shift": best(dev.measure(shipped + by, gate) for by in SHIFTS),
            "best gate": best(dev.measure(shipped, gate) for gate in GATES),
            "best gate and shift": best(dev.measure(shipped + by, gate) for by in SHIFTS for gate in GATES),
            "best of each narrative": dev.measure(dev.best_thresholds(gate), gate),
            "the same, without a gate": dev.measure(dev.best_thresholds(0), 0),
        }
        print(
            f"{name}: {len(posts)} posts, macro average precision {rows['as it ships']['macro_average_precision']:.3f}"
        )
        print("                            macro F1  precision  recall   flags R      C      N")
        for row, found in rows.items():
            flags = "".join(f"{100 * (found['false_flags'][stance] or 0):6.1f}%" for stance in NOT_ADVANCING)
            figures = f"{found['macro_f1']:8.3f}{found['macro_precision']:11.3f}{found['macro_recall']:8.3f}"
            print(f"  {row:26}{figures}  {flags}")


class Dev:
    """A dev set as it was scored."""

    def __init__(self, scored: Scored, truth: Truth, narratives: list[str]) -> None:
        self._scores, self._answers = Scores(scored.answers.scores, scored.stances), scored.answers
        self._truth, self._narratives = truth, narratives

    def measure(self, narratives: NDArray[np.floating], gate: float) -> dict[str, Any]:
        flagged = Thresholds(gate, narratives).flag(self._scores)
        return measure(self._narratives, self._answers._replace(flagged=flagged), self._truth)

    def best_thresholds(self, gate: float) -> NDArray[np.floating]:
        passed = np.where((self._scores.stances[:, ADVANCES] >= gate)[:, None], self._scores.narratives, 0)
        found = best_f1_thresholds(passed, self._truth.labels, self._truth.known, smoothing=0)
        return np.where(self._truth.labels.any(axis=0), found, 1)


def best(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return max(found, key=lambda one: one["macro_f1"])


if __name__ == "__main__":
    main()
