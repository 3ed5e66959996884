"""Training of the sentence embedding, after all else: upper layers of its own, and a projection.

The layers below are shared with the labels and do not change: what they give for each text is computed once and kept in
the run's folder. Labels and scores are the same, to the last bit, with and without an embedding.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from narratrace.model.artefact import HEADS, Artefact, hash_file
from narratrace.model.batching import equal_batches
from narratrace.model.errors import SettingsError, StoppedError
from narratrace.model.network import Embedder, Network, load_network
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.contrast import contrast, count_batches, draw_messages
from narratrace.training.frozen import LowerStates, compute_states
from narratrace.training.messages import Messages, read_messages
from narratrace.training.neighbours import add_neighbours
from narratrace.training.precision import on_cpu
from narratrace.training.settings import EmbeddingSettings, TrainingSettings
from narratrace.training.trainer import Step
from narratrace.training.trainings import Progress, listening

EMBEDDER = "embedder.safetensors"
"""File of the trained embedder."""

CHECKPOINT = "checkpoint.pt"
"""File of a training that is not done: weights, optimiser, schedule."""

INPUTS = "inputs.json"
"""File that says of what the others were made."""

_WARMUP = 0.1
"""Share of the steps in which the learning rates rise to their peak."""

_AT_ONCE = 256

_CHUNKS = 8
"""A step's texts go through the layers in so many parts, sorted by length: less is padded."""


def add_embedder(
    network: Network,
    settings: TrainingSettings,
    final: Path,
    folder: Path,
    *,
    threads: int = 1,
    on_progress: Progress = lambda _: None,
) -> None:
    """Give a network its embedder: the one that ``folder`` keeps if it is of these settings, else one trained now.

    Without settings for it the network stays as it is.

    Parameters
    ----------
    network
        The finished network; gets its embedder.
    settings
        The run's settings.
    final
        Folder that the network was loaded from.
    folder
        Where the shared layers' vectors and the embedder are kept.
    threads
        CPU threads.
    on_progress
        Called now and then.

    Raises
    ------
    ArtefactError
        The artefact of ``begin_with`` cannot be opened.
    InputError
        A source of pairs cannot be read.
    SettingsError
        The encoder has not so many layers, or the embedder to begin with has others.
    StoppedError
        Ctrl-C or TERM came; a checkpoint is left, and the next call goes on.
    """
    wanted = settings.embedding
    if wanted is None:
        return
    torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    embedder, begun = new_embedder(network.encoder, wanted)
    messages = read_messages(wanted, settings.data, settings.seed)
    weights = [hash_file(path) for path in sorted(final.rglob("*.safetensors")) if path.name != HEADS]
    states_of = _digest([weights, wanted.own_layers, wanted.max_tokens, messages.texts])
    rest = wanted.model_dump_json(exclude={"begin_with"})
    embedder_of = _digest([states_of, messages.same, messages.different, rest, begun, settings.seed])
    folder.mkdir(exist_ok=True)
    record = folder / INPUTS
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if known.get(EMBEDDER) != embedder_of:
        if known.get("states") != states_of:
            record.unlink(missing_ok=True)
            compute_states(
                network.below(wanted.own_layers),
                PostTokenizer(settings.base / "tokenizer.json", min(wanted.max_tokens, settings.max_tokens)),
                [messages.texts],
                folder,
                lambda done, to_do: on_progress({"embedding: shared layers": Step(done, to_do)}),
                mixed_precision=settings.optimiser.mixed_precision,
            )
        if known.get(CHECKPOINT) != embedder_of:
            (folder / CHECKPOINT).unlink(missing_ok=True)
        _write(record, {"states": states_of, CHECKPOINT: embedder_of})
        states = LowerStates(folder)
        if wanted.neighbours:
            add_neighbours(messages, _pool(states, len(messages.texts)), wanted.neighbours)
        with listening() as asked_to_stop:
            fit_embedder(
                embedder,
                states,
                messages,
                wanted,
                settings.seed,
                folder / CHECKPOINT,
                settings.checkpoint_minutes,
                lambda step: on_progress({"embedding": step}),
                asked_to_stop,
                mixed_precision=settings.optimiser.mixed_precision,
            )
        halves = {name: value.detach().half().contiguous() for name, value in embedder.state_dict().items()}
        save_file(halves, folder / EMBEDDER)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        _write(record, {"states": states_of, EMBEDDER: embedder_of})
    # What is exported is what is saved, in half precision.
    embedder.load_state_dict({name: value.float() for name, value in load_file(folder / EMBEDDER).items()})
    network.embedder = embedder
    network.eval()


