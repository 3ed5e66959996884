"""Pairs of texts that say the same, or that only look as if they did: what the sentence embedding learns from."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from narratrace.model.errors import InputError
from narratrace.model.text import normalise
from narratrace.training.augmentation import Augmentation
from narratrace.training.labelled import field
from narratrace.training.rows import Row, read_rows
from narratrace.training.settings import (
    AugmentationSettings,
    DataSettings,
    EmbeddingSettings,
    FamilySettings,
    PairSettings,
)

_CHANGES = AugmentationSettings(
    strip_punctuation=0.3,
    strip_digits=0.1,
    lower_case=0.3,
    add_tags=0.4,
    add_emoji=0.3,
    typos=0.6,
    homoglyphs=0.1,
)
"""How often a copy is changed in which way; more than for labels, since a copy stays a copy."""

_CUT, _TURNED = 0.3, 0.2
"""Share of the copies that lose their end, and that change the order of their parts."""

_POOL = 4
"""Posts among which neighbours are looked for, for each that is drawn."""

_MOST_CHARACTERS = 1000
"""Longer texts are cut: an embedding is taught on what one window holds."""


@dataclass
class Messages:
    """Texts, and which of them say the same.

    Attributes
    ----------
    texts
        Normalised and distinct.
    same
        Pairs of positions of texts that say the same.
    different
        Pairs of positions of texts that do not, though they look alike.
    posts
        Positions of posts that were drawn at random.
    pool
        Positions of more of them, which are nobody's partner.
    """

    texts: list[str] = dataclasses.field(default_factory=list)
    same: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    different: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    posts: list[int] = dataclasses.field(default_factory=list)
    pool: list[int] = dataclasses.field(default_factory=list)
    _position: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, one: str, other: str, same: bool) -> None:
        """Add a pair of raw texts; one of empty or of equal texts says nothing and is left out."""
        first, second = (normalise(text[:_MOST_CHARACTERS]).text for text in (one, other))
        if not first or not second or first == second:
            return
        pair = (self.place(first), self.place(second))
        (self.same if same else self.different).append(pair)

    def place(self, text: str) -> int:
        """Position of a normalised text, which is added if it is not there."""
        place = self._position.setdefault(text, len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
        return place


def read_messages(settings: EmbeddingSettings, data: DataSettings, seed: int) -> Messages:
    """Read all pairs that the settings name; the same settings and seed give the same.

    Raises
    ------
    InputError
        A source or a row of it cannot be read, or lacks a column; a post was rewritten from an id that several texts
        have; or there is no pair at all.
    """
    messages = Messages()
    rng = random.Random(seed)
    for pairs in settings.pairs:
        _add_pairs(messages, pairs, rng)
    for families in settings.families:
        _add_families(messages, families)
    if settings.rewritten:
        _add_rewritten(messages, data)
    if settings.posts:
        posts = [text for (text,) in _columns(settings.posts, (data.columns.text,))]
        drawn = rng.sample(posts, min(len(posts), settings.limit * (_POOL if settings.neighbours else 1)))
        texts = list(filter(None, (normalise(post[:_MOST_CHARACTERS]).text for post in drawn)))
        for text in texts[: settings.limit]:
            messages.add(text, change_copy(text, rng), True)
            messages.posts.append(messages.place(text))
        messages.pool = [messages.place(text) for text in texts[settings.limit :]]
    if not messages.same:
        raise InputError("The settings 'embedding' give no pair of texts that say the same: name some in 'pairs'.")
    return messages


def change_copy(text: str, rng: random.Random) -> str:
    """Change a normalised post as those do who post it again: tags, typos, a cut end, parts in another order."""
    changed = Augmentation(_CHANGES)(text, rng)
    if rng.random() < _CUT:
        changed = changed[: max(1, round(len(changed) * rng.uniform(0.5, 0.9)))]
    if rng.random() < _TURNED:
        at = rng.randint(1, max(1, len(changed) - 1))
        changed = changed[at:] + " " + changed[:at]
    return changed


def _add_pairs(messages: Messages, settings: PairSettings, rng: random.Random) -> None:
    wanted = (settings.one, settings.other, *([settings.verdict] if settings.verdict else []))
    same, different = [], []
    for one, other, *verdict in _columns(settings.source, wanted):
        if not verdict or verdict[0] in settings.same:
            same.append((one, other))
        elif verdict[0] in settings.different:
            different.append((one, other))
    hard = rng.sample(different, min(len(different), settings.limit // 2))
    for pair in rng.sample(same, min(len(same), settings.limit - len(hard))):
        messages.add(*pair, same=True)
    for pair in hard:
        messages.add(*pair, same=False)


def _add_families(messages: Messages, settings: FamilySettings) -> None:
    families: dict[str, tuple[list[str], list[str]]] = {}
    for text, family, kind in _columns(settings.source, (settings.text, settings.family, settings.kind)):
        families.setdefault(family, ([], []))[kind in settings.different].append(text)
    for same, different in families.values():
        for pair in itertools.combinations(same, 2):
            messages.add(*pair, same=True)
        for pair in itertools.product(same, different):
            messages.add(*pair, same=False)


def _add_rewritten(messages: Messages, data: DataSettings) -> None:
    columns = data.columns
    if not columns.id or not columns.rewritten_from:
        raise InputError("'embedding.rewritten' needs the columns 'id' and 'rewritten_from' of the labelled posts.")
    rows = [row for source in (*data.train, *data.synthetic) for row in _rows(source)]
    texts: dict[str, set[str]] = {}
    for row in rows:
        if (own := field(row, columns.id)) not in (None, ""):
            texts.setdefault(str(own), set()).add(str(field(row, columns.text) or ""))
    for row in rows:
        origin = str(field(row, columns.rewritten_from))
        if len(texts.get(origin, ())) > 1:
            raise InputError(
                f"{row.where}: the post was rewritten from '{origin}', which is the id of several texts: give each "
                "post an id of its own, or set embedding.rewritten to false."
            )
        for text in texts.get(origin, ()):
            messages.add(text, str(field(row, columns.text) or ""), same=True)


def _rows(source: str) -> Iterator[Row]:
    for row in read_rows(source):
        if row.fault:
            raise InputError(f"{row.where}: {row.fault}.")
        yield row


def _columns(source: str, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the wanted columns of the rows that have them all."""
    found = False
    for row in _rows(source):
        values = [field(row, name) for name in names]
        if all(value is not None for value in values):
            found = True
            yield tuple(map(str, values))
    if not found:
        raise InputError(f"{source} has no row with the columns {', '.join(names)}, which 'embedding' asks for.")
