"""ONNX Runtime: inference without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from narratrace.model.backends import ForwardPass
from narratrace.model.errors import ArtefactError


class OnnxBackend:
    """Runs a graph with ONNX Runtime on the CPU.

    Parameters
    ----------
    path
        The graph.
    threads
        CPU threads; None takes one per physical core.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for every status
            raise ArtefactError(f"ONNX Runtime cannot load {path}: {error}") from error

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> ForwardPass:
        """Run the token ids and attention mask of n posts, both of shape (n, tokens)."""
        outputs = self._session.run(ForwardPass._fields, {"input_ids": input_ids, "attention_mask": attention_mask})
        return ForwardPass(*outputs)
