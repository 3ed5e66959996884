"""A folder appears whole, or what was there before stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from narratrace.model.appearing import appearing


def test_a_folder_appears_with_all_that_was_written_and_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    for content in ("first", "second"):
        with appearing(out) as folder:
            (folder / content).mkdir()
            (folder / content / "file").write_text(content, encoding="utf-8")
            (folder / content / "file").chmod(0o600)
            assert not (out / content).exists()
        assert [path.name for path in out.iterdir()] == [content]
        assert (out / content / "file").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_was_there_stays_where_writing_or_replacing_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(FileNotFoundError), appearing(out) as folder:
        (folder / "new" / "file").touch()
    with pytest.raises(FileNotFoundError), appearing(out) as folder:
        shutil.rmtree(folder)  # so that it cannot take the place of the old one
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["old"]
