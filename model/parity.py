"""How far the backends of one artefact are from each other, on the same posts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import TOKENIZER, WIDE, Artefact, onnx_paths
from narratrace.model.backends import Backend, open_backend
from narratrace.model.backends.onnx_backend import OnnxBackend
from narratrace.model.batching import PaddedBatch, equal_batches, padded_batches
from narratrace.model.export import export_onnx
from narratrace.model.language import identify
from narratrace.model.network import load_network
from narratrace.model.scores import Logits, Scores, decide, score
from narratrace.model.taxonomy import STANCES
from narratrace.model.tokenizer import PostTokenizer
from narratrace.model.wide import Wide
from narratrace.model.windows import merge_embeddings, merge_windows

TOLERANCE = 1e-4
"""Greatest difference of scores between two full-precision backends."""

_BATCH = 16


@dataclass(frozen=True)
class Parity:
    """Differences of a backend from torch in full precision.

    Attributes
    ----------
    backend
        The backend's name.
    posts
        Number of posts.
    score_difference
        Greatest absolute difference of a score, the stances' probabilities among them.
    label_flips
        Posts whose labels differ.
    stance_flips
        Posts whose stance differs.
    least_cosine
        Least cosine of a post's two embeddings.
    batch_difference
        Greatest difference of a score between a post by itself and among others.
    """

    backend: str
    posts: int
    score_difference: float
    label_flips: int
    stance_flips: int
    least_cosine: float
    batch_difference: float


def compare_backends(artefact: Artefact, posts: Sequence[str]) -> list[Parity]:
    """Compare the full-precision and the int8 ONNX graph of an artefact with torch.

    Posts go through in padded batches of mixed length, in the order given, and once more one by one. The
    full-precision graph is exported anew from the artefact's weights.
    """
    tokenizer = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)
    tokenised = tokenizer(posts)
    ids = tokenised.ids
    wide = Wide.load(artefact.file(WIDE), len(STANCES)).run(tokenised.texts)
    languages = [identify(text) for text in tokenised.texts]

    def batches(size: int) -> Iterator[PaddedBatch]:
        return padded_batches(ids, equal_batches(range(len(ids)), size), tokenizer.pad_id)

    def scores(backend: Backend, size: int) -> Scores:
        parts = [backend.run(stacked, mask) for _, stacked, mask in batches(size)]
        return score(merge_windows(Logits.concatenate(parts), tokenised.windows), wide, artefact.manifest)

    def embeddings(backend: Backend) -> NDArray[np.float32]:
        parts = [backend.embed(stacked, mask) for _, stacked, mask in batches(_BATCH)]
        return merge_embeddings(np.concatenate(parts), tokenised.windows)

    torch = open_backend(artefact, "torch")
    expected, reference = scores(torch, _BATCH), embeddings(torch)
    labels, _ = decide(expected, languages, artefact.manifest, "f1")
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        full = onnx_paths(Path(scratch), "onnx")
        export_onnx(load_network(artefact.path), full)
        for name, backend in (("onnx", OnnxBackend(full)), ("onnx-int8", open_backend(artefact, "onnx-int8"))):
            got = scores(backend, _BATCH)
            found.append(
                Parity(
                    backend=name,
                    posts=len(posts),
                    score_difference=_difference(got, expected),
                    label_flips=sum(
                        one != other
                        for one, other in zip(decide(got, languages, artefact.manifest, "f1")[0], labels, strict=True)
                    ),
                    stance_flips=int((got.stances.argmax(axis=1) != expected.stances.argmax(axis=1)).sum()),
                    least_cosine=float((embeddings(backend) * reference).sum(axis=1).min()),
                    batch_difference=_difference(scores(backend, 1), got),
                )
            )
    return found


def _difference(one: Scores, other: Scores) -> float:
    """Greatest difference of any score, the stances' probabilities too."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
