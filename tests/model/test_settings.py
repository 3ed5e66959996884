from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import Field

from narratrace.model.errors import SettingsError
from narratrace.model.settings import Settings, load_settings, save_settings


class Inner(Settings):
    epochs: int = Field(gt=0)
    rate: float = 0.5
    files: tuple[Path, ...] = ()


class Outer(Settings):
    name: str | None = None
    inner: Inner


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("name: 測試\ninner:\n  epochs: 3\n", encoding="utf-8")
    return path


def test_overrides_change_single_fields(file: Path) -> None:
    settings = load_settings(Outer, file, ["inner.epochs=7", "inner.files=[a, b]", "name=null", "inner.rate= 1e-1 "])
    assert settings == Outer(name=None, inner=Inner(epochs=7, rate=0.1, files=(Path("a"), Path("b"))))


def test_an_override_may_name_what_the_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("name: a=b\n", encoding="utf-8")
    settings = load_settings(Outer, path, ["inner.epochs=1", "name=x=y"])
    assert (settings.name, settings.inner.epochs) == ("x=y", 1)


def test_saved_settings_are_whole_and_read_back(file: Path, tmp_path: Path) -> None:
    settings = load_settings(Outer, file)
    save_settings(settings, tmp_path / "saved.yaml")
    assert load_settings(Outer, tmp_path / "saved.yaml") == settings
    assert yaml.safe_load((tmp_path / "saved.yaml").read_text(encoding="utf-8"))["inner"]["rate"] == 0.5
    assert "測試" in (tmp_path / "saved.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("inner: {epochs: 3, epoch: 4}", "inner.epoch: "),
        ("inner: {epochs: 0}", "inner.epochs: "),
        ("inner: {epochs: some}", "inner.epochs: "),
        ("name: x", "inner: "),
        ("inner: {epochs: 0, rate: x}", "and 1 more"),
        ("- a list", "name: value"),
        ("", "name: value"),
        ("a: [", "not valid YAML"),
        ("inner: {epochs: 3}\nname: x\ninner: {epochs: 4}", "'inner' is given twice"),
        ("inner: {epochs: 3, epochs: 4}", "'epochs' is given twice"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_a_fault_names_file_and_field_in_one_line(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(Outer, path)
    message = str(error.value)
    assert str(path) in message
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "override",
    ["inner.epochs", "=3", " =3", "name.deeper=1", "inner.epochs=[", "inner={epochs: 1, epochs: 2}", "innner.epochs=3"],
)
def test_a_malformed_override_is_refused(file: Path, override: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(Outer, file, [override])
    assert override.partition("=")[0].split(".")[0] in str(error.value)


def test_a_wrong_override_is_not_blamed_on_a_file_that_is_fine(file: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(Outer, file, ["inner.epochs=0"])
    assert str(error.value) == "--set inner.epochs=0: inner.epochs: Input should be greater than 0."
    file.write_text("inner: {epochs: 3, epoch: 4}", encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(Outer, file, ["name=x"])
    assert str(error.value).startswith(f"{file} with --set name=x: inner.epoch: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, binary):
        with pytest.raises(SettingsError) as error:
            load_settings(Outer, path)
        assert str(path) in str(error.value)


def test_settings_do_not_change(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(Outer, file).name = "other"  # type: ignore[misc]
