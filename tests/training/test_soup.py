"""Averaged weights: between both networks, and only where both are of one make."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from narratrace.model.artefact import Artefact
from narratrace.model.errors import SettingsError
from narratrace.model.network import Network, load_encoder, load_network
from narratrace.training.settings import SoupSettings
from narratrace.training.soup import mean_network, stir_in


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_weights_lie_between_both(tiny_artefact: Artefact, tiny_base: Path, share: float) -> None:
    torch.manual_seed(5)
    earlier = load_network(tiny_artefact.path).state_dict()
    network = Network(load_encoder(tiny_base), len(tiny_artefact.manifest.narratives), 4).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = stir_in(network, SoupSettings(artefact=tiny_artefact.path, share=share)).state_dict()
    for name, value in before.items():
        if name in earlier:
            torch.testing.assert_close(after[name], (1 - share) * value + share * earlier[name])


def test_an_artefact_with_other_narratives_is_refused(tiny_artefact: Artefact, tiny_base: Path) -> None:
    network = Network(load_encoder(tiny_base), 3, 4)
    with pytest.raises(SettingsError, match="other narratives"):
        stir_in(network, SoupSettings(artefact=tiny_artefact.path, share=0.5))


def test_the_mean_of_several_networks_weighs_all_alike(tiny_base: Path) -> None:
    networks = [Network(load_encoder(tiny_base), 3, 4) for _ in range(3)]
    for at, network in enumerate(networks):
        torch.manual_seed(at)
        torch.nn.init.normal_(network.narratives.weight)
        torch.nn.init.normal_(network.encoder.encoder.layer[0].output.dense.weight)
    states = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    for name, value in mean_network(networks).state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, torch.stack([state[name] for state in states]).mean(dim=0))
