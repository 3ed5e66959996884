"""The posts of a run: read, and dealt to the folds of its cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from narratrace.model.errors import InputError, SettingsError
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.training.folds import assign_folds, related_groups, split
from narratrace.training.labelled import LabelledPost, read_labelled
from narratrace.training.settings import TrainingSettings

ALWAYS = -1
"""In the place of a fold: learnt from in every training."""


@dataclass(frozen=True)
class RunPosts:
    """The labelled posts of a run: ``measured`` ones count in thresholds and figures, ``synthetic`` ones do not."""

    measured: list[LabelledPost]
    synthetic: list[LabelledPost]
    dev: dict[str, list[LabelledPost]]

    @property
    def learnt(self) -> list[LabelledPost]:
        """All posts to learn from, measured ones first."""
        return [*self.measured, *self.synthetic]

    @cached_property
    def measured_texts(self) -> list[str]:
        """Normalised texts of the measured posts."""
        return [normalise(post.text).text for post in self.measured]


def read_posts(settings: TrainingSettings, taxonomy: Taxonomy) -> RunPosts:
    """Read all posts of a run.

    Raises
    ------
    InputError
        A source cannot be read, or there are fewer posts than folds.
    SettingsError
        Early stopping names a dev set that is not there.
    """

    def read(*sources: str) -> list[LabelledPost]:
        return [post for source in sources for post in read_labelled(source, taxonomy, settings.data.columns)]

    watched = settings.early_stopping and settings.early_stopping.dev
    if watched and watched not in settings.data.dev:
        raise SettingsError(f"early_stopping.dev names '{watched}', which is none of data.dev: add it there.")
    posts = RunPosts(
        read(*settings.data.train),
        read(*settings.data.synthetic),
        {name: read(source) for name, source in settings.data.dev.items()},
    )
    if len(posts.measured) < settings.thresholds.folds:
        raise InputError(f"{len(posts.measured)} labelled posts are too few for {settings.thresholds.folds} folds.")
    return posts


def deal(posts: RunPosts, settings: TrainingSettings) -> NDArray[np.int64]:
    """Fold of each post to learn from, measured ones first; :data:`ALWAYS` where every training learns from it.

    A synthetic post that no measured one is related to gives nothing away of any held-out post, so that holding it out
    would only make the trainings of the folds unlike the final one.
    """
    groups = related_groups(posts.learnt)
    folds = assign_folds(posts.learnt, settings.thresholds.folds, settings.seed, groups)
    folds[~np.isin(groups, groups[: len(posts.measured)])] = ALWAYS
    return folds


def split_watched(posts: list[LabelledPost], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows of the posts to learn from, and rows of a share that is watched; related posts stay together."""
    parts = split(posts, [1 - share, share], seed)
    return np.flatnonzero(parts == 0).tolist(), np.flatnonzero(parts == 1).tolist()
