"""Embeddings of an encoder that learnt nothing of the task, for a baseline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from narratrace.model.backends.onnx_backend import OnnxBackend
from narratrace.model.batching import by_length, equal_batches, padded_batches
from narratrace.model.export import export_onnx
from narratrace.model.network import Network, load_encoder
from narratrace.model.quantise import quantise
from narratrace.model.taxonomy import STANCES
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer

_AT_ONCE = 16


def embed_frozen(
    base: Path, texts: Sequence[str], max_tokens: int, on_progress: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Mean-pooled embeddings of unit length, shape (texts, hidden).

    In int8, as artefacts run on a CPU: that is several times faster, and has cosines above 0.99 with full precision.

    Parameters
    ----------
    base
        Folder of the encoder.
    texts
        Raw posts; longer ones are cut.
    max_tokens
        Tokens that are read.
    on_progress
        Called now and then with the posts done and to do.
    """
    tokenizer = PostTokenizer(base / "tokenizer.json", max_tokens)
    ids = tokenizer.encode([normalise(text).text for text in texts])
    order = by_length(ids)
    with tempfile.TemporaryDirectory() as scratch:
        full, int8 = Path(scratch) / "full.onnx", Path(scratch) / "int8.onnx"
        export_onnx(Network(load_encoder(base), 1, len(STANCES)), full)
        quantise(full, int8)
        backend = OnnxBackend(int8)
        parts = []
        done = 0
        for rows, stacked, mask in padded_batches(ids, equal_batches(order, _AT_ONCE), tokenizer.pad_id):
            parts.append(backend.run(stacked, mask).embeddings)
            done += len(rows)
            on_progress(done, len(order))
    return np.concatenate(parts)[np.argsort(order)]
