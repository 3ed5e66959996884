"""Print wall time, CPU time and peak memory of `narratrace score` as an archive grows.

Usage: python benchmarks/archive/growth.py POSTS [--rows 10000 100000] [--real]

Rows are grown from the posts of POSTS (what `narratrace score` reads): each gets a number, so that all are distinct and
none is cheaper than a real one. A million rows through the network take hours on a laptop and say nothing of memory
that ten thousand do not: unless --real, the network's answers are replaced by ones made from each text, and all the
rest is as in `narratrace score`. The memory of the loaded artefact is in both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from narratrace.inference.archives.archive import Archive
from narratrace.inference.classifier import Classifier
from narratrace.inference.scoring import ScoringSettings, score_archive


class WithoutNetwork:
    """Answers as wide as the artefact's, for the price of an addition."""

    def __init__(self) -> None:
        self.classifier = Classifier.load(threads=1)
        self.columns = self.classifier.batch({"text": np.array(["?"] * 256, dtype=object)})

    def batch(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows = np.array([len(text) % 256 for text in columns["text"]], dtype=np.int64)
        return {name: values[rows] for name, values in self.columns.items()}


def grow(inputs: list[str], rows: int, path: Path) -> None:
    """Write an archive of so many rows, a little at a time."""
    texts = [text for batch in Archive.open(inputs).read(1024, 100_000) for text in batch.posts["text"].to_pylist()]
    schema = pa.schema([("id", pa.string()), ("account_id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 10_000):
            numbers = range(start, min(start + 10_000, rows))
            columns = [
                [str(number) for number in numbers],
                [f"account {number * 7919 % 50_021}" for number in numbers],
                [f"{texts[number % len(texts)]} {number}" for number in numbers],
            ]
            writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="POSTS")
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--real", action="store_true", help="run the network")
    given = parser.parse_args()
    print(f"{'with' if given.real else 'without'} the network, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("     rows   seconds   CPU s   rows per CPU s   peak MB   results MB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in given.rows:
            grow(given.inputs, rows, folder / "posts.parquet")
            start = time.perf_counter()
            command = [sys.executable, __file__, "--run", str(folder / "posts.parquet"), str(folder / f"{rows}")]
            process = subprocess.Popen([*command, "real" if given.real else ""])
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            if status:
                sys.exit("the run failed")
            cpu = usage.ru_utime + usage.ru_stime
            written = sum(path.stat().st_size for path in (folder / f"{rows}").iterdir())
            shown = f"{rows:9,}{seconds:10.1f}{cpu:8.1f}{rows / cpu:17.0f}"
            print(f"{shown}{usage.ru_maxrss / 1024:10.0f}{written / 2**20:13.1f}", flush=True)


def run(source: str, out: str, real: str) -> None:
    classifier = Classifier.load(threads=1) if real else WithoutNetwork()
    summary = score_archive([source], out, classifier, ScoringSettings())
    assert summary.posts == summary.texts == pq.read_metadata(Path(out) / "scores.parquet").num_rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:])
    else:
        main()
