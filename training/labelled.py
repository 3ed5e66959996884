"""Labelled posts: what a row says of a post, and which posts belong together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from narratrace.model.errors import InputError
from narratrace.model.language import LANGUAGES, identify
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.training.rows import Row, read_rows
from narratrace.training.settings import COLUMNS, ColumnSettings

UNKNOWN_STANCE = -100
"""Position of a stance that is not known; PyTorch's cross-entropy leaves it out."""

EVERY_OTHER = "*"
"""Among the unknown narratives: all but those that are given."""

_LANGUAGES = {
    "mix": "mixed",
    "zh-cn": "zh-Hans",
    "zh-sg": "zh-Hans",
    "zh-tw": "zh-Hant",
    "zh-hk": "zh-Hant",
    "zh-yue": "yue",
    "yue-hant": "yue",
    **{language.lower(): language for language in LANGUAGES},
}
"""Tags of labelled sets in lower case; for any other the language is told from the text."""

_UNDECIDED = {"", "zh"}
"""Tags that leave it to the text on purpose."""

_TRUE, _FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}

FaultKind = Literal["broken row", "empty text", "unknown stance", "unknown label", "labels and stance", "no label"]


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
        One of :data:`narratrace.model.taxonomy.STANCES`, or None where nobody said.
    labels
        Ids of the narratives that it advances; empty where the stance is another than ``A``.
    ties
        Names of what it shares with other posts (near-duplicate group, account, source of a rewriting, family).
        Posts with a common tie are never in different folds.
    unknown
        Ids of the narratives of which nobody said whether it advances them.
    id
        Name of what it shares with posts that were rewritten from it; None where the post has no id.
    """

    text: str
    language: str
    stance: str | None
    labels: tuple[str, ...]
    ties: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    id: str | None = None


class Fault(NamedTuple):
    """What is wrong with a row: one of a few kinds, and a sentence."""

    kind: FaultKind
    message: str


def read_labelled(source: str | Path, taxonomy: Taxonomy, columns: ColumnSettings = COLUMNS) -> list[LabelledPost]:
    """Read labelled posts.

    Parameters
    ----------
    source
        As for :func:`narratrace.training.rows.read_rows`.
    taxonomy
        The narratives that labels may name.
    columns
        Which column holds what.

    Raises
    ------
    InputError
        The source cannot be read, lacks a column, or a row does not fit; the message names file and line.
    """
    posts = []
    for row, found in parse_rows(source, taxonomy, columns):
        if isinstance(found, Fault):
            raise InputError(f"{row.where}: {found.message}.")
        posts.append(found)
    return posts


def parse_rows(
    source: str | Path, taxonomy: Taxonomy, columns: ColumnSettings
) -> Iterator[tuple[Row, LabelledPost | Fault]]:
    """Yield every row of a labelled file, with the post that it is or the fault that it has.

    Raises
    ------
    InputError
        The source cannot be read, or no row has a column that is needed or was named on purpose.
    """
    rows = list(read_rows(source))
    _check_columns(source, rows, taxonomy, columns)
    for row in rows:
        yield row, parse(row, taxonomy, columns)


def parse(row: Row, taxonomy: Taxonomy, columns: ColumnSettings) -> LabelledPost | Fault:
    """Read one row as a labelled post."""
    if row.fault:
        return Fault("broken row", row.fault)
    text = field(row, columns.text)
    if not isinstance(text, str) or not text.strip():
        return Fault("empty text", "the text is empty")
    text = text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold halves of surrogate pairs
    stance = field(row, columns.stance)
    if stance == "":
        stance = None
    if stance is not None and stance not in STANCES:
        return Fault("unknown stance", f"the stance {stance!r} is none of {', '.join(STANCES)}")
    found = _read_labels(row, taxonomy, columns)
    if isinstance(found, Fault):
        return found
    labels, unknown = found
    if stance is None and len(unknown) == len(taxonomy.narratives):
        return Fault("no label", "neither the stance nor any narrative of the post is known")
    if labels and stance not in ("A", None):
        return Fault("labels and stance", f"a post of stance {stance} advances nothing and has no labels")
    if stance == "A" and not labels and not unknown:
        return Fault("labels and stance", "a post of stance A needs at least one label")
    if stance not in ("A", None):
        unknown = ()  # what does not advance anything advances none of them
    own = _tie("id", field(row, columns.id))
    return LabelledPost(text, _language(row, columns, text), stance, labels, _ties(row, columns, text), unknown, own)


def field(row: Row, name: str | None) -> Any:
    """Value of a column, None where the row has none, or NaN; a dot leads into a nested field, as in ``user.id``."""
    if name is None:
        return None
    at: Any = row.fields
    if name in at:
        at = at[name]
    else:
        for part in name.split("."):
            at = at.get(part) if isinstance(at, Mapping) else None
    return None if isinstance(at, float) and math.isnan(at) else at


def _check_columns(source: str | Path, rows: Sequence[Row], taxonomy: Taxonomy, columns: ColumnSettings) -> None:
    """Refuse a mapping to columns, or to narratives, that are not there."""
    if not isinstance(columns.labels, str):
        for narrative in columns.labels:
            taxonomy[narrative]
    wanted = {"text": [columns.text]}
    wanted["labels"] = [columns.labels] if isinstance(columns.labels, str) else list(columns.labels.values())
    for name in ("unknown", "stance", "language", "account", "id", "rewritten_from", "source"):
        column = getattr(columns, name)
        # A default name is no demand: most sets have only some of these, and a run's resolved settings name them all.
        if column not in (None, ColumnSettings.model_fields[name].default):
            wanted[name] = [column]
    if columns.group != COLUMNS.group:
        wanted["group"] = list(columns.group)
    read = [row for row in rows if not row.fault]
    for name, needed in wanted.items():
        for column in needed:
            if read and not any(column in row.fields or field(row, column) is not None for row in read):
                there = ", ".join(dict.fromkeys(key for row in read[:100] for key in row.fields))
                raise InputError(f"{source} has no column '{column}' for the {name}; its columns are {there}.")


def _read_labels(
    row: Row, taxonomy: Taxonomy, columns: ColumnSettings
) -> tuple[tuple[str, ...], tuple[str, ...]] | Fault:
    """Read the narratives that a post advances, and those of which it is not known."""
    if not isinstance(columns.labels, str):
        cells = {narrative: _cell(field(row, column)) for narrative, column in columns.labels.items()}
        if wrong := [narrative for narrative, cell in cells.items() if cell == "neither"]:
            value = field(row, columns.labels[wrong[0]])
            return Fault("unknown label", f"{value!r} in the column of {wrong[0]} is neither yes (1) nor no (0)")
        labels = tuple(narrative for narrative, cell in cells.items() if cell is True)
        return labels, tuple(one for one in taxonomy.narrative_ids if cells.get(one) is None)
    given = _names(field(row, columns.labels), columns)
    unsure = _names(field(row, columns.unknown), columns) or ()
    known = {*taxonomy.narrative_ids}
    if wrong := [name for name in (*(given or ()), *unsure) if name not in known | {EVERY_OTHER}]:
        return Fault("unknown label", "; ".join(_unknown_label(name, taxonomy) for name in dict.fromkeys(wrong)))
    if given is None or EVERY_OTHER in unsure:
        unsure = taxonomy.narrative_ids
    labels = given or ()
    if EVERY_OTHER in labels:
        return Fault("unknown label", f"'{EVERY_OTHER}' is for the column of unknown narratives")
    return labels, tuple(name for name in taxonomy.narrative_ids if name in unsure and name not in labels)


def _unknown_label(name: str, taxonomy: Taxonomy) -> str:
    near = difflib.get_close_matches(name, taxonomy.narrative_ids, n=1, cutoff=0.5)
    hint = f"the nearest is {near[0]}" if near else "it has nothing alike"
    return f"the taxonomy has no narrative {name!r}, {hint}"


def _names(value: Any, columns: ColumnSettings) -> tuple[str, ...] | None:
    """Names in a list or in a delimited string; None where there is no value."""
    if value is None:
        return None
    parts = value if isinstance(value, list | tuple) else str(value).split(columns.delimiter)
    names = (str(part).strip() for part in parts)
    return tuple(dict.fromkeys(name for name in names if name and name not in columns.none))


def _cell(value: Any) -> bool | Literal["neither"] | None:
    """Read the cell of a narrative's own column; None where it is not known."""
    if value is None or value == "":
        return None
    said = str(value).strip().lower()
    return True if said in _TRUE else False if said in _FALSE else "neither"


