"""Where a run may start from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from narratrace.model.artefact import BUILTIN, Artefact
from narratrace.model.base import RECORD
from narratrace.model.errors import InputError
from narratrace.training.bases import open_base


def test_a_base_and_the_encoders_of_artefacts_are_taken_as_they_are(
    tiny_base: Path, tiny_artefact: Artefact, tmp_path: Path
) -> None:
    for source, folder, name in (
        (tiny_base, tiny_base, "tiny"),
        (tiny_artefact.path, tiny_artefact.path / "encoder", "tiny"),
        (Path("builtin"), BUILTIN / "encoder", "intfloat/multilingual-e5-small"),
    ):
        found, record = open_base(source, tmp_path)
        assert (found, record.name) == (folder, name)
    assert not [*tmp_path.iterdir()]


def test_any_encoder_becomes_a_base_in_the_runs_folder_once(tiny_base: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(tiny_base, tmp_path / "plain", ignore=shutil.ignore_patterns(RECORD)))
    folder, record = open_base(plain, tmp_path / "run")
    assert folder == tmp_path / "run" / "base"
    assert record.dimension == 64
    shutil.rmtree(plain)
    assert open_base(plain, tmp_path / "run") == (folder, record)


def test_a_folder_without_an_encoder_and_a_damaged_record_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="base build"):
        open_base(tmp_path, tmp_path / "run")
    damaged = Path(shutil.copytree(tiny_base, tmp_path / "damaged"))
    (damaged / RECORD).write_text("{}")
    with pytest.raises(InputError, match="base build"):
        open_base(damaged, tmp_path / "run")
