"""Embeddings of an encoder that learnt nothing of the task, for a baseline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import onnx_paths
from narratrace.model.backends.onnx_backend import OnnxBackend
from narratrace.model.batching import by_length, equal_batches, padded_batches
from narratrace.model.export import export_onnx
from narratrace.model.network import Network, load_encoder
from narratrace.model.quantise import quantise_parts, sample_batches
from narratrace.model.taxonomy import STANCES
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.bases import open_base

_AT_ONCE = 16


class FrozenEncoder:
    """Mean-pooled embeddings of unit length.

    In int8, as artefacts run on a CPU: that is several times faster, and has cosines above 0.99 with full precision.

    Parameters
    ----------
    base
        The encoder, as :func:`~narratrace.training.bases.open_base` takes it.
    max_tokens
        Tokens that are read of a post; longer ones are cut.
    sample
        Raw posts like those to be embedded, to fix int8 scales on.

    Raises
    ------
    ArtefactError, InputError, MissingExtraError
        There is no such encoder, or it cannot be opened.
    """

    def __init__(self, base: Path, max_tokens: int, sample: Sequence[str]) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        scratch = Path(self._scratch.name)
        folder, _ = open_base(base, scratch)
        self._tokenizer = PostTokenizer(folder / "tokenizer.json", max_tokens)
        full, int8 = onnx_paths(scratch, "onnx"), onnx_paths(scratch, "onnx-int8")
        export_onnx(Network(load_encoder(folder), 1, len(STANCES)), full)
        quantise_parts(full, int8, sample_batches([normalise(text).text for text in sample], self._tokenizer))
        self._backend = OnnxBackend(int8)

    def embed(self, texts: Sequence[str], on_progress: Callable[[int, int], None]) -> NDArray[np.float32]:
        """Embed raw posts, shape (texts, hidden); ``on_progress`` is called with the posts done and to do."""
        ids = self._tokenizer.encode([normalise(text).text for text in texts])
        order = by_length(ids)
        parts = []
        done = 0
        for rows, stacked, mask in padded_batches(ids, equal_batches(order, _AT_ONCE), self._tokenizer.pad_id):
            parts.append(self._backend.embed(stacked, mask))
            done += len(rows)
            on_progress(done, len(order))
        return np.concatenate(parts)[np.argsort(order)]
