"""Adding a narrative: it is told from the others, and nothing else moves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from narratrace.inference.classifier import Classifier
from narratrace.model.artefact import CARD, Artefact
from narratrace.model.errors import ArtefactError, InputError, SettingsError
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Narrative
from narratrace.training.extension import REPORTS, Extension, extend, extend_taxonomy
from narratrace.training.labelled import LabelledPost, read_labelled

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "new_narrative"
POSTS = ["Happy birthday!", "暴徒都係畀外國勢力洗腦" * 40, "假記者着件黃背心幫班暴徒", ""]


@pytest.fixture(scope="module")
def narrative() -> Narrative:
    return load_settings(Narrative, EXAMPLE / "definition.yaml")


@pytest.fixture(scope="module")
def examples(tiny_artefact: Artefact, narrative: Narrative) -> list[LabelledPost]:
    return read_labelled(EXAMPLE / "examples.jsonl", extend_taxonomy(tiny_artefact.taxonomy, narrative))


@pytest.fixture(scope="module")
def extended(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_artefact: Artefact,
    narrative: Narrative,
    examples: list[LabelledPost],
) -> tuple[Artefact, Extension]:
    return extend(tiny_artefact, narrative, examples, tmp_path_factory.mktemp("extended") / "artefact", POSTS)


def test_no_other_score_moves_in_any_backend(
    extended: tuple[Artefact, Extension], tiny_artefact: Artefact, narrative: Narrative
) -> None:
    artefact, report = extended
    assert report.moved == 0.0
    assert artefact.backends == tiny_artefact.backends
    for backend in artefact.backends:
        before = Classifier(tiny_artefact, backend, threads=1).predict(POSTS)
        after = Classifier(artefact, backend, threads=1).predict(POSTS)
        for one, other in zip(before, after, strict=True):
            scores = {name: score for name, score in other.scores.items() if name != narrative.id}
            assert scores == pytest.approx(one.scores, abs=1e-6)
            assert (other.labels, other.stance) == (one.labels, one.stance)


def test_the_narrative_is_told_from_the_others_and_left_to_review(
    extended: tuple[Artefact, Extension], narrative: Narrative, examples: list[LabelledPost]
) -> None:
    artefact, report = extended
    assert (report.narrative, report.positives) == (narrative.id, 16)
    assert report.negatives > 100
    assert artefact.taxonomy.narrative_ids[-1] == narrative.id
    assert artefact.manifest.thresholds[narrative.id].default is None
    found = Classifier(artefact, threads=1).predict([post.text for post in examples])
    scores = [prediction.scores[narrative.id] for prediction in found]
    positive = [narrative.id in post.labels for post in examples]
    assert min(s for s, yes in zip(scores, positive, strict=True) if yes) > max(
        s for s, yes in zip(scores, positive, strict=True) if not yes
    )
    assert not any(narrative.id in prediction.labels for prediction in found)
    assert any(narrative.id in prediction.abstained for prediction in found)


def test_the_artefact_says_what_was_added(extended: tuple[Artefact, Extension], tiny_artefact: Artefact) -> None:
    artefact, report = extended
    assert artefact.manifest.taxonomy == f"{tiny_artefact.manifest.taxonomy}+{report.narrative}"
    card = (artefact.path / CARD).read_text(encoding="utf-8")
    assert "no threshold" in card
    assert f"{report.positives} examples" in card
    assert [one["narrative"] for one in json.loads(artefact.file(REPORTS).read_text())] == [report.narrative]


def test_another_narrative_can_be_added_to_an_extended_artefact(
    extended: tuple[Artefact, Extension], narrative: Narrative, examples: list[LabelledPost], tmp_path: Path
) -> None:
    other = narrative.model_copy(update={"id": "fake_medics"})
    posts = [
        LabelledPost(post.text, post.language, post.stance, ("fake_medics",) if post.labels else (), post.ties)
        for post in examples
        if "press" not in post.text
    ]
    artefact, report = extend(extended[0], other, posts, tmp_path / "again")
    assert artefact.taxonomy.narrative_ids[-2:] == (narrative.id, "fake_medics")
    assert report.moved == 0.0
    assert len(json.loads(artefact.file(REPORTS).read_text())) == 2


def test_what_cannot_be_added_is_refused(
    tiny_artefact: Artefact, narrative: Narrative, examples: list[LabelledPost], tmp_path: Path
) -> None:
    one = {"en": narrative.examples["en"]}
    with pytest.raises(SettingsError, match="zh-Hans"):
        extend(tiny_artefact, narrative.model_copy(update={"examples": one}), examples, tmp_path / "out")
    known = narrative.model_copy(update={"id": tiny_artefact.taxonomy.narrative_ids[0]})
    with pytest.raises(SettingsError, match="there twice"):
        extend(tiny_artefact, known, examples, tmp_path / "out")
    with pytest.raises(InputError, match="at least 5"):
        extend(tiny_artefact, narrative, [], tmp_path / "out")
    # Of one account, as the definition's own examples are by their texts.
    positives = [post for post in examples if narrative.id in post.labels]
    related = [replace(post, ties=("account:one",)) for post in positives]
    related += [replace(related[0], text=text) for texts in narrative.examples.values() for text in texts]
    with pytest.raises(InputError, match="are related"):
        extend(tiny_artefact, narrative, related, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_foreign_folder_is_left_alone(
    tiny_artefact: Artefact, narrative: Narrative, examples: list[LabelledPost], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="not an artefact"):
        extend(tiny_artefact, narrative, examples, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    shutil.rmtree(tmp_path)
