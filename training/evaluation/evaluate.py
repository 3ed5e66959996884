"""The whole evaluation of an artefact: every figure of the report and of the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from narratrace.model.scores import ADVANCES
from narratrace.training.environment import describe_environment
from narratrace.training.evaluation.baselines import SEED, Baselines, Progress
from narratrace.training.evaluation.changes import Change, changes
from narratrace.training.evaluation.mistakes import Lookalikes, Mistake, worst_mistakes
from narratrace.training.evaluation.scored import Scored, Scorer, score_posts
from narratrace.training.folds import are_related, related_groups
from narratrace.training.labelled import LabelledPost
from narratrace.training.metrics import NAMED_SCORE, SUPPORT, Answers, Truth, measure, measure_languages, reliability
from narratrace.training.run_posts import RunPosts
from narratrace.training.settings import TrainingSettings


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    figures
        Numbers alone, as JSON can hold them; no text of any post.
    mistakes
        The worst mistakes of each kind, by set. They quote posts.
    """

    figures: dict[str, Any]
    mistakes: dict[str, dict[str, list[Mistake]]]


@dataclass(frozen=True)
class Learnt:
    """What an artefact learnt from: its posts, and the settings of its training."""

    posts: RunPosts
    settings: TrainingSettings


def evaluate(
    scorer: Scorer,
    sets: Mapping[str, Sequence[LabelledPost]],
    learnt: Learnt | None,
    compare: Scorer | None,
    on_progress: Progress,
) -> Evaluation:
    """Measure an artefact on labelled posts.

    Parameters
    ----------
    scorer
        The classifier.
    sets
        Named sets of labelled posts that nothing was learnt from and no threshold was chosen on.
    learnt
        What the artefact learnt from. With it there are baselines that learn from the same posts, a comparison of
        grouped with naive cross-validation, and figures on posts of which no related post was learnt from.
    compare
        The same artefact on another backend.
    on_progress
        Called now and then.
    """
    manifest, taxonomy = scorer.artefact.manifest, scorer.artefact.taxonomy
    baselines = Baselines(learnt.posts, learnt.settings, taxonomy, on_progress) if learnt else None
    known_posts = learnt.posts.learnt if learnt else [post for posts in sets.values() for post in posts]
    like = Lookalikes(known_posts)
    changed = changes([post.text for posts in sets.values() for post in posts], SEED)
    found: dict[str, Any] = {}
    mistakes = {}
    for name, posts in sets.items():

        def score(with_: Scorer, what: str, texts: Sequence[str], name: str = name) -> Scored:
            return score_posts(with_, texts, partial(on_progress, f"{name}: {what}"))

        texts = [post.text for post in posts]
        scored, truth = score(scorer, "scoring", texts), Truth.of(posts, taxonomy)
        rows = {row_name(scorer): scored.answers}
        other = score(compare, "scoring with the other backend", texts) if compare else None
        if compare and other:
            rows[row_name(compare)] = other.answers
        if baselines:
            rows |= baselines.answers(posts)
        tied = are_related(posts, known_posts) if learnt else None
        found[name] = _measure(posts, rows, truth, manifest.narratives, tied) | {
            "abstained": sum(map(bool, scored.abstained)),
            "backends": _agreement(scored, other) if other else None,
            "flips": {
                what: _flips(scored, texts, change, partial(score, scorer, what)) for what, change in changed.items()
            },
            "curves": _curves(manifest.narratives, scored.answers, truth),
            "reliability": _reliability(scored, truth),
        }
        mistakes[name] = worst_mistakes(posts, scored, truth, manifest, scorer.thresholds, like)
    figures = {
        "artefact": manifest.model_dump(mode="json", exclude={"files", "metrics"}),
        "narratrace": version("narratrace"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "thresholds": scorer.thresholds,
        "support": SUPPORT,
        "environment": describe_environment(),
        "learnt_from": len(learnt.posts.learnt) if learnt else None,
        "left_out": baselines.left_out if baselines else {},
        "leakage": baselines.leakage if baselines else None,
        "sets": found,
    }
    return Evaluation(figures, mistakes)


def row_name(scorer: Scorer) -> str:
    """Name of a classifier's row in the tables."""
    return f"narratrace, {scorer.backend}"


def _measure(
    posts: Sequence[LabelledPost],
    answers: Mapping[str, Answers],
    truth: Truth,
    narratives: Sequence[str],
    tied: NDArray[np.bool_] | None,
) -> dict[str, Any]:
    groups = related_groups(posts)

    def rows_on(of: NDArray[np.int64]) -> dict[str, Any]:
        return {name: measure(narratives, one.take(of), truth.take(of), groups[of]) for name, one in answers.items()}

    untied = np.flatnonzero(~tied) if tied is not None else np.array([], dtype=np.int64)
    own = next(iter(answers.values()))
    return {
        "rows": rows_on(np.arange(len(posts))),
        "tied": None if tied is None else int(tied.sum()),
        "untied": rows_on(untied) if 0 < len(untied) < len(posts) else None,
        "languages": measure_languages(narratives, [post.language for post in posts], own, truth, groups),
    }


def _flips(
    before: Scored, texts: Sequence[str], change: Change, score: Callable[[Sequence[str]], Scored]
) -> dict[str, Any]:
    """Share of the posts that a change alters whose labels, stance, or either change with it."""
    altered = [change(text) for text in texts]
    of = np.flatnonzero([text != other for text, other in zip(texts, altered, strict=True)])
    after = score([altered[row] for row in of])
    return {"posts": len(of)} | _differences(before.answers.take(of), after.answers)


def _differences(one: Answers, other: Answers) -> dict[str, Any]:
    labels = (one.flagged != other.flagged).any(axis=1)
    stances = one.stances != other.stances
    return {
        name: round(float(flips.mean()), 4) if len(flips) else None
        for name, flips in (("labels", labels), ("stance", stances), ("either", labels | stances))
    }


def _agreement(one: Scored, other: Scored) -> dict[str, Any]:
    return _differences(one.answers, other.answers) | {
        "score_difference": round(float(np.abs(one.answers.scores - other.answers.scores).max(initial=0)), 4)
    }


def _curves(narratives: Sequence[str], answers: Answers, truth: Truth) -> dict[str, Any]:
    """Precision-recall curve of each narrative with enough positives, whatever the stance, and where its labels lie."""
    curves = {}
    for column, narrative in enumerate(narratives):
        known = truth.known[:, column]
        labels, scores, flagged = (part[known, column] for part in (truth.labels, answers.scores, answers.flagged))
        if labels.sum() < SUPPORT:
            continue
        precision, recall, _ = precision_recall_curve(labels, scores)
        # Where recall stays, precision falls with each post that is wrong: the corners alone are drawn.
        corners = np.flatnonzero((np.diff(recall, prepend=2) != 0) | (np.diff(recall, append=-1) != 0))
        curves[narrative] = {
            "recall": recall[corners].round(4).tolist(),
            "precision": precision[corners].round(4).tolist(),
            "at": [round(float(labels[flagged].sum() / labels.sum()), 4), round(float(labels[flagged].mean()), 4)]
            if flagged.any()
            else None,
        }
    return curves


def _reliability(scored: Scored, truth: Truth) -> dict[str, Any]:
    """Mean score, share and posts by bin: of all narratives, and of the stance "advances"."""
    named = truth.known & (scored.answers.scores >= NAMED_SCORE)
    known = truth.stances >= 0
    return {
        "narratives": reliability(scored.answers.scores[named], truth.labels[named]),
        "advances": reliability(scored.stances[known, ADVANCES], truth.stances[known] == ADVANCES),
    }
