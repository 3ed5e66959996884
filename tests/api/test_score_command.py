"""``narratrace score`` as a person meets it: what it says, what it leaves, how it ends."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from narratrace.commands import main
from narratrace.inference.classifier import Classifier
from narratrace.inference.scoring import ScoringSettings
from narratrace.model.settings import load_settings


class Ending(NamedTuple):
    """How a command ended."""

    code: int | str | None
    out: str
    err: str


Score = Callable[..., Ending]

TEXTS = [
    "暴徒打砸立法會，必須嚴懲",
    "今天的云很好看",
    "香港警察辛苦了",
    "The rioters are paid by foreign forces",
    "早晨",
]


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "forum.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["nr", "who", "said"])
        rows.writerows([f"{number:03}", "@kowloon", text] for number, text in enumerate(TEXTS))
        rows.writerow(["005", "nobody", ""])
    return path


@pytest.fixture
def score(tiny_classifier: Classifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Score:
    """Run the command with the tiny artefact, in a window that is wide enough for whole sentences."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> Ending:
        command = ["narratrace", "score", *map(str, words), "--artefact", str(tiny_classifier.artefact.path)]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Ending(end.value.code, said.out, said.err)

    return run


def test_an_own_csv_is_scored_and_summed_up(
    score: Score, posts: Path, tmp_path: Path, tiny_classifier: Classifier
) -> None:
    out = tmp_path / "out"
    result = score(posts, "-o", out, "--map", "text=said", "--map", "id=nr", "--map", "account_id=who")
    assert result.code == 0, result.err
    assert "Reading 1 file: id ← nr, account_id ← who, text ← said" in result.err
    assert "5 posts scored" in result.out
    assert "1 rows rejected: empty text" in result.out
    assert f"{out}/scores.parquet" in result.out.replace("\n", "")
    scores = pq.read_table(out / "scores.parquet").to_pylist()
    assert [row["id"] for row in scores] == ["000", "001", "002", "003", "004"]
    assert [row["text"] for row in scores] == TEXTS
    predictions = tiny_classifier.predict(TEXTS)
    for row, prediction in zip(scores, predictions, strict=True):
        assert (tuple(row["labels"]), row["stance"], row["language"]) == (
            prediction.labels,
            prediction.stance,
            prediction.language,
        )
        assert row["artefact"] == tiny_classifier.artefact.id
        for narrative, expected in prediction.scores.items():
            assert row[f"score_{narrative}"] == pytest.approx(expected, abs=1e-4)
            assert narrative in result.out
    (reject,) = map(json.loads, (out / "rejects.jsonl").read_text().splitlines())
    assert (reject["file"], reject["line"], reject["reason"]) == ("forum.csv", 7, "empty text")


def test_options_go_before_set_and_set_before_the_settings_file(score: Score, posts: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("mapping: {text: said, id: nr}\nformat: jsonl\nlimit: 4\nshard_size: 2\n")
    words = (posts, "--config", config, "--set", "limit=3", "--set", "shard_size=1", "--format", "csv", "--no-text")
    result = score(*words, "-o", tmp_path / "out", "--map", "account_id=who")
    assert result.code == 0, result.err
    resolved = load_settings(ScoringSettings, tmp_path / "out" / "settings.yaml")
    assert resolved.mapping == {"text": "said", "id": "nr", "account_id": "who"}
    assert (resolved.format, resolved.limit, resolved.shard_size, resolved.text) == ("csv", 3, 1, False)
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["account_id"] for row in rows] == ["'@kowloon"] * 3
    assert "text" not in rows[0]


def test_what_an_archive_is_called_is_shown_harmlessly(score: Score, posts: Path, tmp_path: Path) -> None:
    posts.write_text(posts.read_text(encoding="utf-8").replace("said", "te\x1b[2Jxt", 1), encoding="utf-8")
    out = tmp_path / os.fsdecode("結果".encode("gbk"))
    result = score(posts, "-o", out, "--map", "text=te\x1b[2Jxt")
    assert result.code == 0, result.err
    assert r"text ← te\x1b[2Jxt" in result.err
    assert "\x1b" not in result.err + result.out


def test_quiet_says_nothing(score: Score, posts: Path, tmp_path: Path) -> None:
    result = score(posts, "-o", tmp_path / "out", "--map", "text=said", "--quiet")
    assert result == (0, "", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{posts}"], "columns found: nr, who, said. Name it with --map text=COLUMN"),
        (["{posts}", "--map", "text=boddy"], "no column 'boddy'"),
        (["{posts}", "--map", "said"], "--map said is not understood"),
        (["{folder}/none.csv"], "does not exist"),
        (["{posts}", "--map", "text=said", "--format", "xlsx"], "format"),
        (["{posts}", "--map", "text=said", "--set", "batch=3"], "batch"),
        (["{posts}", "--map", "text=said", "-o", "{posts}"], "is a file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_any_work(
    score: Score, posts: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    filled = [word.format(posts=posts, folder=tmp_path) for word in words]
    result = score("-o", tmp_path / "out", *filled)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


def test_results_are_not_replaced_unasked(score: Score, posts: Path, tmp_path: Path) -> None:
    words = (posts, "-o", tmp_path / "out", "--map", "text=said")
    assert score(*words).code == 0
    again = score(*words)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert score(*words, "--overwrite", "--limit", "1").code == 0
    assert pq.read_metadata(tmp_path / "out" / "scores.parquet").num_rows == 1


def test_help_shows_how(score: Score) -> None:
    result = score("--help")
    assert result.code == 0
    assert "narratrace score twitter_io/ -o scored" in result.out
    assert "--map text=body" in result.out


def test_what_was_saved_by_scoring_a_text_once_is_said(tmp_path: Path, score: Score) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*["早晨"] * 5, "再見", "再見", "你好"]))
    done = score(path, "-o", tmp_path / "out")
    assert "They repeat 3 distinct texts, each scored once: 62% saved" in done.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<strong>3</strong>distinct texts, each scored once: 62.5 % saved</li>" in page
    path.write_text(json.dumps({"text": "早晨"}) + "\n")
    assert "scored once" not in score(path, "-o", tmp_path / "other").out
    assert "saved</li>" not in (tmp_path / "other" / "report.html").read_text(encoding="utf-8")
