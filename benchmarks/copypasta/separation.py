"""How well embeddings tell the same message from posts that only look like it, whatever the thresholds.

    python benchmarks/copypasta/separation.py FAMILIES [--artefact FOLDER ...]

FAMILIES are ones that none of the embeddings has learnt from: examples/families_held_out.jsonl, or others of the same
form. For each embedding (that of the built-in artefact, and those of the artefacts named) and each kind of rewriting,
two figures: AUC, the chance that a rewriting is closer to its post than a distractor, of any family, is to its own (0.5
is chance, 1 is best); and the share of rewritings that are closer to their post than all distractors of their family.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from families import DISTRACTOR, SEED
from sklearn.metrics import roc_auc_score

from narratrace import Classifier


def separate(classifier: Classifier, posts: list[dict[str, str]]) -> dict[str, tuple[float, float, int]]:
    """AUC against all distractors, share that is closer than its own distractors, and number, of each kind."""
    vectors = np.asarray(classifier.embed([post["text"] for post in posts]))
    seeds = {post["family"]: vector for post, vector in zip(posts, vectors, strict=True) if post["kind"] == SEED}
    cosines = [float(seeds[post["family"]] @ vector) for post, vector in zip(posts, vectors, strict=True)]
    others: dict[str, list[float]] = {}
    kinds: dict[str, list[tuple[str, float]]] = {}
    for post, cosine in zip(posts, cosines, strict=True):
        if post["kind"] == DISTRACTOR:
            others.setdefault(post["family"], []).append(cosine)
        elif post["kind"] != SEED:
            kinds.setdefault(post["kind"], []).append((post["family"], cosine))
    wrong = [cosine for those in others.values() for cosine in those]
    found = {}
    for kind, right in kinds.items():
        is_right = [True] * len(right) + [False] * len(wrong)
        closer = np.mean([cosine > max(others.get(family, [-1.0])) for family, cosine in right])
        auc = roc_auc_score(is_right, [cosine for _, cosine in right] + wrong)
        found[kind] = float(auc), float(closer), len(right)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("--artefact", type=Path, nargs="*", default=[], help="artefacts beside the built-in one")
    given = parser.parse_args()
    with given.families.open(encoding="utf-8") as lines:
        posts = [json.loads(line) for line in lines]
    print("| embedding | kind | posts | AUC | closer than the distractors of their family |")
    print("|---|---|---|---|---|")
    for folder in (None, *given.artefact):
        classifier = Classifier.load(folder)
        for kind, (auc, closer, count) in separate(classifier, posts).items():
            print(f"| {classifier.artefact.id} | {kind} | {count} | {auc:.3f} | {closer:.2f} |")


if __name__ == "__main__":
    main()
