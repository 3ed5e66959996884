"""What can be wrong with labelled posts, one function for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from narratrace.model.errors import InputError
from narratrace.model.language import LANGUAGES, identify, one_script
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.training import label_errors
from narratrace.training.check_report import Example, Finding, Support
from narratrace.training.labelled import Fault, LabelledPost, field, find_ties, unknown_tag
from narratrace.training.metrics import SUPPORT
from narratrace.training.near_duplicates import SIMILAR, Pair, between_splits
from narratrace.training.promise import fewest_groups
from narratrace.training.rows import Row
from narratrace.training.settings import ColumnSettings

PROMISE = fewest_groups(0.9, 0.9)
"""Groups of posts that the usual promise of a precision needs, even if the model makes no mistake."""

RARE = 10
"""Posts below which a narrative, or a stance beside them, cannot be learnt."""

SHOWN = 200
"""Examples that a finding holds at most."""

TAGS_NAMED = 5
"""Unknown language tags that a finding names at most, the most frequent first."""

_EXCERPT = 200
_CUT_SHARE = 0.01
_LARGE_SHARE = 0.3
_FAMILY = {"zh-Hans": "Chinese", "zh-Hant": "Chinese", "yue": "Chinese"}
_SCRIPTS = {"zh-Hans": "Simplified", "zh-Hant": "Traditional"}


@dataclass(frozen=True)
class Posts:
    """What was read: posts with their split and row, the faults of other rows, and which posts are alike.

    Attributes
    ----------
    near
        Pairs of near-duplicates.
    groups
        Group of related posts of each post, shape (posts,).
    """

    splits: list[str]
    rows: list[Row]
    posts: list[LabelledPost]
    faults: list[tuple[Row, Fault]]
    near: list[Pair]
    groups: NDArray[np.int64]

    def example(self, at: int, detail: str) -> Example:
        """A post as an example."""
        return Example(where=self.rows[at].where, text=excerpt(self.posts[at].text), detail=detail)

    def pair(self, pair: Pair, detail: str) -> Example:
        """Two posts as an example."""
        one, other = (self.rows[at].where for at in (pair.first, pair.second))
        texts = (excerpt(self.posts[at].text, _EXCERPT // 2) for at in (pair.first, pair.second))
        return Example(where=f"{one}; {other}", text=" ¦ ".join(texts), detail=detail)


def excerpt(text: str, longest: int = _EXCERPT) -> str:
    """The start of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def find_faults(read: Posts, text: str) -> Iterator[Finding]:
    """Find rows that cannot be read as labelled posts; ``text`` is the column of the post."""
    advice = {
        "broken row": ("Rows that cannot be read", "Correct or remove them"),
        "empty text": ("Rows without a text", "Remove them"),
        "unknown stance": ("Rows with a stance that is none of A, R, C and N", "Correct it, or leave it out"),
        "unknown label": (
            "Rows with a label that the taxonomy does not know",
            "Correct it, or name it under 'none' if it stands for no narrative",
        ),
        "labels and stance": (
            "Rows with a stance that does not fit their labels",
            "Labels are for posts that advance a narrative, stance A",
        ),
        "no label": ("Rows with neither a stance nor labels", "Label or remove them"),
    }
    for kind, (what, then) in advice.items():
        found = [(row, fault) for row, fault in read.faults if fault.kind == kind]
        if found:
            examples = tuple(
                Example(where=row.where, text=excerpt(str(field(row, text) or "")), detail=fault.message)
                for row, fault in found[:SHOWN]
            )
            message = f"{what}: {len(found)}. {then}."
            yield Finding(severity="error", kind=kind, message=message, count=len(found), examples=examples)


def find_leaks(read: Posts, splits: Sequence[str]) -> Iterator[Finding]:
    """Find posts of one split that give away posts of another."""
    of_tie: dict[str, dict[str, list[int]]] = {}
    for at, (split, own) in enumerate(zip(read.splits, find_ties(read.posts), strict=True)):
        for tie in own:
            if not tie.startswith("text:"):
                of_tie.setdefault(tie, {}).setdefault(split, []).append(at)
    near = between_splits(read.near, read.splits)
    for one, other in combinations(splits, 2):
        pairs = [pair for pair in near if {read.splits[pair.first], read.splits[pair.second]} == {one, other}]
        for kind, those in (
            ("the same text", [pair for pair in pairs if pair.similarity == 1]),
            ("nearly the same text", [pair for pair in pairs if pair.similarity < 1]),
        ):
            if those:
                yield Finding(
                    severity="error",
                    kind="leak of texts",
                    message=f"Pairs of posts with {kind} in {one} and in {other}: {len(those)}. Figures on {other} "
                    "would be too good: take one of each out, or make the parts with 'narratrace data split'.",
                    count=len(those),
                    examples=tuple(read.pair(pair, f"similarity {pair.similarity:.2f}") for pair in those[:SHOWN]),
                )
        shared = {tie: both for tie, both in of_tie.items() if one in both and other in both}
        for kind, accounts in (("account", True), ("group, family or rewriting", False)):
            ties = {tie: both for tie, both in shared.items() if tie.startswith("account:") == accounts}
            given_away = sorted({at for both in ties.values() for at in both[other]})
            if given_away:
                names = {at: tie for tie, both in ties.items() for at in both[other]}
                yield Finding(
                    severity="warning" if accounts else "error",
                    kind=f"leak by {kind}",
                    message=f"Posts of {other} that share their {kind} with posts of {one}: {len(given_away)}. Figures "
                    f"on {other} say little of {'accounts' if accounts else 'texts'} that were never seen.",
                    count=len(given_away),
                    examples=tuple(read.example(at, names[at]) for at in given_away[:SHOWN]),
                )


