"""Contrastive learning: batches of messages, and the loss that pulls the texts of a message together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from narratrace.training.messages import Messages

_BESIDE = 5
"""Messages that stand in a row in their source and are read in one step: they are often on one matter."""


class Batch(NamedTuple):
    """Texts of one step."""

    texts: NDArray[np.int64]
    """Positions of the texts, shape (n,)."""
    message: Tensor
    """Which message each text is, shape (n,)."""


def draw_messages(messages: Messages, epochs: int, batch_size: int, seed: int) -> Iterator[Batch]:
    """Draw whole messages, about ``batch_size`` texts at once, with the texts that look like them.

    Messages that stand in a row in their source are read together, a few at a time, and these few come in random order:
    families on one matter, which stand in a row, are the hardest to tell apart. Every batch of the same place and seed
    is the same. An epoch has every message once.
    """
    rng = np.random.default_rng(seed)
    together, lookalikes, message = _group(messages)
    rows = np.split(np.arange(len(together)), range(_BESIDE, len(together), _BESIDE))
    for _ in range(epochs):
        batch: list[int] = []
        for row in rng.permutation(len(rows)):
            for group in rows[row]:
                batch += together[group] + lookalikes[group]
            if len(batch) >= batch_size:
                yield _batch(batch, message)
                batch = []
        if batch:
            yield _batch(batch, message)


def count_batches(messages: Messages, epochs: int, batch_size: int, seed: int) -> int:
    """Number of batches that :func:`draw_messages` draws."""
    return sum(1 for _ in draw_messages(messages, epochs, batch_size, seed))


def contrast(embeddings: Tensor, message: Tensor, temperature: float) -> Tensor:
    """Loss that is small where each text is closer to all others of its message than to any text of another one.

    Source: van den Oord et al. 2018, "Representation learning with contrastive predictive coding" (InfoNCE), for each
    text and each of its partners. There is no memory of earlier steps' embeddings (Wang et al. 2020): away from it all
    texts can move together, and so come closer to each other.

    Parameters
    ----------
    embeddings
        Of unit length, shape (n, dimension).
    message
        Which message each text is, shape (n,): two of the same message are never told apart.
    temperature
        What cosines are divided by.
    """
    cosines = embeddings @ embeddings.T / temperature
    alike = message[:, None] == message[None]
    others = cosines.masked_fill(alike, -torch.inf).logsumexp(dim=1, keepdim=True)
    partners = alike & ~torch.eye(len(message), dtype=torch.bool)
    losses = nn.functional.softplus(others - cosines).masked_fill(~partners, 0)
    with_partner = partners.any(dim=1)
    return (losses.sum(dim=1) / partners.sum(dim=1).clamp(min=1)).sum() / with_partner.sum().clamp(min=1)


def _group(messages: Messages) -> tuple[list[list[int]], list[list[int]], NDArray[np.int64]]:
    """Texts of each message that has several, those that only look like one of them, and every text's message."""
    pairs = np.array(messages.same)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(messages.texts),) * 2)
    count, message = connected_components(links, directed=False)
    texts: list[list[int]] = [[] for _ in range(count)]
    for text, group in enumerate(message):
        texts[group].append(text)
    lookalikes: list[set[int]] = [set() for _ in range(count)]
    for one, other in messages.different:
        lookalikes[message[one]].add(other)
        lookalikes[message[other]].add(one)
    several = [group for group in range(count) if len(texts[group]) > 1]
    return [texts[group] for group in several], [sorted(lookalikes[group]) for group in several], message.astype(int)


def _batch(texts: list[int], message: NDArray[np.int64]) -> Batch:
    rows = np.unique(np.array(texts, dtype=np.int64))
    return Batch(rows, torch.from_numpy(message[rows]))
