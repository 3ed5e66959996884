"""The scoring run: what it writes, what it counts, and what is left when it is stopped."""

from __future__ import annotations

import csv
import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.inference.archives import shards, writers
from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.cells import neutralise
from narratrace.inference.scoring import DEFAULT_SETTINGS, ScoringProgress, ScoringSettings, score_archive
from narratrace.inference.summary import Summary
from narratrace.model.errors import InputError, SettingsError
from narratrace.model.settings import load_settings

COLUMNS = [
    "id", "account_id", "created_at", "is_repost", "text", "language", "labels", "stance", "stance_A", "stance_R",
    "stance_C", "stance_N", "score_violent", "score_-odd", "abstained", "windows", "truncated", "artefact",
]  # fmt: skip


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(out: Path) -> list[dict[str, Any]]:
    """Scores of any format, as Python values; created_at as text."""
    if (out / "scores.parquet").exists():
        return pq.read_table(out / "scores.parquet").to_pylist()  # type: ignore[no-any-return]
    if (out / "scores.jsonl").exists():
        return [json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    with (out / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def shown(out: Path) -> set[str]:
    """Files of a folder that are not hidden."""
    return {path.name for path in out.iterdir() if path.name[0] != "."}


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    rows = [
        {"id": f"{number:05}", "account_id": f"a{number % 3}", "text": "長短長短長短長短長短"[: number % 10 + 1]}
        for number in range(95)
    ]
    path = write_jsonl(tmp_path / "posts.jsonl", rows)
    with path.open("a") as file:
        file.write('{"broken\n{"text": ""}\n{"text": "x"}\n')
        file.write(
            json.dumps({"id": 7, "text": "yz" * 501, "created_at": "2019-08-24 08:40", "is_repost": True}) + "\n"
        )
    return path


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_run_writes_every_post_once_in_order(posts: Path, tmp_path: Path, form: str, lengths: Any) -> None:
    out = tmp_path / "new" / "out"
    chosen = ScoringSettings(format=form, shard_size=10)
    summary = score_archive([posts], out, lengths(), chosen)
    assert shown(out) == {f"scores.{form}", "rejects.jsonl", "report.html", "settings.yaml", "summary.json"}
    rows = load(out)
    assert [row["id"] for row in rows] == [f"{number:05}" for number in range(95)] + ["posts.jsonl:98", "7"]
    assert list(rows[0])[:5] == COLUMNS[:5]
    assert rows[3]["text"] == "長短長短"
    if form == "csv":
        assert list(rows[0]) == [name if name[0] != "-" else f"'{name}" for name in COLUMNS]
        assert rows[1]["labels"] == "violent|-odd"
        assert rows[-1]["created_at"] == "2019-08-24T08:40:00Z"
        assert (rows[0]["created_at"], rows[-1]["is_repost"], rows[-1]["truncated"]) == ("", "true", "true")
        assert rows[0]["artefact"] == "'=lengths-1"
    else:
        assert list(rows[0]) == COLUMNS
        assert rows[1]["labels"] == ["violent", "-odd"]
        assert rows[0]["score_violent"] == pytest.approx(1 / 3, abs=1e-6)
        assert (rows[0]["created_at"], rows[-1]["is_repost"], rows[-1]["truncated"]) == (None, True, True)
    assert [json.loads(line)["line"] for line in (out / "rejects.jsonl").read_text().splitlines()] == [96, 97]
    assert load_settings(ScoringSettings, out / "settings.yaml") == chosen
    assert Summary.model_validate_json((out / "summary.json").read_text()) == summary.model_copy(update={"seconds": 0})


def test_an_input_that_vanishes_is_named(posts: Path, tmp_path: Path, lengths: Any) -> None:
    archive = Archive.open([posts])
    posts.unlink()
    with pytest.raises(InputError, match=r"posts\.jsonl does not exist"):
        score_archive(archive, tmp_path / "out", lengths())


def test_the_summary_counts_what_was_found(posts: Path, tmp_path: Path, lengths: Any) -> None:
    summary = score_archive([posts], tmp_path / "out", lengths())
    rows = load(tmp_path / "out")
    assert (summary.rows_read, summary.posts, summary.rejected) == (99, 97, 2)
    assert summary.rejects == {"unreadable JSON": 1, "empty text": 1}
    assert summary.oddities == {"id missing": 1}
    assert summary.artefact == "=lengths-1"
    assert summary.truncated == 1
    assert summary.flagged == sum(bool(row["labels"]) for row in rows)
    assert summary.abstained == summary.narratives["violent"].abstained == 9
    assert summary.narratives["-odd"].flagged == sum("-odd" in row["labels"] for row in rows)
    assert summary.narratives["-odd"].share == pytest.approx(summary.narratives["-odd"].flagged / 97, abs=1e-6)
    assert sum(summary.languages.values()) == sum(summary.stances.values()) == 97
    assert summary.stances["counters"] == 0
    (use,) = summary.files
    assert (use.files, use.layout) == (1, "")
    assert use.columns == {name: name for name in ("id", "account_id", "text", "created_at", "is_repost")}


def test_how_the_work_is_cut_changes_nothing_in_the_results(
    posts: Path, tmp_path: Path, lengths: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 7, 1000):
        score_archive([posts], tmp_path / str(size), lengths(), ScoringSettings(shard_size=size, window=size))
    monkeypatch.setattr(shards, "PARTITION_BYTES", 1000)
    score_archive([posts], tmp_path / "parted", lengths(), ScoringSettings(shard_size=7, window=2))
    whole = load(tmp_path / "1000")
    assert all(load(tmp_path / name) == whole for name in ("1", "7", "parted"))


hostile_text = st.tuples(
    st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "＝", "'", "'=", '"', ",", "\x85", "\u2028", "\x1c"]),
    st.text(max_size=20),
).map("".join)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"id": hostile_text, "account_id": hostile_text, "text": hostile_text}), max_size=5
    )
)
def test_hostile_text_comes_out_and_in_again(form: str, rows: list[dict[str, str]], lengths: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        write_jsonl(Path(folder, "posts.jsonl"), rows)
        summary = score_archive([Path(folder, "posts.jsonl")], first, lengths(), ScoringSettings(format=form))
        assert summary.rows_read == len(rows)
        scored = load(first)
        score_archive([first / f"scores.{form}"], second, lengths(), ScoringSettings(format=form))
        again = load(second)
    spoilt = neutralise if form == "csv" else str
    kept = [row for row in rows if row["text"].replace("\0", "�").strip()]
    assert [row["text"] for row in scored] == [spoilt(row["text"].replace("\0", "�")) for row in kept]
    named = [(row["id"], row["account_id"]) for row in kept if row["id"]]
    found = [(row["id"], row["account_id"] or "") for row in scored if "posts.jsonl:" not in row["id"]]
    assert found == [tuple(spoilt(field.replace("\0", "�")) for field in fields) for fields in named]
    # What keeps a spreadsheet from running a cell is taken off where the scores are read, and put there once again.
    for name in ("id", "account_id", "text"):
        assert [row[name] for row in again] == [row[name] for row in scored]
    if form == "csv":
        cells = [cell for row in scored for cell in (*row, *row.values())]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))]


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"id": hostile_text, "account_id": hostile_text, "text": hostile_text})))
def test_scores_in_csv_are_read_as_the_posts_that_they_are_of(rows: list[dict[str, str]], lengths: Any) -> None:
    def posts(path: Path) -> list[list[Any]]:
        batches = list(Archive.open([path]).read(100))
        return [[row[name] for name in ("id", "account_id", "text")] for b in batches for row in b.posts.to_pylist()]

    with tempfile.TemporaryDirectory() as folder:
        path = write_jsonl(Path(folder, "posts.jsonl"), rows)
        score_archive([path], Path(folder, "out"), lengths(), ScoringSettings(format="csv"))
        assert posts(Path(folder, "out", "scores.csv")) == posts(path)


