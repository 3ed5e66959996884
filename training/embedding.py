"""Training of the sentence embedding, after all else: a projection of pooled vectors, and upper layers if wanted.

The encoder is run once over all texts; its pooled vectors are kept in the run's folder, and the projection learns from
them in minutes: labels and scores are then the same with and without it. With ``embedding.encoder`` upper layers learn
too, and what the heads say is held (:mod:`narratrace.training.joint_embedding`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.linalg import eigh

from narratrace.model.appearing import appearing
from narratrace.model.artefact import ENCODER, HEADS, hash_file
from narratrace.model.batching import padded_batches, token_batches
from narratrace.model.errors import SettingsError
from narratrace.model.network import Embedder, Network, load_network, save_network
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.contrast import WARMUP, contrast, draw_pairs
from narratrace.training.joint_embedding import CHECKPOINT, learn_together
from narratrace.training.messages import Messages, read_messages
from narratrace.training.settings import EmbeddingSettings, TrainingSettings
from narratrace.training.trainer import Step
from narratrace.training.trainings import Progress, listening

VECTORS = "vectors.npz"
"""File of the pooled vectors and of what the heads say, half precision."""

EMBEDDER = "embedder.safetensors"
"""File of the trained projection."""

NETWORK = "network"
"""Folder of the network whose upper layers learnt too."""

INPUTS = "inputs.json"
"""File that says of what the others were made."""

_BATCH_TOKENS = 2048

_NOISE = 0.1
"""Share of the mean variance within messages that is added to each, so that no direction seems free of noise."""


class Read(NamedTuple):
    """What a network makes of n texts, in half precision."""

    vectors: NDArray[np.float16]
    """Pooled vectors, layer after layer in each row, shape (n, layers * hidden)."""
    logits: NDArray[np.float16]
    """Of the narratives, then of the stances, shape (n, narratives + stances)."""


def add_embedder(
    network: Network,
    tokenizer: PostTokenizer,
    settings: TrainingSettings,
    final: Path,
    folder: Path,
    posts: Sequence[str] = (),
    *,
    threads: int = 1,
    on_progress: Progress = lambda _: None,
) -> Path:
    """Give a network its embedder: the one that ``folder`` keeps if it is of these settings, else one trained now.

    Without settings for it the network stays as it is.

    Parameters
    ----------
    network
        The finished network; its embedder changes, and the upper layers of its encoder where the settings say so.
    tokenizer
        The network's tokenizer.
    settings
        The run's settings.
    final
        Folder that the network was loaded from.
    folder
        Where pooled vectors, projection and changed network are kept.
    posts
        Normalised posts on which labels are held, besides the texts of the pairs.
    threads
        CPU threads.
    on_progress
        Called now and then.

    Returns
    -------
    Path
        Folder of the encoder that the network now has: ``final``, or one in ``folder``.

    Raises
    ------
    InputError
        A source of pairs cannot be read.
    SettingsError
        The encoder has no such layer.
    StoppedError
        Ctrl-C or TERM came while upper layers learnt; they left a checkpoint.
    """
    wanted = settings.embedding
    if wanted is None:
        return final
    layers = network.encoder.config.num_hidden_layers
    if max(wanted.layers) > layers or min(wanted.layers) < 0:
        raise SettingsError(f"embedding.layers must lie between 0 and {layers}, the encoder's last layer.")
    torch.set_num_threads(threads)
    messages = read_messages(wanted, settings.data, settings.seed)
    texts = [*messages.texts, *(posts if wanted.encoder else ())]
    weights = [hash_file(path) for path in sorted(final.rglob("*.safetensors")) if path.name != HEADS]
    vectors_of = _digest([weights, wanted.layers, wanted.max_tokens, texts])
    projection = wanted.model_dump_json(exclude={"encoder"})
    embedder_of = _digest([vectors_of, messages.same, messages.different, projection, settings.seed])
    network_of = _digest([embedder_of, wanted.encoder.model_dump_json()]) if wanted.encoder else ""
    folder.mkdir(exist_ok=True)
    record = folder / INPUTS
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    ids = [_cut(each, wanted.max_tokens) for each in tokenizer.encode(texts)]
    if known.get(VECTORS) != vectors_of:
        record.unlink(missing_ok=True)
        read = read_texts(network, ids, tokenizer.pad_id, wanted.layers, on_progress)
        np.savez(folder / VECTORS, **read._asdict())
        known = {VECTORS: vectors_of}
        _write(record, known)
    if known.get(EMBEDDER) != embedder_of:
        known = {VECTORS: vectors_of}
        _write(record, known)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        vectors = np.load(folder / VECTORS)["vectors"][: len(messages.texts)]
        embedder = fit_embedder(vectors, messages, wanted, settings.seed, on_progress)
        halves = {name: value.detach().half().contiguous() for name, value in embedder.state_dict().items()}
        save_file(halves, folder / EMBEDDER)
        known[EMBEDDER] = embedder_of
        _write(record, known)
    # What is exported is what is saved, in half precision.
    network.embedder = Embedder(network.encoder.config.hidden_size, wanted.layers, wanted.dimension)
    network.embedder.load_state_dict({name: value.float() for name, value in load_file(folder / EMBEDDER).items()})
    network.eval()
    if not wanted.encoder:
        return final
    if known.get(NETWORK) != network_of:
        if known.get(CHECKPOINT) != network_of:
            (folder / CHECKPOINT).unlink(missing_ok=True)
        known = {VECTORS: vectors_of, EMBEDDER: embedder_of, CHECKPOINT: network_of}
        _write(record, known)
        with listening() as asked_to_stop:
            learn_together(
                network,
                ids,
                torch.from_numpy(np.load(folder / VECTORS)["logits"]).float(),
                messages,
                wanted.encoder,
                settings.seed,
                folder,
                settings.checkpoint_minutes,
                lambda step: on_progress({"embedding: upper layers": step}),
                asked_to_stop,
            )
        with appearing(folder / NETWORK) as new:
            save_network(network, final / ENCODER, new, settings.max_tokens)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        _write(record, {VECTORS: vectors_of, EMBEDDER: embedder_of, NETWORK: network_of})
    network.load_state_dict(load_network(folder / NETWORK).state_dict())
    return folder / NETWORK


@torch.inference_mode()
def read_texts(
    network: Network,
    ids: Sequence[Sequence[int]],
    pad_id: int,
    layers: tuple[int, ...],
    on_progress: Progress = lambda _: None,
) -> Read:
    """Run a network over texts, given as token ids, and keep the pooled vectors of some layers and the logits."""
    vectors = np.zeros((len(ids), len(layers) * network.encoder.config.hidden_size), dtype=np.float16)
    logits = np.zeros((len(ids), network.narratives.out_features + network.stances.out_features), dtype=np.float16)
    done = 0
    for rows, stacked, mask in padded_batches(ids, token_batches(ids, _BATCH_TOKENS), pad_id):
        with torch.autocast("cpu", torch.bfloat16):
            last, *pooled = network.pool(torch.from_numpy(stacked), torch.from_numpy(mask), layers)
        read = (last - network.centre) / network.spread
        vectors[rows] = torch.cat(pooled, dim=-1).numpy()
        logits[rows] = torch.cat([network.narratives(read), network.stances(read)], dim=-1).numpy()
        done += len(rows)
        on_progress({"embedding: encoder": Step(done, len(ids))})
    return Read(vectors, logits)


def fit_embedder(
    vectors: NDArray[np.float16],
    messages: Messages,
    settings: EmbeddingSettings,
    seed: int,
    on_progress: Progress = lambda _: None,
) -> Embedder:
    """Train a projection in which texts that say the same are close, and others are not.

    It begins as the discriminants of the pairs, which do most of it, and learns from there by contrast.

    Parameters
    ----------
    vectors
        Pooled vectors of the texts, shape (texts, layers * hidden).
    messages
        Which texts say the same.
    settings
        Dimension, loss and optimiser.
    seed
        Seed of everything random.
    on_progress
        Called after each step.

    Returns
    -------
    Embedder
        The trained projection, in evaluation mode.
    """
    torch.manual_seed(seed)
    embedder = Embedder(vectors.shape[1] // len(settings.layers), settings.layers, settings.dimension)
    embedder.centre.copy_(torch.from_numpy(vectors.mean(axis=0, dtype=np.float64)))
    embedder.spread.copy_(torch.from_numpy(vectors.std(axis=0, dtype=np.float64)).clamp(min=1e-4))
    pooled = torch.from_numpy(vectors)
    standard = ((pooled.float() - embedder.centre) / embedder.spread).numpy()
    embedder.projection.weight.data = torch.from_numpy(discriminants(standard, messages.same, settings.dimension))
    if not settings.epochs:
        return embedder.eval()
    steps = settings.epochs * -(-len(messages.same) // settings.batch_size)
    optimiser = torch.optim.AdamW(embedder.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps, pct_start=WARMUP)
    for step, batch in enumerate(draw_pairs(messages, settings.epochs, settings.batch_size, seed), 1):
        embeddings = embedder(pooled[batch.texts].float())
        loss = contrast(embeddings, batch.partners, batch.message, settings.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        on_progress({"embedding: projection": Step(step, steps, loss.item())})
    return embedder.eval()


def discriminants(vectors: NDArray[np.float32], same: Sequence[tuple[int, int]], dimension: int) -> NDArray[np.float32]:
    """Directions in which texts differ most, measured by how much those differ that say the same.

    What differs between a text and its translation or its paraphrase, such as the language, no longer counts; nor does
    the common part of all texts, by which unrelated posts are close.

    Source: linear discriminant analysis with within-class covariance normalisation, as speakers are verified by one
    cosine threshold (Dehak et al. 2011, "Front-end factor analysis for speaker verification").

    Parameters
    ----------
    vectors
        Standardised, shape (n, width).
    same
        Pairs of rows that say the same.
    dimension
        Number of directions, at most the width.

    Returns
    -------
    array
        Shape (dimension, width).
    """
    one, other = np.array(same).T
    differences = vectors[one] - vectors[other]
    within = differences.T @ differences / (2 * len(differences))
    within += _NOISE * np.trace(within) / len(within) * np.eye(len(within))
    _, directions = eigh(np.cov(vectors.T), within)
    projection = directions[:, ::-1][:, :dimension].T
    # Of the size of a new layer's weights, so that one learning rate fits all encoders; cosines do not see it.
    size = np.sqrt((projection**2).mean() * vectors.shape[1])
    return np.ascontiguousarray(projection / size, dtype=np.float32)


def _cut(ids: list[int], most: int) -> list[int]:
    """Cut a text, but keep the token that ends it."""
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _write(path: Path, content: dict[str, str]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