def new_embedder(encoder: PreTrainedModel, settings: EmbeddingSettings) -> tuple[Embedder, str | None]:
    """Make an embedder that has learnt nothing of this run yet.

    Parameters
    ----------
    encoder
        The encoder whose upper layers it copies.
    settings
        Its layers and dimension, and the artefact to begin with, if any.

    Returns
    -------
    tuple
        The embedder, and the id of the artefact that it begins with.

    Raises
    ------
    ArtefactError
        The artefact to begin with cannot be opened.
    SettingsError
        The encoder has not so many layers, or the artefact's embedder has others.
    """
    embedder = Embedder(encoder, settings.own_layers, settings.dimension)
    folder = settings.begin_with
    if folder is None:
        return embedder, None
    artefact = Artefact.open(folder)
    other = load_network(artefact.path).embedder
    if other is None or _shapes(other) != _shapes(embedder):
        raise SettingsError(f"embedding.begin_with: {folder} has no embedder of these own_layers and this dimension.")
    embedder.load_state_dict(other.state_dict())
    return embedder, artefact.id


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def fit_embedder(
    embedder: Embedder,
    states: LowerStates,
    messages: Messages,
    settings: EmbeddingSettings,
    seed: int,
    checkpoint: Path,
    checkpoint_minutes: float,
    on_step: Callable[[Step], None] = lambda _: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    mixed_precision: bool = True,
) -> None:
    """Train an embedder so that texts that say the same are close, and others are not.

    What was cut off goes on from its checkpoint, and gives what it would have given.

    Parameters
    ----------
    embedder
        Is changed, and left in evaluation mode.
    states
        What the shared layers give for the texts of ``messages``.
    messages
        Which texts say the same.
    settings
        Loss and optimiser.
    seed
        Seed of everything random.
    checkpoint
        File that a cut off training leaves.
    checkpoint_minutes
        Time between two of them.
    on_step
        Called after each step.
    asked_to_stop
        Asked after each step: whether to leave a checkpoint and stop.
    mixed_precision
        Whether to compute in bfloat16 where the CPU does.

    Raises
    ------
    StoppedError
        It was asked to stop; the next call goes on.
    """
    embedder.train()
    drawn = settings.epochs, settings.batch_size, seed
    steps = count_batches(messages, *drawn)
    layers = [] if embedder.upper is None else [*embedder.upper.parameters()]
    groups = [(layers, settings.learning_rate), ([*embedder.projection.parameters()], settings.projection_rate)]
    groups = [(parameters, rate) for parameters, rate in groups if parameters]
    optimiser = torch.optim.AdamW([{"params": parameters} for parameters, _ in groups])  # the schedule sets the rates
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [rate for _, rate in groups], steps, pct_start=_WARMUP)
    kept: dict[str, Any] = {"embedder": embedder, "optimiser": optimiser, "schedule": schedule}
    done = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        for name, each in kept.items():
            each.load_state_dict(state[name])
        done = int(state["step"])
    saved = time.monotonic()
    for step, batch in enumerate(draw_messages(messages, *drawn), 1):
        if step <= done:
            continue
        torch.manual_seed(seed + step)  # dropout, the same after a checkpoint
        embeddings = _embed(embedder, states, batch.texts.tolist(), mixed_precision)
        loss = contrast(embeddings, batch.message, settings.temperature)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(embedder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step(Step(step, steps, loss.item()))
        stopped = asked_to_stop()
        if stopped or time.monotonic() - saved >= 60 * checkpoint_minutes:
            unfinished = checkpoint.with_suffix(".new")
            state = {name: each.state_dict() for name, each in kept.items()}
            torch.save({"step": step} | state, unfinished)
            unfinished.replace(checkpoint)
            saved = time.monotonic()
        if stopped:
            raise StoppedError(f"Stopped; a checkpoint is in {checkpoint.parent}. The same command goes on from there.")
    embedder.eval()


def _embed(embedder: Embedder, states: LowerStates, texts: Sequence[int], mixed_precision: bool) -> Tensor:
    """Embeddings of some texts, in their order."""
    order = sorted(range(len(texts)), key=lambda row: states.length(texts[row]))
    parts = []
    for chunk in equal_batches(order, -(-len(texts) // _CHUNKS)):
        rows = [texts[row] for row in chunk]
        with on_cpu(mixed_precision):
            parts.append(embedder(*states.batch([0] * len(rows), rows)).float())
    return torch.cat(parts)[torch.argsort(torch.tensor(order))]


def _pool(states: LowerStates, texts: int) -> NDArray[np.float32]:
    """Mean vector of each text."""
    pooled = []
    for rows in equal_batches(range(texts), _AT_ONCE):
        vectors, mask = states.batch([0] * len(rows), rows)
        pooled.append((vectors.sum(dim=1) / mask.sum(dim=1, keepdim=True)).numpy())
    return np.concatenate(pooled)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _write(path: Path, content: dict[str, str]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