def find_duplicates(read: Posts) -> Iterator[Finding]:
    """Find posts that repeat others of their split."""
    near = between_splits(read.near, read.splits)
    within = [pair for pair in near if read.splits[pair.first] == read.splits[pair.second]]
    same = [pair for pair in within if pair.similarity == 1]
    alike = [pair for pair in within if pair.similarity < 1]
    for kind, those, what in (
        (
            "duplicates",
            same,
            "Posts that repeat another one of their split, but for case, digits, punctuation and script",
        ),
        ("near-duplicates", alike, f"Pairs of posts that share at least {SIMILAR:.0%} of their letters' 3-grams"),
    ):
        if those:
            yield Finding(
                severity="warning",
                kind=kind,
                message=f"{what}: {len(those)}. They weigh more than others in training, and never part in a split.",
                count=len(those),
                examples=tuple(read.pair(pair, f"similarity {pair.similarity:.2f}") for pair in those[:SHOWN]),
            )


def find_conflicts(read: Posts, taxonomy: Taxonomy) -> Iterator[Finding]:
    """Find near-duplicates that are labelled differently."""
    found = []
    for pair in read.near:
        one, other = read.posts[pair.first], read.posts[pair.second]
        differ = [
            narrative
            for narrative in sorted({*one.labels} ^ {*other.labels}, key=taxonomy.narrative_ids.index)
            if narrative not in (*one.unknown, *other.unknown)
        ]
        if one.stance and other.stance and one.stance != other.stance:
            differ.insert(0, f"stance {one.stance} and {other.stance}")
        if differ:
            found.append((pair, ", ".join(differ)))
    if found:
        yield Finding(
            severity="warning",
            kind="conflicting labels",
            message=f"Pairs of near-duplicates that are labelled differently: {len(found)}. Decide for one, unless "
            "what differs between the texts changes what they say.",
            count=len(found),
            examples=tuple(read.pair(pair, f"differ in {differ}") for pair, differ in found[:SHOWN]),
        )


def find_other_languages(read: Posts) -> Iterator[Finding]:
    """Find posts that are not in the language, or the Chinese script, that they are tagged with."""
    found = []
    for at, post in enumerate(read.posts):
        text = normalise(post.text).text
        told = identify(text)
        families = {_FAMILY.get(tag, tag) for tag in (post.language, told)}
        if len(families) > 1 and not families & {"mixed", "und"}:
            found.append((at, f"reads like {told}"))
        elif post.language in _SCRIPTS and (script := one_script(text)) and script != post.language:
            found.append((at, f"is in {_SCRIPTS[script]} characters"))
    if found:
        yield Finding(
            severity="warning",
            kind="language",
            message="Posts that read like another language, or are in another script, than they are tagged with: "
            f"{len(found)}. Thresholds and figures by language would be of the wrong one.",
            count=len(found),
            examples=tuple(read.example(at, f"tagged {read.posts[at].language}, {what}") for at, what in found[:SHOWN]),
        )


def find_unknown_languages(read: Posts, columns: ColumnSettings) -> Iterator[Finding]:
    """Find posts whose language tag is not known and therefore not used."""
    tags = [(at, tag) for at, row in enumerate(read.rows) if (tag := unknown_tag(row, columns))]
    if tags:
        named = ", ".join(f"{tag} ({count})" for tag, count in Counter(tag for _, tag in tags).most_common(TAGS_NAMED))
        yield Finding(
            severity="warning",
            kind="unknown language tag",
            message=f"Posts with a language tag that is not known: {len(tags)}, as {named}. Their language is told "
            f"from the text instead: correct the tag to one of {', '.join(LANGUAGES)}, or leave it out.",
            count=len(tags),
            examples=tuple(
                read.example(at, f"tagged {tag}, taken for {read.posts[at].language}") for at, tag in tags[:SHOWN]
            ),
        )


