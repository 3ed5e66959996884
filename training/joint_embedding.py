"""Training of the encoder's upper layers together with the sentence embedding, while its labels are held.

A projection of vectors that were made for labels tells topics apart better than messages: a post and its paraphrase
share few words, a post and its denial share most. The upper layers learn the difference from pairs, and are at the same
time held to the logits that the heads gave before, on the same posts and on labelled ones.

Source: Li and Hoiem 2016, "Learning without forgetting".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from narratrace.model.batching import by_length, padded_batches
from narratrace.model.errors import SettingsError, StoppedError
from narratrace.model.network import Network
from narratrace.training.contrast import WARMUP, contrast, draw_pairs
from narratrace.training.messages import Messages
from narratrace.training.settings import EncoderSettings
from narratrace.training.trainer import Step

CHECKPOINT = "checkpoint.pt"
"""File of a training that is not done: weights, optimiser, schedule."""

_CHUNKS = 4
"""A step's texts go through the encoder in so many parts, sorted by length: less is padded."""


def learn_together(
    network: Network,
    ids: Sequence[Sequence[int]],
    logits: Tensor,
    messages: Messages,
    settings: EncoderSettings,
    seed: int,
    folder: Path,
    checkpoint_minutes: float,
    on_step: Callable[[Step], None] = lambda _: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Network:
    """Train the embedder and the encoder's upper layers by contrast; the heads stay, and should say what they said.

    What was cut off goes on from its checkpoint in ``folder``, and gives what it would have given.

    Parameters
    ----------
    network
        A finished network with an embedder; changed in place and returned, in evaluation mode.
    ids
        Tokens of the texts of ``messages``, then of posts that are of no message, on which the heads are held as well.
    logits
        What the heads say of all of these, narratives then stances, shape (len(ids), narratives + stances).
    messages
        Which texts say the same.
    settings
        What learns, and how.
    seed
        Seed of everything random.
    folder
        Where checkpoints go.
    checkpoint_minutes
        Time between two of them.
    on_step
        Called after each step.
    asked_to_stop
        Asked after each step: whether to leave a checkpoint and stop.

    Raises
    ------
    SettingsError
        The encoder has fewer layers than shall learn, or none that can be told apart.
    StoppedError
        It was asked to stop; the next call goes on.
    """
    layers: Any = getattr(getattr(network.encoder, "encoder", None), "layer", ())
    if settings.layers > len(layers):
        raise SettingsError(
            f"embedding.encoder.layers must be at most {len(layers)}, the layers of this encoder that can learn alone."
        )
    learning = [*layers[len(layers) - settings.layers :].parameters()]
    network.eval().requires_grad_(False)  # as in use: dropout would blur what the heads are held to
    for parameter in learning:
        parameter.requires_grad_(True)
    assert network.embedder is not None
    embedder = [*network.embedder.requires_grad_(True).parameters()]
    rates = [settings.learning_rate, settings.projection_rate]
    optimiser = torch.optim.AdamW([{"params": learning}, {"params": embedder}])  # the schedule sets the rates
    steps = settings.epochs * -(-len(messages.same) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, steps, pct_start=WARMUP)
    kept: dict[str, Any] = {"network": network, "optimiser": optimiser, "schedule": schedule}
    checkpoint = folder / CHECKPOINT
    done = _resume(checkpoint, kept)
    saved = time.monotonic()
    for step, rows, partners, message in _steps(messages, len(ids), settings, seed):
        if step <= done:
            continue
        said, embeddings = _run(network, [ids[row] for row in rows])
        moved = nn.functional.mse_loss(said, logits[rows])
        loss = contrast(embeddings, partners, message, settings.temperature)
        optimiser.zero_grad()
        (loss + settings.hold * moved).backward()
        nn.utils.clip_grad_norm_([*learning, *embedder], 1.0)
        optimiser.step()
        schedule.step()
        on_step(Step(step, steps, loss.item()))
        stopped = asked_to_stop()
        if stopped or time.monotonic() - saved >= 60 * checkpoint_minutes:
            unfinished = checkpoint.with_suffix(".new")
            torch.save({"step": step} | {name: each.state_dict() for name, each in kept.items()}, unfinished)
            unfinished.replace(checkpoint)
            saved = time.monotonic()
        if stopped:
            raise StoppedError(f"Stopped; a checkpoint is in {folder}. The same command goes on from there.")
    return network.requires_grad_(True)


def _resume(checkpoint: Path, kept: dict[str, Any]) -> int:
    if not checkpoint.is_file():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, each in kept.items():
        each.load_state_dict(state[name])
    return int(state["step"])


def _steps(
    messages: Messages, texts: int, settings: EncoderSettings, seed: int
) -> Iterator[tuple[int, list[int], Tensor, Tensor]]:
    """Number of each step, its texts, their partners and messages; posts of no message are told apart from all."""
    rng = np.random.default_rng(seed)
    others = np.arange(len(messages.texts), texts)
    for step, batch in enumerate(draw_pairs(messages, settings.epochs, settings.batch_size, seed), 1):
        posts = rng.choice(others, min(settings.posts, len(others)), replace=False)
        message = torch.cat([batch.message, torch.from_numpy(posts + len(messages.texts))])
        yield step, [*batch.texts.tolist(), *posts.tolist()], batch.partners, message


def _run(network: Network, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Logits and embeddings of some texts."""
    order = by_length(ids)
    parts = np.array_split(order, min(_CHUNKS, len(ids)))
    said, embeddings = [], []
    for _, stacked, mask in padded_batches(ids, parts, network.encoder.config.pad_token_id):
        with torch.autocast("cpu", torch.bfloat16):
            output = network(torch.from_numpy(stacked), torch.from_numpy(mask))
        said.append(torch.cat([output.narratives, output.stances], dim=-1).float())
        embeddings.append(output.embeddings.float())
    back = torch.from_numpy(np.argsort(order))
    return torch.cat(said)[back], torch.cat(embeddings)[back]
