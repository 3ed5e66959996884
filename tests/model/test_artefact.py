"""An artefact is whole, as it was made, or it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from narratrace.inference.classifier import Classifier
from narratrace.model.artefact import CARD, MANIFEST, TAXONOMY, Artefact, Manifest, _identify, save_artefact
from narratrace.model.errors import ArtefactError
from narratrace.model.taxonomy import Taxonomy

WEIGHTS = "encoder/weights.bin"


@pytest.fixture
def fill(taxonomy: Taxonomy) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        taxonomy.dump(folder / TAXONOMY)
        (folder / CARD).write_text("# Card\n", encoding="utf-8")
        (folder / WEIGHTS).parent.mkdir()
        (folder / WEIGHTS).write_bytes(bytes(range(256)))

    return write


@pytest.fixture
def artefact(tmp_path: Path, fill: Callable[[Path], None], artefact_fields: dict[str, Any]) -> Artefact:
    return save_artefact(tmp_path / "artefact", fill, **artefact_fields)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None], *, forge: bool = False) -> None:
    """Edit the manifest; ``forge`` gives it the id that its new content would have."""
    path = folder / MANIFEST
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    if forge:
        fields["id"] = _identify(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


def test_what_is_saved_is_what_is_opened(artefact: Artefact, taxonomy: Taxonomy) -> None:
    opened = Artefact.open(artefact.path)
    assert opened.manifest == artefact.manifest
    assert opened.id.startswith("hong_kong_2019-")
    assert opened.taxonomy == taxonomy
    assert set(opened.manifest.files) == {TAXONOMY, CARD, WEIGHTS}
    assert opened.file(WEIGHTS).read_bytes() == bytes(range(256))


def test_a_copy_of_an_artefact_scores_as_the_artefact_does(
    tmp_path: Path, tiny_artefact: Artefact, tiny_classifier: Classifier, labelled: list[dict[str, Any]]
) -> None:
    posts = [str(post["text"]) for post in labelled[:20]]
    kept = set(Manifest.model_fields) - {"format", "id", "created", "files"}
    fields = {name: value for name, value in tiny_artefact.manifest.model_dump().items() if name in kept}

    def fill(folder: Path) -> None:
        shutil.copytree(tiny_artefact.path, folder, dirs_exist_ok=True)
        (folder / MANIFEST).unlink()

    again = save_artefact(tmp_path / "again", fill, **fields)
    assert again.id == tiny_artefact.id
    assert Classifier.load(again.path, threads=1).predict(posts) == tiny_classifier.predict(posts)


def test_the_id_stands_for_all_that_decides(
    tmp_path: Path, artefact: Artefact, fill: Callable[[Path], None], artefact_fields: dict[str, Any]
) -> None:
    def other_card(folder: Path) -> None:
        fill(folder)
        (folder / CARD).write_text("# Another card\n", encoding="utf-8")

    thresholds = {name: {"default": 0.25} for name in artefact.manifest.narratives}
    same = save_artefact(tmp_path / "same", fill, **artefact_fields)
    stricter = save_artefact(tmp_path / "stricter", fill, **artefact_fields | {"thresholds": thresholds})
    recarded = save_artefact(tmp_path / "recarded", other_card, **artefact_fields)
    assert same.id == artefact.id
    assert len({artefact.id, stricter.id, recarded.id}) == 3


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "has 255 bytes"),
        (lambda file: file.write_bytes(b"\xff" + file.read_bytes()[1:]), "was changed"),
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.with_name("foreign.bin").write_bytes(b""), "does not belong"),
    ],
    ids=["truncated", "edited", "missing", "foreign"],
)
def test_a_damaged_file_is_named(artefact: Artefact, damage: Callable[[Path], object], what: str) -> None:
    file = artefact.path / WEIGHTS
    damage(file)
    named = file.with_name("foreign.bin") if what == "does not belong" else file
    with pytest.raises(ArtefactError, match=what) as error:
        Artefact.open(artefact.path)
    assert str(named) in str(error.value)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"default_thresholds": "precision"}, "there are none"),
        ({"promised": {"precision": 0.9, "confidence": 0.9, "narratives": {}}}, "'promised' must name each narrative"),
        ({"promised": {"precision": 1.0, "confidence": 0.9, "narratives": {}}}, "less than 1"),
    ],
)
def test_promises_are_whole(
    tmp_path: Path, fill: Callable[[Path], None], artefact_fields: dict[str, Any], fields: dict[str, Any], what: str
) -> None:
    with pytest.raises(ValidationError, match=what):
        save_artefact(tmp_path / "new", fill, **artefact_fields | fields)


def lower_threshold(fields: dict[str, Any]) -> None:
    fields["thresholds"]["police_heroes"]["default"] = 0.01


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lower_threshold, "was changed"),
        (lambda fields: fields.update(format=2), "format"),
        (lambda fields: fields.pop("thresholds"), "thresholds"),
        (lambda fields: fields.update(extra=1), "extra"),
    ],
    ids=["threshold", "format", "field gone", "field new"],
)
def test_an_edited_manifest_is_refused(artefact: Artefact, change: Callable[[dict[str, Any]], None], what: str) -> None:
    change_manifest(artefact.path, change)
    with pytest.raises(ArtefactError, match=what) as error:
        Artefact.open(artefact.path)
    assert str(artefact.path / MANIFEST) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"], ids=["empty", "no JSON", "no text", "a list"])
def test_a_manifest_that_is_none_is_refused(artefact: Artefact, content: bytes) -> None:
    (artefact.path / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError) as error:
        Artefact.open(artefact.path)
    assert str(artefact.path / MANIFEST) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("outside", ["../outside.bin", "encoder/../../outside.bin", "{}/outside.bin"])
def test_a_manifest_reaches_for_nothing_outside(artefact: Artefact, outside: str) -> None:
    secret = artefact.path.parent / "outside.bin"
    secret.write_bytes((artefact.path / WEIGHTS).read_bytes())
    name = outside.format(artefact.path.parent)

    def point_outside(fields: dict[str, Any]) -> None:
        fields["files"][name] = fields["files"][WEIGHTS]

    change_manifest(artefact.path, point_outside, forge=True)
    with pytest.raises(ArtefactError, match="not inside the artefact") as error:
        Artefact.open(artefact.path)
    assert name in str(error.value)


def test_what_is_no_artefact_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "none", file, empty):
        with pytest.raises(ArtefactError) as error:
            Artefact.open(path)
        assert str(path) in str(error.value)


def test_hidden_files_are_nobodys(artefact: Artefact) -> None:
    (artefact.path / ".DS_Store").touch()
    (artefact.path / ".git").mkdir()
    (artefact.path / ".git" / "HEAD").touch()
    assert Artefact.open(artefact.path).id == artefact.id


def test_a_file_that_the_artefact_lacks_is_named(artefact: Artefact) -> None:
    with pytest.raises(ArtefactError, match=r"onnx/model\.onnx"):
        artefact.file("onnx/model.onnx")


def test_a_save_that_fails_leaves_what_was_there(
    artefact: Artefact, fill: Callable[[Path], None], artefact_fields: dict[str, Any]
) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError("disk full")

    parent = artefact.path.parent
    for out in (artefact.path, parent / "new"):
        with pytest.raises(OSError, match="disk full"):
            save_artefact(out, fail, **artefact_fields)
    assert [path.name for path in parent.iterdir()] == ["artefact"]
    assert Artefact.open(artefact.path).id == artefact.id


def test_a_save_replaces_an_artefact_as_a_whole(
    artefact: Artefact, taxonomy: Taxonomy, artefact_fields: dict[str, Any]
) -> None:
    new = save_artefact(artefact.path, lambda folder: taxonomy.dump(folder / TAXONOMY), **artefact_fields)
    assert set(new.manifest.files) == {TAXONOMY}
    assert not (new.path / WEIGHTS).exists()
    assert [path.name for path in new.path.parent.iterdir()] == ["artefact"]


def test_a_save_leaves_other_folders_alone(
    tmp_path: Path, fill: Callable[[Path], None], artefact_fields: dict[str, Any]
) -> None:
    thesis = tmp_path / "documents" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work", encoding="utf-8")
    for out in (thesis.parent, thesis):
        with pytest.raises(ArtefactError, match="not an artefact"):
            save_artefact(out, fill, **artefact_fields)
    assert thesis.read_text(encoding="utf-8") == "years of work"
    thesis.unlink()
    assert save_artefact(thesis.parent, fill, **artefact_fields).path == thesis.parent
