"""Which calibration and smoothing do best on posts that they were not fitted on: the evidence for those that ship.

    python benchmarks/classifier/decision.py runs/hong_kong_2019

Takes the held-out logits of a finished run. Calibration: each method is fitted on the posts of four fifths of the
groups of related posts and measured on the fifth that is left, five times. Log loss and squared error are means over
narratives, of all posts; the calibration error is over posts that score at least 0.1. Smoothing: thresholds are chosen
on one half of the groups and measured on the other, both ways, for twenty halvings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import GroupKFold

from narratrace.model.scores import ADVANCES, Logits, Scores, calibrate
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.calibration import fit_calibration, fit_stance_calibration
from narratrace.training.folds import related_groups
from narratrace.training.metrics import Answers, Truth, measure
from narratrace.training.run import held_out_logits
from narratrace.training.run_posts import deal, read_posts
from narratrace.training.settings import TrainingSettings
from narratrace.training.thresholds import best_f1_thresholds, choose_thresholds

FOLDS = 5
HALVINGS = 20
SMOOTHINGS = (0, 5, 20, 50, 100, 200, 400, 800, 1e9)

Fit = Callable[[Logits, Logits, Truth], Callable[[Logits, Logits], Scores]]
"""Fits a method on the logits of encoder and wide part, and gives what turns others into scores."""


def stacked(deep: Logits, wide: Logits, truth: Truth) -> Callable[[Logits, Logits], Scores]:
    """Logistic regression on both logits: what artefacts have."""
    narratives = fit_calibration(deep, wide, truth.labels, truth.known)
    stances = fit_stance_calibration(deep, wide, truth.stances)
    return lambda deep, wide: calibrate(deep, wide, narratives, stances)


def alone(which: int) -> Fit:
    """Platt scaling of one part's logits (0: encoder, 1: wide part)."""

    def fit(deep: Logits, wide: Logits, truth: Truth) -> Callable[[Logits, Logits], Scores]:
        found = stacked(*(2 * [(deep, wide)[which]]), truth)
        return lambda deep, wide: found(*(2 * [(deep, wide)[which]]))

    return fit


def mean(_: Logits, __: Logits, ___: Truth) -> Callable[[Logits, Logits], Scores]:
    """Sigmoid of the mean of both logits, with nothing fitted."""

    def scores(deep: Logits, wide: Logits) -> Scores:
        return Scores(1 / (1 + np.exp(-(deep.narratives + wide.narratives) / 2)), deep.stances)

    return scores


def isotonic(deep: Logits, wide: Logits, truth: Truth) -> Callable[[Logits, Logits], Scores]:
    """Isotonic regression of the stacked score."""
    before = stacked(deep, wide, truth)
    found = before(deep, wide).narratives
    steps = [
        IsotonicRegression(y_min=0.001, y_max=0.999, out_of_bounds="clip").fit(scores[known], labels[known])
        for scores, labels, known in zip(found.T, truth.labels.T, truth.known.T, strict=True)
    ]

    def scores(deep: Logits, wide: Logits) -> Scores:
        narratives, stances = before(deep, wide)
        columns = [step.predict(column) for step, column in zip(steps, narratives.T, strict=True)]
        return Scores(np.stack(columns, axis=1).astype(np.float32), stances)

    return scores


METHODS: dict[str, Fit] = {
    "mean of the logits, nothing fitted": mean,
    "encoder alone, Platt": alone(0),
    "wide part alone, Platt": alone(1),
    "stacked logistic (shipped)": stacked,
    "stacked logistic, then isotonic": isotonic,
}


def cross_validated(
    fit: Fit, deep: Logits, wide: Logits, truth: Truth, groups: NDArray[np.int64]
) -> NDArray[np.float32]:
    scores = np.zeros_like(deep.narratives)
    for learn, held_out in GroupKFold(FOLDS).split(scores, groups=groups):
        model = fit(*(Logits(*(part[learn] for part in logits)) for logits in (deep, wide)), truth.take(learn))
        scores[held_out] = model(*(Logits(*(part[held_out] for part in logits)) for logits in (deep, wide))).narratives
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run of narratrace train")
    run = parser.parse_args().run
    settings = load_settings(TrainingSettings, run / "settings.yaml")
    taxonomy = Taxonomy.load(settings.taxonomy)
    posts = read_posts(settings, taxonomy)
    deep, wide = held_out_logits(run, posts, deal(posts, settings), taxonomy, settings)
    truth, groups = Truth.of(posts.measured, taxonomy), related_groups(posts.measured)
    table = Table(title=f"{run}: {len(groups)} held-out posts", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", "log loss", "squared error", "calibration error", "average precision"):
        table.add_column(column, justify="right" if column else "left")
    for name, fit in METHODS.items():
        scores = cross_validated(fit, deep, wide, truth, groups)
        of = [
            (labels[known], score[known])
            for labels, score, known in zip(truth.labels.T, scores.T, truth.known.T, strict=True)
        ]
        none = np.zeros_like(truth.labels)
        found = measure(taxonomy.narrative_ids, Answers(scores, none, np.zeros(len(groups), dtype=int)), truth)
        errors = [one["calibration_error"] for one in found["narratives"].values()]
        table.add_row(
            name,
            f"{np.mean([log_loss(labels, score, labels=[False, True]) for labels, score in of]):.4f}",
            f"{np.mean([brier_score_loss(labels, score) for labels, score in of]):.4f}",
            f"{np.mean([error for error in errors if error is not None]):.4f}",
            f"{found['macro_average_precision']:.4f}",
        )
    console = Console(width=120, highlight=False)
    console.print(table)
    console.print(_smoothing(stacked(deep, wide, truth)(deep, wide), truth, groups, taxonomy, settings))


def _smoothing(
    scores: Scores, truth: Truth, groups: NDArray[np.int64], taxonomy: Taxonomy, settings: TrainingSettings
) -> Table:
    """Macro and micro F1 on the other half of the groups, by smoothing, and the distance to the run's."""
    gate = choose_thresholds(scores, *truth, settings.thresholds.smoothing, settings.thresholds.false_flags).advances
    passed = np.where((scores.stances[:, ADVANCES] >= gate)[:, None], scores.narratives, 0)
    rng = np.random.default_rng(settings.seed)
    _, group = np.unique(groups, return_inverse=True)
    found: dict[float, list[tuple[float, float]]] = {smoothing: [] for smoothing in SMOOTHINGS}
    for _ in range(HALVINGS):
        side = (rng.random(group.max() + 1) < 0.5)[group]
        for learn, other in ((side, ~side), (~side, side)):
            for smoothing, figures in found.items():
                chosen = best_f1_thresholds(passed[learn], truth.labels[learn], truth.known[learn], smoothing)
                answers = Answers(passed[other], passed[other] >= chosen, scores.stances[other].argmax(axis=1))
                measured = measure(taxonomy.narrative_ids, answers, truth.take(other))
                figures.append((measured["macro_f1"], measured["micro_f1"]))
    title = f"Thresholds of one half of the groups on the other, behind the gate {gate:.2f}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("smoothing", "macro F1", "micro F1"):
        table.add_column(column, justify="right")
    for smoothing, figures in found.items():
        macro, micro = np.mean(figures, axis=0)
        table.add_row(f"{smoothing:g}", f"{macro:.4f}", f"{micro:.4f}")
    return table


if __name__ == "__main__":
    main()
