"""From logits to scores, labels and what is left to a person: the decision that an artefact carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import Calibration, Manifest, StanceCalibration, ThresholdSet
from narratrace.model.taxonomy import STANCES

REVIEW_SCORE = 0.5
"""Score from which a narrative without any threshold is left to a person instead of being passed over."""

ADVANCES = STANCES.index("A")
"""Place of the stance "advances"."""


class Logits(NamedTuple):
    """What one part of the model, encoder or wide, says of n posts."""

    narratives: NDArray[np.float32]
    """Shape (n, narratives)."""
    stances: NDArray[np.float32]
    """Shape (n, stances)."""

    @classmethod
    def concatenate(cls, parts: Sequence[Logits]) -> Logits:
        """Put the logits of batches together."""
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))


class Scores(NamedTuple):
    """Calibrated probabilities of n posts, each 0 to 1."""

    narratives: NDArray[np.float32]
    """Shape (n, narratives)."""
    stances: NDArray[np.float32]
    """Shape (n, stances); every row adds up to 1."""


def calibrate(deep: Logits, wide: Logits, narratives: Sequence[Calibration], stances: StanceCalibration) -> Scores:
    """Scores from the logits of the encoder and of the wide part, with one calibration per narrative."""
    stance_logits = stances.deep * deep.stances + stances.wide * wide.stances
    by_deep, by_wide, intercept = np.array([(one.deep, one.wide, one.intercept) for one in narratives], np.float32).T
    logits = by_deep * deep.narratives + by_wide * wide.narratives + intercept
    shifted = np.exp(stance_logits - stance_logits.max(axis=1, keepdims=True, initial=-np.inf))
    return Scores(np.exp(-np.logaddexp(0, -logits)), shifted / shifted.sum(axis=1, keepdims=True))


def score(deep: Logits, wide: Logits, manifest: Manifest) -> Scores:
    """Scores as an artefact calibrates them."""
    narratives = [manifest.calibration[narrative] for narrative in manifest.narratives]
    return calibrate(deep, wide, narratives, manifest.stance_calibration)


def decide(
    scores: Scores, languages: Sequence[str], manifest: Manifest, thresholds: ThresholdSet
) -> tuple[list[list[str]], list[list[str]]]:
    """Labels of n posts, and the narratives that are left to a person.

    A post that more probably reports, counters or does neither gets no label, whatever its words. In any other, a
    narrative is a label where its score reaches the threshold for the post's language. What would count by its best
    F1 and is no label is left to a person: there is no threshold for it (for that language, or because the artefact
    was not trained for the language at all), or it does not reach the one that is promised.

    Parameters
    ----------
    scores
        Calibrated scores of n posts.
    languages
        Their language tags.
    manifest
        Of the artefact.
    thresholds
        Which set of thresholds decides.

    Returns
    -------
    tuple
        ``labels`` and ``abstained``, each one list of narrative ids per post.
    """
    labels: list[list[str]] = [[] for _ in languages]
    abstained: list[list[str]] = [[] for _ in languages]
    for row in np.flatnonzero(scores.stances[:, ADVANCES] >= manifest.advances).tolist():
        language = languages[row]
        for narrative, score in zip(manifest.narratives, scores.narratives[row], strict=True):
            promised = manifest.threshold(thresholds, narrative, language)
            if promised is not None and score >= promised:
                labels[row].append(narrative)
            elif score >= _review_from(manifest, narrative, language):
                abstained[row].append(narrative)
    return labels, abstained


def _review_from(manifest: Manifest, narrative: str, language: str) -> float:
    """Score from which a narrative that is no label is left to a person."""
    best = manifest.threshold("f1", narrative, language)
    if best is None:
        best = manifest.thresholds[narrative].default
    return REVIEW_SCORE if best is None else best
