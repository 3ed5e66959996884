"""Labelled posts: reading them, and telling which belong together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from narratrace.model.errors import InputError, SettingsError
from narratrace.model.language import identify
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise

_LANGUAGES = {"mix": "mixed"}
"""Other names of languages in labelled sets."""


@dataclass(frozen=True, slots=True)
class LabelledPost:
    """A post and what people said of it.

    Attributes
    ----------
    text
        The raw post.
    language
        One of :data:`narratrace.model.language.LANGUAGES`.
    stance
        One of :data:`narratrace.model.taxonomy.STANCES`.
    labels
        Ids of the narratives that it advances; empty unless the stance is ``A``.
    ties
        Names of what it shares with other posts (near-duplicate group, account, source of a rewriting, family).
        Posts with a common tie are never in different folds.
    """

    text: str
    language: str
    stance: str
    labels: tuple[str, ...]
    ties: tuple[str, ...]


def read_labelled(path: Path, taxonomy: Taxonomy) -> list[LabelledPost]:
    """Read labelled posts from JSONL.

    Fields: ``text``, ``stance`` and ``labels``; optional ``lang`` (told from the text where missing), ``id``,
    ``group``, ``from``, ``account_id`` and ``family``.

    Raises
    ------
    InputError
        The file cannot be read, or a line does not fit; the message names file and line.
    """
    try:
        # Not splitlines, which would break a line at the other line ends that JSON strings may hold (U+2028, U+0085).
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read labelled posts from {path}: {error}.") from error
    return [_parse(line, f"{path}, line {number}", taxonomy) for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: str, where: str, taxonomy: Taxonomy) -> LabelledPost:
    try:
        fields = json.loads(line)
        text, stance, labels = fields["text"], fields["stance"], tuple(fields["labels"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{where}: a labelled post needs text, stance and labels ({error!r}).") from error
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: the text is empty.")
    if stance not in STANCES:
        raise InputError(f"{where}: the stance {stance!r} is none of {', '.join(STANCES)}.")
    for label in labels:
        try:
            taxonomy[str(label)]
        except SettingsError as error:  # it names the nearest known narrative
            raise InputError(f"{where}: {error}") from error
    if (stance == "A") != bool(labels):
        raise InputError(f"{where}: labels are for posts of stance A, and those need at least one.")
    ties = [f"text:{_key(text)}"]
    ties += [f"{kind}:{fields[kind]}" for kind in ("group", "account_id", "family") if fields.get(kind)]
    ties += [f"id:{fields[name]}" for name in ("id", "from") if fields.get(name)]
    language = fields.get("lang") or identify(normalise(text).text)
    return LabelledPost(text, _LANGUAGES.get(language, language), stance, labels, tuple(ties))


def _key(text: str) -> str:
    """What is left of a post without case, punctuation and blanks: equal for copies that differ in these alone."""
    return "".join(character for character in normalise(text).text.casefold() if character.isalnum())


def tie_groups(posts: Sequence[LabelledPost]) -> NDArray[np.int64]:
    """Number the groups of posts that are tied to each other, directly or through others; shape (posts,)."""
    numbers: dict[str, int] = {}
    rows, columns = [], []
    for row, post in enumerate(posts):
        for tie in post.ties:
            rows.append(row)
            columns.append(len(posts) + numbers.setdefault(tie, len(numbers)))
    size = len(posts) + len(numbers)
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(posts)], dtype=np.int64)


def label_matrix(posts: Iterable[LabelledPost], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Labels as a matrix, shape (posts, narratives)."""
    return np.array(
        [[narrative in post.labels for narrative in taxonomy.narrative_ids] for post in posts], dtype=bool
    ).reshape(-1, len(taxonomy.narrative_ids))


def stance_indices(posts: Iterable[LabelledPost]) -> NDArray[np.int64]:
    """Position of each post's stance in :data:`~narratrace.model.taxonomy.STANCES`; shape (posts,)."""
    return np.array([STANCES.index(post.stance) for post in posts], dtype=np.int64)
