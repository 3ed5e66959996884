"""The network: an encoder, mean pooling and two linear heads; and an embedder with upper layers of its own.

Labels and sentence embeddings ask for different things: a label is the same in many messages, an embedding is to tell
these apart. So they share the encoder's lower layers alone, and what the embedder learns changes no label.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from narratrace.model.artefact import ENCODER, HEADS
from narratrace.model.base import RECORD
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.sentence_encoder import write_modules


class NetworkOutput(NamedTuple):
    """What the heads say of n posts."""

    narratives: Tensor
    """Logits, shape (n, narratives)."""
    stances: Tensor
    """Logits, shape (n, stances)."""


class Embedder(nn.Module):
    """Makes a sentence embedding of what an encoder's lower layers give: upper layers, mean pooling, a projection.

    Parameters
    ----------
    encoder
        Its upper layers are what the embedder's own begin as; they are copied.
    own_layers
        Number of these. Without any, the encoder's last vectors are pooled and projected.
    dimension
        Length of an embedding.

    Raises
    ------
    SettingsError
        The encoder has not so many layers, or none that can be told apart.
    """

    own_layers: Tensor

    def __init__(self, encoder: PreTrainedModel, own_layers: int, dimension: int) -> None:
        super().__init__()
        self.own_layers = nn.Buffer(torch.tensor(own_layers))
        self.upper = copy.deepcopy(_upper(encoder, own_layers))
        self.projection = nn.Linear(encoder.config.hidden_size, dimension, bias=False)
        nn.init.orthogonal_(self.projection.weight)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed posts from the lower layers' vectors, shape (n, tokens, hidden): unit vectors, (n, dimension)."""
        pooled = pool(_run(self.upper, states, attention_mask), attention_mask)
        return nn.functional.normalize(self.projection(pooled), dim=-1)


