"""Giving an artefact's heads one more narrative, in the weights and in every graph, and touching nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from narratrace.model.artefact import HEADS, LABELS, ONNX_FILES, onnx_paths
from narratrace.model.errors import ArtefactError

_WEIGHT, _BIAS, _OUTPUT = "narratives.weight", "narratives.bias", "narratives"


def add_output(folder: Path, row: NDArray[np.floating], bias: float) -> None:
    """Add a narrative as the last output.

    Parameters
    ----------
    folder
        Files of an artefact, which are changed.
    row
        Weights of the standardised vector, shape (hidden,).
    bias
        Added constant.

    Raises
    ------
    ArtefactError
        A graph is not as narratrace exports it.
    """
    added = {_WEIGHT: row[None], _BIAS: np.array([bias])}
    heads = load_file(folder / HEADS)
    for name, value in added.items():
        heads[name] = np.concatenate([heads[name], value.astype(heads[name].dtype)])
    save_file(heads, folder / HEADS)
    graphs = [onnx_paths(folder, backend)[LABELS] for backend in ONNX_FILES]
    for path in filter(Path.is_file, graphs):
        model = onnx.load(path)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        outputs = [output for output in model.graph.output if output.name == _OUTPUT]
        if not tensors.keys() >= {f"network.{name}" for name in added} or not outputs:
            raise ArtefactError(f"{path} was not exported by narratrace and cannot take another narrative: train anew.")
        for name, value in added.items():
            tensor = tensors[f"network.{name}"]
            old = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate([old, value.astype(old.dtype)]), tensor.name))
        outputs[0].type.tensor_type.shape.dim[1].dim_value += 1
        onnx.checker.check_model(model)
        onnx.save(model, path)
