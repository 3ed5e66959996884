"""Posts as a classifier scores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import Artefact, ThresholdSet
from narratrace.model.taxonomy import STANCES
from narratrace.training.metrics import Answers

_AT_ONCE = 256


class Scorer(Protocol):
    """What is evaluated; ``narratrace.Classifier`` fulfils it."""

    artefact: Artefact
    backend: str
    thresholds: ThresholdSet

    def batch(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Score the posts of the column ``text``, as ``Classifier.batch`` does."""
        ...


class Scored(NamedTuple):
    """What a classifier says of n posts."""

    answers: Answers
    stances: NDArray[np.float32]
    """Probability of each stance, shape (n, stances)."""
    languages: list[str]
    """Language tags."""
    abstained: list[list[str]]
    """Narratives that are left to a person."""


def score_posts(scorer: Scorer, texts: Sequence[str], on_progress: Callable[[int, int], None]) -> Scored:
    """Score raw posts; ``on_progress`` is called with the posts done and to do."""
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, max(len(texts), 1), _AT_ONCE):
        column = np.empty(len(texts[start : start + _AT_ONCE]), dtype=object)
        column[:] = texts[start : start + _AT_ONCE]
        parts.append(scorer.batch({"text": column}))
        on_progress(min(start + _AT_ONCE, len(texts)), len(texts))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    narratives = scorer.artefact.manifest.narratives
    flagged = [[narrative in labels for narrative in narratives] for labels in columns["labels"]]
    return Scored(
        Answers(
            np.stack([columns[f"score_{narrative}"] for narrative in narratives], axis=1),
            np.array(flagged, dtype=bool).reshape(-1, len(narratives)),
            np.array([STANCES.index(stance) for stance in columns["stance"]], dtype=np.int64),
        ),
        np.stack([columns[f"stance_{stance}"] for stance in STANCES], axis=1),
        [str(language) for language in columns["language"]],
        [list(narratives) for narratives in columns["abstained"]],
    )
