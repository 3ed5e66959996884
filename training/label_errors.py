"""Labels that are likely wrong, told from what a model that did not see them makes of the posts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.model.scores import Logits
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.training.folds import assign_folds
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices
from narratrace.training.settings import WideSettings
from narratrace.training.wide import fit_wide

LEAST = 25
"""Posts that a label needs, and posts without it, for a model to have an opinion on it."""

DOUBT = 0.1
"""Greatest probability of a label as it is that makes it a likely error: more is a matter of the model's taste."""

_FOLDS = 4
_MODEL = WideSettings(min_posts=2, inverse_penalty=10.0)


class LabelError(NamedTuple):
    """A label that is likely wrong.

    Attributes
    ----------
    row
        Position of the post.
    name
        Narrative, or ``stance``.
    given, likely
        What the label says and what the model would say: ``yes`` or ``no``, or a stance.
    confidence
        Probability (0 to 1) that the model gives to the label as it is; the lower, the likelier it is wrong.
    """

    row: int
    name: str
    given: str
    likely: str
    confidence: float


def find_label_errors(
    posts: Sequence[LabelledPost], taxonomy: Taxonomy, groups: NDArray[np.int64], seed: int = 0
) -> list[LabelError]:
    """Find labels that contradict the rest of the labels, the likeliest errors first.

    Scores are cross-validated over groups of related posts, by logistic regression on TF-IDF weighted character
    n-grams (the wide part). Left out are narratives with fewer than :data:`LEAST` posts for or against them, and
    those of which most such posts are related, so that a model without these knows nothing.

    Parameters
    ----------
    posts
        The posts.
    taxonomy
        The narratives.
    groups
        As :func:`narratrace.training.folds.related_groups` gives them, shape (posts,).
    seed
        Of the folds.

    Raises
    ------
    InputError
        There are too few unrelated posts for a cross-validation.
    """
    labels, known, stances = label_matrix(posts, taxonomy), known_matrix(posts, taxonomy), stance_indices(posts)
    is_stance = stances[:, None] == np.arange(len(STANCES))
    if not _can_be_judged(labels & known, ~labels & known).any() and not _can_be_judged(is_stance).all():
        return []
    folds = assign_folds(posts, _FOLDS, seed, groups)
    judged = np.flatnonzero(_can_be_judged(labels & known, ~labels & known, folds=folds))
    judge_stance = _can_be_judged(is_stance, folds=folds).all()
    scores = _held_out(posts, taxonomy, folds)
    errors = []
    for column in judged:
        rows = np.flatnonzero(known[:, column])
        given = labels[rows, column].astype(np.int64)
        yes = 1 / (1 + np.exp(-scores.narratives[rows, column].astype(np.float64)))
        errors += _describe(
            taxonomy.narrative_ids[column], ("no", "yes"), rows, np.stack([1 - yes, yes], axis=1), given
        )
    if judge_stance:
        rows = np.flatnonzero(stances >= 0)
        each = 1 / (1 + np.exp(-scores.stances[rows].astype(np.float64)))
        errors += _describe("stance", STANCES, rows, each / each.sum(axis=1, keepdims=True), stances[rows])
    return sorted(errors, key=lambda error: (error.confidence, error.row, error.name))


def confident_classes(probabilities: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.int64]:
    """Class that each example likely has, which is the given one unless the model is confident of another.

    The model is confident of a class where that is the most probable one, and at least as probable as it is on average
    among the examples that are given it. Source: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating
    uncertainty in dataset labels": the off-diagonal of the confident joint, as far as the model itself agrees with it.

    Parameters
    ----------
    probabilities
        Out-of-sample, shape (examples, classes).
    given
        Class of each example, shape (examples,); each class has at least one.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]])
    >>> confident_classes(probabilities, np.array([0, 0, 1, 1, 0]))
    array([0, 0, 1, 1, 1])
    """
    classes = range(probabilities.shape[1])
    least = np.array([probabilities[given == one, one].mean() for one in classes])
    likely = probabilities.argmax(axis=1)
    return np.where(probabilities.max(axis=1) >= least[likely], likely, given)


def _can_be_judged(*answers: NDArray[np.bool_], folds: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Whether there are enough posts of each answer, in all and to learn from without any one fold; by column."""
    left = [np.ones(len(answers[0]), dtype=bool)] if folds is None else [folds != fold for fold in range(_FOLDS)]
    least = LEAST if folds is None else LEAST // 2
    counts = np.array([answer[rows].sum(axis=0) for answer in answers for rows in left])
    return np.asarray((counts >= least).all(axis=0))


def _describe(
    name: str,
    classes: Sequence[str],
    rows: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    given: NDArray[np.int64],
) -> list[LabelError]:
    likely = confident_classes(probabilities, given)
    return [
        LabelError(int(rows[at]), name, classes[given[at]], classes[likely[at]], float(probabilities[at, given[at]]))
        for at in np.flatnonzero((likely != given) & (probabilities[np.arange(len(given)), given] <= DOUBT))
    ]


def _held_out(posts: Sequence[LabelledPost], taxonomy: Taxonomy, folds: NDArray[np.int64]) -> Logits:
    """Logits of each post by a model that did not learn from its fold."""
    shapes = (len(posts), len(taxonomy.narratives)), (len(posts), len(STANCES))
    scores = Logits(*(np.zeros(shape, dtype=np.float32) for shape in shapes))
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds == fold)
        model = fit_wide([post for post, other in zip(posts, folds, strict=True) if other != fold], taxonomy, _MODEL)
        found = model.run([normalise(posts[int(row)].text).text for row in rows])
        scores.narratives[rows], scores.stances[rows] = found
    return scores
