"""What the network is asked: which narratives a post advances, and its stance."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from narratrace.model.network import NetworkOutput
from narratrace.training.labelled import UNKNOWN_STANCE
from narratrace.training.settings import LossSettings

UNKNOWN_LABEL = -1.0
"""Target of a narrative of which nobody said whether the post advances it."""


class JointLoss(nn.Module):
    """Binary cross-entropy over the narratives plus cross-entropy of the stance; what is not known counts nothing.

    Each has a weight in the settings; with a weight of 0 the other is learnt alone.

    Parameters
    ----------
    settings
        Weights of the parts.
    targets
        What the training posts advance, shape (posts, narratives), as :func:`label_targets` gives it: rare narratives
        weigh more.
    """

    def __init__(self, settings: LossSettings, targets: NDArray[np.float32] | NDArray[np.bool_]) -> None:
        super().__init__()
        positives = (targets == 1).sum(axis=0).clip(min=1)
        negatives = (targets == 0).sum(axis=0)
        weights = (negatives / positives) ** settings.positive_weight_power
        weights = weights.clip(1.0, settings.positive_weight_limit)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))
        self.narratives = settings.narratives
        self.stance = settings.stance

    def forward(self, output: NetworkOutput, targets: Tensor, stances: Tensor) -> Tensor:
        """Loss of a batch of n posts: per post, summed over the narratives, the mean over all posts.

        Parameters
        ----------
        output
            What the network says.
        targets
            1, 0 or :data:`UNKNOWN_LABEL`, shape (n, narratives).
        stances
            Positions, or :data:`~narratrace.training.labelled.UNKNOWN_STANCE`; shape (n,).
        """
        known = targets != UNKNOWN_LABEL
        narratives = nn.functional.binary_cross_entropy_with_logits(
            output.narratives, targets.clamp(min=0), pos_weight=self.weights, weight=known.float(), reduction="sum"
        )
        stance = nn.functional.cross_entropy(output.stances, stances, ignore_index=UNKNOWN_STANCE, reduction="sum")
        return (self.narratives * narratives + self.stance * stance) / len(targets)


def label_targets(labels: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Targets of the loss from what posts advance and whether it is known, each of shape (posts, narratives)."""
    return np.where(known, labels, UNKNOWN_LABEL).astype(np.float32)
