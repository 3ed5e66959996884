"""Contrastive learning: batches of pairs of texts that say the same, and the loss that pulls these together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from narratrace.training.messages import Messages

WARMUP = 0.1
"""Share of the steps in which the learning rate rises to its peak."""


class Batch(NamedTuple):
    """Texts of one step; the first are pairs, one half of each after the other halves."""

    texts: Tensor
    """Positions of the texts, shape (n,)."""
    partners: Tensor
    """Row of each paired text's partner within the batch, shape (paired,)."""
    message: Tensor
    """Which message each text is, shape (n,)."""


def draw_pairs(messages: Messages, epochs: int, batch_size: int, seed: int) -> Iterator[Batch]:
    """Draw pairs that say the same, in random order, followed by texts that look like one of them, where there are."""
    rng = np.random.default_rng(seed)
    pairs = np.array(messages.same)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(messages.texts),) * 2)
    message = connected_components(links, directed=False)[1]
    lookalikes: dict[int, list[int]] = {}
    for one, other in messages.different:
        lookalikes.setdefault(one, []).append(other)
        lookalikes.setdefault(other, []).append(one)
    for _ in range(epochs):
        order = rng.permutation(len(pairs))
        for start in range(0, len(order), batch_size):
            anchors = pairs[order[start : start + batch_size]].T.ravel()
            hard = [rng.choice(lookalikes[text]) for text in anchors if text in lookalikes]
            texts = np.concatenate([anchors, np.array(hard, dtype=np.int64)])
            partners = np.roll(np.arange(len(anchors)), len(anchors) // 2)
            yield Batch(*map(torch.from_numpy, (texts, partners, message[texts])))


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
