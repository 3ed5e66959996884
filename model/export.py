"""Exporting a network to ONNX, in full precision, for inference without torch; ``quantise`` makes int8 of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from narratrace.model.network import Network, NetworkOutput

OPSET = 18
"""ONNX operator set: read by onnxruntime 1.14 and later."""


def export_onnx(network: Network, path: Path) -> None:
    """Write a network as one ONNX graph with fused attention.

    Inputs ``input_ids`` and ``attention_mask`` are int64 of shape (posts, tokens); outputs are named after the fields
    of :class:`~narratrace.model.network.NetworkOutput`.
    """
    # Two different lengths, so that the exporter takes neither for a constant.
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 5, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (ids, mask),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=list(NetworkOutput._fields),
            dynamic_axes={
                "input_ids": {0: "posts", 1: "tokens"},
                "attention_mask": {0: "posts", 1: "tokens"},
                **{name: {0: "posts"} for name in NetworkOutput._fields},
            },
            opset_version=OPSET,
            dynamo=False,
        )
