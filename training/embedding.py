"""Training of the sentence embedding: a projection of pooled vectors, learnt after all else, which it leaves as it is.

The encoder is run once over all texts; its pooled vectors are kept in the run's folder, and the projection learns from
them in minutes. So labels and scores are the same with and without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.linalg import eigh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from narratrace.model.artefact import HEADS, hash_file
from narratrace.model.errors import SettingsError
from narratrace.model.network import Embedder, Network
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.messages import Messages, read_messages
from narratrace.training.settings import EmbeddingSettings, TrainingSettings
from narratrace.training.trainer import Step
from narratrace.training.trainings import Progress

VECTORS = "vectors.npy"
"""File of the pooled vectors, half precision, shape (texts, layers * hidden)."""

EMBEDDER = "embedder.safetensors"
"""File of the trained projection."""

INPUTS = "inputs.json"
"""File that says of what the two others were made."""

_BATCH_TOKENS = 2048

_WARMUP = 0.1

_NOISE = 0.1
"""Share of the mean variance within messages that is added to each, so that no direction seems free of noise."""


def add_embedder(
    network: Network,
    tokenizer: PostTokenizer,
    settings: TrainingSettings,
    final: Path,
    folder: Path,
    on_progress: Progress | None = None,
) -> None:
    """Give a network its embedder: the one that ``folder`` keeps if it is of these settings, else one trained now.

    Without settings for it the network stays as it is.

    Parameters
    ----------
    network
        The finished network; only its embedder changes.
    tokenizer
        The network's tokenizer.
    settings
        The run's settings.
    final
        Folder that the network was loaded from.
    folder
        Where pooled vectors and projection are kept.
    on_progress
        Called now and then.

    Raises
    ------
    InputError
        A source of pairs cannot be read.
    SettingsError
        The encoder has no such layer.
    """
    wanted = settings.embedding
    if wanted is None:
        return
    layers = network.encoder.config.num_hidden_layers
    if max(wanted.layers) > layers or min(wanted.layers) < 0:
        raise SettingsError(f"embedding.layers must lie between 0 and {layers}, the encoder's last layer.")
    torch.set_num_threads(settings.threads)
    messages = read_messages(wanted, settings.data, settings.seed)
    weights = [hash_file(path) for path in sorted(final.rglob("*.safetensors")) if path.name != HEADS]
    vectors_of = _digest([weights, wanted.layers, messages.texts])
    embedder_of = _digest([vectors_of, messages.same, messages.different, wanted.model_dump_json(), settings.seed])
    folder.mkdir(exist_ok=True)
    record = folder / INPUTS
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if known.get(VECTORS) != vectors_of:
        record.unlink(missing_ok=True)
        vectors = pool_texts(network, tokenizer, messages.texts, wanted.layers, on_progress)
        np.save(folder / VECTORS, vectors)
        _write(record, {VECTORS: vectors_of})
        known = {VECTORS: vectors_of}
    if known.get(EMBEDDER) != embedder_of:
        _write(record, {VECTORS: vectors_of})
        vectors = np.load(folder / VECTORS)
        embedder = fit_embedder(vectors, messages, wanted, settings.seed, on_progress)
        halves = {name: value.detach().half().contiguous() for name, value in embedder.state_dict().items()}
        save_file(halves, folder / EMBEDDER)
        _write(record, {VECTORS: vectors_of, EMBEDDER: embedder_of})
    # What is exported is what is saved, in half precision.
    network.embedder = Embedder(network.encoder.config.hidden_size, wanted.layers, wanted.dimension)
    network.embedder.load_state_dict({name: value.float() for name, value in load_file(folder / EMBEDDER).items()})
    network.eval()


@torch.inference_mode()
def pool_texts(
    network: Network,
    tokenizer: PostTokenizer,
    texts: list[str],
    layers: tuple[int, ...],
    on_progress: Progress | None = None,
) -> NDArray[np.float16]:
    """Pooled vectors of normalised texts, layer after layer in each row, shape (texts, layers * hidden)."""
    ids = tokenizer.encode(texts)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    vectors = np.zeros((len(ids), len(layers) * network.encoder.config.hidden_size), dtype=np.float16)
    done = 0
    while done < len(order):
        rows = order[done : done + max(1, _BATCH_TOKENS // len(ids[order[done]]))]
        stacked, mask = pad([ids[row] for row in rows], tokenizer.pad_id)
        with torch.autocast("cpu", torch.bfloat16):
            _, *pooled = network.pool(torch.from_numpy(stacked), torch.from_numpy(mask), layers)
        vectors[rows] = torch.cat(pooled, dim=-1).numpy()
        done += len(rows)
        if on_progress:
            on_progress({"embedding: encoder": Step(done, len(order))})
    return vectors


def fit_embedder(
    vectors: NDArray[np.float16],
    messages: Messages,
    settings: EmbeddingSettings,
    seed: int,
    on_progress: Progress | None = None,
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
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps, pct_start=_WARMUP)
    for step, batch in enumerate(_batches(messages, settings, seed), 1):
        embeddings = embedder(pooled[batch.texts].float())
        loss = contrast(embeddings, batch.partners, batch.message, settings.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if on_progress:
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


def contrast(embeddings: Tensor, partners: Tensor, message: Tensor, temperature: float) -> Tensor:
    """Loss that is small where each text is closer to its partner than to every text of another message.

    Source: van den Oord et al. 2018, "Representation learning with contrastive predictive coding" (InfoNCE).

    Parameters
    ----------
    embeddings
        Of unit length, shape (n, dimension).
    partners
        For the first texts, as many as there are, the row of the text that says the same.
    message
        Which message each text is, shape (n,): two of the same message are never told apart.
    temperature
        What cosines are divided by.
    """
    anchors = len(partners)
    cosines = embeddings[:anchors] @ embeddings.T / temperature
    alike = message[:anchors, None] == message[None]
    alike[torch.arange(anchors), partners] = False
    return nn.functional.cross_entropy(cosines.masked_fill(alike, -torch.inf), partners)


class _Batch(NamedTuple):
    texts: Tensor
    partners: Tensor
    message: Tensor


def _batches(messages: Messages, settings: EmbeddingSettings, seed: int) -> Iterator[_Batch]:
    """Pairs that say the same, in random order, followed by a text that looks like one of them, where there is one."""
    rng = np.random.default_rng(seed)
    pairs = np.array(messages.same)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(messages.texts),) * 2)
    message = connected_components(links, directed=False)[1]
    lookalikes: dict[int, list[int]] = {}
    for one, other in messages.different:
        lookalikes.setdefault(one, []).append(other)
        lookalikes.setdefault(other, []).append(one)
    for _ in range(settings.epochs):
        order = rng.permutation(len(pairs))
        for start in range(0, len(order), settings.batch_size):
            anchors = pairs[order[start : start + settings.batch_size]].T.ravel()
            hard = [rng.choice(lookalikes[text]) for text in anchors if text in lookalikes]
            texts = np.concatenate([anchors, np.array(hard, dtype=np.int64)])
            partners = np.roll(np.arange(len(anchors)), len(anchors) // 2)
            yield _Batch(*map(torch.from_numpy, (texts, partners, message[texts])))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _write(path: Path, content: dict[str, str]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
