"""The sentence embedding learns what says the same, is kept and resumed, and leaves labels as they are."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from narratrace.model.artefact import ONNX_FILES, Artefact
from narratrace.model.backends import open_backend
from narratrace.model.backends.torch_backend import TorchBackend
from narratrace.model.errors import ArtefactError, SettingsError, StoppedError
from narratrace.model.network import Embedder, load_network
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.contrast import contrast, draw_messages
from narratrace.training.embedding import CHECKPOINT, add_embedder, fit_embedder
from narratrace.training.frozen import LowerStates, compute_states
from narratrace.training.messages import Messages
from narratrace.training.run import train
from narratrace.training.settings import EmbeddingSettings, TrainingSettings
from narratrace.training.trainer import Step

TEXTS = [
    ("The bridge was closed at night.", "那座桥夜里关闭了。", "The bridge was opened at night."),
    (
        "Free rice for all who come to the square.",
        "来广场的人都可以免费领米。",
        "No rice for those who come to the square.",
    ),
    ("The mayor resigned on Monday.", "市长周一辞职。", "The mayor was elected on Monday."),
    ("Trains stop at ten tonight.", "今晚列车十点停运。", "Trains run all night tonight."),
]


@pytest.fixture
def messages() -> Messages:
    messages = Messages()
    for one, other, unlike in TEXTS:
        messages.add(one, other, same=True)
        messages.add(one, unlike, same=False)
    return messages


def test_an_epoch_has_every_message_once_and_with_it_what_looks_like_it(messages: Messages) -> None:
    for texts in (1, 5, 100):
        batches = list(draw_messages(messages, 2, texts, seed=3))
        seen = [messages.texts[text] for batch in batches for text in batch.texts]
        assert sorted(seen) == sorted(2 * [text for each in TEXTS for text in each])
        for batch in batches:
            there = {messages.texts[text] for text in batch.texts}
            assert all(there.isdisjoint(each) or there.issuperset(each) for each in TEXTS)
            assert len(batch.message.unique()) == 2 * len(batch.texts) // 3


def test_messages_in_a_row_are_read_together_and_the_rows_in_another_order_for_another_seed() -> None:
    messages = Messages()
    for at in range(40):
        messages.add(f"Message {at} of forty.", f"四十条里的第 {at} 条。", same=True)
    one, other = ([batch.texts.tolist() for batch in draw_messages(messages, 1, 10, seed)] for seed in (1, 2))
    assert one != other
    assert sorted(one) == sorted(other) == [list(range(first, first + 10)) for first in range(0, 80, 10)]


def test_the_loss_asks_for_partners_and_spares_texts_of_the_same_message() -> None:
    embeddings = torch.eye(4)[[0, 0, 1, 1, 0]]
    alike = contrast(embeddings, torch.tensor([5, 5, 6, 6, 5]), 0.1)
    other = contrast(embeddings, torch.tensor([5, 5, 6, 6, 7]), 0.1)
    assert alike < 0.001
    # The fifth text is as close to the first two as they are to each other: half of their chance goes to it.
    assert other.item() == pytest.approx(np.log(2) / 2, abs=0.001)


class Learnt:
    """An embedder of a tiny network that learns, and what it makes of the texts."""

    def __init__(self, artefact: Artefact, base: Path, messages: Messages, folder: Path) -> None:
        self.messages = messages
        self.network = load_network(artefact.path)
        compute_states(self.network.below(1), PostTokenizer(base / "tokenizer.json", 64), [messages.texts], folder)
        self.states = LowerStates(folder)

    def learn(
        self,
        settings: EmbeddingSettings,
        checkpoint: Path,
        minutes: float = 10,
        on_step: Callable[[Step], None] = lambda _: None,
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Embedder:
        torch.manual_seed(3)
        embedder = Embedder(self.network.encoder, settings.own_layers, 16)
        fit_embedder(embedder, self.states, self.messages, settings, 1, checkpoint, minutes, on_step, asked_to_stop)
        return embedder

    @torch.inference_mode()
    def margin(self, embedder: Embedder) -> float:
        """How much closer a text is to its translation than to what only looks like it, on average."""
        rows = range(len(self.messages.texts))
        found = embedder(*self.states.batch([0] * len(rows), rows)).numpy()
        one, other, unlike = (found[column::3] for column in range(3))
        return float(((one * other).sum(-1) - (one * unlike).sum(-1)).mean())


@pytest.fixture
def learnt(tiny_artefact: Artefact, tiny_settings: TrainingSettings, messages: Messages, tmp_path: Path) -> Learnt:
    return Learnt(tiny_artefact, tiny_settings.base, messages, tmp_path)


@pytest.fixture
def wanted(embedding_settings: EmbeddingSettings) -> EmbeddingSettings:
    return embedding_settings.model_copy(
        update={"epochs": 12, "batch_size": 6, "learning_rate": 1e-2, "projection_rate": 1e-2}
    )


def test_translations_come_close_and_what_only_looks_alike_does_not(
    learnt: Learnt, wanted: EmbeddingSettings, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in learnt.network.state_dict().items()}
    torch.manual_seed(3)
    unlearnt = learnt.margin(Embedder(learnt.network.encoder, 1, 16).eval())
    longer = wanted.model_copy(update={"epochs": 60})
    assert learnt.margin(learnt.learn(longer, tmp_path / CHECKPOINT)) > unlearnt + 0.3
    assert all(torch.equal(value, before[name]) for name, value in learnt.network.state_dict().items())


def test_what_was_cut_off_goes_on_and_gives_the_same(learnt: Learnt, wanted: EmbeddingSettings, tmp_path: Path) -> None:
    whole = learnt.learn(wanted, tmp_path / "whole.pt").state_dict()

    def cut_off(step: Step) -> None:
        if step.done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learnt.learn(wanted, tmp_path / "cut.pt", 0, cut_off)
    steps: list[int] = []
    again = learnt.learn(wanted, tmp_path / "cut.pt", 0, lambda step: steps.append(step.done)).state_dict()
    assert steps[0] == 9
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_told_to_stop_it_leaves_a_checkpoint_and_gives_the_same_later(
    learnt: Learnt, wanted: EmbeddingSettings, tmp_path: Path
) -> None:
    whole = learnt.learn(wanted, tmp_path / "whole.pt").state_dict()
    steps: list[int] = []
    with pytest.raises(StoppedError, match="same command"):
        learnt.learn(wanted, tmp_path / "cut.pt", 10, lambda step: steps.append(step.done), lambda: len(steps) == 9)
    again = learnt.learn(wanted, tmp_path / "cut.pt", 10, lambda step: steps.append(step.done)).state_dict()
    assert steps == [*range(1, len(steps) + 1)]  # none is done twice
    assert all(torch.equal(whole[name], again[name]) for name in whole)


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
    assert open_backend(artefact, "onnx").embed(*batch).shape == (4, 16)


@pytest.mark.parametrize("backend", ["torch", "onnx", "onnx-int8"])
def test_labels_and_stances_are_the_same_to_the_last_bit(
    run: tuple[Artefact, TrainingSettings], tiny_artefact: Artefact, batch: Any, backend: str
) -> None:
    without, with_embedder = (open_backend(each, backend) for each in (tiny_artefact, run[0]))
    for one, other in zip(without.run(*batch), with_embedder.run(*batch), strict=True):
        np.testing.assert_array_equal(one, other)
    assert with_embedder.embed(*batch).shape != without.embed(*batch).shape


def test_all_backends_give_the_same_embedding(run: tuple[Artefact, TrainingSettings], batch: Any) -> None:
    exact = TorchBackend(run[0]).embed(*batch)
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(open_backend(run[0], "onnx").embed(*batch), exact, atol=1e-4)
    assert set(ONNX_FILES) < set(run[0].backends)
    assert (open_backend(run[0], "onnx-int8").embed(*batch) * exact).sum(axis=1).min() > 0.99


def test_what_was_learnt_is_kept_and_only_what_changed_is_learnt_anew(
    run: tuple[Artefact, TrainingSettings], embedding_settings: EmbeddingSettings, tmp_path: Path
) -> None:
    artefact, wanted = run
    final = artefact.path.parent / "final"
    kept = Path(shutil.copytree(artefact.path.parent / "embedding", tmp_path / "embedding"))
    steps: list[str] = []

    def learn(wanted: TrainingSettings) -> bytes:
        steps.clear()
        network = load_network(final)
        add_embedder(network, wanted, final, kept, on_progress=lambda told: steps.extend(told))
        assert network.embedder is not None
        return network.embedder.projection.weight.detach().numpy().tobytes()

    before = learn(wanted)
    assert not steps
    hotter = embedding_settings.model_copy(update={"temperature": 0.5})
    assert learn(wanted.model_copy(update={"embedding": hotter})) != before
    assert set(steps) == {"embedding"}
    shutil.rmtree(kept)
    assert learn(wanted) == before
    assert set(steps) == {"embedding: shared layers", "embedding"}

    def begun_with(folder: Path) -> TrainingSettings:
        begun = {"begin_with": folder, "learning_rate": 1e-12, "projection_rate": 1e-12}
        return wanted.model_copy(update={"embedding": embedding_settings.model_copy(update=begun)})

    assert learn(begun_with(artefact.path)) == before
    moved = shutil.copytree(artefact.path, tmp_path / "moved")
    assert learn(begun_with(moved)) == before
    assert not steps
    other = embedding_settings.model_copy(update={"begin_with": artefact.path, "dimension": 8})
    with pytest.raises(SettingsError, match="begin_with"):
        learn(wanted.model_copy(update={"embedding": other}))
    deeper = embedding_settings.model_copy(update={"own_layers": 3})
    with pytest.raises(SettingsError, match="2 layers"):
        learn(wanted.model_copy(update={"embedding": deeper}))


def test_an_embedding_that_cannot_be_begun_is_refused_before_any_training(
    run: tuple[Artefact, TrainingSettings], embedding_settings: EmbeddingSettings, tmp_path: Path
) -> None:
    artefact, wanted = run
    for change, error in (
        ({"begin_with": tmp_path / "nowhere"}, ArtefactError),
        ({"begin_with": artefact.path, "dimension": 8}, SettingsError),
        ({"own_layers": 3}, SettingsError),
    ):
        embedding = embedding_settings.model_copy(update=change)
        with pytest.raises(error):
            train(wanted.model_copy(update={"embedding": embedding}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_told_to_stop_goes_on_with_its_embedding(
    tiny_artefact: Artefact,
    tiny_settings: TrainingSettings,
    embedding_settings: EmbeddingSettings,
    run: tuple[Artefact, TrainingSettings],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_artefact.path.parent, folder)
    wanted = tiny_settings.model_copy(update={"embedding": embedding_settings})

    def tell_to_stop(steps: dict[str, Step]) -> None:
        if "embedding" in steps:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="same command"):
        train(wanted, folder, on_progress=tell_to_stop)
    assert (folder / "embedding" / CHECKPOINT).is_file()
    artefact, _ = train(wanted, folder)
    assert artefact.id == run[0].id
