"""Frozen layers: they give what the whole encoder gives, and stay as they were."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from narratrace.model.errors import SettingsError
from narratrace.model.network import Network, load_encoder, lower_layers, upper_layers
from narratrace.model.settings import check_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.augmentation import strip_punctuation
from narratrace.training.frozen import OFFSETS, STATES, LowerStates, changed_variants, compute_states
from narratrace.training.labelled import read_labelled
from narratrace.training.run import train
from narratrace.training.settings import OptimiserSettings, TrainingSettings


@pytest.fixture
def texts(tiny_settings: TrainingSettings, taxonomy: Taxonomy) -> list[str]:
    return [normalise(post.text).text for post in read_labelled(tiny_settings.data.train[0], taxonomy)]


@pytest.fixture
def tokenizer(tiny_settings: TrainingSettings) -> PostTokenizer:
    return PostTokenizer(tiny_settings.base / "tokenizer.json", tiny_settings.max_tokens)


def frozen(settings: TrainingSettings, layers: int = 1) -> TrainingSettings:
    update = {"train_embeddings": False, "frozen_layers": layers, "variants": 2, "epochs": 20}
    return settings.model_copy(update={"optimiser": settings.optimiser.model_copy(update=update)})


def test_upper_layers_on_kept_vectors_give_what_the_whole_encoder_gives(
    tiny_base: Path, tokenizer: PostTokenizer, texts: list[str], tmp_path: Path
) -> None:
    encoder = load_encoder(tiny_base).eval()
    network = Network(encoder, narratives=3, stances=4).eval()
    stripped = [strip_punctuation(text) for text in texts]
    compute_states(lower_layers(encoder, 1), tokenizer, [texts, stripped], tmp_path)
    states = LowerStates(tmp_path)
    rows = random.Random(1).sample(range(len(texts)), 9)
    ids, mask = pad(tokenizer.encode([(stripped if row % 2 else texts)[row] for row in rows]), tokenizer.pad_id)
    with torch.inference_mode():
        whole = network(torch.from_numpy(ids), torch.from_numpy(mask))
        network.encoder = upper_layers(encoder, 1)
        upper = network(*states.batch([row % 2 for row in rows], rows))
    # The lower layers run in bfloat16, of which 8 bits are left.
    for one, other in zip(upper, whole, strict=True):
        torch.testing.assert_close(one, other, atol=0.03, rtol=0.03)


def test_variants_are_the_same_for_the_same_seed_and_differ_among_each_other() -> None:
    def shuffled(text: str, rng: random.Random) -> str:
        return "".join(rng.sample(text, len(text)))

    posts = ["abcdefghij", "klmnopqrst"]
    variants = changed_variants(posts, shuffled, 3, seed=7)
    assert variants == changed_variants(posts, shuffled, 3, seed=7)
    assert variants != changed_variants(posts, shuffled, 3, seed=8)
    assert len({variant[0] for variant in variants}) == 3


def test_a_run_with_frozen_layers_learns_and_leaves_them(tiny_settings: TrainingSettings, tmp_path: Path) -> None:
    artefact, metrics = train(frozen(tiny_settings), tmp_path / "run")
    before = load_encoder(tiny_settings.base).state_dict()
    after = load_encoder(artefact.path / "encoder").state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name].half().float())}
    assert moved == {name for name in after if name.startswith("encoder.layer.1.")}
    assert metrics["same"]["stance_accuracy"] > 0.9
    assert not [name for name in (STATES, OFFSETS) if (tmp_path / "run" / name).exists()]


@pytest.mark.parametrize("layers", [2, 7])
def test_one_layer_at_least_must_learn(tiny_settings: TrainingSettings, tmp_path: Path, layers: int) -> None:
    with pytest.raises(SettingsError, match="frozen_layers"):
        train(frozen(tiny_settings, layers), tmp_path / "run")


def test_embeddings_below_frozen_layers_cannot_learn(tiny_settings: TrainingSettings) -> None:
    fields = tiny_settings.optimiser.model_dump() | {"train_embeddings": True, "frozen_layers": 1}
    with pytest.raises(SettingsError, match="train_embeddings"):
        check_settings(OptimiserSettings, fields, "test")