def find_long(read: Posts, tokens: NDArray[np.int64], at_once: int) -> Iterator[Finding]:
    """Find posts that training cuts, if they are more than a few; ``tokens`` of shape (posts,)."""
    longer = np.flatnonzero(tokens > at_once)
    if len(longer) > _CUT_SHARE * len(tokens):
        order = longer[np.argsort(-tokens[longer], kind="stable")]
        yield Finding(
            severity="warning",
            kind="long posts",
            message=f"Posts longer than the {at_once} tokens that are read at once: {len(longer)}. Training reads "
            "their beginning alone, so label what is said there, cut them into parts, or raise max_tokens.",
            count=len(longer),
            examples=tuple(read.example(int(at), f"{tokens[at]} tokens") for at in order[:SHOWN]),
        )


def find_rare(support: Sequence[Support], learnt: str) -> Iterator[Finding]:
    """Find narratives with too few posts to learn, to calibrate or to measure."""
    needs = {
        "rare narratives": (0, RARE, f"fewer than {RARE} posts in {learnt}, too few to learn"),
        "hard to promise": (
            RARE,
            PROMISE,
            f"fewer than {PROMISE} posts in {learnt}, too few to calibrate and to promise a precision of 0.9",
        ),
    }
    for kind, (least, below, what) in needs.items():
        few = [one for one in support if one.split == learnt and least <= min(one.posts, one.groups) < below]
        yield from _name_rare(kind, few, what)
    for split in dict.fromkeys(one.split for one in support if one.split != learnt):
        few = [one for one in support if one.split == split and one.posts < SUPPORT]
        yield from _name_rare(
            "hard to measure", few, f"fewer than {SUPPORT} posts in {split}, so that figures are mostly luck"
        )


def _name_rare(kind: str, few: Sequence[Support], what: str) -> Iterator[Finding]:
    if few:
        named = ", ".join(
            f"{one.narrative} ({one.posts}{f' in {one.groups} groups' if one.groups < one.posts else ''})"
            for one in few
        )
        counted = " Posts of one group count once." if kind != "hard to measure" else ""
        message = f"Narratives with {what}: {named}.{counted}"
        yield Finding(severity="warning", kind=kind, message=message, count=len(few))


def find_large_groups(read: Posts, splits: Sequence[str]) -> Iterator[Finding]:
    """Find groups of related posts that make up much of a split."""
    for split in splits:
        rows = np.flatnonzero([one == split for one in read.splits])
        numbers, counts = np.unique(read.groups[rows], return_counts=True)
        if not len(rows) or counts.max() <= max(_LARGE_SHARE * len(rows), RARE):
            continue
        members = rows[read.groups[rows] == numbers[counts.argmax()]]
        ties = Counter(tie for some in find_ties([read.posts[at] for at in members]) for tie in some)
        tie, shared = ties.most_common(1)[0]
        yield Finding(
            severity="warning",
            kind="large group",
            message=f"Posts of {split} in one related group: {len(members)} of {len(rows)} ({shared} share {tie}). "
            "A split cannot part them, so that little is known of how well a model does on others.",
            count=len(members),
            examples=tuple(read.example(int(at), "") for at in members[:RARE]),
        )


def find_missing_stances(read: Posts, learnt: str) -> Iterator[Finding]:
    """Find stances that are missing beside the narratives."""
    counts = Counter(post.stance for split, post in zip(read.splits, read.posts, strict=True) if split == learnt)
    names = {"R": "report", "C": "counter", "N": "have nothing to do with the campaign"}
    few = [f"{counts[stance]} {verb}" for stance, verb in names.items() if counts[stance] < RARE]
    if set(counts) <= {None}:
        few = ["no stance is known"]
    if few:
        yield Finding(
            severity="warning",
            kind="stances",
            message=f"Few posts of {learnt} beside the narratives: {', '.join(few)}. A model that sees "
            "narratives alone learns to flag their words, whoever uses them.",
            count=len(few),
        )


def find_label_errors(read: Posts, taxonomy: Taxonomy) -> Iterator[Finding]:
    """Find labels that are likely wrong."""
    try:
        errors = label_errors.find_label_errors(read.posts, taxonomy, read.groups)
    except InputError:
        return  # too few posts for a second opinion
    if errors:
        yield Finding(
            severity="warning",
            kind="likely label errors",
            message=f"Labels that contradict the other labels: {len(errors)}, of {len({one.row for one in errors})} "
            "posts (confident learning on cross-validated scores). Look at them, the likeliest first.",
            count=len(errors),
            examples=tuple(
                read.example(
                    error.row,
                    f"{error.name}: {error.given} (probability {error.confidence:.2f}), likely {error.likely}",
                )
                for error in errors[:SHOWN]
            ),
        )
