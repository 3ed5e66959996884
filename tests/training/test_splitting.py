"""Files are split as posts are: no row is lost, every column stays, and the record says how it was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.settings import COLUMNS, ColumnSettings
from narratrace.training.splitting import RECORD, split_files

PARTS = {"train": 0.6, "dev": 0.4}


@pytest.fixture
def source(tmp_path: Path, labelled: list[dict[str, Any]]) -> str:
    path = tmp_path / "posts.jsonl"
    rows = [{**post, "group": number // 2, "note": f"<{number}>"} for number, post in enumerate(labelled)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_row_is_in_one_part_with_all_its_columns(source: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    shares = split_files([source], taxonomy, COLUMNS, PARTS, tmp_path / "out", seed=1)
    train, dev = (read(tmp_path / "out", name) for name in PARTS)
    everything = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    assert sorted(row["note"] for row in (*train, *dev)) == sorted(row["note"] for row in everything)
    assert all(row in everything for row in (*train, *dev))
    assert {row["group"] for row in train}.isdisjoint(row["group"] for row in dev)
    assert shares[0].counts == (len(train), len(dev))
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["parts"] == PARTS
    assert list(record["sources"]) == [source]
    assert record["shares"][0]["counts"] == [len(train), len(dev)]


def test_the_same_seed_writes_the_same_bytes(source: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        split_files([source], taxonomy, COLUMNS, PARTS, tmp_path / name, seed)
    one, same, other = ((tmp_path / name / "dev.jsonl").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other


def test_nothing_is_replaced_and_names_stay_in_the_folder(source: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    split_files([source], taxonomy, COLUMNS, PARTS, tmp_path / "out", seed=1)
    with pytest.raises(InputError, match=r"train\.jsonl is there already"):
        split_files([source], taxonomy, COLUMNS, PARTS, tmp_path / "out", seed=1)
    for name in ("../train", "", "a b", ".hidden"):
        with pytest.raises(InputError, match="cannot name a part"):
            split_files([source], taxonomy, COLUMNS, {name: 1.0}, tmp_path / "other", seed=1)


def test_a_faulty_row_is_named_and_nothing_is_written(source: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    with Path(source).open("a", encoding="utf-8") as file:
        file.write('\n{"text": " ", "labels": [], "stance": "N"}\n')
    with pytest.raises(InputError, match=r"line \d+: the text is empty; 'narratrace data check' lists all faults"):
        split_files([source], taxonomy, COLUMNS, PARTS, tmp_path / "out", seed=1)
    assert not (tmp_path / "out").exists()


def test_half_a_surrogate_pair_stays_what_it_was(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "posts.jsonl"
    lines = [f'{{"text": "{chr(0xAC00 + number) * 4}\\ud83d", "labels": []}}' for number in range(6)]
    path.write_text("\n".join(lines), encoding="utf-8")
    split_files([str(path)], taxonomy, COLUMNS, {"a": 0.5, "b": 0.5}, tmp_path / "out", seed=0)
    assert all(row["text"].endswith("\ud83d") for row in (*read(tmp_path / "out", "a"), *read(tmp_path / "out", "b")))


def test_mapped_columns_keep_their_names(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "posts.csv"
    rows = "".join(f"{chr(0xAC00 + number) * 4},{number % 2}\n" for number in range(20))
    path.write_text("body,hero\n" + rows, encoding="utf-8")
    columns = ColumnSettings(text="body", labels={"police_heroes": "hero"})
    split_files([str(path)], taxonomy, columns, {"a": 0.5, "b": 0.5}, tmp_path / "out", seed=0)
    assert all(row.keys() == {"body", "hero"} for row in read(tmp_path / "out", "a"))
    assert sum(row["hero"] == "1" for row in read(tmp_path / "out", "a")) == 5
