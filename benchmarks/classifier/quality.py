"""How well an artefact does on the dev posts of its training settings, beside TF-IDF on the same posts.

    python benchmarks/classifier/quality.py configs/training/hong_kong_2019.yaml

Thresholds of every row come from cross-validation on the training posts, but for the rows that say otherwise.
Macro F1 counts narratives with at least 7 positives; a false flag is a label on a post that advances nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from narratrace import Classifier, Taxonomy
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import STANCES
from narratrace.training.folds import assign_folds
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, read_labelled, stance_indices
from narratrace.training.metrics import SUPPORT, measure
from narratrace.training.settings import TrainingSettings
from narratrace.training.thresholds import best_f1_thresholds

Answers = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]
"""Scores, flags and stances of posts."""


class TfIdf:
    """Characters 1 to 4 within words, balanced logistic regression: what is measured against."""

    def __init__(self, posts: Sequence[LabelledPost], taxonomy: Taxonomy) -> None:
        self._vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
        matrix = self._vectors.fit_transform([post.text for post in posts])
        labels = label_matrix(posts, taxonomy)
        model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
        self._narratives = OneVsRestClassifier(model).fit(matrix, labels.astype(int))
        self._stances = OneVsRestClassifier(model).fit(matrix, stance_indices(posts))

    def scores(self, posts: Sequence[LabelledPost]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        matrix = self._vectors.transform([post.text for post in posts])
        return self._narratives.predict_proba(matrix).astype(np.float32), self._stances.predict(matrix)


def tfidf_thresholds(
    measured: list[LabelledPost], synthetic: list[LabelledPost], taxonomy: Taxonomy, settings: TrainingSettings
) -> NDArray[np.float64]:
    everything = [*measured, *synthetic]
    folds = assign_folds(everything, settings.thresholds.folds, settings.seed)
    scores = np.zeros((len(measured), len(taxonomy.narratives)), dtype=np.float32)
    for fold in range(settings.thresholds.folds):
        model = TfIdf([post for post, other in zip(everything, folds, strict=True) if other != fold], taxonomy)
        rows = np.flatnonzero(folds[: len(measured)] == fold)
        scores[rows] = model.scores([measured[row] for row in rows])[0]
    return best_f1_thresholds(
        scores, label_matrix(measured, taxonomy), known_matrix(measured, taxonomy), settings.thresholds.smoothing
    )


def hindsight_thresholds(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Thresholds that are best on the very posts: what nobody could have known."""
    return best_f1_thresholds(scores, labels, np.ones_like(labels), smoothing=0.0)


def narratrace_answers(classifier: Classifier, posts: Sequence[LabelledPost]) -> Answers:
    columns = classifier.batch({"text": np.array([post.text for post in posts], dtype=object)})
    narratives = classifier.artefact.manifest.narratives
    scores = np.stack([columns[f"score_{name}"] for name in narratives], axis=1)
    flagged = np.array([[name in labels for name in narratives] for labels in columns["labels"]], dtype=bool)
    return scores, flagged, np.array([STANCES.index(stance) for stance in columns["stance"]])


def figures(taxonomy: Taxonomy, posts: Sequence[LabelledPost], answers: Answers) -> dict[str, Any]:
    scores, flagged, stances = answers
    truth = label_matrix(posts, taxonomy)
    known = known_matrix(posts, taxonomy)
    return measure(taxonomy.narrative_ids, scores, flagged, truth, known, stances, stance_indices(posts))


def show(console: Console, title: str, rows: dict[str, dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "posts", "narratives", "macro F1", "stance", "false flags: R", "C", "N"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in rows.items():
        counted = sum(one["support"] >= SUPPORT for one in found["narratives"].values())
        flags = (found["false_flags"].get(stance) for stance in ("R", "C", "N"))
        table.add_row(
            name,
            str(found["posts"]),
            str(counted),
            f"{found['macro_f1']:.3f}" if counted else "-",
            f"{found['stance_accuracy']:.3f}",
            *("-" if share is None else f"{share:.1%}" for share in flags),
        )
    console.print(table)
    console.print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="training settings; they name the posts")
    parser.add_argument("--artefact", type=Path, help="artefact folder; the built-in one if not given")
    parser.add_argument("--json", type=Path, help="write every figure here, too")
    arguments = parser.parse_args()
    settings = load_settings(TrainingSettings, arguments.config)
    taxonomy = Taxonomy.load(settings.taxonomy)
    measured = [post for path in settings.data.train for post in read_labelled(path, taxonomy, settings.data.columns)]
    synthetic = [
        post for path in settings.data.synthetic for post in read_labelled(path, taxonomy, settings.data.columns)
    ]
    backends = {name: Classifier.load(arguments.artefact, backend=name) for name in ("torch", "onnx-int8")}
    chosen = tfidf_thresholds(measured, synthetic, taxonomy, settings)
    tfidf = TfIdf([*measured, *synthetic], taxonomy)
    learnt_from = {tie for post in (*measured, *synthetic) for tie in post.ties}
    console = Console(width=120, highlight=False)
    console.print(f"artefact {backends['torch'].artefact.id}\n")
    everything: dict[str, Any] = {}
    for name, path in settings.data.dev.items():
        posts = read_labelled(path, taxonomy, settings.data.columns)
        truth = label_matrix(posts, taxonomy)
        scores, stances = tfidf.scores(posts)
        rows = {
            "no label ever": (np.zeros_like(scores), np.zeros_like(truth), np.full(len(posts), STANCES.index("N"))),
            "TF-IDF": (scores, scores >= chosen, stances),
            "TF-IDF, at 0.5": (scores, scores >= 0.5, stances),
            "TF-IDF, thresholds in hindsight": (scores, scores >= hindsight_thresholds(scores, truth), stances),
            **{f"narratrace, {backend}": narratrace_answers(model, posts) for backend, model in backends.items()},
        }
        found = {row: figures(taxonomy, posts, answers) for row, answers in rows.items()}
        show(console, f"{name}: {path}", found)
        int8 = rows["narratrace, onnx-int8"]
        mask = np.array([learnt_from.isdisjoint(post.ties) for post in posts])
        if not mask.all():
            part = [post for post, new in zip(posts, mask, strict=True) if new]
            apart = {
                row: figures(taxonomy, part, (answers[0][mask], answers[1][mask], answers[2][mask]))
                for row, answers in rows.items()
                if row in ("TF-IDF", "narratrace, onnx-int8")
            }
            show(console, f"{name}, posts of accounts that nothing was learnt from", apart)
        by_language: dict[str, dict[str, Any]] = {}
        for language in sorted({post.language for post in posts}):
            mask = np.array([post.language == language for post in posts])
            part = [post for post in posts if post.language == language]
            by_language[language] = figures(taxonomy, part, (int8[0][mask], int8[1][mask], int8[2][mask]))
        show(console, f"{name} by language, onnx-int8", by_language)
        table = Table(title=f"{name} by narrative, onnx-int8", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for column in ("narrative", "support", "precision", "recall", "F1", "TF-IDF F1"):
            table.add_column(column, justify="left" if column == "narrative" else "right")
        for narrative, one in found["narratrace, onnx-int8"]["narratives"].items():
            values = [f"{one[key]:.2f}" for key in ("precision", "recall", "f1")]
            table.add_row(
                narrative, str(one["support"]), *values, f"{found['TF-IDF']['narratives'][narrative]['f1']:.2f}"
            )
        console.print(table)
        console.print()
        everything[name] = found | {"by_language": by_language}
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
