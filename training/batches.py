"""Which posts a step sees, and how they are changed: decided by seed, epoch and post alone.

A training that goes on from a checkpoint must see the very posts, in the very changes, that it would have seen. So
nothing here draws from a generator that others move: order and changes are functions of the seed and the epoch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.augmentation import Augmentation
from narratrace.training.frozen import LowerStates


class Examples(Dataset[dict[str, Any]]):
    """Posts to learn from: one dictionary for each, and how many tokens it has."""

    def __init__(self, examples: Sequence[dict[str, Any]], lengths: Sequence[int]) -> None:
        self._examples = examples
        self.lengths = list(lengths)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self._examples[position]


class EpochSampler(Sampler[int]):
    """Draws all posts in a new order in every epoch, posts of like length near each other, which saves padding.

    Parameters
    ----------
    lengths
        Tokens of each post.
    batch_size
        Posts per step.
    seed
        Decides the order, together with the epoch.

    Attributes
    ----------
    epoch
        The epoch that is drawn, from 0.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Turn to an epoch; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.random("order").getrandbits(62))
        return iter(get_length_grouped_indices(self._lengths, self._batch_size, generator=generator))

    def random(self, what: object) -> random.Random:
        """Random numbers for something in this epoch, always the same."""
        return random.Random(f"{self._seed}/{self.epoch}/{what}")


class TextCollator:
    """Changes, tokenises and pads the posts of a batch."""

    def __init__(self, sampler: EpochSampler, tokenizer: PostTokenizer, augmentation: Augmentation) -> None:
        self._sampler, self._tokenizer, self._augmentation = sampler, tokenizer, augmentation

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Make a batch of posts."""
        texts = [self._augmentation(each["text"], self._sampler.random(each["row"])) for each in examples]
        ids, mask = pad(self._tokenizer.encode(texts), self._tokenizer.pad_id)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), **_answers(examples)}


class StatesCollator:
    """Takes one variant of each post of a batch from what the frozen layers gave."""

    def __init__(self, sampler: EpochSampler, states: LowerStates) -> None:
        self._sampler, self._states = sampler, states

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Make a batch of posts."""
        rows = [each["row"] for each in examples]
        variants = [self._sampler.random(row).randrange(self._states.variants) for row in rows]
        vectors, mask = self._states.batch(variants, rows)
        return {"input_ids": vectors, "attention_mask": mask, **_answers(examples)}


def _answers(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {
        "targets": torch.stack([torch.from_numpy(each["targets"]) for each in examples]),
        "stance": torch.tensor([each["stance"] for each in examples]),
    }
