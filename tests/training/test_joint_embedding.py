"""Upper layers learn with the sentence embedding, labels are held, and what was cut off goes on."""

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
from torch import Tensor

from narratrace.model.artefact import CARD, Artefact
from narratrace.model.backends import open_backend
from narratrace.model.errors import SettingsError, StoppedError
from narratrace.model.network import Network, load_network
from narratrace.model.settings import check_settings
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.embedding import Embedder
from narratrace.training.joint_embedding import CHECKPOINT, learn_together
from narratrace.training.messages import Messages
from narratrace.training.run import train
from narratrace.training.settings import EmbeddingSettings, EncoderSettings, TrainingSettings
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
LABELLED = ["Rioters smashed the station.", "Police arrested nobody.", "黑衣人打人。"]


@pytest.fixture
def messages() -> Messages:
    messages = Messages()
    for one, other, unlike in TEXTS:
        messages.add(one, other, same=True)
        messages.add(one, unlike, same=False)
    return messages


class Learnt:
    """A tiny network that learns, and what it says of the texts."""

    def __init__(self, artefact: Artefact, base: Path, messages: Messages) -> None:
        self.artefact, self.messages = artefact, messages
        self.tokenizer = PostTokenizer(base / "tokenizer.json", 64)
        self.ids = self.tokenizer.encode([*messages.texts, *LABELLED])
        self.before = self.network()

    def network(self) -> Network:
        network = load_network(self.artefact.path)
        torch.manual_seed(3)
        network.embedder = Embedder(network.encoder.config.hidden_size, (1, 2), 16)
        return network.eval()

    @torch.inference_mode()
    def logits(self, network: Network) -> Tensor:
        stacked, mask = pad(self.ids, self.tokenizer.pad_id)
        output = network(torch.from_numpy(stacked), torch.from_numpy(mask))
        return torch.cat([output.narratives, output.stances], dim=-1)

    @torch.inference_mode()
    def margin(self, network: Network) -> float:
        """How much closer a text is to its translation than to what only looks like it, on average."""
        stacked, mask = pad(self.ids, self.tokenizer.pad_id)
        found = network(torch.from_numpy(stacked), torch.from_numpy(mask)).embeddings
        place = {text: row for row, text in enumerate(self.messages.texts)}
        rows = np.array([[place[text] for text in self.messages.texts[at : at + 3]] for at in range(0, 12, 3)])
        one, other, unlike = (found[rows[:, column]] for column in range(3))
        return float(((one * other).sum(-1) - (one * unlike).sum(-1)).mean())

    def learn(
        self,
        folder: Path,
        minutes: float = 10,
        on_step: Any = lambda _: None,
        asked_to_stop: Callable[[], bool] = lambda: False,
        **settings: Any,
    ) -> Network:
        folder.mkdir(exist_ok=True)
        wanted = check_settings(EncoderSettings, {"layers": 1, "epochs": 12, "batch_size": 2, **settings}, "test")
        network = self.network()
        logits = self.logits(network)
        return learn_together(
            network, self.ids, logits, self.messages, wanted, 1, folder, minutes, on_step, asked_to_stop
        )


@pytest.fixture
def learnt(tiny_artefact: Artefact, tiny_settings: TrainingSettings, messages: Messages) -> Learnt:
    return Learnt(tiny_artefact, tiny_settings.base, messages)


def test_upper_layers_learn_and_the_heads_say_what_they_said(learnt: Learnt, tmp_path: Path) -> None:
    rates = {"learning_rate": 1e-2, "projection_rate": 1e-2}
    held, free = (learnt.learn(tmp_path / f"{hold}", hold=hold, epochs=30, **rates) for hold in (10.0, 0.0))
    before = learnt.logits(learnt.before)
    moved, moved_freely = ((learnt.logits(each) - before).abs().mean().item() for each in (held, free))
    assert 0 < moved < moved_freely / 2
    assert learnt.margin(held) > learnt.margin(learnt.before) + 0.2
    old, new = learnt.before.state_dict(), held.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.startswith(("encoder.encoder.layer.1.", "embedder.projection")) for name in changed)


def test_what_was_cut_off_goes_on_and_gives_the_same(learnt: Learnt, tmp_path: Path) -> None:
    whole = learnt.learn(tmp_path / "whole").state_dict()

    def cut_off(step: Step) -> None:
        if step.done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learnt.learn(tmp_path / "cut", 0, cut_off)
    assert (tmp_path / "cut" / CHECKPOINT).is_file()
    steps: list[int] = []
    again = learnt.learn(tmp_path / "cut", 0, lambda step: steps.append(step.done)).state_dict()
    assert steps[0] == 9
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_told_to_stop_it_leaves_a_checkpoint_and_gives_the_same_later(learnt: Learnt, tmp_path: Path) -> None:
    whole = learnt.learn(tmp_path / "whole").state_dict()
    steps: list[int] = []
    with pytest.raises(StoppedError, match="same command"):
        learnt.learn(tmp_path / "cut", 10, lambda step: steps.append(step.done), lambda: len(steps) == 9)
    again = learnt.learn(tmp_path / "cut", 10, lambda step: steps.append(step.done)).state_dict()
    assert steps == [*range(1, len(steps) + 1)]  # none is done twice
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_more_layers_than_there_are_cannot_learn(learnt: Learnt, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at most 2"):
        learnt.learn(tmp_path / "run", layers=3)


def test_a_run_ships_the_layers_that_learnt_and_learns_them_once(
    tiny_artefact: Artefact, tiny_settings: TrainingSettings, embedding_settings: EmbeddingSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_artefact.path.parent, folder)
    encoder = EncoderSettings(layers=1, epochs=3, batch_size=2, learning_rate=1e-2)
    embedding = embedding_settings.model_copy(update={"epochs": 1, "encoder": encoder})
    wanted = tiny_settings.model_copy(update={"embedding": embedding})
    told: set[str] = set()

    def tell_to_stop(steps: dict[str, Step]) -> None:
        if "embedding: upper layers" in steps:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="same command"):
        train(wanted, folder, on_progress=tell_to_stop)
    assert (folder / "embedding" / CHECKPOINT).is_file()
    artefact, _ = train(wanted, folder, on_progress=lambda steps: told.update(steps))
    assert "embedding: upper layers" in told
    learnt_from = artefact.manifest.learnt_from
    assert learnt_from
    assert learnt_from.layers_after == 1
    assert "1 upper layers learnt on with the sentence embedding" in artefact.file(CARD).read_text(encoding="utf-8")

    layer = "encoder.encoder.layer.{}.output.dense.weight"
    before, after = (load_network(each.path).state_dict() for each in (tiny_artefact, artefact))
    assert torch.equal(before[layer.format(0)], after[layer.format(0)])
    assert not torch.equal(before[layer.format(1)], after[layer.format(1)])
    batch = pad([[0, 9, 8, 7, 2], [0, 5, 6, 2]], 1)
    exact, graph = (open_backend(artefact, backend).run(*batch) for backend in ("torch", "onnx"))
    np.testing.assert_allclose(graph.embeddings, exact.embeddings, atol=1e-4)

    told.clear()
    again, _ = train(wanted, folder, on_progress=lambda steps: told.update(steps))
    assert not told
    assert again.id == artefact.id
