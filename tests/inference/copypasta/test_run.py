"""`narratrace group`: an archive goes in, tables with its groups come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from narratrace.commands import app
from narratrace.inference.copypasta.run import group_archive
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

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
    assert not list(out.glob("*.partial*"))
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
