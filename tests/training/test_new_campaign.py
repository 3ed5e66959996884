"""The campaign to copy: it is what the document says, and trains as it is, with fewer steps and the tiny encoder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from narratrace.inference.classifier import Classifier
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.labelled import LabelledPost, read_labelled, tie_groups
from narratrace.training.run import train
from narratrace.training.settings import TrainingSettings

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "new_campaign"


@pytest.fixture
def posts() -> dict[str, list[LabelledPost]]:
    taxonomy = Taxonomy.load(FOLDER / "taxonomy.yaml")
    return {name: read_labelled(FOLDER / f"{name}.jsonl", taxonomy) for name in ("train", "dev")}


def test_it_is_balanced_and_held_out_by_theme(posts: dict[str, list[LabelledPost]]) -> None:
    everything = [*posts["train"], *posts["dev"]]
    assert [len(posts["train"]), len(posts["dev"])] == [232, 67]
    assert set(Counter(post.language for post in everything).values()) <= {74, 75}
    assert min(Counter(post.stance for post in everything).values()) >= 45
    for part in posts.values():
        assert min(Counter(label for post in part for label in post.labels).values()) >= 9
        assert {post.language for post in part} == {"zh-Hans", "zh-Hant", "yue", "en"}
    groups = tie_groups(everything)
    assert not {*groups[:232].tolist()} & {*groups[232:].tolist()}


def test_it_trains(tiny_base: Path, tmp_path: Path) -> None:
    overrides = [f"taxonomy={FOLDER / 'taxonomy.yaml'}", f"data.train=[{FOLDER / 'train.jsonl'}]"]
    overrides += [f"data.dev={{verano: {FOLDER / 'dev.jsonl'}}}", f"base={tiny_base}", "optimiser.epochs=1"]
    overrides += ["optimiser.frozen_layers=1"]  # the tiny encoder has two
    settings = load_settings(TrainingSettings, FOLDER / "training.yaml", [*overrides, "thresholds.folds=2"])
    artefact, metrics = train(settings, tmp_path / "run")
    assert artefact.taxonomy.id == "verano_bridge"
    assert metrics["verano"]["posts"] == 67
    assert set(Classifier(artefact, threads=1).predict("The vote was bought.").scores) == {
        "bridge_unsafe",
        "norvian_takeover",
        "bought_council",
    }
    page = (tmp_path / "run" / "training.html").read_text(encoding="utf-8")
    assert "Macro-F1 of watched posts" in page
    assert 'src="http' not in page
