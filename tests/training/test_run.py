"""A run gives an artefact, continues where it was, and is the same whenever it is done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from pydantic import ValidationError

from narratrace.model.artefact import (
    CARD,
    HEADS,
    ONNX_FILES,
    TAXONOMY,
    TOKENIZER,
    WIDE,
    Artefact,
    AveragedWith,
    hash_file,
    save_artefact,
)
from narratrace.model.errors import ArtefactError, InputError, SettingsError
from narratrace.model.network import load_network, save_heads
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.run import train
from narratrace.training.settings import DataSettings, EmbeddingSettings, SoupSettings, TrainingSettings
from narratrace.training.trainer import Step

TRAININGS = ("final", "fold-0", "fold-1")


@pytest.fixture
def run(tiny_artefact: Artefact, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(tiny_artefact.path.parent, tmp_path / "run"))


def stamps(run: Path) -> dict[str, int]:
    """When each training of a run was done."""
    return {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name in TRAININGS}


def test_a_run_gives_an_artefact_its_card_and_its_settings(
    tiny_artefact: Artefact, tiny_settings: TrainingSettings, taxonomy: Taxonomy, labelled: list[dict[str, Any]]
) -> None:
    run = tiny_artefact.path.parent
    assert sorted(stamps(run)) == [*TRAININGS]
    assert sorted(path.parent.name for path in run.glob("logs/*/epochs.jsonl")) == [*TRAININGS]
    assert load_settings(TrainingSettings, run / "settings.yaml") == tiny_settings
    manifest = tiny_artefact.manifest
    graphs = {file for files in ONNX_FILES.values() for file in files.values()}
    assert {TAXONOMY, CARD, TOKENIZER, HEADS, WIDE, *graphs} <= set(manifest.files)
    assert tiny_artefact.backends == ("onnx", "onnx-int8", "torch")
    assert manifest.taxonomy == "hong_kong_2019@" + taxonomy.version
    assert tiny_artefact.taxonomy == taxonomy
    assert (manifest.base.name, manifest.base.licence) == ("tiny", "Apache-2.0")
    assert set(manifest.metrics) == {"cross_validation", "same"}
    assert manifest.learnt_from
    assert manifest.learnt_from.final == "all"
    assert manifest.averaged_with is None
    assert manifest.metrics["same"]["posts"] == len(labelled)
    assert manifest.metrics["same"]["stance_accuracy"] > manifest.metrics["cross_validation"]["stance_accuracy"]
    assert set(manifest.calibration) == set(manifest.thresholds) == set(taxonomy.narrative_ids)
    card = (tiny_artefact.path / CARD).read_text(encoding="utf-8")
    assert card.startswith(f"# {taxonomy.title}\n")
    assert all(narrative in card for narrative in taxonomy.narrative_ids)
    assert f"{len(labelled)} posts to learn from" in card
    assert tiny_settings.data.description in card
    assert "{" not in card
    environment = json.loads((tiny_artefact.path.parent / "environment.json").read_text(encoding="utf-8"))
    assert f"## Measured on\n\n{environment['processor']}, {environment['cores']} cores" in card


def test_the_same_command_again_retrains_nothing(
    run: Path, tiny_artefact: Artefact, tiny_settings: TrainingSettings
) -> None:
    before = stamps(run)
    artefact, metrics = train(tiny_settings, run)
    assert stamps(run) == before
    assert artefact.id == tiny_artefact.id
    assert metrics == tiny_artefact.manifest.metrics


def test_the_resolved_settings_beside_a_run_start_it_again(run: Path, tiny_artefact: Artefact) -> None:
    artefact, _ = train(load_settings(TrainingSettings, run / "settings.yaml"), run)
    assert artefact.id == tiny_artefact.id


def test_an_interrupted_run_does_what_is_missing_and_gives_the_same_artefact(
    run: Path, tiny_artefact: Artefact, tiny_settings: TrainingSettings
) -> None:
    before = stamps(run)
    for lost in ("artefact", "final", "fold-1"):
        shutil.rmtree(run / lost)
    told: list[dict[str, Step]] = []
    artefact, _ = train(tiny_settings, run, on_progress=told.append)
    after = stamps(run)
    assert after["fold-0"] == before["fold-0"]
    assert after["fold-1"] > before["fold-1"]
    assert artefact.id == tiny_artefact.id
    assert set(told[-1]) == {"final", "fold-1"}
    assert all(step.done == step.total > 0 for step in told[-1].values())


def test_what_a_process_of_a_killed_run_finished_meanwhile_is_kept(
    run: Path, tiny_artefact: Artefact, tiny_settings: TrainingSettings
) -> None:
    before = stamps(run)
    finished = Path(shutil.move(run / "fold-1", run.parent / "fold-1"))
    # What such a process holds until it is done.
    lock = FileLock(run / "logs" / "fold-1.lock")
    lock.acquire()

    def finish(_: dict[str, Step]) -> None:
        if finished.exists():
            finished.rename(run / "fold-1")
            lock.release()

    artefact, _ = train(tiny_settings, run, on_progress=finish)
    assert stamps(run) == before
    assert artefact.id == tiny_artefact.id


def test_a_folder_of_another_run_is_refused_and_what_differs_named(
    run: Path, tiny_settings: TrainingSettings, tmp_path: Path
) -> None:
    before = stamps(run)
    longer = tiny_settings.model_copy(update={"optimiser": tiny_settings.optimiser.model_copy(update={"epochs": 11})})
    with pytest.raises(SettingsError, match="other settings"):
        train(longer, run)

    record = run / "inputs.json"
    digests = json.loads(record.read_text(encoding="utf-8"))
    posts = str(tiny_settings.data.train[0])
    record.write_text(json.dumps(digests | {posts: "0" * 64}), encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        train(tiny_settings, run)
    assert posts in str(error.value)
    assert stamps(run) == before


def test_dev_sets_are_recorded_and_may_change(
    run: Path, tiny_settings: TrainingSettings, labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = stamps(run)
    dev = tmp_path / "dev.jsonl"
    data = tiny_settings.data.model_copy(update={"dev": {"some": str(dev)}})
    settings = tiny_settings.model_copy(update={"data": data})
    recorded = []
    for posts in (labelled[:20], labelled[:10]):
        dev.write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
        _, metrics = train(settings, run)
        assert metrics["some"]["posts"] == len(posts)
        inputs = json.loads((run / "inputs.json").read_text(encoding="utf-8"))
        recorded.append(inputs["measured_on"])
        assert recorded[-1] == {str(dev): hash_file(dev)}
    assert recorded[0] != recorded[1]
    assert stamps(run) == before


def test_thresholds_can_be_chosen_anew_without_training(
    run: Path, tiny_artefact: Artefact, tiny_settings: TrainingSettings
) -> None:
    before = stamps(run)
    thresholds = tiny_settings.thresholds.model_copy(update={"smoothing": 1e9})
    artefact, _ = train(tiny_settings.model_copy(update={"thresholds": thresholds}), run)
    assert stamps(run) == before
    assert artefact.id != tiny_artefact.id
    assert len({threshold.default for threshold in artefact.manifest.thresholds.values()}) == 1


def test_figures_count_no_label_in_a_language_that_the_artefact_does_not_answer_for(
    run: Path, tiny_settings: TrainingSettings, tiny_artefact: Artefact
) -> None:
    def flagged(artefact: Artefact) -> int:
        return sum(one["flagged"] for one in artefact.manifest.metrics["cross_validation"]["narratives"].values())

    elsewhere = tiny_settings.data.model_copy(update={"languages": ("other",)})
    artefact, _ = train(tiny_settings.model_copy(update={"data": elsewhere}), run)
    assert flagged(tiny_artefact) > 0
    assert flagged(artefact) == 0


def test_nothing_is_begun_with_what_cannot_be_trained(
    tiny_settings: TrainingSettings, embedding_settings: EmbeddingSettings, tmp_path: Path
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text(json.dumps({"text": "x", "stance": "N", "labels": []}), encoding="utf-8")
    data = tiny_settings.data.model_copy(update={"train": (few,)})
    with pytest.raises(InputError, match="too few"):
        train(tiny_settings.model_copy(update={"data": data}), tmp_path / "run")
    with pytest.raises(InputError, match="base build"):
        train(tiny_settings.model_copy(update={"base": tmp_path}), tmp_path / "run")
    lost = embedding_settings.model_copy(update={"posts": str(tmp_path / "nowhere.jsonl")})
    with pytest.raises(InputError, match="nowhere"):
        train(tiny_settings.model_copy(update={"embedding": lost}), tmp_path / "run")
    deep = tiny_settings.optimiser.model_copy(update={"frozen_layers": 99})
    with pytest.raises(SettingsError, match="layers"):
        train(tiny_settings.model_copy(update={"optimiser": deep}), tmp_path / "run")
    fields = tiny_settings.data.model_dump() | {"languages": ["english"]}
    with pytest.raises(ValidationError, match=r"languages\.0"):
        DataSettings.model_validate(fields)
    assert not (tmp_path / "run").exists()


def test_the_final_network_can_be_the_mean_of_the_folds(tiny_settings: TrainingSettings, tmp_path: Path) -> None:
    settings = tiny_settings.model_copy(update={"final": "folds", "embedding": None})
    artefact, _ = train(settings, tmp_path / "run")
    folds = [load_network(tmp_path / "run" / f"fold-{fold}") for fold in range(settings.thresholds.folds)]
    mean = torch.stack([fold.narratives.weight for fold in folds]).mean(dim=0)
    shipped = load_network(artefact.path).narratives.weight
    torch.testing.assert_close(shipped, mean, atol=1e-3, rtol=1e-3)  # artefacts are kept in half precision
    assert not torch.equal(folds[0].narratives.weight, folds[1].narratives.weight)
    assert not (tmp_path / "run" / "logs" / "final").exists()
    assert artefact.manifest.learnt_from
    assert artefact.manifest.learnt_from.final == "folds"
    assert "the mean of the weights of the cross-validation's networks" in (artefact.path / CARD).read_text("utf-8")


def test_a_finished_run_is_averaged_with_an_earlier_artefact_which_manifest_and_card_name(
    run: Path, tiny_artefact: Artefact, tiny_settings: TrainingSettings, tmp_path: Path
) -> None:
    def averaged(earlier: Path) -> Artefact:
        soup = SoupSettings(artefact=earlier, share=0.25)
        return train(tiny_settings.model_copy(update={"soup": soup}), run)[0]

    before = stamps(run)
    own = load_network(run / "final").narratives.weight
    zeros = load_network(tiny_artefact.path)
    torch.nn.init.zeros_(zeros.narratives.weight)
    folder = tmp_path / "earlier"
    fields = tiny_artefact.manifest.model_dump(exclude={"format", "id", "created", "files"})

    def fill(into: Path) -> None:
        shutil.copytree(tiny_artefact.path, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        save_heads(zeros, into)

    earlier = save_artefact(folder, fill, **fields)
    artefact = averaged(folder)
    assert stamps(run) == before  # no training is repeated for it
    torch.testing.assert_close(load_network(artefact.path).narratives.weight, 0.75 * own, atol=1e-3, rtol=1e-3)
    assert artefact.manifest.averaged_with == AveragedWith(id=earlier.id, share=0.25)
    card = (artefact.path / CARD).read_text(encoding="utf-8")
    assert f"`{earlier.id}`, at a share of 25%" in card
    assert "no promise was tested on it" in card
    # The same folder may hold another artefact by then: it counts, and is named.
    shutil.rmtree(folder)
    shutil.copytree(tiny_artefact.path, folder)
    artefact = averaged(folder)
    assert artefact.manifest.averaged_with == AveragedWith(id=tiny_artefact.id, share=0.25)
    torch.testing.assert_close(load_network(artefact.path).narratives.weight, own, atol=1e-3, rtol=1e-3)
    assert train(tiny_settings, run)[0].id == tiny_artefact.id  # what ships without it is not lost


def test_an_artefact_to_average_with_is_looked_for_before_anything_is_trained(
    tiny_settings: TrainingSettings, tmp_path: Path
) -> None:
    soup = SoupSettings(artefact=tmp_path / "nowhere", share=0.25)
    with pytest.raises(ArtefactError, match="no artefact folder"):
        train(tiny_settings.model_copy(update={"soup": soup}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
