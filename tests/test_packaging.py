"""What a user installs is what the source tree holds."""

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import yaml

import narratrace

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
FLOORS = ("api", "configs", "inference", "model", "training")


def package_name(folder: Path) -> str:
    floor, *rest = folder.relative_to(ROOT).parts
    return ".".join(["narratrace", *([] if floor == "api" else [floor]), *rest])


def test_every_folder_with_code_is_a_package_that_is_installed() -> None:
    folders = {path.parent for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    expected = {package_name(folder): folder.relative_to(ROOT).as_posix() for folder in folders}
    assert SETUPTOOLS["package-dir"] == expected
    assert sorted(SETUPTOOLS["packages"]) == sorted(expected)
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_what_people_cite_is_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{cited['version']}] - {cited['date-released']}" in changes


def test_every_data_file_is_installed() -> None:
    installed = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (ROOT / SETUPTOOLS["package-dir"][package]).glob(pattern)
    }
    data = {
        path
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and not path.name.startswith(".")
    }
    assert data - installed == set()


def test_the_installed_package_has_its_data() -> None:
    package = files("narratrace")
    assert (package / "py.typed").is_file()
    # Sub-packages stand elsewhere than narratrace in an editable install, so each is asked itself.
    assert (files("narratrace.configs") / "taxonomy" / "hong_kong_2019.yaml").is_file()
    assert (files("narratrace.model") / "builtin" / "hong_kong_2019" / "manifest.json").is_file()


def test_the_version_is_told_once() -> None:
    assert narratrace.__version__ == PROJECT["version"] == distribution("narratrace").version


def test_the_changelog_knows_the_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_licences_are_there() -> None:
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "intfloat/multilingual-e5-small" in notice
    assert "MIT License" in notice


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}
    extras = PROJECT["optional-dependencies"]
    needed = {
        requirement.partition(">=")[0].lower().replace("_", "-")
        for requirement in [*PROJECT["dependencies"], *(name for names in extras.values() for name in names)]
    }
    assert needed - pinned == set()
