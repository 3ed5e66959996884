"""What the network is asked: which narratives a post advances, and its stance."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from narratrace.model.network import NetworkOutput
from narratrace.training.settings import LossSettings


class JointLoss(nn.Module):
    """Binary cross-entropy over the narratives plus cross-entropy of the stance.

    Parameters
    ----------
    settings
        Weights of the parts.
    labels
        Labels of the training posts, shape (posts, narratives): rare narratives weigh more.
    """

    def __init__(self, settings: LossSettings, labels: NDArray[np.bool_]) -> None:
        super().__init__()
        positives = labels.sum(axis=0).clip(min=1)
        weights = ((len(labels) - positives) / positives) ** settings.positive_weight_power
        weights = weights.clip(1.0, settings.positive_weight_limit)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))
        self.stance = settings.stance

    def forward(self, output: NetworkOutput, labels: Tensor, stances: Tensor) -> Tensor:
        """Loss of a batch: ``labels`` of shape (n, narratives), ``stances`` of shape (n,)."""
        narratives = nn.functional.binary_cross_entropy_with_logits(
            output.narratives, labels, pos_weight=self.weights, reduction="none"
        )
        return narratives.sum(1).mean() + self.stance * nn.functional.cross_entropy(output.stances, stances)
