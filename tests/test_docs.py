"""README and docs keep their word: commands and Python run as written, commands and options exist, links resolve.

A fenced ``bash`` or ``python`` block is run in an empty folder that has ``examples/``, with the blocks before it in the
same document. An HTML comment right above a block says otherwise:

- ``<!-- not run: why -->``: too long for a test, or tested elsewhere; the commands and options still have to exist.
- ``<!-- file: name -->``: the block is the content of this file, for the blocks after it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from typer.main import get_command

from narratrace.commands import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>file|not run): (?P<said>.+?) -->\n)?```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, its text, where it starts, and the comment above it."""

    kind: str
    code: str
    place: str
    mark: str
    said: str


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        place = f"{page.name}:{text.count(chr(10), 0, found.start('kind')) + 1}"
        yield Block(found["kind"], found["code"], place, found["mark"] or "", found["said"] or "")


def commands_in(block: Block) -> Iterator[list[str]]:
    """Yield the words of every `narratrace` command of a shell block, in pipelines too."""
    lines = block.code.replace("\\\n", " ").splitlines()
    if block.kind == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("|;&<>()"):
                if command[:1] == ["narratrace"]:
                    yield command[1:]
                command = []
            else:
                command.append(word)


@every_page
def test_blocks_run_as_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.mark == "file":
            Path(block.said).write_text(block.code, encoding="utf-8")
        elif block.mark == "not run":
            continue
        elif block.kind == "python":
            exec(compile(block.code, block.place, "exec"), names)
        elif block.kind == "bash":
            shell = ["bash", "-euo", "pipefail", "-c", block.code]
            done = subprocess.run(
                shell, env=os.environ | {"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block.place}\n{done.stdout}{done.stderr}"


@every_page
def test_commands_and_options_exist(page: Path) -> None:
    for block in blocks_of(page):
        if block.kind not in {"bash", "console"}:
            continue
        for words in commands_in(block):
            command = get_command(app)
            while below := getattr(command, "commands", None):
                assert words, f"{block.place}: {command.name} needs a command"
                assert words[0] in below, f"{block.place}: there is no command {words[0]}"
                command, words = below[words[0]], words[1:]
            try:
                command.make_context(command.name, words)
            except Exception as error:
                pytest.fail(f"{block.place}: {command.name} {shlex.join(words)}: {error}")


@every_page
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    kinds = {"bash", "console", "python", "yaml", "json", "text", "make", "csv"}
    unknown = [f"{block.place}: {block.kind!r}" for block in blocks_of(page) if block.kind not in kinds]
    assert not unknown
    assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0


@every_page
def test_links_within_the_repository_resolve(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or not target.is_relative_to(ROOT) or (heading and heading not in anchors(target)):
            broken.append(link)
    assert not broken


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_architecture_names_every_file() -> None:
    named = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = [path for floor in ("inference", "model", "training") for path in (ROOT / floor).rglob("*.py")]
    unnamed = [path for path in files if path.name != "__init__.py" and f"{path.name}`" not in named]
    assert [str(path.relative_to(ROOT)) for path in unnamed] == []


def test_every_page_of_the_docs_is_listed() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert pages - {"index.md"} <= listed
