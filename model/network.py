"""The network: an encoder, mean pooling, and two linear heads on the same pooled vector."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from narratrace.model.artefact import ENCODER, HEADS, Artefact


class NetworkOutput(NamedTuple):
    """What one forward pass gives for n posts."""

    narratives: Tensor
    """Logits, shape (n, narratives)."""
    stances: Tensor
    """Logits, shape (n, stances)."""
    embeddings: Tensor
    """Sentence embeddings of unit length, shape (n, hidden)."""


class Network(nn.Module):
    """Encoder, mean pooling and the narrative and stance heads.

    The heads read the pooled vector as it is; scaled to unit length the same vector is the sentence embedding, so
    one forward pass serves labels, stance and copypasta.

    Parameters
    ----------
    encoder
        Any Hugging Face encoder with ``last_hidden_state``.
    narratives, stances
        Number of outputs of each head.
    dropout
        Probability with which the heads ignore a component of the pooled vector while training.
    """

    def __init__(self, encoder: PreTrainedModel, narratives: int, stances: int, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.narratives = nn.Linear(hidden, narratives)
        self.stances = nn.Linear(hidden, stances)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> NetworkOutput:
        """Run padded token ids, shape (n, tokens), with their attention mask."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        kept = self.dropout(pooled)
        return NetworkOutput(self.narratives(kept), self.stances(kept), nn.functional.normalize(pooled, dim=-1))

    def heads(self) -> dict[str, Tensor]:
        """State of the two heads."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}


def load_encoder(folder: str | Path) -> PreTrainedModel:
    """Load an encoder in full precision, with plain attention.

    Half precision is slow on CPUs, and a checkpoint saved in it would otherwise be loaded in it. Plain ("eager")
    attention is the fastest on CPUs for posts of some 50 tokens, and every ONNX runtime can read it.
    """
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # BERT's own pooler, unused and untrained here
    return encoder


def load_network(artefact: Artefact) -> Network:
    """Rebuild the network of an artefact, in full precision and in evaluation mode."""
    manifest = artefact.manifest
    network = Network(load_encoder(artefact.path / ENCODER), len(manifest.narratives), len(manifest.stances))
    heads = {name: value.float() for name, value in load_file(artefact.file(HEADS)).items()}
    network.load_state_dict(network.state_dict() | heads)
    return network.eval()


def save_network(network: Network, tokenizer: Path, folder: Path, max_tokens: int) -> None:
    """Write the encoder as a sentence-transformers folder, and the heads, into an artefact folder.

    Weights are stored in half precision: half the size, and what is lost is far below what int8 inference loses.

    Parameters
    ----------
    network
        What to save; not changed.
    tokenizer
        The encoder folder that the tokenizer is taken from.
    folder
        The artefact folder.
    max_tokens
        Where sentence-transformers cuts a text.
    """
    transformer = Transformer(str(tokenizer), max_seq_length=max_tokens)
    transformer.auto_model.pooler = None
    transformer.auto_model.load_state_dict(network.encoder.state_dict())
    sentence_encoder = SentenceTransformer(
        modules=[transformer, Pooling(network.encoder.config.hidden_size), Normalize()], device="cpu"
    )
    sentence_encoder.half().save(str(folder / ENCODER), create_model_card=False)
    save_file({name: value.detach().half().contiguous() for name, value in network.heads().items()}, folder / HEADS)
