"""A scoring run that is stopped, at whatever moment, goes on and leaves what an uninterrupted one leaves."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from narratrace.inference.archives.ledger import replacing
from narratrace.inference.archives.results import LEDGER, LOCK, UNFINISHED, write_counted
from narratrace.inference.archives.writers import ScoreFormat, open_writer
from narratrace.inference.classifier import Classifier
from narratrace.inference.scoring import ScoringProgress, ScoringSettings, score_archive
from narratrace.model.errors import InputError
from narratrace.model.settings import load_settings

# Steps small enough that there are some dozens.
SMALL = {"shard_size": 20, "window": 5}
LARGER = {"shard_size": 60, "window": 60}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    chance = random.Random(1)
    for file in range(3):
        with (folder / f"{file}.jsonl").open("w") as out:
            for number in range(60):
                text = "".join(chance.choices("警察暴徒香港加油", k=chance.randint(0, 9)))
                out.write(json.dumps({"id": f"{file}-{number}", "text": text}) + "\n")
            out.write("{broken\n")
    return folder


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != LOCK}


PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from conftest import Lengths
from narratrace.inference.scoring import ScoringSettings, score_archive
steps = 0
def stop(progress):
    global steps
    steps += 1
    if steps == int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)
score_archive([sys.argv[2]], sys.argv[3], Lengths(), ScoringSettings.model_validate_json(sys.argv[4]), on_progress=stop)
"""


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_killed_again_and_again_the_files_are_the_same(archive: Path, tmp_path: Path, lengths: Any, form: str) -> None:
    chosen = ScoringSettings(format=form, **SMALL)
    score_archive([archive], tmp_path / "whole", lengths(), chosen)
    words = [str(Path(__file__).parent), str(archive), str(tmp_path / "out"), chosen.model_dump_json()]
    for kills in range(20):
        steps = 9 + 3 * kills  # a run that is killed sooner than the last would still get on
        done = subprocess.run([sys.executable, "-c", PROGRAM, *words, str(steps)], check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert {path.name for path in (tmp_path / "out").iterdir()} == {UNFINISHED, LOCK}
    assert kills > 2
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_no_text_is_scored_again_after_a_stop(archive: Path, tmp_path: Path, lengths: Any) -> None:
    chosen = ScoringSettings(**SMALL)
    whole = score_archive([archive], tmp_path / "whole", lengths(), chosen)

    def interrupt(progress: ScoringProgress) -> None:
        if progress.step == "Scoring" and progress.count >= 50:
            raise KeyboardInterrupt

    first, second = lengths(), lengths()
    with pytest.raises(KeyboardInterrupt):
        score_archive([archive], tmp_path / "out", first, chosen, on_progress=interrupt)
    seen: list[ScoringProgress] = []
    score_archive([archive], tmp_path / "out", second, chosen, on_progress=seen.append)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert first.seen + second.seen == whole.texts + 2  # and the sample of each run
    assert {progress.step for progress in seen} == {"Scoring", "Writing"}
    assert seen[0].new_count == 5


def test_scores_that_are_there_are_not_made_again(archive: Path, tmp_path: Path, lengths: Any) -> None:
    def interrupt(progress: ScoringProgress) -> None:
        if progress.step == "Writing":
            raise KeyboardInterrupt

    chosen = ScoringSettings(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        score_archive([archive], tmp_path / "out", lengths(), chosen, on_progress=interrupt)
    ledger = tmp_path / "out" / UNFINISHED / LEDGER
    # As if the run had been killed before it could record them.
    left = [line for line in ledger.read_bytes().splitlines(keepends=True) if b'"part": "Scoring' not in line]
    ledger.write_bytes(b"".join(left))
    again = lengths()
    score_archive([archive], tmp_path / "out", again, chosen)
    assert again.seen == 1  # the sample
    score_archive([archive], tmp_path / "whole", lengths(), chosen)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def stopped(archive: Path, out: Path, classifier: Any, **changed: Any) -> None:
    def interrupt(progress: ScoringProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_archive([archive], out, classifier, ScoringSettings(**SMALL | changed), on_progress=interrupt)


def test_what_changed_since_the_stop_is_said_and_nothing_is_mixed(archive: Path, tmp_path: Path, lengths: Any) -> None:
    out = tmp_path / "out"
    stopped(archive, out, lengths())
    before = (out / UNFINISHED / LEDGER).read_bytes()

    def refused(message: str, classifier: Any = None, **changed: Any) -> None:
        with pytest.raises(InputError, match=message):
            score_archive([archive], out, classifier or lengths(), ScoringSettings(**SMALL | changed))
        assert (out / UNFINISHED / LEDGER).read_bytes() == before

    refused('the setting \'distinct\' is "exact" and was "normalised": .*--overwrite', distinct="exact")
    refused("the setting 'format' is \"csv\"", format="csv")

    class Other(lengths):  # type: ignore[misc]
        def batch(self, columns: Any) -> Any:
            scores = super().batch(columns)
            return scores | {"artefact": ["other"] * len(scores["artefact"])}

    refused("the artefact is other and was =lengths-1", Other())
    old = (archive / "1.jsonl").read_text()
    (archive / "1.jsonl").write_text(old.replace("0", "1"))  # as long as before
    refused("1.jsonl has changed: undo that to go on with it, name another folder, or add --overwrite")
    (archive / "1.jsonl").write_text(old)
    (archive / "3.jsonl").write_text("{}\n")
    refused("3.jsonl is new")
    (archive / "3.jsonl").unlink()
    (archive / "2.jsonl").rename(archive / "9.jsonl")
    refused("2.jsonl is not read any more")
    anew = score_archive([archive], out, lengths(), ScoringSettings(format="jsonl"), overwrite=True)
    assert anew.posts + anew.rejected == 183
    assert "scores.jsonl" in files(out)


def test_what_the_classifier_decides_by_is_recorded_and_never_mixed(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    careful, other = (Classifier.load(backend="onnx-int8", threads=1, thresholds=name) for name in ("precision", "f1"))
    stopped(archive, out, careful)
    with pytest.raises(InputError, match='the setting \'thresholds\' is "f1" and was "precision"'):
        score_archive([archive], out, other, ScoringSettings(**SMALL))
    # What the settings say is of no weight: the classifier is loaded already.
    score_archive([archive], out, careful, ScoringSettings(**SMALL, backend="torch", thresholds="f1"))
    recorded = load_settings(ScoringSettings, out / "settings.yaml")
    assert (recorded.backend, recorded.thresholds) == ("onnx-int8", "precision")


def test_threads_and_the_place_of_the_artefact_may_change(archive: Path, tmp_path: Path, lengths: Any) -> None:
    stopped(archive, tmp_path / "out", lengths())
    score_archive(
        [archive], tmp_path / "out", lengths(), ScoringSettings(**SMALL, threads=1, artefact=Path("elsewhere"))
    )
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_a_line_of_the_ledger_that_was_cut_off_counts_for_nothing(archive: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([archive], tmp_path / "whole", lengths(), ScoringSettings(**SMALL))
    stopped(archive, tmp_path / "out", lengths())
    ledger = tmp_path / "out" / UNFINISHED / LEDGER
    for cut in (10, 1):
        ledger.write_bytes(ledger.read_bytes()[:-cut])
        stopped(archive, tmp_path / "out", lengths())
    score_archive([archive], tmp_path / "out", lengths(), ScoringSettings(**SMALL))
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [b"\xff" + lines[0], *lines[1:]],
        lambda lines: [lines[0].replace(b'"artefact"', b'"model"'), *lines[1:]],
        lambda lines: [*lines, b'{"part": "Rea'],
        lambda lines: [*lines, b'{"step": "Reading"}'],
        lambda lines: [*lines, b"[]"],
    ],
)
def test_a_ledger_that_cannot_be_read_is_said_and_can_be_given_up(
    archive: Path, tmp_path: Path, lengths: Any, damage: Any
) -> None:
    out = tmp_path / "out"
    stopped(archive, out, lengths())
    ledger = out / UNFINISHED / LEDGER
    spoilt = b"".join(line + b"\n" for line in damage(ledger.read_bytes().splitlines()))
    ledger.write_bytes(spoilt)
    with pytest.raises(InputError, match=r"its ledger is damaged, or of another version .*--overwrite"):
        score_archive([archive], out, lengths(), ScoringSettings(**SMALL))
    assert ledger.read_bytes() == spoilt
    score_archive([archive], out, lengths(), ScoringSettings(**SMALL), overwrite=True)
    score_archive([archive], tmp_path / "whole", lengths(), ScoringSettings(**SMALL))
    assert files(out) == files(tmp_path / "whole")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


@pytest.mark.parametrize("damage", [halve, alter, Path.unlink])
@pytest.mark.parametrize("step", ["Scoring", "Writing"])
def test_a_file_that_is_damaged_while_the_run_is_stopped_is_made_again(
    archive: Path, tmp_path: Path, lengths: Any, step: str, damage: Callable[[Path], None]
) -> None:
    chosen = ScoringSettings(format="jsonl", **LARGER)
    score_archive([archive], tmp_path / "whole", lengths(), chosen)

    def interrupt(progress: ScoringProgress) -> None:
        if progress.step == step and progress.done > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_archive([archive], tmp_path / "start", lengths(), chosen, on_progress=interrupt)
    kinds = {path.name for path in (tmp_path / "start" / UNFINISHED).iterdir() if path.is_dir()}
    assert kinds == {"posts", "texts", "rejects", "scores"} | ({"scored", "counts", "samples"} & kinds)
    for kind in kinds:
        out = tmp_path / kind
        shutil.copytree(tmp_path / "start", out)
        damage(max((out / UNFINISHED / kind).iterdir(), key=lambda path: path.stat().st_size))
        score_archive([archive], out, lengths(), chosen)
        assert files(out) == files(tmp_path / "whole"), kind


@pytest.mark.parametrize(
    ("name", "form"),
    [("posts/00000-00000.arrow", "parquet"), ("scores/0000.arrow", "csv"), ("scored/00000-00000.jsonl", "jsonl")],
)
def test_a_file_that_is_damaged_while_the_run_goes_on_is_named(
    archive: Path, tmp_path: Path, lengths: Any, name: str, form: str
) -> None:
    chosen = ScoringSettings(format=form, **LARGER)
    score_archive([archive], tmp_path / "whole", lengths(), chosen)
    path = tmp_path / "out" / UNFINISHED / name

    def damage(progress: ScoringProgress) -> None:
        if progress.count > 50 and path.exists():
            halve(path)

    with pytest.raises(InputError, match=rf"{name} is damaged or missing.*give the same command again"):
        score_archive([archive], tmp_path / "out", lengths(), chosen, on_progress=damage)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {UNFINISHED, LOCK}
    score_archive([archive], tmp_path / "out", lengths(), chosen)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_results_are_counted_before_they_are_put_in_place(tmp_path: Path, form: ScoreFormat) -> None:
    texts = ["a", 'a "quote"', "line\nend", '"\r\n"', "\r", "", None, "a\u2028b", "," * 2**21]

    def write(path: Path) -> None:
        batch = pa.record_batch({"text": pa.array(texts)})
        writer = open_writer(form, path, batch.schema)
        writer.write(batch)
        writer.close()

    write_counted(f"scores.{form}", write, len(texts), tmp_path / "scratch")
    for wrong in (len(texts) - 1, len(texts) + 1):
        with pytest.raises(InputError, match=rf"scores.{form} came out with 9 rows instead of {wrong}"):
            write_counted(f"scores.{form}", write, wrong, tmp_path / "scratch")


def test_a_second_run_leaves_the_first_alone(archive: Path, tmp_path: Path, lengths: Any) -> None:
    chosen = ScoringSettings(**SMALL)
    refused = []

    def second(progress: ScoringProgress) -> None:
        with pytest.raises(InputError, match=r"Another run writes to .*out: wait") as error:
            score_archive([archive], tmp_path / "out", lengths(), chosen, overwrite=progress.count > 50)
        refused.append(error)

    score_archive([archive], tmp_path / "out", lengths(), chosen, on_progress=second)
    assert refused
    score_archive([archive], tmp_path / "whole", lengths(), chosen)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_run_that_ends_while_another_begins_is_not_replaced(archive: Path, tmp_path: Path, lengths: Any) -> None:
    class Late(list[Path]):
        """Inputs; when they are looked at, another run comes first."""

        def __iter__(self) -> Iterator[Path]:
            score_archive([archive], tmp_path / "out", lengths(), ScoringSettings(format="csv"))
            return super().__iter__()

    with pytest.raises(InputError, match="holds results already"):
        score_archive(Late([archive]), tmp_path / "out", lengths())
    assert "scores.csv" in files(tmp_path / "out")


def test_what_is_replaced_is_kept_by_a_file_that_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def as_on_windows(file: int) -> None:
        if stat.S_ISREG(os.fstat(file).st_mode) and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        sync(file)

    monkeypatch.setattr(os, "fsync", as_on_windows)
    with replacing(tmp_path / "new") as scratch:
        scratch.write_text("content")
    assert (tmp_path / "new").read_text() == "content"


def test_a_name_is_on_the_disk_before_anything_builds_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[list[str]] = []
    sync = os.fsync

    def watched(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            kept.append(os.listdir(file))
        sync(file)

    monkeypatch.setattr(os, "fsync", watched)
    with replacing(tmp_path / "new") as scratch:
        scratch.write_text("content")
    assert kept == [["new"]]
