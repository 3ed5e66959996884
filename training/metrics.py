"""What is measured of labels and stances, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.model.scores import Scores
from narratrace.model.taxonomy import STANCE_NAMES, STANCES, Taxonomy
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices

SUPPORT = 7
"""Positives from which a narrative counts in a macro average: below, its F1 is mostly luck."""

CONFIDENCE = 0.95
"""Of the intervals."""

REPLICATES = 1000
"""Bootstrap samples; their 2.5th and 97.5th percentiles are steady in the second digit."""

_AT_ONCE = 100
"""Bootstrap samples that are measured at once, to bound memory."""

NAMED_SCORE = 0.1
"""Score from which a post counts in the calibration error: below, the many sure negatives would drown the rest."""

BINS = 10
"""Bins of equal width of the calibration error and of reliability plots."""

NOT_ADVANCING = ("R", "C", "N")
"""Stances whose posts should get no label."""

_FLAGGED = "flagged_"

HEADLINES = {
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "micro_f1": "micro F1",
    "micro_precision": "micro precision",
    "micro_recall": "micro recall",
    "macro_average_precision": "macro average precision",
    "stance_accuracy": "stance accuracy",
    **{f"{_FLAGGED}{stance}": f"false flags: {STANCE_NAMES[stance]}" for stance in NOT_ADVANCING},
}
"""The figures that get an interval, and how they are called."""


class Truth(NamedTuple):
    """What people said of n posts."""

    labels: NDArray[np.bool_]
    """Shape (n, narratives)."""
    known: NDArray[np.bool_]
    """Whether each label is known, shape (n, narratives)."""
    stances: NDArray[np.int64]
    """Positions in :data:`~narratrace.model.taxonomy.STANCES`, negative where not known; shape (n,)."""

    @classmethod
    def of(cls, posts: Sequence[LabelledPost], taxonomy: Taxonomy) -> Truth:
        """What is known of labelled posts."""
        return cls(label_matrix(posts, taxonomy), known_matrix(posts, taxonomy), stance_indices(posts))

    def take(self, rows: NDArray[Any]) -> Truth:
        """Some of the posts."""
        return Truth(*(part[rows] for part in (self.labels, self.known, self.stances)))


class Answers(NamedTuple):
    """What a model says of n posts."""

    scores: NDArray[np.float32]
    """Shape (n, narratives)."""
    flagged: NDArray[np.bool_]
    """Whether each post got each label, shape (n, narratives)."""
    stances: NDArray[np.int64]
    """Positions in :data:`~narratrace.model.taxonomy.STANCES`, shape (n,)."""

    @classmethod
    def of(cls, scores: Scores, flagged: NDArray[np.bool_]) -> Answers:
        """What scores and the labels made of them say."""
        return cls(scores.narratives, flagged, scores.stances.argmax(axis=1))

    def take(self, rows: NDArray[Any]) -> Answers:
        """Some of the posts."""
        return Answers(*(part[rows] for part in (self.scores, self.flagged, self.stances)))


def measure(
    narratives: Sequence[str], answers: Answers, truth: Truth, groups: NDArray[np.int64] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Measure answers against the truth; what is not known is left out.

    Parameters
    ----------
    narratives
        Ids, in column order.
    answers, truth
        Of the same n posts.
    groups
        Number of the group of related posts that each belongs to, shape (n,). With them every figure of
        :data:`HEADLINES` gets an interval by the percentile bootstrap over groups (Efron and Tibshirani 1993, "An
        introduction to the bootstrap"; whole groups are drawn, as their posts are no independent witnesses).
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        ``posts``; ``macro_f1``, ``macro_precision``, ``macro_recall`` and ``macro_average_precision``, means over
        narratives with at least :data:`SUPPORT` positives, of which there are ``counted`` (of precision, over those of
        them that any post got, as the others have none); ``micro_f1``, ``micro_precision`` and ``micro_recall`` over
        all labels; ``stance_accuracy``; ``false_flags``: the share of the posts of each other stance than A that got
        any label; ``intervals``: low and high end of each of :data:`HEADLINES`; ``confusion``: posts by true stance
        (rows) and told stance; ``narratives``: precision, recall, f1, average_precision, support, flagged and
        calibration_error of each. Shares are 0 to 1, null where there is nothing to measure.
    """
    plain = _Sampled(answers, truth, np.ones((1, len(truth.labels))))
    figures: dict[str, Any] = {"posts": len(truth.labels), "counted": int(plain.counted.sum())}
    headlines = {name: _one(values) for name, values in plain.headlines()}
    figures |= {name: value for name, value in headlines.items() if not name.startswith(_FLAGGED)}
    figures["false_flags"] = {stance: headlines[_FLAGGED + stance] for stance in NOT_ADVANCING}
    if groups is not None:
        figures |= {"groups": len(np.unique(groups)), "intervals": _intervals(answers, truth, groups, seed)}
    known = truth.stances >= 0
    confusion = np.zeros((len(STANCES), len(STANCES)), dtype=int)
    np.add.at(confusion, (truth.stances[known], answers.stances[known]), 1)
    return figures | {
        "confusion": confusion.tolist(),
        "narratives": {narrative: plain.narrative(column) for column, narrative in enumerate(narratives)},
    }


