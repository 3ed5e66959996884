"""Baselines that learn from the same posts: what an artefact has to beat.

Their thresholds are those of the best F1 in cross-validation over the same groups, as the artefact's are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from narratrace.model.errors import NarratraceError
from narratrace.model.scores import Scores
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.training.evaluation.embeddings import FrozenEncoder
from narratrace.training.folds import related_groups
from narratrace.training.labelled import LabelledPost
from narratrace.training.metrics import Answers, Truth, measure
from narratrace.training.run_posts import RunPosts, deal
from narratrace.training.settings import ThresholdSettings, TrainingSettings
from narratrace.training.thresholds import Thresholds, best_f1_thresholds, choose_thresholds

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of it is done and to do."""

SEED = 2019
"""Of what an evaluation draws at random."""

FROZEN = "frozen encoder"
"""The row of the base that learnt nothing of the task."""

Inputs = Any
"""What a baseline reads of n posts: an array whose rows can be chosen."""


class Learner(Protocol):
    """What gives scores after it has learnt."""

    def fit(self, inputs: Inputs, truth: Truth) -> None:
        """Learn from posts."""

    def scores(self, inputs: Inputs) -> Scores:
        """Score posts."""


class PerLabel:
    """One balanced logistic regression for each narrative and each stance.

    Parameters
    ----------
    make
        Makes an untrained scikit-learn classifier of two classes.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def fit(self, inputs: Inputs, truth: Truth) -> None:
        """Learn from posts; what is not known is left out."""
        self._narratives = [
            self._learn(inputs[known], labels[known])
            for labels, known in zip(truth.labels.T, truth.known.T, strict=True)
        ]
        known = truth.stances >= 0
        self._stances = [self._learn(inputs[known], truth.stances[known] == stance) for stance in range(len(STANCES))]

    def scores(self, inputs: Inputs) -> Scores:
        """Probability of each narrative and stance; 0 for what no post that was learnt from had."""
        narratives, stances = (
            np.stack([model(inputs) for model in models], axis=1).astype(np.float32)
            for models in (self._narratives, self._stances)
        )
        return Scores(narratives, stances / stances.sum(axis=1, keepdims=True).clip(min=1e-9))

    def _learn(self, inputs: Inputs, target: NDArray[np.bool_]) -> Callable[[Inputs], NDArray[np.float64]]:
        """What gives the probability that new posts are as the target says."""
        if target.all() or not target.any():
            always = float(len(target) > 0 and target[0])
            return lambda inputs: np.full(inputs.shape[0], always)
        model = self._make().fit(inputs, target)
        return lambda inputs: np.asarray(model.predict_proba(inputs)[:, 1])


class TfIdf(PerLabel):
    """Characters 1 to 4 within words, TF-IDF weighted, with balanced logistic regression."""

    def __init__(self) -> None:
        super().__init__(lambda: LogisticRegression(C=10, class_weight="balanced", solver="liblinear"))
        self.vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)

    def fit(self, inputs: Inputs, truth: Truth) -> None:
        """Learn from texts."""
        super().fit(self.vectors.fit_transform(inputs), truth)

    def scores(self, inputs: Inputs) -> Scores:
        """Score texts."""
        return super().scores(self.vectors.transform(inputs))


def frozen_encoder() -> PerLabel:
    """Balanced logistic regression on the embeddings of an encoder that learnt nothing of the task."""
    return PerLabel(
        lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=300))
    )


class CrossValidated(NamedTuple):
    """A baseline on posts that it did not learn from, fold by fold."""

    scores: Scores
    thresholds: NDArray[np.float64]
    gated: Thresholds

    def answers(self) -> Answers:
        """Labels at the thresholds of the best F1, which were chosen on the same posts."""
        return Answers.of(self.scores, self.scores.narratives >= self.thresholds)


def cross_validate(
    make: Callable[[], Learner],
    inputs: Inputs,
    truth: Truth,
    folds: NDArray[np.int64],
    measured: int,
    settings: ThresholdSettings,
) -> CrossValidated:
    """Score each of the first ``measured`` posts by a baseline that did not learn from its fold; choose thresholds.

    Parameters
    ----------
    make
        Makes an untrained baseline.
    inputs, truth
        Of all posts to learn from.
    folds
        Fold of each post, shape (posts,); posts in none of the ``settings.folds`` folds are learnt from each time.
    measured
        So many posts, from the first on, count in thresholds; the others are synthetic.
    settings
        Of the thresholds.
    """
    found = Scores(*(np.zeros((measured, size), dtype=np.float32) for size in (truth.labels.shape[1], len(STANCES))))
    for fold in range(settings.folds):
        rows = np.flatnonzero(folds[:measured] == fold)
        baseline = make()
        learnt = np.flatnonzero(folds != fold)
        baseline.fit(inputs[learnt], truth.take(learnt))
        found.narratives[rows], found.stances[rows] = baseline.scores(inputs[rows])
    labels, known, stances = truth.take(np.arange(measured))
    return CrossValidated(
        found,
        best_f1_thresholds(found.narratives, labels, known, settings.smoothing),
        choose_thresholds(found, labels, known, stances, settings.smoothing, settings.false_flags),
    )


def majority(learnt: Truth, posts: int) -> Answers:
    """What is most frequent: no label, and the most frequent stance."""
    shares = (learnt.labels & learnt.known).sum(axis=0) / learnt.known.sum(axis=0).clip(min=1)
    known = learnt.stances[learnt.stances >= 0]
    stance = np.bincount(known, minlength=len(STANCES)).argmax()
    scores = np.tile(shares.astype(np.float32), (posts, 1))
    return Answers(scores, scores > 0.5, np.full(posts, stance))


class Baselines:
    """The baselines of an artefact: made from the posts that it learnt from.

    Parameters
    ----------
    posts, settings
        What the artefact learnt from, and how.
    taxonomy
        The narratives.
    on_progress
        Called now and then.

    Attributes
    ----------
    leakage
        What TF-IDF seems to be worth in cross-validation that keeps related posts together (``grouped``), and in one
        that deals posts at random as if there were no accounts and copies (``naive``).
    left_out
        Rows that cannot be had, and why.
    """

    def __init__(self, posts: RunPosts, settings: TrainingSettings, taxonomy: Taxonomy, on_progress: Progress) -> None:
        self._posts, self._settings, self._folds = posts, settings, deal(posts, settings)
        self._truth = Truth.of(posts.learnt, taxonomy)
        self._on_progress = on_progress
        self._texts = _column(posts.learnt)
        self.left_out: dict[str, str] = {}
        self._encoder: FrozenEncoder | None = None
        try:
            self._encoder = FrozenEncoder(settings.base, settings.max_tokens, self._texts.tolist())
        except (NarratraceError, OSError) as error:  # posts can be measured where the base is not at hand
            self.left_out[FROZEN] = str(error)
        self._done, self._steps = 0, 5 if self._encoder else 3
        self._tfidf, self._tfidf_held_out = self._learn(TfIdf, self._texts)
        naive = self._cross_validate(TfIdf, self._texts, self._naive_folds())
        measured, groups = self._truth.take(np.arange(len(posts.measured))), related_groups(posts.measured)
        self.leakage = {
            name: measure(taxonomy.narrative_ids, one.answers(), measured, groups)
            for name, one in (("grouped", self._tfidf_held_out), ("naive", naive))
        }
        if self._encoder:
            vectors = self._embed(self._encoder, self._texts.tolist())
            self._frozen, self._frozen_held_out = self._learn(frozen_encoder, vectors)

    def answers(self, posts: Sequence[LabelledPost]) -> dict[str, Answers]:
        """What each baseline says of posts."""
        tfidf = self._tfidf.scores(_column(posts))
        rows = {
            "majority": majority(self._truth, len(posts)),
            "TF-IDF": Answers.of(tfidf, tfidf.narratives >= self._tfidf_held_out.thresholds),
            "TF-IDF with a gate": Answers.of(tfidf, self._tfidf_held_out.gated.flag(tfidf)),
        }
        if self._encoder:
            frozen = self._frozen.scores(self._embed(self._encoder, [post.text for post in posts]))
            rows[FROZEN] = Answers.of(frozen, frozen.narratives >= self._frozen_held_out.thresholds)
        return rows

    def _learn(self, make: Callable[[], Learner], inputs: Inputs) -> tuple[Learner, CrossValidated]:
        held_out = self._cross_validate(make, inputs, self._folds)
        learner = make()
        learner.fit(inputs, self._truth)
        self._step()
        return learner, held_out

    def _cross_validate(self, make: Callable[[], Learner], inputs: Inputs, folds: NDArray[np.int64]) -> CrossValidated:
        measured = len(self._posts.measured)
        found = cross_validate(make, inputs, self._truth, folds, measured, self._settings.thresholds)
        self._step()
        return found

    def _naive_folds(self) -> NDArray[np.int64]:
        """Folds that deal measured posts at random, whatever their account or copies."""
        folds = self._folds.copy()
        split = KFold(self._settings.thresholds.folds, shuffle=True, random_state=SEED)
        for fold, (_, held_out) in enumerate(split.split(self._posts.measured)):
            folds[held_out] = fold
        return folds

    def _embed(self, encoder: FrozenEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
        return encoder.embed(texts, lambda *steps: self._on_progress(FROZEN, *steps))

    def _step(self) -> None:
        self._done += 1
        self._on_progress("baselines", self._done, self._steps)


def _column(posts: Sequence[LabelledPost]) -> NDArray[np.object_]:
    texts = np.empty(len(posts), dtype=object)
    texts[:] = [post.text for post in posts]
    return texts
