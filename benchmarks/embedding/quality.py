"""How well one cosine threshold tells copies, paraphrases and translations from posts on the same matter.

    python benchmarks/embedding/quality.py FAMILIES BACKGROUND [--artefact FOLDER] [--base FOLDER]

FAMILIES holds posts with the fields family, kind and text: a seed, variants of it, and a distractor that says something
else in much the same words. BACKGROUND holds other posts. Half of the families and of the background choose each
threshold; everything is reported on the other halves. A pair is a false link when it joins two families, or a family
and the background, or two background posts that share few words, as those are hardly copies.

Two thresholds are shown: the lowest at which 98 % of the links are true, and the lowest at which at most 2 % of the
distractors are linked too. By --base, the pooled vectors of a base encoder are measured beside the artefact's
embedding.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from narratrace import Classifier
from narratrace.model.text import normalise
from narratrace.training.messages import change_copy
from narratrace.training.rows import read_rows

SEED, DISTRACTOR, CHANGED = "seed", "distractor", "changed"
PRECISION, DISTRACTORS = 0.98, 0.02
_WORDS = re.compile(r"[\u3400-\u9fff]|[A-Za-z]+")
_FEWEST_WORDS = 12
_COPIES = 0.3

Vectors = NDArray[np.float32]
Families = list[dict[str, int]]


class Posts:
    """Texts of families and background, each once."""

    def __init__(self, families: Path, background: Path, number: int, seed: int) -> None:
        rng = random.Random(seed)
        self.texts: list[str] = []
        named: dict[str, dict[str, int]] = {}
        for row in read_rows(families):
            named.setdefault(row.fields["family"], {})[row.fields["kind"]] = self._add(row.fields["text"])
        self.families: Families = list(named.values())
        for family in self.families:
            family[CHANGED] = self._add(change_copy(normalise(self.texts[family[SEED]]).text, rng))
        # A post of a few words is everybody's: grouping leaves it out.
        posts = {row.fields["text"] for row in read_rows(background)}
        posts = sorted(post for post in posts if len(_WORDS.findall(post)) >= _FEWEST_WORDS)
        self.background = [self._add(post) for post in rng.sample(posts, min(number, len(posts)))]

    def _add(self, text: str) -> int:
        self.texts.append(text)
        return len(self.texts) - 1


class Half:
    """Cosines of all pairs within half of the families and of the background."""

    def __init__(self, vectors: Vectors, texts: Sequence[str], families: Families, background: Sequence[int]) -> None:
        kinds = [kind for kind in families[0] if kind != SEED]
        self.kinds = {
            kind: np.array([vectors[each[SEED]] @ vectors[each[kind]] for each in families if kind in each])
            for kind in kinds
        }
        members = [
            (number, row) for number, each in enumerate(families) for kind, row in each.items() if kind != DISTRACTOR
        ]
        family, rows = np.array(members).T
        cosines = vectors[rows] @ vectors[rows].T
        pairs = np.triu_indices(len(rows), 1)
        same = (family[:, None] == family[None])[pairs]
        self.true, false = cosines[pairs][same], cosines[pairs][~same]
        self.false = np.sort(np.concatenate([false, (vectors[rows] @ vectors[background].T).ravel()]))
        self.background = _unlike_pairs(vectors, texts, background)

    def precision(self, threshold: float) -> float:
        true = int((self.true >= threshold).sum())
        false = int((self.false >= threshold).sum() + (self.background >= threshold).sum())
        return true / max(1, true + false)

    def recall(self, kind: str, threshold: float) -> float:
        return float((self.kinds[kind] >= threshold).mean())

    def lowest(self, accept: Callable[[float], bool]) -> float:
        """Lowest threshold that is accepted."""
        return min((at for at in np.arange(0.0, 1.0, 0.001).tolist() if accept(at)), default=1.0)


def _unlike_pairs(vectors: Vectors, texts: Sequence[str], rows: Sequence[int]) -> Vectors:
    """Greatest cosines among pairs of background posts that share few words."""
    cosines = vectors[rows] @ vectors[rows].T
    one, other = np.triu_indices(len(rows), 1)
    cosines = cosines[one, other]
    words = [set(_shingles(texts[row])) for row in rows]
    top = np.argsort(-cosines)[:2000]
    shared = [
        len(words[a] & words[b]) / max(1, min(len(words[a]), len(words[b])))
        for a, b in zip(one[top], other[top], strict=True)
    ]
    return cosines[top][np.array(shared) < _COPIES]


def _shingles(text: str) -> list[str]:
    letters = re.sub(r"\W", "", text.casefold())
    return [letters[at : at + 4] for at in range(max(1, len(letters) - 3))]


def embed_with_base(base: Path, texts: Sequence[str]) -> Vectors:
    """Pooled vectors of a base encoder, scaled to unit length."""
    import torch

    from narratrace.model.batching import by_length, equal_batches, padded_batches
    from narratrace.model.network import load_encoder
    from narratrace.model.tokenizer import PostTokenizer

    tokenizer = PostTokenizer(base / "tokenizer.json", 192)
    encoder = load_encoder(base).eval()
    ids = tokenizer.encode([normalise(text).text for text in texts])
    vectors: Vectors = np.zeros((len(ids), encoder.config.hidden_size), dtype=np.float32)
    for rows, *padded in padded_batches(ids, equal_batches(by_length(ids), 32), tokenizer.pad_id):
        stacked, mask = (torch.from_numpy(part) for part in padded)
        with torch.inference_mode():
            states = encoder(input_ids=stacked, attention_mask=mask).last_hidden_state
        vectors[rows] = ((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).numpy()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def report(name: str, vectors: Vectors, posts: Posts, table: Table) -> None:
    halves = [Half(vectors, posts.texts, posts.families[start::2], posts.background[start::2]) for start in (0, 1)]
    choosing, reporting = halves
    conditions: dict[str, Callable[[float], bool]] = {
        f"precision {PRECISION:.0%}": lambda at: choosing.precision(at) >= PRECISION,
        f"distractors {DISTRACTORS:.0%} too": lambda at: (
            choosing.precision(at) >= PRECISION and choosing.recall(DISTRACTOR, at) <= DISTRACTORS
        ),
    }
    for condition, accept in conditions.items():
        at = choosing.lowest(accept)
        recalls = [f"{reporting.recall(kind, at):.2f}" for kind in reporting.kinds]
        table.add_row(name, condition, f"{at:.3f}", *recalls, f"{reporting.precision(at):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--artefact", type=Path, help="default: the built-in one")
    parser.add_argument("--base", type=Path, help="base encoder to measure beside it")
    parser.add_argument("--backend", help="default: the fastest")
    parser.add_argument("--posts", type=int, default=3000, help="background posts")
    parser.add_argument("--seed", type=int, default=2019)
    given = parser.parse_args()
    posts = Posts(given.families, given.background, given.posts, given.seed)
    classifier = Classifier.load(given.artefact, backend=given.backend)
    table = Table("embedding", "threshold for", "at")
    for kind in posts.families[0]:
        if kind != SEED:
            table.add_column(kind, justify="right")
    table.add_column("precision", justify="right")
    report(classifier.artefact.id, classifier.embed(posts.texts), posts, table)
    if given.base:
        report(f"{given.base}, pooled", embed_with_base(given.base, posts.texts), posts, table)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