def _language(row: Row, columns: ColumnSettings, text: str) -> str:
    return _LANGUAGES.get(_tag(row, columns)) or identify(normalise(text).text)


def _tag(row: Row, columns: ColumnSettings) -> str:
    return str(field(row, columns.language) or "").strip().replace("_", "-").lower()


def unknown_tag(row: Row, columns: ColumnSettings) -> str | None:
    """Tell a row's language tag where it is not known, so that the text alone decides; None where it is."""
    tag = _tag(row, columns)
    return None if tag in {*_LANGUAGES, *_UNDECIDED} else str(field(row, columns.language)).strip()


def _ties(row: Row, columns: ColumnSettings, text: str) -> tuple[str, ...]:
    named = [("account", columns.account), *((column, column) for column in columns.group)]
    named.append(("id", columns.rewritten_from))
    # Posts without a letter (a link, an emoji) have the same empty key and nothing in common.
    ties = (_tie("text", _key(text)), *(_tie(kind, field(row, column)) for kind, column in named))
    return tuple(tie for tie in ties if tie)


def _tie(kind: str, value: Any) -> str | None:
    return None if value in (None, "") else f"{kind}:{value}"


def _key(text: str) -> str:
    """What is left of a post without case, punctuation and blanks: equal for copies that differ in these alone."""
    return "".join(character for character in normalise(text).text.casefold() if character.isalnum())


