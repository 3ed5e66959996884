"""Averaging the weights of several trainings: those of a run's folds, and those of an earlier artefact.

Trainings that start from the same base, on different posts, err on different posts; the mean of their weights is one
network that often does better than any of them, and costs nothing in use.

Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from narratrace.model.errors import SettingsError
from narratrace.model.network import Network, load_network
from narratrace.training.settings import SoupSettings


@torch.no_grad()
def mean_network(networks: Sequence[Network]) -> Network:
    """Average the weights of networks of one make; the first is changed in place and returned."""
    network, *others = networks
    weights = network.state_dict()
    for count, other in enumerate(others, 2):
        for name, value in other.state_dict().items():
            if weights[name].is_floating_point():
                weights[name].lerp_(value, 1 / count)
    return network


@torch.no_grad()
def stir_in(network: Network, settings: SoupSettings) -> Network:
    """Move a network's weights towards those of an earlier artefact.

    Parameters
    ----------
    network
        A trained network; changed in place and returned.
    settings
        The artefact, and its share of the mean.

    Raises
    ------
    SettingsError
        The artefact has another base or other narratives.
    """
    weights = network.state_dict()
    earlier = load_network(settings.artefact).state_dict()
    shared = weights.keys() & earlier.keys()
    unlike = sorted(name for name in shared if weights[name].shape != earlier[name].shape)
    if unlike or not shared:
        raise SettingsError(
            f"{settings.artefact} has another base or other narratives, so that its weights cannot be averaged with "
            f"those of this training: leave soup out. They differ in {', '.join(unlike[:3]) or 'every name'}."
        )
    for name in shared:
        if weights[name].is_floating_point():
            weights[name].lerp_(earlier[name].to(weights[name]), settings.share)
    return network
