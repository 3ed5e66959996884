"""Training: a network learns its posts by heart, keeps them on disk, and learns the same twice."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from narratrace.model.errors import StoppedError
from narratrace.model.network import Network, load_encoder, load_network, save_network
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.epochs import watched_figures
from narratrace.training.labelled import LabelledPost, label_matrix, read_labelled, stance_indices
from narratrace.training.settings import EarlyStoppingSettings, TrainingSettings
from narratrace.training.trainer import EPOCHS, Step, fine_tune, infer, parameter_groups


@pytest.fixture(scope="module")
def posts(tiny_settings: TrainingSettings, taxonomy: Taxonomy) -> list[LabelledPost]:
    return read_labelled(tiny_settings.data.train[0], taxonomy)


@pytest.fixture(scope="module")
def tokenizer(tiny_settings: TrainingSettings) -> PostTokenizer:
    return PostTokenizer(tiny_settings.base / "tokenizer.json", tiny_settings.max_tokens)


def with_optimiser(settings: TrainingSettings, **changes: float | bool) -> TrainingSettings:
    return settings.model_copy(update={"optimiser": settings.optimiser.model_copy(update=changes)})


def epoch_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EPOCHS).read_text(encoding="utf-8").splitlines()]


def test_overfit_save_load(
    tiny_settings: TrainingSettings,
    posts: list[LabelledPost],
    taxonomy: Taxonomy,
    tokenizer: PostTokenizer,
    tmp_path: Path,
) -> None:
    steps: list[Step] = []
    network = fine_tune(posts, taxonomy, tiny_settings, tmp_path / "log", on_step=steps.append)
    texts = [normalise(post.text).text for post in posts]
    learnt = infer(network, tokenizer, texts)
    np.testing.assert_array_equal(learnt.narratives > 0, label_matrix(posts, taxonomy))
    np.testing.assert_array_equal(learnt.stances.argmax(axis=1), stance_indices(posts))
    assert not network.training
    assert [step[:2] for step in steps] == [(done, len(steps)) for done in range(1, len(steps) + 1)]
    assert steps[-1].loss < steps[0].loss / 5
    lines = epoch_lines(tmp_path / "log")
    assert [line["epoch"] for line in lines] == list(range(1, 11))
    assert lines[-1]["epoch_loss"] < lines[0]["epoch_loss"] / 5
    assert lines[-1]["step"] == len(steps)
    assert [*(tmp_path / "log").glob("events.out.tfevents*")]
    assert not [*(tmp_path / "log").glob("checkpoint-*")]

    save_network(network, tiny_settings.base, tmp_path / "saved", tiny_settings.max_tokens)
    for one, other in zip(learnt, infer(load_network(tmp_path / "saved"), tokenizer, texts), strict=True):
        np.testing.assert_allclose(other, one, atol=0.01 * np.abs(one).max())


@pytest.fixture(scope="module")
def short(tiny_settings: TrainingSettings) -> TrainingSettings:
    """A training that is over soon, with all that is random in it."""
    often = tiny_settings.augmentation.model_copy(update=dict.fromkeys(("strip_punctuation", "lower_case"), 0.3))
    loss = tiny_settings.loss.model_copy(update={"dropout": 0.2, "hidden_dropout": 0.1})
    return with_optimiser(tiny_settings.model_copy(update={"augmentation": often, "loss": loss}), epochs=1, average=0.5)


def equal(one: Network, other: Network) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_same_training_gives_the_same_network(
    short: TrainingSettings, posts: list[LabelledPost], taxonomy: Taxonomy, tmp_path: Path
) -> None:
    once, again = (fine_tune(posts, taxonomy, short, tmp_path / name) for name in ("once", "again"))
    assert equal(once, again)
    assert not equal(once, fine_tune(posts, taxonomy, short.model_copy(update={"seed": 2}), tmp_path / "other"))


@pytest.mark.parametrize(
    ("changes", "stop_at"),
    [
        ({}, {1}),
        ({"average": 0.0}, {7, 8}),  # the end of an epoch, and the first step of the next
        ({"accumulate": 4}, {3, 5}),
        ({"gradient_checkpointing": True, "mixed_precision": False}, {9}),
    ],
)
def test_a_stopped_training_goes_on_as_if_it_never_was(
    short: TrainingSettings,
    posts: list[LabelledPost],
    taxonomy: Taxonomy,
    tmp_path: Path,
    changes: dict[str, float | bool],
    stop_at: set[int],
) -> None:
    settings = with_optimiser(short, epochs=2, **changes)
    settings = settings.model_copy(update={"early_stopping": EarlyStoppingSettings(patience=9)})
    learnt, watched = posts[:100], posts[100:120]
    whole = fine_tune(learnt, taxonomy, settings, tmp_path / "whole", watched=watched)
    done: list[int] = []
    for stop in sorted(stop_at):
        with pytest.raises(StoppedError, match="same command"):
            fine_tune(
                learnt,
                taxonomy,
                settings,
                tmp_path / "parts",
                watched=watched,
                on_step=lambda step: done.append(step.done),
                asked_to_stop=lambda stop=stop: (done and done[-1] == stop - 1) or (not done and stop == 1),
            )
    parts = fine_tune(
        learnt, taxonomy, settings, tmp_path / "parts", watched=watched, on_step=lambda step: done.append(step.done)
    )
    assert done == list(range(1, 2 * math.ceil(100 / 16) + 1))
    assert equal(whole, parts)
    assert epoch_lines(tmp_path / "parts") == epoch_lines(tmp_path / "whole")


def test_a_checkpoint_that_was_cut_off_is_passed_over(
    short: TrainingSettings, posts: list[LabelledPost], taxonomy: Taxonomy, tmp_path: Path
) -> None:
    steps: list[int] = []
    with pytest.raises(StoppedError):
        fine_tune(posts, taxonomy, short, tmp_path, asked_to_stop=lambda: True, on_step=lambda s: steps.append(s.done))
    newer = tmp_path / "checkpoint-2"
    newer.mkdir()
    (newer / "model.safetensors").write_bytes(b"cut")
    fine_tune(posts, taxonomy, short, tmp_path, on_step=lambda step: steps.append(step.done))
    assert steps[:2] == [1, 2]


def test_a_training_that_gets_no_better_ends_early_with_its_best_weights(
    tiny_settings: TrainingSettings,
    posts: list[LabelledPost],
    taxonomy: Taxonomy,
    tokenizer: PostTokenizer,
    tmp_path: Path,
) -> None:
    patient = tiny_settings.model_copy(update={"early_stopping": EarlyStoppingSettings(patience=2)})
    settings = with_optimiser(patient, mixed_precision=False, epochs=30)
    network = fine_tune(posts[:80], taxonomy, settings, tmp_path, watched=posts[80:])
    scores = [line["macro_f1"] for line in epoch_lines(tmp_path)]
    best = scores.index(max(scores))
    assert len(scores) == best + 3 < 30
    texts = [normalise(post.text).text for post in posts[80:]]
    figures = watched_figures(infer(network, tokenizer, texts), posts[80:], taxonomy)
    assert figures["macro_f1"] == pytest.approx(scores[best], abs=1e-6)


def test_unknown_labels_and_stances_teach_nothing(
    tiny_settings: TrainingSettings,
    posts: list[LabelledPost],
    taxonomy: Taxonomy,
    tokenizer: PostTokenizer,
    tmp_path: Path,
) -> None:
    one, *others = taxonomy.narrative_ids
    partial = [
        dataclasses.replace(post, stance=None, labels=tuple({one} & {*post.labels}), unknown=tuple(others))
        for post in posts
    ]
    network = fine_tune(partial, taxonomy, tiny_settings, tmp_path)
    learnt = infer(network, tokenizer, [normalise(post.text).text for post in posts])
    np.testing.assert_array_equal(learnt.narratives[:, 0] > 0, label_matrix(posts, taxonomy)[:, 0])
    torch.manual_seed(tiny_settings.seed)
    fresh = Network(load_encoder(tiny_settings.base), len(taxonomy.narratives), 4)
    torch.testing.assert_close(network.narratives.weight[1:], fresh.narratives.weight[1:], rtol=0, atol=0)
    torch.testing.assert_close(network.stances.weight, fresh.stances.weight, rtol=0, atol=0)


def test_frozen_embeddings_stay_as_they_were(
    short: TrainingSettings, posts: list[LabelledPost], taxonomy: Taxonomy, tmp_path: Path
) -> None:
    before = load_encoder(short.base).state_dict()
    after = fine_tune(posts, taxonomy, with_optimiser(short, train_embeddings=False), tmp_path).encoder.state_dict()
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