def find_ties(posts: Sequence[LabelledPost]) -> list[tuple[str, ...]]:
    """Ties of each post among these, its own id where one of them was rewritten from it.

    Only then: files that number their posts from 1 have the same ids for posts that have nothing in common.
    """
    named = {tie for post in posts for tie in post.ties}
    return [(*post.ties, post.id) if post.id in named and post.id not in post.ties else post.ties for post in posts]


def tie_groups(posts: Sequence[LabelledPost]) -> NDArray[np.int64]:
    """Number the groups of posts that are tied to each other, directly or through others; shape (posts,)."""
    numbers: dict[str, int] = {}
    rows, columns = [], []
    for row, ties in enumerate(find_ties(posts)):
        for tie in ties:
            rows.append(row)
            columns.append(len(posts) + numbers.setdefault(tie, len(numbers)))
    size = len(posts) + len(numbers)
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(posts)], dtype=np.int64)


def label_matrix(posts: Iterable[LabelledPost], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Labels as a matrix, shape (posts, narratives); False where not known, too: see :func:`known_matrix`."""
    return np.array(
        [[narrative in post.labels for narrative in taxonomy.narrative_ids] for post in posts], dtype=bool
    ).reshape(-1, len(taxonomy.narrative_ids))


def known_matrix(posts: Iterable[LabelledPost], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Whether it is known if a post advances a narrative, shape (posts, narratives)."""
    return np.array(
        [[narrative not in post.unknown for narrative in taxonomy.narrative_ids] for post in posts], dtype=bool
    ).reshape(-1, len(taxonomy.narrative_ids))


def stance_indices(posts: Iterable[LabelledPost]) -> NDArray[np.int64]:
    """Position of each post's stance in :data:`~narratrace.model.taxonomy.STANCES`; shape (posts,).

    :data:`UNKNOWN_STANCE` where nobody said.
    """
    return np.array([STANCES.index(post.stance) if post.stance else UNKNOWN_STANCE for post in posts], dtype=np.int64)
