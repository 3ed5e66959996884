"""From logits to scores, labels and what is left to a person: the decision that an artefact carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import Calibration, Manifest
from narratrace.model.taxonomy import STANCES

REVIEW_SCORE = 0.5
"""Score from which a narrative without any threshold is left to a person instead of being passed over."""

_ADVANCES = STANCES.index("A")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def advance_logit(stances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds of the stance "advances" against all others; ``stances`` of shape (n, 4), the result of (n,)."""
    others = np.delete(stances, _ADVANCES, axis=1)
    top = others.max(axis=1)
    return stances[:, _ADVANCES] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))


def calibrate(
    narratives: NDArray[np.float32], stances: NDArray[np.float32], calibration: Sequence[Calibration]
) -> NDArray[np.float32]:
    """Scores, shape (n, narratives), from both heads' logits and one calibration per narrative."""
    slope, stance, intercept = np.array(
        [(one.slope, one.stance, one.intercept) for one in calibration], dtype=np.float32
    ).T
    logits = slope * narratives + stance * advance_logit(stances)[:, None] + intercept
    return 1 / (1 + np.exp(-logits))


def decide(
    scores: NDArray[np.float32], languages: Sequence[str], manifest: Manifest
) -> tuple[list[list[str]], list[list[str]]]:
    """Labels of n posts, and the narratives that are left to a person.

    A narrative is a label where its score reaches the threshold for the post's language. Where the artefact promises
    no threshold (for that language, or because it was not trained for the language at all), a score that would
    otherwise count leaves the narrative to a person.

    Returns
    -------
    tuple
        ``labels`` and ``abstained``, each one list of narrative ids per post.
    """
    labels: list[list[str]] = []
    abstained: list[list[str]] = []
    for row, language in zip(scores, languages, strict=True):
        labelled, review = [], []
        for narrative, score in zip(manifest.narratives, row, strict=True):
            threshold = manifest.thresholds[narrative]
            promised = threshold.of(language) if language in manifest.languages else None
            if promised is not None:
                if score >= promised:
                    labelled.append(narrative)
            elif score >= (REVIEW_SCORE if threshold.default is None else threshold.default):
                review.append(narrative)
        labels.append(labelled)
        abstained.append(review)
    return labels, abstained