class Network(nn.Module):
    """Encoder, mean pooling, the narrative and stance heads, and the embedder.

    The heads read the pooled vector of the last layer, standardised: sentence embeddings share a large common component
    (unrelated posts have cosines of 0.75 to 0.8 in e5), beside which the differences are small.

    Parameters
    ----------
    encoder
        Any Hugging Face encoder with ``last_hidden_state``.
    narratives, stances
        Number of outputs of each head.
    dropout
        Probability with which the heads ignore a component of the pooled vector while training.

    Attributes
    ----------
    embedder
        None until one is trained, after the rest: embeddings are then the pooled vectors, scaled to unit length.
    """

    embedder: Embedder | None

    def __init__(self, encoder: PreTrainedModel, narratives: int, stances: int, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.centre = nn.Buffer(torch.zeros(hidden))
        self.spread = nn.Buffer(torch.ones(hidden))
        self.dropout = nn.Dropout(dropout)
        self.narratives = nn.Linear(hidden, narratives)
        self.stances = nn.Linear(hidden, stances)
        self.embedder = None

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.embedder.projection.out_features if self.embedder else self.narratives.in_features

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> NetworkOutput:
        """Run padded token ids, shape (n, tokens), with their attention mask, through encoder and heads."""
        return self.judge(self.pool(input_ids, attention_mask))

    def judge(self, pooled: Tensor) -> NetworkOutput:
        """What the heads say of pooled vectors, shape (n, hidden)."""
        kept = self.dropout((pooled - self.centre) / self.spread)
        return NetworkOutput(self.narratives(kept), self.stances(kept))

    def pool(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean over the tokens of the last layer's vectors, shape (n, hidden)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return pool(states, attention_mask)

    def parts(self) -> Parts:
        """The network cut in three where labels and embeddings part; weights are shared with it, not copied."""
        own = int(self.embedder.own_layers) if self.embedder else 0
        return Parts(_Lower(self.below(own)), _Labels(self, own), self.embedder or _Pooled())

    def below(self, own_layers: int) -> PreTrainedModel:
        """The encoder without so many upper layers; what is left is shared with it, not copied."""
        return lower_layers(self.encoder, _count(self.encoder) - own_layers) if own_layers else self.encoder

    @torch.inference_mode()
    def standardise(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take centre and spread of the pooled vectors from batches of token ids and attention masks."""
        pooled = torch.cat([self.pool(*batch) for batch in batches])
        self.centre.copy_(pooled.mean(dim=0))
        self.spread.copy_(pooled.std(dim=0).clamp(min=1e-6))

    def heads(self) -> dict[str, Tensor]:
        """State of all but the encoder."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}


class Parts(NamedTuple):
    """A network in three parts, each in evaluation mode if the network is."""

    lower: nn.Module
    """From token ids and attention mask to the lower layers' vectors, shape (n, tokens, hidden)."""
    labels: nn.Module
    """From these vectors and the attention mask to narrative and stance logits."""
    embedding: nn.Module
    """From these vectors and the attention mask to embeddings."""


def pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of the tokens' vectors, shape (n, tokens, hidden), to (n, hidden)."""
    mask = attention_mask.unsqueeze(-1).float()
    return (states.float() * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


class _Lower(nn.Module):
    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.train(encoder.training)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


class _Labels(nn.Module):
    def __init__(self, network: Network, own_layers: int) -> None:
        super().__init__()
        self.network, self.upper = network, _upper(network.encoder, own_layers)
        self.train(network.training)

    def forward(self, states: Tensor, attention_mask: Tensor) -> NetworkOutput:
        return self.network.judge(pool(_run(self.upper, states, attention_mask), attention_mask))


class _Pooled(nn.Module):
    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        return nn.functional.normalize(pool(states, attention_mask), dim=-1)


def _run(upper: PreTrainedModel | None, states: Tensor, attention_mask: Tensor) -> Tensor:
    if upper is None:
        return states
    given: Tensor = upper(input_ids=states, attention_mask=attention_mask).last_hidden_state
    return given


def _upper(encoder: PreTrainedModel, layers: int) -> PreTrainedModel | None:
    return upper_layers(encoder, _count(encoder) - layers) if layers else None


def _count(encoder: PreTrainedModel) -> int:
    return int(encoder.config.num_hidden_layers)


def lower_layers(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """Make an encoder of the lowest layers alone; they are shared with ``encoder``.

    Raises
    ------
    SettingsError
        The encoder has not more layers than that, or none that can be told apart.
    """
    return _with_layers(encoder, slice(None, layers))


def upper_layers(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """Make an encoder of all layers but the lowest, which takes what those give in the place of token ids.

    The layers are shared with ``encoder``: training them trains it.

    Raises
    ------
    SettingsError
        The encoder has not more layers than that, or none that can be told apart.
    """
    upper = _with_layers(encoder, slice(layers, None))
    upper.embeddings = _Given()
    return upper


class _Given(nn.Module):
    """Stands where an encoder's embeddings were, and passes on what it is given."""

    def forward(self, input_ids: Tensor, **_: Any) -> Tensor:
        return input_ids


def _with_layers(encoder: PreTrainedModel, which: slice) -> PreTrainedModel:
    """A copy of an encoder's outside around some of its own layers."""
    try:
        layers = encoder.encoder.layer
    except AttributeError as error:
        kind = type(encoder).__name__
        raise SettingsError(
            f"The layers of a {kind} cannot be told apart: set optimiser.frozen_layers and embedding.own_layers to 0."
        ) from error
    if not 0 < (which.stop or which.start) < len(layers):
        raise SettingsError(
            f"The encoder has {len(layers)} layers: optimiser.frozen_layers and embedding.own_layers must be fewer."
        )
    outside = type(encoder)(_no_layers(encoder.config), add_pooling_layer=False)
    outside.embeddings = encoder.embeddings
    outside.encoder.layer = nn.ModuleList(layers[which])
    outside.config.num_hidden_layers = len(outside.encoder.layer)
    return outside.train(encoder.training)


def _no_layers(config: Any) -> Any:
    bare = type(config).from_dict(config.to_dict() | {"num_hidden_layers": 0})
    bare._attn_implementation = config._attn_implementation
    return bare


def load_encoder(folder: str | Path) -> PreTrainedModel:
    """Load an encoder in full precision, with plain attention.

    Half precision is slow on CPUs, and a checkpoint saved in it would otherwise be loaded in it. Plain ("eager")
    attention is the fastest on CPUs for posts of some 50 tokens, and exports to any ONNX runtime.
    """
    # narratrace shows its own progress, and BERT's pooler, of which transformers warns, is unused.
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    how: dict[str, Any] = {
        "dtype": torch.float32,
        "attn_implementation": "eager",
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    try:
        return AutoModel.from_pretrained(folder, add_pooling_layer=False, **how)
    except TypeError:  # not every architecture has a pooler
        return AutoModel.from_pretrained(folder, **how)
    finally:
        transformers_logging.set_verbosity(verbosity)


def load_network(folder: Path) -> Network:
    """Rebuild the network that :func:`save_network` saved, in full precision and in evaluation mode."""
    heads = {name: value.float() for name, value in load_file(folder / HEADS).items()}
    network = Network(load_encoder(folder / ENCODER), len(heads["narratives.bias"]), len(heads["stances.bias"]))
    if "embedder.own_layers" in heads:
        dimension = len(heads["embedder.projection.weight"])
        network.embedder = Embedder(network.encoder, int(heads["embedder.own_layers"]), dimension)
    missing = network.heads().keys() - heads.keys()
    if missing:
        raise ArtefactError(f"{folder / HEADS} lacks {', '.join(sorted(missing))}.")
    network.load_state_dict(heads, strict=False)
    return network.eval()


def save_network(network: Network, base: Path, folder: Path, max_tokens: int) -> None:
    """Write the encoder, as a folder that sentence-transformers loads too, and the heads.

    Weights are stored in half precision: half the size, and what is lost is far below what int8 inference loses.

    Parameters
    ----------
    network
        What to save; not changed.
    base
        The encoder folder that the network was made from: its tokenizer and its record of origin are copied.
    folder
        Where ``encoder/`` and the heads' file go.
    max_tokens
        Where sentence-transformers cuts a text.
    """
    encoder = folder / ENCODER
    halves = {name: value.detach().half().contiguous() for name, value in network.encoder.state_dict().items()}
    network.encoder.save_pretrained(encoder, state_dict=halves)
    for name in ("tokenizer.json", "tokenizer_config.json", RECORD):
        shutil.copy(base / name, encoder / name)
    write_modules(encoder, network.encoder.config.hidden_size, max_tokens)
    save_heads(network, folder)


def save_heads(network: Network, folder: Path) -> None:
    """Write, or write anew, all but the encoder into a folder that :func:`save_network` made."""
    halves = {name: value.detach().half().contiguous() for name, value in network.heads().items()}
    save_file(halves, folder / HEADS)
