"""The sentence embedding learns what says the same, is kept, and leaves labels as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from narratrace.model.artefact import ONNX_FILES, Artefact
from narratrace.model.backends import ForwardPass, open_backend
from narratrace.model.backends.torch_backend import TorchBackend
from narratrace.model.errors import SettingsError
from narratrace.model.network import load_network
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.contrast import contrast
from narratrace.training.embedding import add_embedder, fit_embedder
from narratrace.training.messages import Messages
from narratrace.training.run import train
from narratrace.training.settings import EmbeddingSettings, TrainingSettings


def test_the_projection_learns_which_differences_count(embedding_settings: EmbeddingSettings) -> None:
    """Texts of a message share half of their vector; the other half is noise, and larger."""
    rng = np.random.default_rng(3)
    meaning = np.repeat(rng.normal(size=(80, 8)), 2, axis=0)
    noise = 3 * rng.normal(size=(160, 24))
    vectors = np.concatenate([meaning, noise], axis=1).astype(np.float16)
    same = [(row, row + 1) for row in range(0, 160, 2)]
    wanted = embedding_settings.model_copy(
        update={"layers": (0,), "dimension": 8, "epochs": 60, "batch_size": 16, "learning_rate": 1e-2}
    )

    def found(epochs: int) -> float:
        messages = Messages([str(row) for row in range(120)], same[:60])
        embedder = fit_embedder(vectors[:120], messages, wanted.model_copy(update={"epochs": epochs}), seed=1)
        with torch.inference_mode():
            new = embedder(torch.from_numpy(vectors[120:]).float()).numpy()
        cosines = new @ new.T - 2 * np.eye(40)
        return float((cosines.argmax(axis=1) == np.arange(40) ^ 1).mean())

    raw = vectors[120:].astype(np.float32)
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    unlearnt = float(((raw @ raw.T - 2 * np.eye(40)).argmax(axis=1) == np.arange(40) ^ 1).mean())
    assert found(epochs=0) > 0.6 > 0.3 > unlearnt
    assert found(epochs=20) >= found(epochs=0)


def test_the_loss_asks_for_the_partner_and_spares_texts_of_the_same_message() -> None:
    embeddings = torch.eye(4)[[0, 0, 1, 1, 0]]
    partners = torch.tensor([1, 0, 3, 2])
    alike = contrast(embeddings, partners, torch.tensor([5, 5, 6, 6, 5]), 0.1)
    other = contrast(embeddings, partners, torch.tensor([5, 5, 6, 6, 7]), 0.1)
    assert alike < 0.001
    # The fifth text is as close to the first two as they are to each other: half of their chance goes to it.
    assert other.item() == pytest.approx(np.log(2) / 2, abs=0.001)


@pytest.fixture(scope="module")
def run(
    tiny_artefact: Artefact,
    tiny_settings: TrainingSettings,
    embedding_settings: EmbeddingSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Artefact, TrainingSettings]:
    """A finished run that gets its embedding afterwards."""
    folder = tmp_path_factory.mktemp("embedding") / "run"
    shutil.copytree(tiny_artefact.path.parent, folder)
    wanted = tiny_settings.model_copy(update={"embedding": embedding_settings})
    artefact, _ = train(wanted, folder)
    return artefact, wanted


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return pad([rng.integers(5, 100, size=length).tolist() for length in (3, 9, 17, 30)], 1)


def test_a_finished_run_gets_its_embedding_without_training_again(
    run: tuple[Artefact, TrainingSettings], tiny_artefact: Artefact, batch: Any
) -> None:
    artefact, _ = run
    before, after = tiny_artefact.path.parent, artefact.path.parent
    for name in ("final", "fold-0", "fold-1"):
        assert (after / name).stat().st_mtime_ns == (before / name).stat().st_mtime_ns
    assert artefact.id != tiny_artefact.id
    assert (tiny_artefact.manifest.dimension, artefact.manifest.dimension) == (64, 16)
    assert artefact.manifest.thresholds == tiny_artefact.manifest.thresholds
    assert artefact.manifest.metrics == tiny_artefact.manifest.metrics
    assert open_backend(artefact, "onnx").run(*batch).embeddings.shape == (4, 16)


@pytest.mark.parametrize("backend", ["torch", "onnx", "onnx-int8"])
def test_labels_and_stances_are_the_same_to_the_last_bit(
    run: tuple[Artefact, TrainingSettings], tiny_artefact: Artefact, batch: Any, backend: str
) -> None:
    without, with_embedder = (open_backend(each, backend).run(*batch) for each in (tiny_artefact, run[0]))
    np.testing.assert_array_equal(with_embedder.narratives, without.narratives)
    np.testing.assert_array_equal(with_embedder.stances, without.stances)
    assert with_embedder.embeddings.shape != without.embeddings.shape


def test_all_backends_give_the_same_embedding(run: tuple[Artefact, TrainingSettings], batch: Any) -> None:
    exact = TorchBackend(run[0]).run(*batch).embeddings
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(open_backend(run[0], "onnx").run(*batch).embeddings, exact, atol=1e-4)
    assert set(ONNX_FILES) < set(run[0].backends)
    rounded: ForwardPass = open_backend(run[0], "onnx-int8").run(*batch)
    assert (rounded.embeddings * exact).sum(axis=1).min() > 0.99


def test_what_was_learnt_is_kept_and_only_what_changed_is_learnt_anew(
    run: tuple[Artefact, TrainingSettings], embedding_settings: EmbeddingSettings, tmp_path: Path
) -> None:
    artefact, wanted = run
    final = artefact.path.parent / "final"
    kept = Path(shutil.copytree(artefact.path.parent / "embedding", tmp_path / "embedding"))
    tokenizer = PostTokenizer(wanted.base / "tokenizer.json", wanted.max_tokens)
    steps: list[str] = []

    def learn(wanted: TrainingSettings) -> bytes:
        steps.clear()
        network = load_network(final)
        add_embedder(network, tokenizer, wanted, final, kept, on_progress=lambda told: steps.extend(told))
        assert network.embedder is not None
        return network.embedder.projection.weight.detach().numpy().tobytes()

    before = learn(wanted)
    assert not steps
    hotter = embedding_settings.model_copy(update={"temperature": 0.5})
    assert learn(wanted.model_copy(update={"embedding": hotter})) != before
    assert set(steps) == {"embedding: projection"}
    shutil.rmtree(kept)
    assert learn(wanted) == before
    assert set(steps) == {"embedding: encoder", "embedding: projection"}

    deeper = embedding_settings.model_copy(update={"layers": (3,)})
    with pytest.raises(SettingsError, match="between 0 and 2"):
        learn(wanted.model_copy(update={"embedding": deeper}))
