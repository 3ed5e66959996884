"""The floors of the design: upper imports lower, never the reverse; the base install needs no extra."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# A module may import its own floor and those below it. inference and training stand side by side.
ALLOWED = {
    "api": {"api", "inference", "training", "model", "configs"},
    "inference": {"inference", "model", "configs"},
    "training": {"training", "model", "configs"},
    "model": {"model", "configs"},
    "configs": {"configs"},
}
# Beside training/, only these may import a package of an extra when they are themselves imported.
NEEDS_AN_EXTRA = {f"narratrace.model.{name}" for name in ("added_output", "export", "network", "parity", "quantise")}
HEAVY = {
    *("accelerate", "datasets", "mapie", "onnx", "onnxscript", "pandas", "ray", "scipy"),
    *("sentence_transformers", "sklearn", "tensorboard", "torch", "transformers"),
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


class Import(NamedTuple):
    """One import statement: the module's dotted name, its line, and when it happens."""

    name: str
    line: int
    at_module_level: bool
    only_for_types: bool


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def distributions(requirements: list[str]) -> set[str]:
    return {canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


BASE = distributions(PYPROJECT["project"]["dependencies"])
DECLARED = BASE.union(*map(distributions, PYPROJECT["project"]["optional-dependencies"].values()))


DISTRIBUTIONS = packages_distributions()


def providers(module: str) -> set[str]:
    """Name the distributions that provide a top-level module here; the module's own name where none is installed."""
    top = module.partition(".")[0]
    return {canonical(name) for name in DISTRIBUTIONS.get(top, [top])}


def module_name(path: Path) -> str:
    """Return the dotted name under which a file of the source tree is installed."""
    floor, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = ["narratrace", *([] if floor == "api" else [floor]), *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> str:
    """Return the floor of a dotted name in narratrace; what is not of a lower floor is the api's."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "api"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports_of(path: Path) -> Iterator[Import]:
    def visit(node: ast.AST, at_module_level: bool, only_for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_module_level, only_for_types)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            # `from narratrace import training` imports a floor too, so every name counts as a module.
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", node.lineno, at_module_level, only_for_types)
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_module_level and not inner, only_for_types or is_type_checking(node))

    return visit(ast.parse(path.read_text(encoding="utf-8")), True, False)


SOURCES = sorted(path for floor in ALLOWED for path in (ROOT / floor).rglob("*.py"))
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


def third_party(path: Path) -> Iterator[Import]:
    for found in imports_of(path):
        if found.name.partition(".")[0] not in {"narratrace", "__future__", *sys.stdlib_module_names}:
            yield found


@every_source
def test_no_floor_imports_upward(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    upward = [
        f"line {found.line}: {floor} imports {found.name}"
        for found in imports_of(path)
        if found.name.partition(".")[0] == "narratrace" and floor_of(found.name) not in ALLOWED[floor]
    ]
    assert not upward


@every_source
def test_the_base_install_imports_no_extra(path: Path) -> None:
    if path.is_relative_to(ROOT / "training") or module_name(path) in NEEDS_AN_EXTRA:
        return
    needed = [
        f"line {found.line}: {found.name} is not of the base install; import it where it is first needed"
        for found in third_party(path)
        if found.at_module_level and not found.only_for_types and not providers(found.name) & BASE
    ]
    assert not needed


@every_source
def test_every_imported_package_is_declared(path: Path) -> None:
    undeclared = [
        f"line {found.line}: {found.name}" for found in third_party(path) if not providers(found.name) & DECLARED
    ]
    assert not undeclared


@every_source
def test_no_file_has_a_vague_name(path: Path) -> None:
    assert not VAGUE_NAMES & set(module_name(path).split("."))


def test_modules_that_need_an_extra_exist() -> None:
    assert set(map(module_name, SOURCES)) >= NEEDS_AN_EXTRA


def modules_loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after running the code."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


def test_importing_the_base_install_loads_no_extra() -> None:
    modules = {module_name(path) for path in SOURCES if not path.is_relative_to(ROOT / "training")}
    imports = ", ".join(sorted(modules - NEEDS_AN_EXTRA - {"narratrace.__main__"}))
    assert not modules_loaded_by(f"import {imports}") & HEAVY


def test_importing_narratrace_is_light() -> None:
    assert not modules_loaded_by("import narratrace") & (
        HEAVY | {"networkx", "onnxruntime", "opencc", "plotly", "pyarrow", "tokenizers"}
    )
