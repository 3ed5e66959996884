"""The worst mistakes of each kind, with what a person needs to judge them: scores, threshold, similar posts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from narratrace.model.artefact import Manifest, ThresholdSet
from narratrace.model.scores import ADVANCES
from narratrace.model.taxonomy import STANCE_NAMES, STANCES
from narratrace.training.evaluation.scored import Scored
from narratrace.training.labelled import LabelledPost
from narratrace.training.metrics import NOT_ADVANCING, Truth

WORST = 20
"""Mistakes of each kind that are shown."""

NEAREST = 2
"""Similar posts that are shown with each."""

KINDS = {
    "missed": "Missed: labelled by people, and not by the artefact; lowest scores first",
    "wrong": "Wrong label: the post advances something else, or nobody said its stance; highest scores first",
    **{
        stance: f"False flag: the post's stance is '{STANCE_NAMES[stance]}'; highest scores first"
        for stance in NOT_ADVANCING
    },
    "stance": "Wrong stance; most certain ones first",
}
"""Kinds of mistakes, and what they are."""


@dataclass(frozen=True)
class Neighbour:
    """A post that looks like another: its cosine over character n-grams, 0 to 1, and what people said of it."""

    text: str
    said: str
    similarity: float


@dataclass(frozen=True)
class Mistake:
    """A post that the artefact gets wrong.

    Attributes
    ----------
    text, language
        The post, and its language tag.
    said, told
        What people and the artefact say of it.
    narrative, score, threshold
        What was missed or wrongly given, if a narrative is; the threshold is None where none is promised.
    advances, gate
        Probability of the stance "advances", and the least one for any label.
    nearest
        Similar posts.
    """

    text: str
    language: str
    said: str
    told: str
    narrative: str | None
    score: float
    threshold: float | None
    advances: float
    gate: float
    nearest: tuple[Neighbour, ...]


class Lookalikes:
    """Finds similar posts among some, by TF-IDF of the characters within words."""

    def __init__(self, posts: Sequence[LabelledPost]) -> None:
        self._posts = posts
        self._vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True)
        self._matrix = self._vectors.fit_transform([post.text for post in posts])

    def of(self, post: LabelledPost) -> tuple[Neighbour, ...]:
        """The posts most similar to one that have another text."""
        cosines = (self._matrix @ self._vectors.transform([post.text]).T).toarray()[:, 0]
        order = [row for row in np.argsort(-cosines, kind="stable") if self._posts[row].text != post.text]
        return tuple(
            Neighbour(self._posts[row].text, _said(self._posts[row]), round(float(cosines[row]), 2))
            for row in order[:NEAREST]
        )


def worst_mistakes(
    posts: Sequence[LabelledPost],
    scored: Scored,
    truth: Truth,
    manifest: Manifest,
    thresholds: ThresholdSet,
    like: Lookalikes,
) -> dict[str, list[Mistake]]:
    """The worst mistakes of each of the :data:`KINDS`, at most :data:`WORST` of each."""
    return {
        kind: [
            Mistake(
                text=posts[row].text,
                language=posts[row].language,
                said=_said(posts[row]),
                told=_told(scored, row, manifest),
                narrative=None if column is None else manifest.narratives[column],
                score=score,
                threshold=None
                if column is None
                else manifest.threshold(thresholds, manifest.narratives[column], scored.languages[row]),
                advances=float(scored.stances[row, ADVANCES]),
                gate=manifest.advances,
                nearest=like.of(posts[row]),
            )
            for score, row, column in islice(found, WORST)
        ]
        for kind, found in find_mistakes(scored, truth)
    }


def find_mistakes(scored: Scored, truth: Truth) -> Iterator[tuple[str, Iterable[tuple[float, int, int | None]]]]:
    """Score, row and narrative of the mistakes of each kind, the worst first."""
    scores, flagged, told = scored.answers
    known = truth.known
    # A label on a post of another stance is a false flag. Where nobody said the stance it is only known to be wrong.
    advancing = ((truth.stances == ADVANCES) | (truth.stances < 0))[:, None]

    def cells(which: NDArray[np.bool_], sign: int) -> list[tuple[float, int, int | None]]:
        at = [(float(scores[row, column]), int(row), int(column)) for row, column in np.argwhere(which)]
        return sorted(at, key=lambda cell: sign * cell[0])

    yield "missed", cells(known & truth.labels & ~flagged, 1)
    yield "wrong", cells(known & ~truth.labels & flagged & advancing, -1)
    for stance in NOT_ADVANCING:
        of = truth.stances == STANCES.index(stance)
        # Once for each post, with its highest label.
        best = np.where(flagged, scores, -1)
        top = np.zeros_like(flagged)
        top[np.arange(len(of)), best.argmax(axis=1)] = True
        yield stance, cells(top & flagged & of[:, None], -1)
    wrong = np.flatnonzero((truth.stances >= 0) & (told != truth.stances))
    certain = [(float(scored.stances[row, told[row]]), int(row), None) for row in wrong]
    yield "stance", sorted(certain, key=lambda cell: -cell[0])


def _told(scored: Scored, row: int, manifest: Manifest) -> str:
    labels = [name for name, given in zip(manifest.narratives, scored.answers.flagged[row], strict=True) if given]
    review = [f"{narrative} (review)" for narrative in scored.abstained[row]]
    return " · ".join([STANCE_NAMES[STANCES[scored.answers.stances[row]]], *labels, *review])


def _said(post: LabelledPost) -> str:
    return " · ".join([STANCE_NAMES.get(post.stance or "", "stance not known"), *post.labels])