def test_apostrophes_of_other_files_are_their_own(tmp_path: Path) -> None:
    # Labelled posts have labels and a stance too, and are not what a scoring run writes.
    (tmp_path / "labelled.csv").write_text("id,text,labels,stance\n'-1,'=a,x,A\n")
    write_jsonl(
        tmp_path / "scores.jsonl", [{"id": "'-1", "text": "'=a", "labels": ["x"], "stance": "A", "artefact": "y"}]
    )
    for name in ("labelled.csv", "scores.jsonl"):
        [batch] = Archive.open([tmp_path / name]).read(10)
        assert [(post["id"], post["text"]) for post in batch.posts.to_pylist()] == [("'-1", "'=a")]


hostile_line = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"null",
            b"[]",
            b'{"id": 1}',
            b'{"text": null}',
            b'{"text": 7}',
            b'{"text": ["a"]}',
            b'{"text": "\\ud800"}',
            b'{"text": "\\u0000"}',
            b'{"text": "\xff\xfe"}',
            b'{"text": "a", "id": {"b": [1]}, "created_at": {}, "is_repost": 7}',
            b'{"text": "a", "id": "twice"}',
        ]
    ),
).filter(lambda line: b"\n" not in line)


@settings(max_examples=25, deadline=None)
@given(lines=st.lists(hostile_line, max_size=12))
def test_every_row_is_written_or_rejected(lines: list[bytes], lengths: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder, "posts.jsonl"), Path(folder, "out")
        # The first row makes it JSON Lines in UTF-8, and not one that is refused as a whole.
        archive.write_bytes(b'{"text": "a", "id": "first"}\n' + b"\n".join(lines))
        summary = score_archive([archive], out, lengths(), ScoringSettings(shard_size=3, window=2))
        written, rejects = load(out), (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    rows = 1 + sum(bool(line.decode("utf-8", "replace").strip()) for line in lines)
    assert rows == summary.rows_read == len(written) + len(rejects)
    assert (summary.posts, summary.rejected) == (len(written), len(rejects))


def test_small_batches_do_not_make_small_row_groups(
    posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: Any
) -> None:
    monkeypatch.setattr(writers, "ROW_GROUP_POSTS", 60)
    score_archive([posts], tmp_path / "out", lengths(), ScoringSettings(shard_size=10))
    written = pq.read_metadata(tmp_path / "out" / "scores.parquet")
    assert [written.row_group(place).num_rows for place in range(written.num_row_groups)] == [60, 37]


def test_texts_can_be_left_out(posts: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([posts], tmp_path / "out", lengths(), ScoringSettings(text=False))
    assert list(load(tmp_path / "out")[0]) == [name for name in COLUMNS if name != "text"]


def test_an_archive_without_posts_gives_a_file_without_rows(tmp_path: Path, lengths: Any) -> None:
    (tmp_path / "posts.csv").write_text("id,text\n1,\n")
    for form in ("parquet", "jsonl", "csv"):
        summary = score_archive([tmp_path / "posts.csv"], tmp_path / form, lengths(), ScoringSettings(format=form))
        assert (summary.posts, summary.rejected) == (0, 1)
        assert load(tmp_path / form) == []
    assert pq.read_schema(tmp_path / "parquet" / "scores.parquet").names == COLUMNS


def test_results_are_replaced_only_when_asked_and_only_when_complete(posts: Path, tmp_path: Path, lengths: Any) -> None:
    out = tmp_path / "out"
    score_archive([posts], out, lengths())
    with pytest.raises(InputError, match="--overwrite"):
        score_archive([posts], out, lengths())
    posts.write_bytes(b'{"text": "new"}\n')

    class Failing(lengths):  # type: ignore[misc]
        def batch(self, columns: Any) -> Any:
            raise ValueError("the model fails")

    with pytest.raises(ValueError, match="the model fails"):
        score_archive([posts], out, Failing(), overwrite=True)
    assert len(load(out)) == 97
    score_archive([posts], out, lengths(), ScoringSettings(format="csv"), overwrite=True)
    assert shown(out) == {"scores.csv", "rejects.jsonl", "report.html", "settings.yaml", "summary.json"}
    assert len(load(out)) == 1


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_results_inside_the_archive_are_not_read_again(posts: Path, tmp_path: Path, form: str, lengths: Any) -> None:
    chosen = ScoringSettings(format=form)
    score_archive([tmp_path], tmp_path / "out", lengths(), chosen)
    again = score_archive([tmp_path], tmp_path / "out", lengths(), chosen, overwrite=True)
    assert again.rows_read == 99
    for inputs in ([tmp_path], [f"{tmp_path}/**/*"]):
        elsewhere = score_archive(inputs, tmp_path / "other", lengths(), chosen, overwrite=True)
        assert elsewhere.rows_read == 99
        assert any(
            sentence.startswith(f"{tmp_path}/out: skipped ") and f"scores.{form}" in sentence
            for sentence in elsewhere.skipped
        )


def test_posts_beside_results_are_read(posts: Path, tmp_path: Path, lengths: Any) -> None:
    for out in (tmp_path, tmp_path / "out"):
        assert score_archive([tmp_path], out, lengths()).rows_read == 99


def test_a_file_that_is_named_is_read_wherever_it_is(posts: Path, tmp_path: Path, lengths: Any) -> None:
    inside = write_jsonl(tmp_path / "b.jsonl", [{"text": "inside the output folder"}])
    assert score_archive([posts, inside], tmp_path, lengths()).rows_read == 100
    assert score_archive([tmp_path / "scores.parquet"], tmp_path / "again", lengths()).posts == 98
    with pytest.raises(InputError, match=r"scores.parquet would be replaced by the results"):
        score_archive([posts, tmp_path / "scores.parquet"], tmp_path, lengths(), overwrite=True)
    with pytest.raises(InputError, match=r"no posts to read there. .*again: skipped rejects.jsonl, scores.parquet"):
        score_archive([tmp_path / "again"], tmp_path / "third", lengths())


@pytest.mark.parametrize("name", ["rejects.jsonl", "report.html", "settings.yaml", "summary.json", "scores.csv"])
def test_no_file_of_the_users_is_replaced_unasked(posts: Path, tmp_path: Path, name: str, lengths: Any) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds results already .{name}.; name another folder or add --overwrite"):
        score_archive([posts], tmp_path, lengths())
    assert (tmp_path / name).read_text() == "mine"


def test_excel_reads_the_chinese_of_a_csv(posts: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([posts], tmp_path / "out", lengths(), ScoringSettings(format="csv"))
    assert (tmp_path / "out" / "scores.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")


def test_file_names_that_are_not_utf_8(tmp_path: Path, lengths: Any) -> None:
    folder = tmp_path / os.fsdecode("舊檔".encode("gbk"))
    folder.mkdir()
    for month in "二三":
        write_jsonl(folder / os.fsdecode(f"{month}月.jsonl".encode("gbk")), [{"text": month}, {"text": ""}])
    with (folder / os.fsdecode("四月.parquet".encode("gbk"))).open("wb") as file:
        pq.write_table(pa.table({"text": ["四"]}), file)
    for form in ("parquet", "jsonl", "csv"):
        summary = score_archive([tmp_path], tmp_path / form, lengths(), ScoringSettings(format=form))
        assert (summary.posts, summary.rejected) == (3, 2)
        assert len({row["id"] for row in load(tmp_path / form)}) == 3
    (folder / "bad.csv").write_text("a,b\n")
    with pytest.raises(InputError) as error:
        score_archive([folder], tmp_path / "out", lengths())
    str(error.value).encode("utf-8")


def test_a_damaged_file_is_found_before_anything_is_scored(tmp_path: Path, lengths: Any) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "fine"}] * 30)
    write_jsonl(tmp_path / "b.jsonl", [{"text": "fine"}])
    (tmp_path / "b.jsonl").rename(tmp_path / "b.jsonl.gz")
    with pytest.raises(InputError, match=r"b.jsonl.gz is damaged"):
        score_archive([tmp_path], tmp_path / "out", lengths())  # seen before any work
    assert not (tmp_path / "out").exists()

    rows = "".join(json.dumps({"text": f"{number * 7919 % 100_003:x}"}) + "\n" for number in range(50_000)).encode()
    packed = gzip.compress(rows)
    (tmp_path / "b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    classifier = lengths()
    with pytest.raises(InputError, match=r"b.jsonl.gz is damaged, cut off"):
        score_archive([tmp_path], tmp_path / "out", classifier, ScoringSettings(shard_size=1000))
    assert classifier.seen == 1  # the sample
    assert not (tmp_path / "out" / "scores.parquet").exists()
    (tmp_path / "b.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"b.jsonl.gz is not read any more: undo that .* --overwrite to start anew"):
        score_archive([tmp_path], tmp_path / "out", classifier, ScoringSettings(shard_size=1000))
    again = score_archive([tmp_path], tmp_path / "out", classifier, ScoringSettings(shard_size=1000), overwrite=True)
    assert again.posts == 30


def test_progress_of_each_step_grows_to_the_end(posts: Path, tmp_path: Path, lengths: Any) -> None:
    seen: list[ScoringProgress] = []
    cut = ScoringSettings(shard_size=10, window=4)
    score_archive([posts], tmp_path / "out", lengths(), cut, on_progress=seen.append)
    for step, count in (("Reading", 97), ("Scoring", 12), ("Writing", 97)):
        of_step = [progress for progress in seen if progress.step == step]
        assert len(of_step) > 3
        assert [progress.count for progress in of_step] == sorted(progress.count for progress in of_step)
        assert [progress.done for progress in of_step] == sorted(progress.done for progress in of_step)
        assert of_step[-1].count == count
        assert of_step[-1].done == pytest.approx(1.0)
        assert of_step[-1].seconds_left == pytest.approx(0.0, abs=1e-6)
        assert of_step[-1].rejected == 2


def test_a_limit_scores_so_many_posts(posts: Path, tmp_path: Path, lengths: Any) -> None:
    summary = score_archive([posts], tmp_path / "out", lengths(), ScoringSettings(limit=42, shard_size=10))
    assert summary.posts == summary.rows_read == len(load(tmp_path / "out")) == 42


def test_an_output_folder_that_cannot_be(posts: Path, tmp_path: Path, lengths: Any) -> None:
    with pytest.raises(InputError, match="is a file"):
        score_archive([posts], posts, lengths())
    with pytest.raises(InputError, match="cannot be written"):
        score_archive([posts], posts / "out", lengths())


def test_the_shipped_settings_are_the_defaults() -> None:
    assert load_settings(ScoringSettings, DEFAULT_SETTINGS) == ScoringSettings()
    with pytest.raises(SettingsError, match="batchsize"):
        load_settings(ScoringSettings, DEFAULT_SETTINGS, ["batchsize=3"])
