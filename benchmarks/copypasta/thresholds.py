"""Choose the thresholds of the semantic and translation stages for an embedding.

    python benchmarks/copypasta/thresholds.py FAMILIES BACKGROUND [--artefact FOLDER] [--posts 3000]

FAMILIES and BACKGROUND are those of quality.py. One half of them is grouped again and again: in turn, each threshold
goes down as long as no distractor is in a group of its family and enough of all links are true, a little less for each,
so that none uses up what all may cost. So few families cannot vouch for a share of distractors, and an archive on one
matter has more look-alikes than this background. What is chosen is printed as lines for configs/copypasta/default.yaml,
with what it does on both halves. The last line is no result: it is what the same choice gives on the very posts that
are measured, where it knows which thresholds let no distractor in.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from families import LEXICAL, WRITTEN, Collection, load_halves
from measures import Quality, measure

from narratrace import Classifier, CopypastaGrouper
from narratrace.inference.copypasta.settings import default_settings

PRECISION = {
    "min_translation_cosine": 0.995, "min_score": 0.99, "min_score_in_letters": 0.985, "min_free_cosine": 0.98,
}  # fmt: skip
"""Share of true links that each threshold leaves, in the order in which they are chosen."""
STEPS = (0.02, 0.005)
NEVER: dict[str, Any] = {
    "min_cosine": 0.55, "min_score": 9.0, "min_score_in_letters": 9.0, "min_free_cosine": 1.0,
    "min_translation_cosine": 1.0,
}  # fmt: skip
"""Neither stage links anything."""


class Half:
    """One half of the families and of the background, with embeddings."""

    def __init__(self, posts: Collection, vectors: np.ndarray) -> None:
        self._posts, self._vectors = posts, vectors

    def group(self, semantic: dict[str, Any]) -> Quality:
        settings = default_settings()
        settings = settings.model_copy(update={"semantic": settings.semantic.model_copy(update=semantic)})
        labels = CopypastaGrouper(settings).fit(self._posts.texts, self._vectors).labels_
        return measure(self._posts, labels, (*LEXICAL, *WRITTEN))

    def lowest(self, semantic: dict[str, Any], name: str, start: float) -> tuple[float, Quality]:
        """Lower a threshold from ``start`` until a promise breaks."""
        at, found = start, self.group(semantic | {name: start})
        for step in STEPS:
            while at > NEVER["min_cosine"]:
                lower = self.group(semantic | {name: at - step})
                if lower.precision < PRECISION[name] or lower.distractors:
                    break
                at, found = at - step, lower
        return at, found


def choose(half: Half) -> dict[str, Any]:
    """Choose all thresholds on a half."""
    semantic = dict(NEVER)
    semantic["min_translation_cosine"], _ = half.lowest(semantic, "min_translation_cosine", 0.95)
    semantic["min_score"], _ = half.lowest(semantic, "min_score", 1.2)
    semantic["min_score_in_letters"], _ = half.lowest(semantic, "min_score_in_letters", 1.2)
    semantic["min_free_cosine"], _ = half.lowest(semantic, "min_free_cosine", 0.95)
    return semantic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--posts", type=int, default=3000, help="posts of the background in each half (default 3000)")
    parser.add_argument("--artefact", type=Path)
    given = parser.parse_args()
    classifier = Classifier.load(given.artefact)
    chosen, reported = (
        Half(half, np.asarray(classifier.embed(half.texts)))
        for half in load_halves(given.families, given.background, given.posts)
    )
    semantic = choose(chosen)
    print(f"# {classifier.artefact.id}: half the families in {given.families.name}, {given.posts} posts of background")
    for name in PRECISION:
        print(f"  {name}: {round(semantic[name], 3)}")
    at_best = choose(reported)
    for name, quality in (
        ("choosing half", chosen.group(semantic)),
        ("reporting half", reported.group(semantic)),
        ("reporting half, if chosen on it", reported.group(at_best)),
    ):
        kinds = ", ".join(f"{kind} {quality.by_kind[kind]:.2f}" for kind in WRITTEN)
        print(f"# {name}: {kinds}; precision {quality.precision:.3f}, distractors {quality.distractors:.3f}")


if __name__ == "__main__":
    main()
