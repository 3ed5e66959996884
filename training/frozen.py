"""Frozen lower layers: computed once for all trainings of a run, so that only the layers that learn cost time.

An encoder that was pretrained on far more text than a run has posts needs little change in its lower layers. Where they
do not learn, what they give for a post is the same in every epoch and every fold: it is computed once, for a few
changed variants of each post, and kept on disk. A training then runs the upper layers alone.

Source: Lee et al. 2019, "What would Elsa do? Freezing layers during transformer fine-tuning" (a fourth of the layers
must learn for most of the quality).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from narratrace.model.batching import padded_batches, token_batches
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.precision import on_cpu

STATES = "lower_states.bin"
"""File of the vectors, half precision, one after another."""

OFFSETS = "lower_states.json"
"""File that says where each variant of each post begins; written last, so that its presence means completeness."""

_BATCH_TOKENS = 4096


class LowerStates:
    """What the frozen layers give for every variant of every post, read from disk.

    Parameters
    ----------
    folder
        Where :func:`compute_states` wrote them.
    """

    def __init__(self, folder: Path) -> None:
        record = json.loads((folder / OFFSETS).read_text(encoding="utf-8"))
        self._starts: NDArray[np.int64] = np.array(record["starts"], dtype=np.int64)
        self._vectors = np.memmap(folder / STATES, dtype=np.float16, mode="r").reshape(-1, record["hidden"])

    @property
    def variants(self) -> int:
        """Number of variants of each post."""
        return int(self._starts.shape[0])

    def length(self, post: int) -> int:
        """Number of tokens of a post's first variant."""
        return int(self._starts[0, post + 1] - self._starts[0, post])

    def batch(self, variants: Sequence[int], posts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Stack one variant of each of some posts.

        Returns
        -------
        tuple
            Vectors padded with zeros, shape (posts, longest, hidden), and the attention mask, shape (posts, longest).
        """
        bounds = [self._starts[variant, post : post + 2] for variant, post in zip(variants, posts, strict=True)]
        longest = max(int(end - start) for start, end in bounds)
        states = np.zeros((len(bounds), longest, self._vectors.shape[1]), dtype=np.float32)
        mask = np.zeros((len(bounds), longest), dtype=np.int64)
        for row, (start, end) in enumerate(bounds):
            states[row, : end - start] = self._vectors[start:end]
            mask[row, : end - start] = 1
        return torch.from_numpy(states), torch.from_numpy(mask)


@torch.inference_mode()
def compute_states(
    lower: PreTrainedModel,
    tokenizer: PostTokenizer,
    variants: Sequence[Sequence[str]],
    folder: Path,
    on_step: Callable[[int, int], None] | None = None,
    mixed_precision: bool = True,
) -> None:
    """Run the lowest layers on all variants of all posts and keep the vectors in ``folder``.

    Parameters
    ----------
    lower
        The layers that are frozen, as :func:`~narratrace.model.network.lower_layers` gives them.
    tokenizer
        Turns texts into token ids.
    variants
        Normalised texts: for each variant, one text for each post.
    folder
        Where the files go.
    on_step
        Called now and then with the texts done and the texts to do in all.
    mixed_precision
        Whether to compute in bfloat16 where the CPU does.
    """
    lower.eval()
    ids = [tokens for texts in variants for tokens in tokenizer.encode(texts)]
    posts = len(variants[0])
    ends = np.cumsum([len(tokens) for tokens in ids])
    starts = np.concatenate([[0], ends])
    hidden = lower.config.hidden_size
    vectors = np.memmap(folder / STATES, dtype=np.float16, mode="w+", shape=(int(ends[-1]), hidden))
    done = 0
    for rows, stacked, mask in padded_batches(ids, token_batches(ids, _BATCH_TOKENS), tokenizer.pad_id):
        with on_cpu(mixed_precision):
            output = lower(input_ids=torch.from_numpy(stacked), attention_mask=torch.from_numpy(mask))
        states = output.last_hidden_state.float().numpy()
        for row, state in zip(rows, states, strict=True):
            vectors[starts[row] : starts[row + 1]] = state[: len(ids[row])]
        done += len(rows)
        if on_step:
            on_step(done, len(ids))
    vectors.flush()
    record = {
        "hidden": hidden,
        "starts": [starts[at : at + posts + 1].tolist() for at in range(0, len(ids), posts)],
    }
    unfinished = folder / f"{OFFSETS}.new"
    unfinished.write_text(json.dumps(record), encoding="utf-8")
    unfinished.replace(folder / OFFSETS)


def changed_variants(
    texts: Sequence[str], change: Callable[[str, random.Random], str], number: int, seed: int
) -> list[list[str]]:
    """Change every text ``number`` times at random; the same seed gives the same variants."""
    return [
        [change(text, random.Random(f"{seed}/{variant}/{row}")) for row, text in enumerate(texts)]
        for variant in range(number)
    ]


def restore_layers(encoder: PreTrainedModel, upper: PreTrainedModel) -> None:
    """Put what :func:`~narratrace.model.network.upper_layers` gave, or a copy of it, back into the whole encoder."""
    layers = encoder.encoder.layer
    for at, layer in enumerate(upper.encoder.layer, len(layers) - len(upper.encoder.layer)):
        layers[at] = layer
