"""Break scoring runs in every way that happens, and print whether anything was lost.

Usage: python benchmarks/archive/faults.py POSTS [--posts 400] [--kills 20] [--rows 10000]

- kill -9 at random moments, again and again, each time followed by the same command: the files must be the same, byte
  for byte, as those of an uninterrupted run
- a full disk (where a small tmpfs may be mounted; else a limit on the size of files): after room is made, the same
- files that are truncated, unreadable or lack the column of texts: refused in one sentence
- hostile rows (nulls, wrong types, 1 MB of text, broken UTF-8, NUL, lone surrogates, line ends in quotes, ids that
  occur twice) as CSV, JSON Lines and Parquet: rows read = rows written + rows rejected
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.results import LEDGER, UNFINISHED
from narratrace.inference.scoring import ScoringSettings, score_archive

COMMAND = [sys.executable, "-m", "narratrace", "score", "--quiet", "--set", "shard_size=100", "--set", "window=50"]


def kills(source: Path, folder: Path, times: int) -> None:
    chance = random.Random(1)
    start = time.perf_counter()
    subprocess.run([*COMMAND, str(source), "-o", str(folder / "whole")], check=True)
    length = time.perf_counter() - start
    out = folder / "out"
    stopped = finished = different = 0
    while stopped < times or not finished:
        with subprocess.Popen([*COMMAND, str(source), "-o", str(out)]) as process:
            try:
                process.wait(chance.uniform(0.1, 0.9) * length if stopped < times else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                stopped += 1
        # A run may be killed when all is done.
        if process.returncode == 0 or ((out / "summary.json").exists() and not (out / UNFINISHED / LEDGER).exists()):
            finished += 1
            different += files(out) != files(folder / "whole")
            shutil.rmtree(out)
    print(f"kill -9: {stopped} kills, {finished} finished runs, {different} with other bytes than an uninterrupted run")


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def full_disk(source: Path, folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    command = [*COMMAND, str(source), "-o", str(disk / "out")]
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode == 0
    )
    try:
        limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=limit)
        what = "tmpfs of 64 KB" if mounted else "files up to 16 KB"
        print(f"full disk ({what}): exit {done.returncode}: {done.stderr.strip()}")
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = subprocess.run(command, check=False)
        same = files(disk / "out") == files(folder / "whole")
        print(f"  the same command, with room: exit {done.returncode}, {'the same bytes' if same else 'DIFFERENT'}")
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)


def bad_files(source: Path, folder: Path) -> None:
    archive = folder / "archive"
    archive.mkdir()
    (archive / "good.jsonl").write_bytes(source.read_bytes())
    packed = gzip.compress(source.read_bytes() * 20)
    bad = {
        "truncated gzip": ("bad.jsonl.gz", packed[: len(packed) // 2]),
        "damaged gzip": ("bad.jsonl.gz", packed[:500] + bytes(100) + packed[600:]),
        "Parquet that is none": ("bad.parquet", b"PAR1" + bytes(100)),
        "missing column": ("bad.csv", b"number,author\n1,a\n"),
        "UTF-16": ("bad.csv", b"\xff\xfe" + "text\n一".encode("utf-16-le")),
    }
    for what, (name, content) in bad.items():
        (archive / name).write_bytes(content)
        command = [*COMMAND, str(archive), "-o", str(folder / "bad")]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        print(f"{what}: exit {done.returncode}: {done.stderr.strip().replace(str(folder), '')}")
        (archive / name).unlink()


class Lengths:
    """Scores by length: what is tried here is reading and writing."""

    def batch(self, columns: dict[str, Any]) -> dict[str, Any]:
        size = len(columns["text"])
        empty = np.empty(size, dtype=object)
        empty[:] = [[] for _ in range(size)]
        words = {name: np.full(size, name, dtype=object) for name in ("language", "artefact")}
        return (
            words
            | {
                "stance": np.full(size, "N", dtype=object),
                "labels": empty,
                "abstained": empty,
                "windows": np.ones(size, dtype=np.int16),
                "truncated": np.zeros(size, dtype=bool),
                "score_x": np.array([len(text) % 7 / 7 for text in columns["text"]], dtype=np.float32),
            }
            | {f"stance_{stance}": np.full(size, 0.25, dtype=np.float32) for stance in "ARCN"}
        )


def hostile(folder: Path, rows: int) -> None:
    chance = random.Random(2)
    texts: list[Any] = [
        None,
        "",
        "  ",
        "nul\0nul",
        "\ud800 alone",
        'a "quote"',
        "line\nend",
        "=1+1",
        7,
        1.5,
        True,
        ["a"],
        {"b": 1},
    ]
    made = []
    for number in range(rows):
        text = "長" * (2**20 // 3) if number % 1000 == 0 else chance.choice([*texts, f"post {number}", "the same"])
        made.append(
            {
                "id": chance.choice([None, number, "double", 1.04e18]),
                "text": text,
                "created_at": chance.choice([None, "soon", 0]),
            }
        )
    lines = [json.dumps(row).encode() for row in made]
    for place in range(0, rows, 50):
        lines[place] = chance.choice(
            [b"{broken", b"[1, 2]", b'{"text": "\xff\xfe \xc3"}', b'"text"', lines[place][:10]]
        )
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8", errors="replace") as file:
        out = csv.DictWriter(file, ["id", "text", "created_at"])
        out.writeheader()
        for number, row in enumerate(made):
            out.writerow(row)
            if number % 50 == 0:
                file.write(chance.choice(['"opened, never closed\n', "too,many,fields,here\n", "few\n"]))
    strings = [str(row["text"]).encode("utf-8", "replace") if row["text"] is not None else None for row in made]
    strings[::97] = [b"\xff\xfe broken" for _ in strings[::97]]
    table = pa.table({"id": [str(row["id"]) for row in made], "text": pa.array(strings, pa.binary())})
    pq.write_table(table, folder / "rows.parquet")
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        out_folder = folder / f"{name} scored"
        summary = score_archive([folder / name], out_folder, Lengths(), ScoringSettings(shard_size=1000))
        written = pq.read_metadata(out_folder / "scores.parquet").num_rows
        rejected = len((out_folder / "rejects.jsonl").read_bytes().splitlines())
        adds_up = summary.rows_read == written + rejected == summary.posts + summary.rejected
        read = {"rows.jsonl": rows, "rows.parquet": rows}.get(name, summary.rows_read)
        print(
            f"{name}: {summary.rows_read:,} rows read, {written:,} written, {rejected:,} rejected: "
            f"{'adds up' if adds_up and read == summary.rows_read else 'DOES NOT ADD UP'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="POSTS")
    parser.add_argument("--posts", type=int, default=400)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hostile(folder, given.rows)
        texts = [
            t for batch in Archive.open(given.inputs).read(1024, given.posts) for t in batch.posts["text"].to_pylist()
        ]
        source = folder / "posts.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        bad_files(source, folder)
        kills(source, folder, given.kills)
        full_disk(source, folder)


if __name__ == "__main__":
    main()
