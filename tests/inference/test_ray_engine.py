"""The Ray engine on a cluster of two nodes inside this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from narratrace.inference.archives import shards
from narratrace.inference.classifier import Classifier
from narratrace.inference.copypasta import embedding, spread
from narratrace.inference.copypasta.run import TABLES, group_archive
from narratrace.inference.engine import open_engine
from narratrace.inference.scoring import ScoringSettings, score_archive
from narratrace.model.errors import MissingExtraError, SettingsError


def processes_below(root: int) -> dict[int, str]:
    """Processes that one started, directly or not: what each calls itself, by its number."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            names[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    below = {root}
    while more := {each for each, parent in parents.items() if parent in below} - below:
        below |= more
    return {each: names[each] for each in below - {root}}


def ray_processes() -> list[int]:
    below = processes_below(os.getpid())
    return [each for each, name in below.items() if "ray::" in name or "/ray/" in name]


@contextlib.contextmanager
def kill_one(title: str) -> Iterator[list[int]]:
    """Kill the first worker that carries such a unit out."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not killed and not over.wait(0.02):
            for process, name in processes_below(os.getpid()).items():
                if name.startswith(title) and not killed:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    """A cluster of two nodes with a CPU each, one of which says that it has a GPU; its address."""
    from ray.cluster_utils import Cluster

    # Ray gives its workers the lowest priority: on a busy machine they would never get a turn.
    without = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    # Its sockets need a short path.
    with (
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        quiet = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder}
        for name, value in quiet.items():
            patch.setenv(name, value)
        cluster = Cluster()
        try:
            for gpus in range(2):
                for left in (2, 1, 0):  # on a busy machine a node may miss Ray's own deadline of 30 seconds
                    try:
                        cluster.add_node(num_cpus=1, num_gpus=gpus, object_store_memory=2**27, **without)
                        break
                    except Exception:
                        if not left:
                            raise
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster.address
        finally:
            cluster.shutdown()
            deadline = time.monotonic() + 10
            while ray_processes() and time.monotonic() < deadline:
                time.sleep(0.1)
            for left_over in ray_processes():  # of a node that missed the deadline
                os.kill(left_over, signal.SIGKILL)


@pytest.fixture
def archive(labelled: list[dict[str, object]], tmp_path: Path) -> Path:
    """Three files: posts, posts with edits, posts with edits and rows that are none."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for number, ending in enumerate(("", "香港加油", " Stand with us")):
        rows = [{"id": f"{number}-{at}", "text": f"{post['text']}{ending}"} for at, post in enumerate(labelled)]
        rows += [{"id": f"again-{number}", "text": str(labelled[0]["text"])}]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows] + ["no JSON"] * number
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.cluster
def test_a_cluster_finds_what_one_machine_finds(
    two_nodes: str, archive: Path, tiny_classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several units of each work, of so few posts.
    monkeypatch.setattr(shards, "GROUP_BYTES", 1)
    monkeypatch.setattr(shards, "PARTITION_BYTES", 2**14)
    monkeypatch.setattr(spread, "UNIT", 64)
    monkeypatch.setattr(embedding, "UNIT", 64)
    settings = ScoringSettings(threads=1, shard_size=64, window=16)
    monkeypatch.chdir(tmp_path)
    score_archive(["archive"], "here", tiny_classifier, settings)
    group_archive(["archive"], "groups_here", embed=tiny_classifier.embed)
    with open_engine("ray") as engine:
        with kill_one("ray::ScoreTexts") as killed:
            score_archive(["archive"], "there", tiny_classifier, settings, engine=engine)
        group_archive(["archive"], "groups_there", embed=tiny_classifier.embed, engine=engine)

    assert killed
    tables = ["scores.parquet"], [f"{table}.parquet" for table in TABLES]
    for here, there, names in zip(("here", "groups_here"), ("there", "groups_there"), tables, strict=True):
        for name in names:
            expected = pq.read_table(tmp_path / here / name)
            assert pq.read_table(tmp_path / there / name).equals(expected)
        assert len(pq.read_table(tmp_path / here / names[0])) > 5
        rejects = [json.loads(line)["reason"] for line in (tmp_path / there / "rejects.jsonl").open(encoding="utf-8")]
        assert len(rejects) == 3


@pytest.mark.cluster
@pytest.mark.parametrize(("asked", "runs_network", "taken"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_units_that_run_the_network_take_a_gpu(two_nodes: str, asked: bool, runs_network: bool, taken: int) -> None:
    class CountGpus:
        """What a unit was given; local, so that workers get it by value."""

        def __call__(self, unit: str) -> Iterator[tuple[str, dict[str, int]]]:
            import ray

            yield unit, {"gpus": len(ray.get_gpu_ids())}

    CountGpus.runs_network = runs_network
    with open_engine("ray", gpu=asked) as engine:
        said = dict(engine.run(CountGpus(), ["0", "1"]))

    assert said == {"0": {"gpus": taken}, "1": {"gpus": taken}}


def test_an_engine_that_is_none() -> None:
    with pytest.raises(SettingsError, match="'spark' is no engine"), open_engine("spark"):
        pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"narratrace\[cluster\]"), open_engine("ray"):
        pass
