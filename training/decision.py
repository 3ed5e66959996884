"""All that an artefact decides by, fitted on held-out posts: calibration, gate, and both sets of thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from narratrace.model.artefact import Calibration, Promise, PromisedThresholds, StanceCalibration, Threshold
from narratrace.model.language import identify
from narratrace.model.scores import ADVANCES, Logits, Scores, calibrate
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.training.calibration import fit_calibration, fit_stance_calibration
from narratrace.training.folds import related_groups
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices
from narratrace.training.promise import promise_precision
from narratrace.training.settings import ThresholdSettings
from narratrace.training.thresholds import Thresholds, choose_thresholds


class Decision(NamedTuple):
    """What stands between logits and labels.

    Attributes
    ----------
    calibration
        One for each narrative, in the taxonomy's order.
    stance_calibration
        Of the stances.
    thresholds
        The gate, and the thresholds of the best F1.
    promised
        Thresholds of a promised precision, for each narrative and language.
    """

    calibration: list[Calibration]
    stance_calibration: StanceCalibration
    thresholds: Thresholds
    promised: PromisedThresholds

    def scores(self, deep: Logits, wide: Logits) -> Scores:
        """Calibrated scores of the logits of posts."""
        return calibrate(deep, wide, self.calibration, self.stance_calibration)

    def raised(self, by: float) -> Decision:
        """The same with all thresholds raised, but for the gate."""
        return self._replace(thresholds=self.thresholds.raised(by), promised=self.promised.raised(by))

    def of_f1(self, narratives: Sequence[str]) -> dict[str, Threshold]:
        """The thresholds of the best F1, by narrative id."""
        chosen = self.thresholds.narratives.tolist()
        return {narrative: Threshold(default=one) for narrative, one in zip(narratives, chosen, strict=True)}


def fit_decision(
    deep: Logits,
    wide: Logits,
    posts: Sequence[LabelledPost],
    taxonomy: Taxonomy,
    languages: Sequence[str],
    settings: ThresholdSettings,
) -> Decision:
    """Fit everything on posts that neither encoder nor wide part learnt from.

    Parameters
    ----------
    deep, wide
        Out-of-fold logits of the posts.
    posts
        Labelled posts. Related ones have one vote on what is promised.
    taxonomy
        The narratives.
    languages
        Languages that the artefact answers for: each narrative gets a promised threshold, or none, in each of them.
    settings
        What thresholds have to keep.
    """
    labels, known, stances = label_matrix(posts, taxonomy), known_matrix(posts, taxonomy), stance_indices(posts)
    calibration = fit_calibration(deep, wide, labels, known)
    stance_calibration = fit_stance_calibration(deep, wide, stances)
    scores = calibrate(deep, wide, calibration, stance_calibration)
    thresholds = choose_thresholds(scores, labels, known, stances, settings.smoothing, settings.false_flags)
    passed = np.where((scores.stances[:, ADVANCES] >= thresholds.advances)[:, None], scores.narratives, 0)
    groups = related_groups(posts)
    # As they will be told in use, not as the labelled set has them.
    told = np.array([identify(normalise(post.text).text) for post in posts])

    def promise(column: int, language: str) -> Promise:
        rows = known[:, column] & (told == language)
        at = passed[rows, column], labels[rows, column], groups[rows]
        return promise_precision(*at, settings.precision, settings.confidence)

    promised = {
        narrative: {language: promise(column, language) for language in languages}
        for column, narrative in enumerate(taxonomy.narrative_ids)
    }
    return Decision(
        calibration,
        stance_calibration,
        thresholds,
        PromisedThresholds(precision=settings.precision, confidence=settings.confidence, narratives=promised),
    )
