"""Exporting a network to ONNX, in full precision, for inference without torch; ``quantise`` makes int8 of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from narratrace.model.artefact import EMBEDDING, LABELS, LOWER
from narratrace.model.network import Network, NetworkOutput

OPSET = 18
"""ONNX operator set: read by onnxruntime 1.14 and later."""


def export_onnx(network: Network, paths: Mapping[str, Path]) -> None:
    """Write the three parts of a network as ONNX graphs.

    Token ids and attention mask are int64 of shape (posts, tokens). ``lower`` turns them into ``states``, float32 of
    shape (posts, tokens, hidden); ``labels`` turns states and mask into ``narratives`` and ``stances``, ``embedding``
    into ``embeddings``: see :meth:`~narratrace.model.network.Network.parts`.

    Parameters
    ----------
    network
        What to write.
    paths
        Where each graph goes, by its name.
    """
    parts = network.eval().parts()
    # Two different lengths, so that the exporter takes neither for a constant.
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 5, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.no_grad():
        states = parts.lower(ids, mask)
    _export(parts.lower, paths[LOWER], {"input_ids": ids, "attention_mask": mask}, ["states"], ["states"])
    given = {"states": states, "attention_mask": mask}
    _export(parts.labels, paths[LABELS], given, NetworkOutput._fields)
    _export(parts.embedding, paths[EMBEDDING], given, ["embeddings"])


def _export(
    part: nn.Module, path: Path, inputs: Mapping[str, Tensor], outputs: Sequence[str], of_tokens: Sequence[str] = ()
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens = {name: {0: "posts", 1: "tokens"} for name in (*inputs, *of_tokens)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "posts"} for name in outputs} | tokens,
            opset_version=OPSET,
            dynamo=False,
        )
