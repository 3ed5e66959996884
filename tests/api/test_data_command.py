"""``narratrace data`` as a person meets it: what it says, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from narratrace.commands import main
from narratrace.training.hydrating import hash_text


class Ending(NamedTuple):
    """How a command ended."""

    code: object
    out: str
    err: str


Data = Callable[..., Ending]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Data:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> Ending:
        monkeypatch.setattr("sys.argv", ["narratrace", "data", *map(str, words)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Ending(code, *capsys.readouterr())

    return run


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """Twelve posts in a CSV whose columns have names of their own."""
    path = tmp_path / "posts.csv"
    rows = [
        f"[bold]{chr(0xAC00 + number) * 6}[/bold],{number % 2},{'A' if number % 2 else 'N'}" for number in range(12)
    ]
    path.write_text("body,hero,side\n" + "\n".join(rows), encoding="utf-8")
    return path


MAPS = ("--map", "text=body", "--map", "labels.police_heroes=hero", "--map", "stance=side")
TAXONOMY = ("-t", "hong_kong_2019")


def test_check_reports_on_the_terminal_as_a_page_and_as_json(data: Data, posts: Path, tmp_path: Path) -> None:
    page, report = tmp_path / "check.html", tmp_path / "check.json"
    ending = data("check", posts, *TAXONOMY, *MAPS, "--html", page, "--json", report)
    assert ending.code == 0, ending.err
    assert "all: 12 posts" in ending.out
    assert "errors: 0, " in ending.out
    for title in ("narrative by stance", "narrative by source", "stance by language", "stance by source"):
        assert title in ending.out
    assert json.loads(report.read_text(encoding="utf-8"))["posts"] == {"all": 12}
    assert "<h1>Check of labelled posts</h1>" in page.read_text(encoding="utf-8")


def test_check_takes_the_tokens_of_the_settings(data: Data, posts: Path) -> None:
    ending = data("check", posts, *TAXONOMY, *MAPS, "--max-tokens", "5")
    assert "Training with max_tokens 5 cuts 12 posts" in ending.out
    assert "longer than the 5 tokens" in ending.out
    assert data("check", posts, *TAXONOMY, *MAPS, "--max-tokens", "2").code == 2


def test_check_says_at_once_that_the_report_has_no_folder(data: Data, posts: Path, tmp_path: Path) -> None:
    ending = data("check", posts, *TAXONOMY, *MAPS, "--json", tmp_path / "none" / "check.json")
    assert (ending.code, ending.out) == (2, "")
    assert "There is no folder" in ending.err


def test_check_ends_with_1_on_errors_and_shows_posts_as_they_are(data: Data, posts: Path) -> None:
    first = posts.read_text(encoding="utf-8").splitlines()[1]
    with posts.open("a", encoding="utf-8") as file:
        file.write(f"\n{first}\n\x1b[2J,perhaps,A\n")
    ending = data("check", f"train={posts}", f"dev={posts}", *TAXONOMY, *MAPS)
    assert ending.code == 1
    assert "neither yes (1) nor no (0)" in ending.out
    assert "[bold]" in ending.out  # a post is no markup
    assert "\x1b[2J" not in ending.out
    assert "with the same text in train and in dev: 1" in ending.out


def test_split_writes_parts_and_shows_shares(data: Data, posts: Path, tmp_path: Path) -> None:
    ending = data("split", posts, *TAXONOMY, *MAPS, "--parts", "train=0.75,dev=0.25", "-o", tmp_path / "out")
    assert ending.code == 0, ending.err
    assert "9 (75.0%)" in ending.out
    assert "police_heroes" in ending.out
    lines = [(tmp_path / "out" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in ("train", "dev")]
    assert [len(some) for some in lines] == [9, 3]
    ending = data("split", posts, *TAXONOMY, *MAPS, "--folds", "3", "-o", tmp_path / "folds")
    assert sorted(path.name for path in (tmp_path / "folds").glob("*.jsonl")) == [f"fold-{n}.jsonl" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "Say either --parts"),
        (("--folds", "2", "--parts", "a=1"), "Say either --parts"),
        (("--parts", "train"), "'train' is no part"),
        (("--parts", "a=0.5,a=0.5"), "names 'a' twice"),
        (("--parts", "a=0.5,b=0.6"), "1 in all"),
        (("--folds", "50"), "too few"),
        (("--folds", "2", "--map", "account=nobody"), "no column 'nobody' for the account; its columns are body"),
        (("--folds", "2", "--map", "colour=red"), "--map: colour"),
    ],
)
def test_split_says_what_it_cannot_do(
    words: tuple[str, ...], what: str, data: Data, posts: Path, tmp_path: Path
) -> None:
    ending = data("split", posts, *TAXONOMY, *MAPS, "-o", tmp_path / "out", *words)
    assert ending.code == 2
    assert what in ending.err
    assert len(ending.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_hydrate_says_how_many_posts_it_found(data: Data, posts: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    first = posts.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    rows = [{"sha256": hash_text(text), "labels": [], "stance": "N"} for text in (first, "of nobody")]
    labels.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    ending = data("hydrate", labels, posts, "--map", "text=body", "-o", tmp_path / "out.jsonl")
    assert ending.code == 0
    assert "1 labels found their post" in ending.err
    assert "1 did not" in ending.err
    assert "rejected" not in ending.err
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["text"] == first
    labels.write_text(json.dumps(rows[1]), encoding="utf-8")
    with posts.open("a", encoding="utf-8") as file:
        file.write("\n,1,A\n,0,N\n")
    ending = data("hydrate", labels, posts, "--map", "text=body", "-o", tmp_path / "none.jsonl")
    assert ending.code == 1
    assert "nothing is written" in ending.err
    assert "2 rows rejected: empty text" in ending.err
