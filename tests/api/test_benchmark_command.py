"""``narratrace benchmark`` as a person meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from narratrace.commands import main
from narratrace.inference.classifier import Classifier


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int | str | None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("sys.argv", ["narratrace", "benchmark", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_a_file_is_measured(
    tiny_classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text("".join(json.dumps({"text": text}) + "\n" for text in ["a", "b", "b", "c", "d"]))
    words = ("--artefact", tiny_classifier.artefact.path, "--backend", "onnx-int8", "--rounds", "2", "--threads", "1")
    assert run(monkeypatch, posts, "--limit", "3", *words) == 0
    said = capsys.readouterr().out
    assert "3 distinct posts, 1 threads" in said
    measured = said[said.index("posts per second") :]
    numbers = [float(number.replace(",", "")) for number in re.findall(r" ([\d,.]+)", measured)]
    rate, low, high, tokens, p50, p95, p99, _, memory = numbers
    assert 0 < low <= rate <= high
    assert tokens > 2 * rate  # start and end token, and at least one between
    assert 0 < p50 <= p95 <= p99
    assert memory > 20


def test_what_cannot_be_measured_is_said(
    tiny_classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "posts.csv").write_text("id,text\n1,\n")
    where = ("--artefact", tiny_classifier.artefact.path)
    assert run(monkeypatch, tmp_path / "posts.csv", *where) == 2
    said = capsys.readouterr().err
    assert "1 rows rejected: empty text" in said
    assert "There is no post in" in said
    assert run(monkeypatch, "--backend", "abacus", *where) == 2
    assert "There is no backend 'abacus'" in capsys.readouterr().err
