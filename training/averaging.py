"""The moving average of the weights that a training keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback

from narratrace.model.network import Network

_FILE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """Keeps an exponential moving average of the weights, which generalises better than the last step's.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".

    Parameters
    ----------
    network
        The network that learns.
    decay
        Weight of the past, 0 to 1.
    device
        Where the network will learn, and the average is kept.
    """

    def __init__(self, network: Network, decay: float, device: torch.device) -> None:
        self._average = AveragedModel(network, device, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self._network = network

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Move the average towards the current weights."""
        self._average.update_parameters(self._network)

    def network(self) -> Network:
        """The network with the averaged weights."""
        averaged: Network = self._average.module
        return averaged

    def save(self, checkpoint: Path) -> None:
        """Write the average into a checkpoint."""
        save_file({name: value.contiguous() for name, value in self._average.state_dict().items()}, checkpoint / _FILE)

    def load(self, checkpoint: Path) -> None:
        """Go on with the average of a checkpoint."""
        self._average.load_state_dict(load_file(checkpoint / _FILE))
