"""`narratrace group`: an archive goes in, tables with its groups come out."""

from __future__ import annotations

import json
import os
import resource
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from narratrace.commands import app
from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.results import LOCK, UNFINISHED
from narratrace.inference.copypasta import spread
from narratrace.inference.copypasta.run import group_archive
from narratrace.inference.copypasta.settings import default_settings
from narratrace.inference.engine import NativeEngine, Said, Work
from narratrace.inference.scoring import score_archive
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from narratrace.inference.classifier import Classifier

MESSAGE = "一个警察被几十人围着打，头盔都打掉了，还是没有开枪。请大家看清楚谁在克制。"
POSTS = [
    {"id": "1", "user": "a", "body": MESSAGE},
    {"id": "2", "user": "b", "body": MESSAGE + " x7Kq2Zp"},
    {"id": "3", "user": "b", "body": "加油"},
    {"id": "4", "user": "c"},
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps(post, ensure_ascii=False) + "\n" for post in POSTS), encoding="utf-8")
    return path


def test_the_command_writes_groups_posts_links_and_rejects(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mapping = ["--map", "text=body", "--map", "account_id=user"]
    done = CliRunner().invoke(app, ["group", str(archive), "-o", str(out), *mapping])
    assert done.exit_code == 0, done.output
    assert "1 groups with 2 of 3 posts" in done.output
    (group,) = pq.read_table(out / "groups.parquet").to_pylist()
    assert (group["posts"], group["accounts"], group["text"]) == (2, 2, MESSAGE)
    assert pq.read_table(out / "posts.parquet")["group"].to_pylist() == [0, 0, None]
    assert pq.read_table(out / "links.parquet")["stage"].to_pylist() == ["normalised"]
    assert json.loads((out / "rejects.jsonl").read_text(encoding="utf-8"))["reason"] == "no text"
    assert not (out / UNFINISHED).exists()
    again = CliRunner().invoke(app, ["group", str(archive), "-o", str(out), *mapping])
    assert isinstance(again.exception, InputError)
    for semantic in ("--no-semantic", "--semantic"):
        kept = CliRunner().invoke(app, ["group", str(archive), "-o", str(out), *mapping, "--overwrite", semantic])
        assert kept.exit_code == 0, kept.output


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors that are one for all posts on restraint, whatever their language, and another for the rest."""
    if not texts:
        raise ValueError("nobody knows how long the vectors of no texts are")
    about = [("克制" in text or "restraint" in text) for text in texts]
    return np.array([[1, 0] if each else [0, 1] for each in about], dtype=np.float32)


def write(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_a_translation_is_found_by_its_vector(tmp_path: Path) -> None:
    translated = "Dozens of people beat one police officer, and he did not shoot. Look who is showing restraint here."
    other = "The ferry to the islands was late again this morning, and nobody on the pier was told the reason why."
    path = write(tmp_path / "posts.jsonl", MESSAGE, translated, other)
    group_archive([path], tmp_path / "out", embed=embed)
    [link] = pq.read_table(tmp_path / "out" / "links.parquet").to_pylist()
    assert (link["stage"], link["similarity"]) == ("translation", 1.0)
    group_archive([path], tmp_path / "without")
    assert not pq.read_table(tmp_path / "without" / "links.parquet").num_rows


@pytest.mark.parametrize("texts", [[], ["加油", "加油", "rt"]])
def test_where_no_text_says_enough_none_is_embedded(tmp_path: Path, texts: list[str]) -> None:
    path = write(tmp_path / "posts.jsonl", *texts)
    assert group_archive([path], tmp_path / "out", embed=embed).found.posts == len(texts)


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """Posts that need several units of a hundred texts, and a row that is none."""
    texts = [f"{MESSAGE} 第{number}天，我们在{number * 7919}号出口，还会再来。" for number in range(300)]
    return write(tmp_path / "varied.jsonl", *texts, "")


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_results_of_one_command_take_the_place_of_the_others(
    varied: Path, tmp_path: Path, tiny_classifier: Classifier
) -> None:
    out = tmp_path / "out"
    score_archive([varied], tmp_path / "scored", tiny_classifier)
    group_archive([varied], tmp_path / "grouped", default_settings().model_copy(update={"csv": True}))
    score_archive([varied], out, tiny_classifier)
    with pytest.raises(InputError, match="--overwrite"):
        group_archive([varied], out)
    group_archive([varied], out, default_settings().model_copy(update={"csv": True}), overwrite=True)
    assert files(out) == files(tmp_path / "grouped")
    (out / "mine.csv").write_text("mine")
    score_archive([varied], out, tiny_classifier, overwrite=True)
    assert files(out) == files(tmp_path / "scored") | {"mine.csv": b"mine"}


def test_a_run_that_ctrl_c_stops_says_how_to_go_on_and_does(
    varied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "UNIT", 100)
    group_archive([varied], tmp_path / "whole")
    done: list[str] = []

    class Stopping(NativeEngine):
        def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
            for step, said in super().run(work, units):
                yield step, said
                done.append(f"{type(work).__name__} {step}")
                if len(done) == 4:
                    raise KeyboardInterrupt

    monkeypatch.setattr("narratrace.inference.engine.NativeEngine", Stopping)
    command = ["group", str(varied), "-o", str(tmp_path / "out")]
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code == 130
    assert "The same command goes on from here." in stopped.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {UNFINISHED, LOCK}
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(set(done)) == len(done) > 4
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_second_run_leaves_the_first_alone(varied: Path, tmp_path: Path) -> None:
    refused = []

    def second(doing: str, done: float) -> None:
        with pytest.raises(InputError, match="Another run writes to"):
            group_archive([varied], tmp_path / "out", overwrite=True)
        refused.append(doing)

    group_archive([varied], tmp_path / "out", on_progress=second)
    assert {"Reading", "Writing"} <= set(refused)
    group_archive([varied], tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_stopped_run_goes_on_with_the_same_artefact_only(varied: Path, tmp_path: Path) -> None:
    def stop(doing: str, done: float) -> None:
        if doing.startswith("Embedding"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group_archive([varied], tmp_path, embed=embed, artefact="mine-1", on_progress=stop)
    with pytest.raises(InputError, match="the artefact is mine-2 and was mine-1"):
        group_archive([varied], tmp_path, embed=embed, artefact="mine-2")
    assert group_archive([varied], tmp_path, embed=embed, artefact="mine-1").artefact == "mine-1"


def test_a_stopped_run_goes_on_with_the_same_columns_only(tmp_path: Path) -> None:
    path, out = tmp_path / "posts.csv", tmp_path / "out"
    rows = "".join(f"Day {day},{MESSAGE} {day}\n" for day in range(5))
    path.write_text(f"one,other\n{rows}", encoding="utf-8")

    def stop(doing: str, done: float) -> None:
        if doing == "Tying accounts":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group_archive(Archive.open([path], {"text": "one"}), out, on_progress=stop)
    with pytest.raises(InputError, match=r"columns of .*posts.csv are read as"):
        group_archive(Archive.open([path], {"text": "other"}), out)
    assert group_archive(Archive.open([path], {"text": "one"}), out).found.groups == 0
    assert group_archive(Archive.open([path], {"text": "other"}), out, overwrite=True).found.groups == 1


def test_a_full_disk_is_said_in_a_sentence_and_the_run_goes_on_from_there(varied: Path, tmp_path: Path) -> None:
    group_archive([varied], tmp_path / "whole")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # the texts of the fuzzy stage take more
    try:
        with pytest.raises(InputError, match=r"cannot be written to .*out: .*the same command goes on"):
            group_archive([varied], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "out" / UNFINISHED / "nodes").is_dir()
    group_archive([varied], tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_folder_whose_name_is_not_utf_8(varied: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode("結果".encode("gbk"))
    group_archive([varied], out, embed=embed)
    group_archive([varied], tmp_path / "plain", embed=embed)
    assert files(out) == files(tmp_path / "plain")


def test_every_program_takes_a_reject_for_one_line(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    torn = '{"text": "\u2028\x85!'
    path.write_text(f'{{"text": "{MESSAGE}"}}\n{torn}', encoding="utf-8")
    group_archive([path], tmp_path / "out")
    [line] = (tmp_path / "out" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["excerpt"] == torn
