"""Training: a network learns its posts by heart, keeps them on disk, and learns the same twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from narratrace.model.network import Network, load_encoder, load_network, save_network
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.labelled import LabelledPost, label_matrix, read_labelled, stance_indices
from narratrace.training.settings import TrainingSettings
from narratrace.training.trainer import fine_tune, infer, parameter_groups


@pytest.fixture(scope="module")
def posts(tiny_settings: TrainingSettings, taxonomy: Taxonomy) -> list[LabelledPost]:
    return read_labelled(tiny_settings.data.train[0], taxonomy)


@pytest.fixture(scope="module")
def tokenizer(tiny_settings: TrainingSettings) -> PostTokenizer:
    return PostTokenizer(tiny_settings.base / "tokenizer.json", tiny_settings.max_tokens)


def with_optimiser(settings: TrainingSettings, **changes: float | bool) -> TrainingSettings:
    return settings.model_copy(update={"optimiser": settings.optimiser.model_copy(update=changes)})


def test_overfit_save_load(
    tiny_settings: TrainingSettings,
    posts: list[LabelledPost],
    taxonomy: Taxonomy,
    tokenizer: PostTokenizer,
    tmp_path: Path,
) -> None:
    steps: list[tuple[int, int]] = []
    network = fine_tune(posts, taxonomy, tiny_settings, lambda done, total: steps.append((done, total)))
    texts = [normalise(post.text).text for post in posts]
    learnt = infer(network, tokenizer, texts)
    np.testing.assert_array_equal(learnt.narratives > 0, label_matrix(posts, taxonomy))
    np.testing.assert_array_equal(learnt.stances.argmax(axis=1), stance_indices(posts))
    assert not network.training
    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]

    save_network(network, tiny_settings.base, tmp_path, tiny_settings.max_tokens)
    for one, other in zip(learnt, infer(load_network(tmp_path), tokenizer, texts), strict=True):
        np.testing.assert_allclose(other, one, atol=0.01 * np.abs(one).max())


@pytest.fixture(scope="module")
def short(tiny_settings: TrainingSettings) -> TrainingSettings:
    """A training that is over soon, with all that is random in it."""
    often = tiny_settings.augmentation.model_copy(update=dict.fromkeys(("strip_punctuation", "lower_case"), 0.3))
    loss = tiny_settings.loss.model_copy(update={"dropout": 0.2, "hidden_dropout": 0.1})
    return with_optimiser(tiny_settings.model_copy(update={"augmentation": often, "loss": loss}), epochs=1, average=0.5)


def test_the_same_training_gives_the_same_network(
    short: TrainingSettings, posts: list[LabelledPost], taxonomy: Taxonomy
) -> None:
    once, again = (fine_tune(posts, taxonomy, short).state_dict() for _ in range(2))
    for name, value in once.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)
    other = fine_tune(posts, taxonomy, short.model_copy(update={"seed": 2})).state_dict()
    assert not torch.equal(other["narratives.weight"], once["narratives.weight"])


def test_frozen_embeddings_stay_as_they_were(
    short: TrainingSettings, posts: list[LabelledPost], taxonomy: Taxonomy
) -> None:
    before = load_encoder(short.base).state_dict()
    after = fine_tune(posts, taxonomy, with_optimiser(short, train_embeddings=False)).encoder.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("embeddings.") for name in moved)


def test_lower_layers_learn_more_slowly(tiny_settings: TrainingSettings) -> None:
    network = Network(load_encoder(tiny_settings.base), narratives=3, stances=4)
    settings = with_optimiser(
        tiny_settings, learning_rate=0.1, head_learning_rate=0.5, layer_decay=0.5, weight_decay=0.01
    ).optimiser
    rates = {
        name: group
        for (name, _), group in zip(network.named_parameters(), parameter_groups(network, settings), strict=True)
    }
    rate = {name: group["lr"] for name, group in rates.items()}
    assert rate["narratives.weight"] == rate["stances.bias"] == 0.5
    assert rate["encoder.encoder.layer.1.output.dense.weight"] == pytest.approx(0.1)
    assert rate["encoder.encoder.layer.0.output.dense.weight"] == pytest.approx(0.05)
    assert rate["encoder.embeddings.word_embeddings.weight"] == pytest.approx(0.025)
    assert rates["narratives.bias"]["weight_decay"] == 0.0
    assert "weight_decay" not in rates["narratives.weight"]


def test_logits_do_not_depend_on_batches(
    tiny_settings: TrainingSettings, tiny_base: Path, tokenizer: PostTokenizer, posts: list[LabelledPost]
) -> None:
    torch.manual_seed(1)
    network = Network(load_encoder(tiny_base), narratives=3, stances=4).eval()
    texts = [normalise(post.text).text for post in posts[:20]]
    for one, other in zip(infer(network, tokenizer, texts), infer(network, tokenizer, texts, 3), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert [part.shape for part in infer(network, tokenizer, [])] == [(0, 3), (0, 4)]
