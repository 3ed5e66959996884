"""Choose the thresholds of the semantic and translation stages for an embedding.

    python benchmarks/copypasta/thresholds.py FAMILIES BACKGROUND [--artefact FOLDER] [--posts 3000]

FAMILIES and BACKGROUND are those of quality.py. On half of them, of every weight for what the texts share, the lowest
thresholds are found at which 98 % of the links are true and 2 % of the distractors are linked; the weight that finds
most is printed as lines for configs/copypasta/default.yaml, with what it does on the other half. A link is true within
a family; it is false between a family and anything else, and between posts of the background that share little.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from families import BACKGROUND, DISTRACTOR, SEED, Collection, load_halves
from peers import folded

from narratrace import Classifier
from narratrace.inference.copypasta.semantic import is_translation
from narratrace.inference.copypasta.settings import default_settings
from narratrace.inference.copypasta.shingles import shingle
from narratrace.inference.copypasta.similarity import containment, edit_similarity

PRECISION, DISTRACTORS = 0.98, 0.02
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
FLOOR = 0.3
"""Pairs with a smaller cosine are not looked at."""
_COPY = 0.3
"""Background posts that share so much may be copies: such pairs count neither way."""


class Pairs(NamedTuple):
    """Pairs of posts that the stages exact to fuzzy do not tie."""

    cosine: np.ndarray
    shared: np.ndarray
    translated: np.ndarray
    is_true: np.ndarray
    kind: np.ndarray
    """What the other post of a family's seed is; empty for pairs of no family."""
    distractor: np.ndarray
    """Whether one is the other's distractor."""
    families: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--posts", type=int, default=3000, help="posts of the background in each half (default 3000)")
    parser.add_argument("--artefact", type=Path)
    given = parser.parse_args()
    classifier = Classifier.load(given.artefact)
    compared = (SEED, DISTRACTOR, BACKGROUND, "register", "paraphrase", "translation")
    halves = [half.only(compared) for half in load_halves(given.families, given.background, given.posts)]
    chosen, reported = (candidates(half, np.asarray(classifier.embed(half.texts))) for half in halves)
    weight = max(
        WEIGHTS, key=lambda each: recall(chosen, score(chosen, each), lowest(chosen, score(chosen, each), False))
    )
    same = lowest(chosen, score(chosen, weight), False)
    across = lowest(chosen, chosen.cosine, True)
    print(f"# {classifier.artefact.id}: half the families in {given.families.name}, {given.posts} posts of background")
    found = chosen.is_true & ~chosen.translated & (score(chosen, weight) >= same)
    floor = min(chosen.cosine[found].min(initial=across), across)
    print(f"  min_cosine: {floor:.3f}\n  min_score: {same:.3f}\n  lexical_weight: {weight}")
    print(f"  min_translation_cosine: {across:.3f}")
    cosine = lowest(chosen, chosen.cosine, False)
    for name, half in (("choosing", chosen), ("reporting", reported)):
        for what, at, scored, translated in (
            ("one script", same, score(half, weight), False),
            ("translation", across, half.cosine, True),
            ("one script, the cosine alone", cosine, half.cosine, False),
        ):
            linked = (scored >= at) & (half.translated == translated)
            true = int((linked & half.is_true).sum())
            links, false = int(linked.sum()), int((linked & half.distractor).sum())
            kinds = ("translation",) if translated else ("register", "paraphrase")
            found = ", ".join(f"{kind} {recall(half, scored, at, translated, kind):.3f}" for kind in kinds)
            print(f"# {name} half, {what}, at {at:.3f}: recall of {found}; precision {true / max(links, 1):.3f}, "
                  f"{false} distractors of {half.families}")  # fmt: skip


def score(pairs: Pairs, weight: float) -> np.ndarray:
    return np.asarray(pairs.cosine + weight * pairs.shared)


def recall(pairs: Pairs, scored: np.ndarray, at: float, translated: bool = False, kind: str | None = None) -> float:
    wanted = pairs.is_true & (pairs.translated == translated)
    if kind:
        wanted &= pairs.kind == kind
    return float((scored[wanted] >= at).sum() / max(wanted.sum(), 1))


def lowest(pairs: Pairs, scored: np.ndarray, translated: bool) -> float:
    """Find the lowest threshold that keeps what is promised."""
    rows = np.flatnonzero(pairs.translated == translated)
    rows = rows[np.argsort(-scored[rows])]
    true, links = np.cumsum(pairs.is_true[rows]), np.arange(1, len(rows) + 1)
    kept = (true >= PRECISION * links) & (np.cumsum(pairs.distractor[rows]) <= DISTRACTORS * pairs.families)
    return float(scored[rows[np.flatnonzero(kept).max()]]) if kept.any() else 1.5


def candidates(posts: Collection, vectors: np.ndarray) -> Pairs:
    """Compare everything with a seed or the background: a group stands around a seed."""
    kinds, families, truth = np.array(posts.kinds), np.array(posts.families), posts.truth
    left, right = np.flatnonzero(kinds != DISTRACTOR), np.arange(len(kinds))
    cosine = vectors[left] @ vectors[right].T
    in_family = families[left][:, None] == families[right][None, :]
    seeded = (kinds[left] == SEED)[:, None] | (kinds[right] == SEED)[None, :]
    wanted = in_family & (families[left] != "")[:, None] & seeded
    rows = np.nonzero((left[:, None] < right[None, :]) & (wanted | (~in_family | (families[left] == "")[:, None]))
                      & (wanted | (cosine >= FLOOR)))  # fmt: skip
    a, b = left[rows[0]], right[rows[1]]
    # Distractors are on the right only.
    other = np.nonzero(
        (left[:, None] > right[None, :]) & (kinds[right] == DISTRACTOR)[None, :] & (wanted | (cosine >= FLOOR))
    )
    a, b = np.append(a, left[other[0]]), np.append(b, right[other[1]])
    texts = folded(posts.texts)
    shingles = shingle(texts)
    shared = (edit_similarity(texts, a, b) + containment(shingles, a, b)) / 2
    least = default_settings().semantic.min_information
    unknown = (kinds[a] == BACKGROUND) & (kinds[b] == BACKGROUND) & (shared >= _COPY)
    enough = np.minimum(shingles.information[a], shingles.information[b]) >= least
    kept = ~unknown & enough
    a, b = a[kept], b[kept]
    return Pairs(
        np.einsum("ij,ij->i", vectors[a], vectors[b]),
        shared[kept],
        is_translation(shingles, a, b),
        truth[a] == truth[b],
        np.where(
            (families[a] == families[b]) & (families[a] != ""), np.where(kinds[a] == SEED, kinds[b], kinds[a]), ""
        ),
        (families[a] == families[b]) & (kinds[b] == DISTRACTOR),
        len(set(families)) - 1,
    )


if __name__ == "__main__":
    main()
