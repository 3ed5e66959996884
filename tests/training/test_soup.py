"""Averaged weights: between both networks, and only where both are of one make."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from narratrace.model.artefact import Artefact
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.network import Network, load_encoder, load_network
from narratrace.training.soup import mean_network, open_soup, stir_in


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_weights_lie_between_both(tiny_artefact: Artefact, tiny_base: Path, share: float) -> None:
    torch.manual_seed(5)
    earlier = load_network(tiny_artefact.path).state_dict()
    network = Network(load_encoder(tiny_base), len(tiny_artefact.manifest.narratives), 4).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = stir_in(network, tiny_artefact.path, share).state_dict()
    for name, value in before.items():
        if name in earlier:
            torch.testing.assert_close(after[name], (1 - share) * value + share * earlier[name])


def test_only_an_artefact_of_the_same_make_can_be_averaged_with(
    tiny_artefact: Artefact, tiny_base: Path, tmp_path: Path
) -> None:
    narratives = tiny_artefact.manifest.narratives
    assert open_soup(tiny_artefact.path, tiny_base, narratives).id == tiny_artefact.id
    with pytest.raises(SettingsError, match="another set of narratives"):
        open_soup(tiny_artefact.path, tiny_base, [*narratives[1:], "another"])  # as many: their weights have one shape
    with pytest.raises(ArtefactError, match="no artefact folder"):
        open_soup(tmp_path / "nowhere", tiny_base, narratives)
    other = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    vocabulary = other / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(SettingsError, match="another vocabulary"):
        open_soup(tiny_artefact.path, other, narratives)
    shutil.copy(tiny_base / "tokenizer.json", other)
    wider = BertConfig.from_pretrained(tiny_base, hidden_size=32)
    BertModel(wider, add_pooling_layer=False).save_pretrained(other)
    with pytest.raises(SettingsError, match="another encoder"):
        open_soup(tiny_artefact.path, other, narratives)


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
