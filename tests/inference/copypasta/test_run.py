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
    from pathlib import Path

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


def test_posts_can_be_embedded_on_the_way(archive: Path, tmp_path: Path) -> None:
    asked = []

    def embed(texts: list[str]) -> object:
        asked.extend(texts)
        if MESSAGE in texts:
            raise InputError("far enough")
        return np.ones((len(texts), 1), dtype=np.float32)

    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"text": MESSAGE}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="far enough"):
        group_archive([path], tmp_path / "out", embed=embed)
    assert MESSAGE in asked
