"""Quantising an ONNX graph to int8 so that a post's scores do not depend on the posts beside it.

ONNX Runtime's own dynamic quantisation takes one scale for a whole batch: a post then scores differently next to
other posts, which no moderator should have to explain. Here every token vector has its own scale ("vector-wise
quantisation", Dettmers et al. 2022, "LLM.int8(): 8-bit matrix multiplication for transformers at scale"), and every
column of the weights and row of the embedding table theirs. It is also closer to full precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

_ZERO = 128
"""The unsigned value that stands for 0: x86 multiplies unsigned activations by signed weights fastest."""


def quantise(source: Path, target: Path) -> None:
    """Write an int8 copy of a graph: matrix products with constant weights, and lookups in embedding tables.

    Parameters
    ----------
    source
        A graph in float32 with its weights inside.
    target
        Where the quantised graph goes.
    """
    model = onnx.load(source)
    quantiser = _Quantiser(model.graph)
    nodes = [new for node in model.graph.node for new in quantiser.replace(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, target)


class _Quantiser:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
        self._inputs: dict[str, tuple[str, str]] = {}
        self._constants: set[str] = set()

    def replace(self, node: NodeProto) -> list[NodeProto]:
        """Nodes that compute what ``node`` does, in int8 where its weights are constant matrices."""
        if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
            return self._product(node)
        if node.op_type == "Gather" and self._is_matrix(node.input[0]) and not any(a.i for a in node.attribute):
            return self._lookup(node)
        return [node]

    def _is_matrix(self, name: str) -> bool:
        return name in self._weights and len(self._weights[name].dims) == 2

    def _product(self, node: NodeProto) -> list[NodeProto]:
        activations, weights = node.input
        matrix, scale = _to_int8(self._weight(weights), axis=0)
        before = self._quantise_input(activations)
        quantised, input_scale = self._inputs[activations]
        out = node.output[0]
        return [
            *before,
            helper.make_node(
                "MatMulInteger",
                [quantised, self._constant(f"{weights}_columns_int8", matrix), "int8_zero"],
                [f"{out}_int32"],
            ),
            helper.make_node("Cast", [f"{out}_int32"], [f"{out}_float"], to=TensorProto.FLOAT),
            # Two products, not one with a combined scale: onnxruntime would fuse that into an operator that reads
            # a single scale for the whole batch.
            helper.make_node("Mul", [f"{out}_float", input_scale], [f"{out}_rows"]),
            helper.make_node("Mul", [f"{out}_rows", self._constant(f"{weights}_columns_scale", scale)], [out]),
        ]

    def _quantise_input(self, name: str) -> list[NodeProto]:
        """Quantise each vector of an activation by its own largest value; once, however many products read it."""
        if name in self._inputs:
            return []
        self._inputs[name] = (f"{name}_uint8", f"{name}_scale")
        self._constant("int8_zero", np.array(_ZERO, dtype=np.uint8))
        return [
            helper.make_node("Abs", [name], [f"{name}_abs"]),
            helper.make_node(
                "ReduceMax",
                [f"{name}_abs", self._constant("int8_axis", np.array([-1], dtype=np.int64))],
                [f"{name}_max"],
                keepdims=1,
            ),
            helper.make_node(
                "Max", [f"{name}_max", self._constant("int8_least", np.array(1e-9, np.float32))], [f"{name}_top"]
            ),
            helper.make_node(
                "Mul", [f"{name}_top", self._constant("int8_step", np.array(1 / 127, np.float32))], [f"{name}_scale"]
            ),
            helper.make_node("Div", [name, f"{name}_scale"], [f"{name}_scaled"]),
            helper.make_node("Round", [f"{name}_scaled"], [f"{name}_round"]),
            helper.make_node(
                "Add",
                [f"{name}_round", self._constant("int8_shift", np.array(_ZERO, np.float32))],
                [f"{name}_shifted"],
            ),
            helper.make_node("Cast", [f"{name}_shifted"], [f"{name}_uint8"], to=TensorProto.UINT8),
        ]

    def _lookup(self, node: NodeProto) -> list[NodeProto]:
        table, ids = node.input
        matrix, scale = _to_int8(self._weight(table), axis=1)
        out = node.output[0]
        return [
            helper.make_node("Gather", [self._constant(f"{table}_rows_int8", matrix), ids], [f"{out}_int8"]),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [self._constant(f"{table}_rows_scale", scale), ids], [f"{out}_scale"]),
            helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
        ]

    def _weight(self, name: str) -> NDArray[np.float32]:
        return np.asarray(numpy_helper.to_array(self._weights[name]), dtype=np.float32)

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self._constants:
            self._constants.add(name)
            self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _to_int8(weights: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Int8 weights, and what to multiply them with: one scale for all that stands along ``axis``."""
    scale = np.maximum(np.abs(weights).max(axis=axis, keepdims=True), 1e-9) / 127
    return np.round(weights / scale).astype(np.int8), scale.astype(np.float32)
