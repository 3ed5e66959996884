"""Averaging the weights of several trainings: those of a run's folds, and those of an earlier artefact.

Trainings that start from the same base, on different posts, err on different posts; the mean of their weights is one
network that often does better than any of them, and costs nothing in use.

Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from narratrace.model.artefact import TOKENIZER, Artefact, hash_file
from narratrace.model.errors import SettingsError
from narratrace.model.network import Network, load_encoder, load_network
from narratrace.model.taxonomy import STANCES


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


def open_soup(folder: Path, base: Path, narratives: Sequence[str]) -> Artefact:
    """Open an earlier artefact, and make sure that its weights can be averaged with those of a run.

    Parameters
    ----------
    folder
        The artefact.
    base
        Folder of the encoder that the run starts from.
    narratives
        Ids of the run's narratives.

    Raises
    ------
    ArtefactError
        There is no such artefact, or it is damaged.
    SettingsError
        It has another base or other narratives.
    """
    artefact = Artefact.open(folder)
    # Of one shape are also the weights of 13 other narratives, and of another vocabulary of the same size.
    if artefact.manifest.narratives != tuple(narratives):
        raise SettingsError(_refusal(folder, "set of narratives"))
    if hash_file(artefact.file(TOKENIZER)) != hash_file(base / "tokenizer.json"):
        raise SettingsError(_refusal(folder, "vocabulary"))
    stir_in(Network(load_encoder(base), len(narratives), len(STANCES)), folder, 0.5)
    return artefact


@torch.no_grad()
def stir_in(network: Network, artefact: Path, share: float) -> Network:
    """Move a network's weights towards those of an earlier artefact.

    Parameters
    ----------
    network
        A trained network; changed in place and returned.
    artefact
        The artefact's folder.
    share
        Its part of the mean, 0 to 1.

    Raises
    ------
    SettingsError
        The artefact's weights have other names or shapes.
    """
    weights = network.state_dict()
    earlier = load_network(artefact).state_dict()
    shared = weights.keys() & earlier.keys()
    unlike = sorted(name for name in shared if weights[name].shape != earlier[name].shape)
    if unlike or not shared:
        raise SettingsError(_refusal(artefact, "encoder" if shared else "architecture"))
    for name in shared:
        if weights[name].is_floating_point():
            weights[name].lerp_(earlier[name].to(weights[name]), share)
    return network


def _refusal(artefact: Path, what: str) -> str:
    return f"soup: {artefact} has another {what} than this run, so that their weights cannot be averaged: leave it out."
