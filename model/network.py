"""The network: an encoder, mean pooling, two linear heads on the pooled vector, and a projection that embeds posts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from narratrace.model.artefact import ENCODER, HEADS
from narratrace.model.base import RECORD
from narratrace.model.errors import ArtefactError
from narratrace.model.sentence_encoder import write_modules


class NetworkOutput(NamedTuple):
    """What one forward pass gives for n posts."""

    narratives: Tensor
    """Logits, shape (n, narratives)."""
    stances: Tensor
    """Logits, shape (n, stances)."""
    embeddings: Tensor
    """Sentence embeddings of unit length, shape (n, dimension)."""


class Embedder(nn.Module):
    """Projects the pooled vectors of some layers to a sentence embedding of unit length.

    A linear map of pooled vectors, standardised, tells the same message from the same topic better than they do as they
    are, and costs next to nothing.

    Parameters
    ----------
    hidden
        Width of the encoder.
    layers
        Which layers' vectors are read: 0 is the encoder's word embeddings, 1 its first layer, and so on.
    dimension
        Length of an embedding.
    """

    layers: Tensor

    def __init__(self, hidden: int, layers: Sequence[int], dimension: int) -> None:
        super().__init__()
        width = len(layers) * hidden
        self.layers = nn.Buffer(torch.tensor(layers))
        self.centre = nn.Buffer(torch.zeros(width))
        self.spread = nn.Buffer(torch.ones(width))
        self.projection = nn.Linear(width, dimension, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Embed posts from their pooled vectors, layer after layer in each row, shape (n, layers * hidden)."""
        return nn.functional.normalize(self.projection((pooled - self.centre) / self.spread), dim=-1)


class Network(nn.Module):
    """Encoder, mean pooling, the narrative and stance heads, and the embedder.

    One forward pass serves labels, stance and copypasta. The heads read the pooled vector of the last layer,
    standardised: sentence embeddings share a large common component (unrelated posts have cosines of 0.75 to 0.8 in
    e5), beside which the differences are small. The sentence embedding comes from the embedder; without one it is the
    pooled vector itself, scaled to unit length.

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
        None until one is trained, after the rest.
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
        """Run padded token ids, shape (n, tokens), with their attention mask."""
        layers = [] if self.embedder is None else self.embedder.layers.tolist()
        pooled, *others = self.pool(input_ids, attention_mask, layers)
        kept = self.dropout((pooled - self.centre) / self.spread)
        if self.embedder is None:
            embeddings = nn.functional.normalize(pooled, dim=-1)
        else:
            embeddings = self.embedder(torch.cat(others, dim=-1))
        return NetworkOutput(self.narratives(kept), self.stances(kept), embeddings)

    def pool(self, input_ids: Tensor, attention_mask: Tensor, layers: Sequence[int] = ()) -> list[Tensor]:
        """Mean over the tokens of the last layer's vectors, then of those of ``layers``, each of shape (n, hidden)."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=bool(layers))
        mask = attention_mask.unsqueeze(-1).float()
        count = mask.sum(1).clamp(min=1e-9)
        states = [output.last_hidden_state, *(output.hidden_states[layer] for layer in layers)]
        return [(state.float() * mask).sum(1) / count for state in states]

    @torch.inference_mode()
    def standardise(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take centre and spread of the pooled vectors from batches of token ids and attention masks."""
        pooled = torch.cat([self.pool(*batch)[0] for batch in batches])
        self.centre.copy_(pooled.mean(dim=0))
        self.spread.copy_(pooled.std(dim=0).clamp(min=1e-6))

    def heads(self) -> dict[str, Tensor]:
        """State of all but the encoder."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}


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
    if "embedder.layers" in heads:
        dimension = len(heads["embedder.projection.weight"])
        layers = [int(layer) for layer in heads["embedder.layers"]]
        network.embedder = Embedder(network.encoder.config.hidden_size, layers, dimension)
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