def measure_languages(
    narratives: Sequence[str], languages: Sequence[str], answers: Answers, truth: Truth, groups: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    """Measure the posts of each language by themselves, as :func:`measure` does."""
    tags = np.array(languages, dtype=object)
    parts = {tag: np.flatnonzero(tags == tag) for tag in sorted(set(languages))}
    return {tag: measure(narratives, answers.take(of), truth.take(of), groups[of]) for tag, of in parts.items()}


def reliability(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Mean score, share of positives and number of posts in each of :data:`BINS` bins that has any."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    found = ((bins == one) for one in range(BINS))
    return [(float(scores[of].mean()), float(labels[of].mean()), int(of.sum())) for of in found if of.any()]


class _Sampled:
    """Counts of bootstrap samples: ``weights`` says how often each post was drawn, shape (samples, posts)."""

    def __init__(self, answers: Answers, truth: Truth, weights: NDArray[np.float64]) -> None:
        self._answers, self._truth, self._weights = answers, truth, weights
        self._labels = truth.labels & truth.known
        flagged = answers.flagged & truth.known
        self._right = weights @ (flagged & self._labels)
        self._given = weights @ flagged
        self._positives = weights @ self._labels
        self.counted = self._labels.sum(axis=0) >= SUPPORT

    def headlines(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """The figures of :data:`HEADLINES`, each of shape (samples,), NaN where there is nothing to measure."""
        each = tuple(part[:, self.counted] for part in (self._right, self._given, self._positives))
        for name, values in _rates(*each):
            yield f"macro_{name}", _mean(values)
        together = (part.sum(axis=1) for part in (self._right, self._given, self._positives))
        for name, values in _rates(*together):
            yield f"micro_{name}", values
        columns = np.flatnonzero(self.counted).tolist()
        areas = [self._average_precision(column) for column in columns]
        yield "macro_average_precision", _mean(np.stack(areas, axis=1) if areas else np.empty((len(self._weights), 0)))
        stances, known = self._truth.stances, self._truth.stances >= 0
        yield "stance_accuracy", self._share(known, np.asarray(self._answers.stances == stances))
        any_flag = np.asarray(self._answers.flagged.any(axis=1))
        for stance in NOT_ADVANCING:
            yield _FLAGGED + stance, self._share(stances == STANCES.index(stance), any_flag)

    def narrative(self, column: int) -> dict[str, Any]:
        """What is measured of one narrative, in the first sample."""
        known, scores = self._truth.known[:, column], self._answers.scores[:, column]
        named = known & (scores >= NAMED_SCORE)
        bins = reliability(scores[named], self._labels[named, column])
        right, given, positives = (part[:, column] for part in (self._right, self._given, self._positives))
        rates = {name: _one(values) for name, values in _rates(right, given, positives)}
        return {
            "precision": rates["precision"],
            "recall": rates["recall"],
            "f1": rates["f1"],
            "average_precision": _one(self._average_precision(column)),
            "support": int(positives[0]),
            "flagged": int(given[0]),
            "calibration_error": round(sum(abs(score - share) * count for score, share, count in bins) / named.sum(), 4)
            if bins
            else None,
        }

    def _share(self, of: NDArray[np.bool_], which: NDArray[np.bool_]) -> NDArray[np.float64]:
        drawn = self._weights[:, of].sum(axis=1)
        return _divide(self._weights[:, of & which].sum(axis=1), drawn)

    def _average_precision(self, column: int) -> NDArray[np.float64]:
        """As scikit-learn's: precision at each positive, posts of one score counting together."""
        known = self._truth.known[:, column]
        scores = self._answers.scores[known, column]
        order = np.argsort(-scores, kind="stable")
        weights = self._weights[:, known][:, order]
        hits = weights * self._labels[known, column][order]
        last = np.searchsorted(-scores[order], -scores[order], side="right") - 1  # of the posts with this score
        precision = _divide(hits.cumsum(axis=1), weights.cumsum(axis=1))[:, last]
        return _divide((hits * np.nan_to_num(precision)).sum(axis=1), hits.sum(axis=1))


def _intervals(answers: Answers, truth: Truth, groups: NDArray[np.int64], seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    _, groups = np.unique(groups, return_inverse=True)
    size = int(groups.max(initial=-1)) + 1
    if not size:
        return {}
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in HEADLINES}
    for _ in range(0, REPLICATES, _AT_ONCE):
        counts = rng.multinomial(size, np.full(size, 1 / size), size=_AT_ONCE)
        for name, values in _Sampled(answers, truth, counts[:, groups].astype(np.float64)).headlines():
            drawn[name].append(values)
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    found = {name: np.concatenate(values) for name, values in drawn.items()}
    return {
        name: [round(float(end), 4) for end in np.nanquantile(values, ends)]
        for name, values in found.items()
        if not np.isnan(values).all()
    }


def _rates(
    right: NDArray[np.float64], given: NDArray[np.float64], positives: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """F1 and recall, NaN without a positive, as there is nothing to find; precision, NaN without a label."""
    # F1 is 2 TP / (flagged + positives).
    yield "f1", np.where(positives > 0, _divide(2 * right, given + positives), np.nan)
    yield "precision", _divide(right, given)
    yield "recall", _divide(right, positives)


def _divide(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row without its NaNs; NaN where nothing is left."""
    there = ~np.isnan(values)
    return _divide(np.where(there, values, 0).sum(axis=1), there.sum(axis=1).astype(np.float64))


def _one(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values[0]) else round(float(values[0]), 4)


def shown(value: float | None, percent: bool = False) -> str:
    """A figure as it stands in tables; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.1%}" if percent else f"{value:.2f}"


def headline(figures: Mapping[str, Any], name: str) -> str:
    """A figure of :data:`HEADLINES` with its interval, as it stands in tables."""
    percent = name.startswith(_FLAGGED)
    value = figures["false_flags"].get(name.removeprefix(_FLAGGED)) if percent else figures.get(name)
    if value is None or name not in figures.get("intervals", {}):
        return shown(value, percent)
    low, high = (shown(end, percent) for end in figures["intervals"][name])
    return f"{shown(value, percent)} ({low} - {high})"
