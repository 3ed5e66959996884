"""Quantising an ONNX graph to int8 so that a post's scores do not depend on the posts beside it.

ONNX Runtime's own dynamic quantisation takes one scale for a whole batch: a post then scores differently next to
other posts, which no moderator should have to explain. Here an activation has either a scale for each component, fixed
beforehand on a sample of posts, or one for each token vector (Dettmers et al. 2022, "LLM.int8(): 8-bit matrix
multiplication for transformers at scale"):

- What comes out of a layer normalisation has the same size in every post, with a few components far larger than the
  others. Fixed scales for the components are the faster and the closer here; part of each is moved into the weights
  (Xiao et al. 2023, "SmoothQuant: accurate and efficient post-training quantization for large language models").
- Other activations are now small and now large, and take the scale of each vector from its largest value.

Every column of the weights and row of the embedding table has a scale of its own.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from narratrace.model.artefact import EMBEDDING, LABELS, LOWER
from narratrace.model.backends.onnx_backend import open_session
from narratrace.model.batching import padded_batches, token_batches
from narratrace.model.tokenizer import PostTokenizer

Batch = tuple[NDArray[Any], NDArray[np.int64]]
"""What a graph reads of some posts: token ids or vectors, and the attention mask, shape (posts, tokens)."""

_CONTRIB = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

_ZERO = 128
"""The unsigned value that stands for 0: x86 multiplies unsigned activations by signed weights fastest."""

_ONE_SIDED_ZERO = 16
"""What stands for 0 where values go up far more than down, as behind GELU: almost twice as many steps for them."""

_MIGRATION = 0.7
"""SmoothQuant's migration strength: how much of a component's range the weights take over."""

_LEAST = 1e-9

_NORMALISATION = "LayerNormalization"

_SAMPLE = 512
_BATCH_TOKENS = 512


class _Range(NamedTuple):
    """What a sample of posts showed of an activation."""

    largest: NDArray[np.float32]
    """Greatest absolute value of each component."""
    least: float
    most: float

    @property
    def is_one_sided(self) -> bool:
        """Whether it goes up far more than down."""
        return self.most > -8 * self.least


def quantise_parts(sources: Mapping[str, Path], targets: Mapping[str, Path], sample: Iterable[Batch]) -> None:
    """Write int8 copies of the three graphs of a network, as :func:`quantise` does of each.

    Parameters
    ----------
    sources
        The graphs in float32, by name, as :func:`~narratrace.model.export.export_onnx` writes them.
    targets
        Where the quantised graphs go, by name.
    sample
        Token ids and attention masks of some hundred posts like those to be read.
    """
    sample = list(sample)
    targets[LOWER].parent.mkdir(exist_ok=True)
    quantise(sources[LOWER], targets[LOWER], sample)
    lower = open_session(sources[LOWER])
    names = [value.name for value in lower.get_inputs()]
    above = [(lower.run(None, dict(zip(names, batch, strict=True)))[0], batch[-1]) for batch in sample]
    graph = onnx.load(sources[LOWER]).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    normalised = made_by[graph.output[0].name] == _NORMALISATION
    for name in (LABELS, EMBEDDING):
        quantise(sources[name], targets[name], above, normalised=normalised)


def quantise(source: Path, target: Path, sample: Iterable[Batch], *, normalised: bool = False) -> None:
    """Write an int8 copy of a graph: matrix products with constant weights, and lookups in embedding tables.

    Parameters
    ----------
    source
        A graph in float32 with its weights inside.
    target
        Where the quantised graph goes.
    sample
        What the graph reads of some hundred posts like those to come, on which the fixed scales are taken. Larger
        values than theirs are cut.
    normalised
        Whether the vectors that the graph reads come out of a layer normalisation.
    """
    model = onnx.load(source)
    quantiser = _Quantiser(model, _observe(model, sample), normalised)
    nodes = [new for node in model.graph.node for new in quantiser.replace(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    onnx.checker.check_model(model)
    onnx.save(model, target)


def sample_batches(texts: Sequence[str], tokenizer: PostTokenizer) -> Iterator[Batch]:
    """Take some hundred normalised texts, evenly from all, as a sample for :func:`quantise`."""
    ids = tokenizer.encode(texts[:: -(-len(texts) // _SAMPLE) or 1])
    for _, stacked, mask in padded_batches(ids, token_batches(ids, _BATCH_TOKENS), tokenizer.pad_id):
        yield stacked, mask


def _weights(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _products(graph: onnx.GraphProto) -> dict[str, list[NodeProto]]:
    """Products with constant matrices, by the activation that they read."""
    weights = _weights(graph)
    found = defaultdict(list)
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2:
            found[node.input[0]].append(node)
    return dict(found)


def _observe(model: onnx.ModelProto, sample: Iterable[Batch]) -> dict[str, _Range]:
    """Run a sample through a graph, and note the range of every activation that a product reads."""
    inputs = [value.name for value in model.graph.input]
    names = list(_products(model.graph))
    computed = [name for name in names if name not in inputs]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    present = {value.name for value in shown.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed if name not in present)
    largest: dict[str, NDArray[np.float32]] = {}
    most, least = dict.fromkeys(names, -np.inf), dict.fromkeys(names, np.inf)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shown.onnx"
        onnx.save(shown, path)
        session = open_session(path)
        for batch in sample:
            is_token = batch[-1].astype(bool)
            given = dict(zip(inputs, batch, strict=True))
            known = given | dict(zip(computed, session.run(computed, given) if computed else [], strict=True))
            for name in names:
                values = known[name]
                seen = values[is_token] if values.shape[: is_token.ndim] == is_token.shape else values
                seen = seen.reshape(-1, seen.shape[-1])
                largest[name] = np.maximum(largest.get(name, 0), np.abs(seen).max(axis=0))
                most[name], least[name] = max(most[name], seen.max()), min(least[name], seen.min())
    return {name: _Range(largest[name], least[name], most[name]) for name in largest}


class _Activation(NamedTuple):
    """An activation in eight bits."""

    quantised: str
    scale: str | None
    """One for each vector; None where `components` are fixed."""
    components: NDArray[np.float32] | None
    """Fixed scales, one for each component."""
    zero: str


class _Quantiser:
    def __init__(self, model: onnx.ModelProto, ranges: dict[str, _Range], normalised: bool) -> None:
        graph = model.graph
        self._graph = graph
        self._weights = _weights(graph)
        self._products = _products(graph)
        self._ranges = ranges
        self._normalised = {name for node in graph.node if node.op_type == _NORMALISATION for name in node.output}
        if normalised:
            self._normalised |= {value.name for value in graph.input}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._activations: dict[str, _Activation] = {}
        self._constants: set[str] = set()
        self._done: set[str] = set()

    def replace(self, node: NodeProto) -> list[NodeProto]:
        """Nodes that compute what ``node`` does, in int8 where its weights are constant matrices."""
        if node.output[0] in self._done:
            return []
        if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
            return self._product(node)
        if node.op_type == "Gather" and self._is_matrix(node.input[0]) and not any(a.i for a in node.attribute):
            return self._lookup(node)
        return [node]

    def _is_matrix(self, name: str) -> bool:
        return name in self._weights and len(self._weights[name].dims) == 2

    def _product(self, node: NodeProto) -> list[NodeProto]:
        name, weights = node.input
        out = node.output[0]
        nodes = self._quantise_input(name)
        quantised, vector_scale, components, zero = self._activations[name]
        matrix = self._weight(weights)
        if components is not None:
            matrix = matrix * components[:, None]
        rounded, scale = _to_int8(matrix, axis=0)
        one = self._constant("int8_one", np.array(1, np.float32))
        # The same weights may be read by activations with other scales.
        own = f"{weights}_by_{name}" if components is not None else weights
        inputs = [
            *(quantised, self._constant(f"{own}_columns_int8", rounded), one),
            *(self._constant(f"{own}_columns_scale", scale.reshape(-1)), zero),
        ]
        if vector_scale is not None:
            # The scale is a factor of its own: the operator takes but one for the whole batch.
            nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [f"{out}_columns"], domain=_CONTRIB))
            return [*nodes, helper.make_node("Mul", [f"{out}_columns", vector_scale], [out])]
        bias = self._bias(out)
        if bias:
            constant, out = bias
            self._done.add(out)
            inputs += ["", constant]
        return [*nodes, helper.make_node("MatMulIntegerToFloat", inputs, [out], domain=_CONTRIB)]

    def _bias(self, product: str) -> tuple[str, str] | None:
        """The constant vector that is all that happens to a product, and the name of the sum; None otherwise."""
        readers = self._readers[product]
        if len(readers) != 1 or readers[0].op_type != "Add" or product in {each.name for each in self._graph.output}:
            return None
        [other] = [name for name in readers[0].input if name != product] or [""]
        is_vector = other in self._weights and len(self._weights[other].dims) == 1
        return (other, readers[0].output[0]) if is_vector else None

    def _quantise_input(self, name: str) -> list[NodeProto]:
        """Quantise an activation once, however many products read it."""
        if name in self._activations:
            return []
        seen = self._ranges.get(name)
        if seen is not None and name in self._normalised:
            return self._quantise_components(name, seen)
        return self._quantise_vectors(name, seen)

    def _quantise_components(self, name: str, seen: _Range) -> list[NodeProto]:
        read_by = [np.abs(self._weight(product.input[1])).max(axis=1) for product in self._products[name]]
        largest = np.maximum(seen.largest, _LEAST)
        smooth = largest**_MIGRATION / np.maximum(np.max(read_by, axis=0), _LEAST) ** (1 - _MIGRATION)
        components = (smooth * (largest / smooth).max() / 127).astype(np.float32)
        self._activations[name] = _Activation(f"{name}_uint8", None, components, self._zero(_ZERO))
        per_step = self._constant(f"{name}_per_step", 1 / components)
        return [helper.make_node("Mul", [name, per_step], [f"{name}_steps"]), self._round(name, _ZERO)]

    def _quantise_vectors(self, name: str, seen: _Range | None) -> list[NodeProto]:
        zero, size, least = _ZERO, f"{name}_size", _LEAST
        nodes = [helper.make_node("Abs", [name], [size])]
        if seen is not None and seen.is_one_sided:
            # The largest value says nothing of what goes down: that has the steps below zero, at the least.
            zero, size, least = _ONE_SIDED_ZERO, name, max(-seen.least / _ONE_SIDED_ZERO, _LEAST)
            nodes = []
        axis = self._constant("int8_axis", np.array([-1], np.int64))
        step = self._constant(f"int8_step_{zero}", np.array(1 / (255 - zero), np.float32))
        nodes += [
            helper.make_node("ReduceMax", [size, axis], [f"{name}_max"], keepdims=1),
            helper.make_node("Mul", [f"{name}_max", step], [f"{name}_step"]),
            helper.make_node(
                "Max",
                [f"{name}_step", self._constant(f"{name}_least", np.array(least, np.float32))],
                [f"{name}_scale"],
            ),
            helper.make_node("Div", [name, f"{name}_scale"], [f"{name}_steps"]),
        ]
        self._activations[name] = _Activation(f"{name}_uint8", f"{name}_scale", None, self._zero(zero))
        return [*nodes, self._round(name, zero)]

    def _round(self, name: str, zero: int) -> NodeProto:
        """Round steps to whole ones, and cut those that eight bits have not."""
        one = self._constant("int8_one", np.array(1, np.float32))
        return helper.make_node("QuantizeLinear", [f"{name}_steps", one, self._zero(zero)], [f"{name}_uint8"])

    def _zero(self, value: int) -> str:
        return self._constant(f"int8_zero_{value}", np.array(value, np.uint8))

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
    scale = np.maximum(np.abs(weights).max(axis=axis, keepdims=True), _LEAST) / 127
    return np.round(weights / scale).astype(np.int8), scale.astype(np.float32)
