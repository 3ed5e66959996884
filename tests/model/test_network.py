from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from narratrace.model.artefact import ENCODER, HEADS
from narratrace.model.errors import SettingsError
from narratrace.model.network import Embedder, Network, load_encoder, load_network, save_network
from narratrace.model.tokenizer import PostTokenizer, pad


@pytest.fixture(scope="module")
def batch(tiny_base: Path, labelled: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    tokenizer = PostTokenizer(tiny_base / "tokenizer.json", 96)
    ids, mask = pad(tokenizer.encode([str(post["text"]) for post in labelled[:40]] + ["a"]), tokenizer.pad_id)
    return torch.from_numpy(ids), torch.from_numpy(mask)


@pytest.fixture(scope="module")
def network(tiny_base: Path, batch: tuple[torch.Tensor, torch.Tensor]) -> Network:
    torch.manual_seed(5)
    made = Network(load_encoder(tiny_base), narratives=7, stances=4, dropout=0.5).eval()
    made.standardise([batch])
    return made


@torch.inference_mode()
def test_what_is_saved_answers_as_before(
    network: Network, batch: tuple[torch.Tensor, torch.Tensor], tiny_base: Path, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_network(network, tiny_base, tmp_path, max_tokens=96)
    loaded = load_network(tmp_path)
    assert not loaded.training
    for one, other in zip(network(*batch), loaded(*batch), strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.01, rtol=0.01)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert (tmp_path / HEADS).stat().st_size < 4 * 64 * 20
    weights = sum(value.numel() for value in network.encoder.state_dict().values())
    assert (tmp_path / ENCODER / "model.safetensors").stat().st_size == pytest.approx(2 * weights, rel=0.05)


@torch.inference_mode()
def test_outputs_do_not_depend_on_padding(network: Network, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    ids, mask = batch
    together = network(ids, mask)
    for row in range(0, len(ids), 8):
        length = int(mask[row].sum())
        alone = network(ids[row : row + 1, :length], mask[row : row + 1, :length])
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[row], other[0], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_without_an_embedder_embeddings_are_the_scaled_mean_of_the_tokens(
    network: Network, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ids, mask = batch
    parts = network.parts()
    embeddings = parts.embedding(parts.lower(ids, mask), mask).numpy()
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    length = int(mask[3].sum())
    mean = network.encoder(input_ids=ids[3:4, :length]).last_hidden_state[0].mean(dim=0).numpy()
    np.testing.assert_allclose(embeddings[3], mean / np.linalg.norm(mean), atol=1e-4)


@pytest.mark.parametrize("own_layers", [0, 1])
@torch.inference_mode()
def test_an_embedder_begins_as_the_encoder_and_what_it_learns_changes_no_label(
    network: Network, batch: tuple[torch.Tensor, torch.Tensor], tiny_base: Path, tmp_path: Path, own_layers: int
) -> None:
    ids, mask = batch
    made = copy.deepcopy(network)
    made.embedder = Embedder(made.encoder, own_layers, 16).eval()
    parts = made.parts()
    states = parts.lower(ids, mask)
    for one, other in zip(parts.labels(states, mask), network(ids, mask), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    begun = parts.embedding(states, mask)
    expected = torch.nn.functional.normalize(made.embedder.projection(network.pool(ids, mask)), dim=-1)
    torch.testing.assert_close(begun, expected, atol=1e-5, rtol=1e-5)
    for parameter in made.embedder.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    assert (parts.embedding(states, mask) * begun).sum(dim=1).max() < 0.99
    for one, other in zip(made(ids, mask), network(ids, mask), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    save_network(made, tiny_base, tmp_path, max_tokens=96)
    loaded = load_network(tmp_path).parts()
    learnt = parts.embedding(states, mask)
    assert (loaded.embedding(loaded.lower(ids, mask), mask) * learnt).sum(dim=1).min() > 0.999


def test_layers_that_an_encoder_has_not_are_a_clear_error(network: Network) -> None:
    with pytest.raises(SettingsError, match=r"2 layers.*own_layers"):
        Embedder(network.encoder, 2, 16)


@torch.inference_mode()
def test_heads_read_standardised_vectors(network: Network, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    seen = (network.pool(*batch) - network.centre) / network.spread
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(64), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.std(dim=0), torch.ones(64), atol=1e-3, rtol=0)
