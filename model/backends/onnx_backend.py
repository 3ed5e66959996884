"""ONNX Runtime: inference without torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from narratrace.model.artefact import EMBEDDING, LABELS, LOWER
from narratrace.model.errors import ArtefactError
from narratrace.model.scores import Logits


class OnnxBackend:
    """Runs graphs with ONNX Runtime on the CPU.

    Parameters
    ----------
    paths
        The graphs, by name, as :func:`~narratrace.model.export.export_onnx` writes them.
    threads
        CPU threads; None takes one per physical core.
    """

    def __init__(self, paths: Mapping[str, Path], threads: int | None = None) -> None:
        self._paths, self._threads = paths, threads
        self._lower, self._labels = open_session(paths[LOWER], threads), open_session(paths[LABELS], threads)

    @cached_property
    def _embedding(self) -> Any:
        return open_session(self._paths[EMBEDDING], self._threads)

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Logits:
        """What the heads say of the token ids and attention mask of n posts, both of shape (n, tokens)."""
        states = self._states(input_ids, attention_mask)
        return Logits(*self._labels.run(Logits._fields, {"states": states, "attention_mask": attention_mask}))

    def embed(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeddings of the token ids and attention mask of n posts, both of shape (n, tokens)."""
        states = self._states(input_ids, attention_mask)
        return np.asarray(self._embedding.run(None, {"states": states, "attention_mask": attention_mask})[0])

    def _states(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(self._lower.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})[0])


def open_session(path: Path, threads: int | None = None) -> Any:
    """Open a graph.

    Raises
    ------
    ArtefactError
        It cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for every status
        raise ArtefactError(f"ONNX Runtime cannot load {path}: {error}") from error
