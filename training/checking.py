"""Checking labelled posts before anything is learnt from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import TOKENIZER, Artefact
from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import OVERLAP, WINDOWS, PostTokenizer
from narratrace.training import findings
from narratrace.training.check_report import UNKNOWN, Count, Lengths, Report, Support
from narratrace.training.findings import Posts
from narratrace.training.folds import related_groups
from narratrace.training.labelled import Fault, LabelledPost, field, known_matrix, label_matrix, parse_rows
from narratrace.training.near_duplicates import find_near_duplicates
from narratrace.training.settings import ColumnSettings


def check(
    files: Mapping[str, Sequence[str]],
    taxonomy: Taxonomy,
    columns: ColumnSettings,
    on_stage: Callable[[str], None] = lambda _: None,
    max_tokens: int | None = None,
) -> Report:
    """Check labelled posts.

    Parameters
    ----------
    files
        Sources of each split; the first split is the one that is learnt from.
    taxonomy, columns
        As for :func:`narratrace.training.labelled.read_labelled`.
    on_stage
        Called with what is done next.
    max_tokens
        Tokens that training will read at once, as ``max_tokens`` of its settings; None: as the built-in artefact.

    Raises
    ------
    InputError
        A source cannot be read or lacks a column, or there is no post at all.
    """
    on_stage("Reading")
    read = [
        (split, *one)
        for split, some in files.items()
        for source in some
        for one in parse_rows(source, taxonomy, columns)
    ]
    faults = [(row, found) for _, row, found in read if isinstance(found, Fault)]
    good = [(split, row, found) for split, row, found in read if isinstance(found, LabelledPost)]
    if not read:
        raise InputError("There are no labelled posts: the sources are empty.")
    on_stage("Looking for near-duplicates")
    posts = [post for *_, post in good]
    near = find_near_duplicates([post.text for post in posts])
    everything = Posts(
        [split for split, *_ in good], [row for _, row, _ in good], posts, faults, near, related_groups(posts, near)
    )
    on_stage("Counting")
    artefact = Artefact.open()
    at_once = max_tokens or artefact.manifest.max_tokens
    tokens = _count_tokens(posts, artefact)
    support = _measure_support(everything, files, taxonomy)
    found = [
        *findings.find_faults(everything, columns.text),
        *findings.find_leaks(everything, list(files)),
        *findings.find_duplicates(everything),
        *findings.find_conflicts(everything, taxonomy),
        *findings.find_unknown_languages(everything, columns),
        *findings.find_other_languages(everything),
        *findings.find_long(everything, tokens, at_once),
        *findings.find_rare(support, next(iter(files))),
        *findings.find_large_groups(everything, list(files)),
        *findings.find_missing_stances(everything, next(iter(files))),
    ]
    on_stage("Looking for wrong labels")
    found += findings.find_label_errors(everything, taxonomy)
    return Report(
        taxonomy=f"{taxonomy.id}@{taxonomy.version}",
        sources={split: tuple(some) for split, some in files.items()},
        posts={split: everything.splits.count(split) for split in files},
        counts=tuple(_count(everything, columns)),
        support=tuple(support),
        lengths=tuple(_measure_lengths(everything, files, tokens, at_once)),
        findings=tuple(sorted(found, key=lambda finding: finding.severity)),
    )


def _count(read: Posts, columns: ColumnSettings) -> Iterator[Count]:
    counts = Counter(
        (split, narrative, post.language, post.stance or UNKNOWN, str(field(row, columns.source) or UNKNOWN))
        for split, row, post in zip(read.splits, read.rows, read.posts, strict=True)
        for narrative in (None, *post.labels)
    )
    for (split, narrative, language, stance, source), posts in counts.items():
        yield Count(split=split, narrative=narrative, language=language, stance=stance, source=source, posts=posts)


def _measure_support(read: Posts, splits: Iterable[str], taxonomy: Taxonomy) -> list[Support]:
    labels, known = label_matrix(read.posts, taxonomy), known_matrix(read.posts, taxonomy)
    support = []
    for split in splits:
        rows = np.array([one == split for one in read.splits], dtype=bool)
        for column, narrative in enumerate(taxonomy.narrative_ids):
            having = rows & labels[:, column]
            support.append(
                Support(
                    split=split,
                    narrative=narrative,
                    posts=int(having.sum()),
                    groups=len(np.unique(read.groups[having])),
                    unknown=int((rows & ~known[:, column]).sum()),
                )
            )
    return support


def _count_tokens(posts: Sequence[LabelledPost], artefact: Artefact) -> NDArray[np.int64]:
    """Tokens of each post; shape (posts,)."""
    tokenizer = PostTokenizer(artefact.file(TOKENIZER), 2**16)
    ids = tokenizer.encode([normalise(post.text).text for post in posts])
    return np.array([len(one) for one in ids], dtype=np.int64)


def _measure_lengths(read: Posts, splits: Iterable[str], tokens: NDArray[np.int64], at_once: int) -> Iterator[Lengths]:
    inside = at_once - 2  # start and end token
    in_all = at_once + (WINDOWS - 1) * (inside - int(inside * OVERLAP))
    for split in splits:
        those = tokens[[one == split for one in read.splits]]
        if not len(those):
            continue
        median, most, longest = (int(one) for one in np.quantile(those, (0.5, 0.95, 1), method="higher"))
        yield Lengths(
            split=split,
            at_once=at_once,
            median=median,
            most=most,
            longest=longest,
            cut=int((those > at_once).sum()),
            truncated=int((those > in_all).sum()),
        )
