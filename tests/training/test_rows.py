"""The same posts are read from every format, and what cannot be read is said in one sentence."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from narratrace.model.errors import InputError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.labelled import known_matrix, label_matrix, read_labelled, stance_indices
from narratrace.training.rows import fingerprint, read_rows
from narratrace.training.settings import ColumnSettings

POSTS: list[dict[str, Any]] = [
    {
        "text": '支持警察，"嚴懲" 暴徒\n！',
        "labels": ["police_heroes", "call_for_crackdown"],
        "stance": "A",
        "split": "train",
    },
    {"text": "Police said, 12 were arrested; more later.", "labels": [], "stance": "R", "split": "train"},
    {"text": "nobody asked about the stance", "labels": ["separatism"], "stance": None, "split": "dev"},
]


def write_jsonl(path: Path) -> str:
    path = path.with_suffix(".jsonl")
    path.write_text("\n".join(json.dumps(post) for post in POSTS), encoding="utf-8")
    return str(path)


def write_delimited(path: Path, suffix: str, delimiter: str) -> str:
    path = path.with_suffix(suffix)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(POSTS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({**post, "labels": ";".join(post["labels"]), "stance": post["stance"] or ""} for post in POSTS)
    return str(path)


def write_parquet(path: Path) -> str:
    pq.write_table(pa.Table.from_pylist(POSTS), path.with_suffix(".parquet"))
    return str(path.with_suffix(".parquet"))


def write_dataset(path: Path) -> str:
    datasets.Dataset.from_list(POSTS).save_to_disk(path)
    return str(path)


WRITERS: dict[str, Callable[[Path], str]] = {
    "jsonl": write_jsonl,
    "csv": lambda path: write_delimited(path, ".csv", ","),
    "tsv": lambda path: write_delimited(path, ".tsv", "\t"),
    "parquet": write_parquet,
    "dataset": write_dataset,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_posts(kind: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    posts = read_labelled(WRITERS[kind](tmp_path / "posts"), taxonomy)
    assert [(post.text, list(post.labels), post.stance) for post in posts] == [
        (post["text"], post["labels"], post["stance"]) for post in POSTS
    ]
    assert stance_indices(posts).tolist() == [0, 1, -100]
    assert known_matrix(posts, taxonomy).all()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_split_of_a_file_is_read_alone(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path / "posts")
    assert [row.fields["text"] for row in read_rows(f"{source}#dev")] == [POSTS[2]["text"]]
    with pytest.raises(InputError, match=r"no split 'test' .* only dev, train"):
        list(read_rows(f"{source}#test"))


def test_a_broken_row_is_told_whatever_split_is_read(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [json.dumps(row) for row in (*POSTS, {"text": "x"})]
    path.write_text("\n".join([rows[0], "no json", *rows[1:]]), encoding="utf-8")
    assert [row.where for row in read_rows(f"{path}#dev") if row.fault] == [f"{path}, line 2"]


def test_a_file_whose_name_has_the_mark_of_a_split_is_a_file(tmp_path: Path) -> None:
    assert len(list(read_rows(write_jsonl(tmp_path / "posts#train")))) == len(POSTS)


def test_splits_of_a_data_set_are_chosen(tmp_path: Path) -> None:
    halves = {"train": datasets.Dataset.from_list(POSTS[:2]), "dev": datasets.Dataset.from_list(POSTS[2:])}
    datasets.DatasetDict(halves).save_to_disk(tmp_path / "both")
    assert len(list(read_rows(f"{tmp_path}/both#train"))) == 2
    with pytest.raises(InputError, match=r"several splits: choose one, as in .*both#train"):
        list(read_rows(tmp_path / "both"))
    with pytest.raises(InputError, match="no split 'test', only train, dev"):
        list(read_rows(f"{tmp_path}/both#test"))


def test_a_folder_of_files_is_read_by_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    write_parquet(folder / "train")
    assert [row.fields["text"] for row in read_rows(folder)] == [post["text"] for post in POSTS]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="Cannot read the data set"):
        list(read_rows(empty))


def test_class_numbers_of_a_data_set_become_names(tmp_path: Path, taxonomy: Taxonomy) -> None:
    names = datasets.ClassLabel(names=["normal", "police_heroes", "separatism"])
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "one": names,
            "several": datasets.List(names),
            "stance": datasets.Value("string"),
        }
    )
    rows = {"text": ["a", "b", "c"], "one": [1, 0, -1], "several": [[1, 2], [], [0]], "stance": ["A", "N", "A"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "set")
    for column, labels in {
        "one": [("police_heroes",), (), ()],
        "several": [("police_heroes", "separatism"), (), ()],
    }.items():
        if column == "several":
            rows["stance"][2] = "N"
            datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "other")
        source = tmp_path / ("set" if column == "one" else "other")
        posts = read_labelled(source, taxonomy, ColumnSettings(labels=column, none=("normal",)))
        assert [post.labels for post in posts] == labels
    assert not known_matrix(
        read_labelled(tmp_path / "set", taxonomy, ColumnSettings(labels="one", none=("normal",))), taxonomy
    )[2].any()


def test_one_column_per_narrative(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("body,hero,split_hk\none,1,0\ntwo,false,\nthree,TRUE,yes\n", encoding="utf-8")
    columns = ColumnSettings(text="body", labels={"police_heroes": "hero", "separatism": "split_hk"})
    posts = read_labelled(path, taxonomy, columns)
    hero, split = (taxonomy.narrative_ids.index(name) for name in ("police_heroes", "separatism"))
    assert label_matrix(posts, taxonomy)[:, [hero, split]].tolist() == [[True, False], [False, False], [True, True]]
    known = known_matrix(posts, taxonomy)
    assert known[:, [hero, split]].tolist() == [[True, True], [True, False], [True, True]]
    assert known.sum() == 5  # a narrative without a column is not known
    path.write_text("body,hero,split_hk\none,0.7,0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"'0\.7' in the column of police_heroes is neither yes \(1\) nor no \(0\)"):
        read_labelled(path, taxonomy, columns)
    with pytest.raises(InputError, match="no column 'hero' for the labels; its columns are text"):
        read_labelled(write_jsonl(tmp_path / "other"), taxonomy, columns.model_copy(update={"text": "text"}))


def test_partial_labels(tmp_path: Path, taxonomy: Taxonomy) -> None:
    rows = [
        {"text": "a", "stance": "A", "labels": ["separatism"], "unknown": ["police_heroes", "separatism"]},
        {"text": "b", "stance": "A", "labels": "separatism", "unknown": "*"},
        {"text": "c", "stance": "A", "labels": None},
        {"text": "d", "stance": "C", "labels": None},
        {"text": "e", "labels": []},
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    posts = read_labelled(path, taxonomy)
    every = set(taxonomy.narrative_ids)
    assert [set(post.unknown) for post in posts] == [{"police_heroes"}, every - {"separatism"}, every, set(), set()]
    assert posts[4].stance is None
    path.write_text(json.dumps(rows[0] | {"unknown": ["police_heros"]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 1: .*'police_heros', the nearest is police_heroes\."):
        read_labelled(path, taxonomy)


def test_columns_may_be_nested_and_languages_named_otherwise(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [
        {"post": {"body": "支持警察", "by": "x"}, "l": "zh_TW", "labels": []},
        {"post": {"body": "支持警察執法", "by": "x"}, "l": "zh", "labels": []},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    columns = ColumnSettings(text="post.body", account="post.by", language="l")
    posts = read_labelled(path, taxonomy, columns)
    assert [post.language for post in posts] == ["zh-Hant", "zh-Hant"]
    assert set(posts[0].ties) & set(posts[1].ties) == {"account:x"}


@pytest.mark.parametrize("name", ["account", "group", "language", "stance", "id", "source"])
def test_a_column_that_is_asked_for_has_to_be_there(name: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    columns = ColumnSettings.model_validate({name: ["wrong"] if name == "group" else "wrong"})
    with pytest.raises(InputError, match=f"no column 'wrong' for the {name}; its columns are text, labels"):
        read_labelled(write_jsonl(tmp_path / "posts"), taxonomy, columns)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("posts.csv", "text,labels\none\n", "line 2: the row has 1 fields where the header has 2"),
        ("posts.csv", 'text,labels\n"one\npost",\n\n"an\nother",x,\n', "line 5: the row has 3 fields"),
        ("posts.csv", 'text,labels\n"one,x\n', "unexpected end of data"),
        ("posts.csv", "text,text\none,x\n", "several columns named 'text'"),
        ("posts.csv", "body,labels\none,x\n", "no column 'text' for the text; its columns are body, labels"),
        ("posts.parquet", "no parquet", "Cannot read labelled posts"),
        ("posts.xlsx", "", "give a .jsonl, .csv, .tsv, .parquet file"),
    ],
)
def test_what_cannot_be_read_is_said(name: str, content: str, what: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_labelled(tmp_path / name, taxonomy)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, other = write_dataset(tmp_path / "one"), write_dataset(tmp_path / "other")
    assert fingerprint(one) == fingerprint(other)
    changed = datasets.Dataset.from_list([*POSTS[:2], POSTS[2] | {"text": "changed"}])
    changed.save_to_disk(tmp_path / "third")
    assert fingerprint(tmp_path / "third") != fingerprint(one)
    file = write_jsonl(tmp_path / "posts")
    assert fingerprint(file) == fingerprint(f"{file}#train") != fingerprint(one)
