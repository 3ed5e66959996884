"""Break scoring runs in every way that happens, and print whether anything was lost.

Usage: python benchmarks/archive/faults.py POSTS [--posts 400] [--kills 20] [--rows 10000]

- kill -9 at random moments, again and again, each time followed by the same command: the files must be the same, byte
  for byte, as those of an uninterrupted run
- a full disk (where a small tmpfs may be mounted; else a limit on the size of files): after room is made, the same
- files that are truncated, unreadable or lack the column of texts: refused in one sentence
- a file of a stopped run that is halved: the same command gives the same bytes all the same
- hostile rows (nulls, wrong types, 1 MB of text, broken UTF-8, NUL, lone surrogates, line ends in quotes, ids that
  occur twice) as CSV, JSON Lines and Parquet, and typed columns of Parquet: rows read = rows written + rows rejected

It exits with 1 if any of this does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import json
import os
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
from narratrace.inference.scoring import ScoringProgress, ScoringSettings, score_archive

COMMAND = [sys.executable, "-m", "narratrace", "score", "--quiet", "--set", "shard_size=100", "--set", "window=50"]


wrong: list[str] = []
"""What did not hold."""


def hold(holds: bool, what: str) -> bool:
    if not holds:
        wrong.append(what)
    return holds


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
    hold(not different, "kill -9")


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
        hold(done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, "full disk")
        done = subprocess.run(command, check=False)
        same = files(disk / "out") == files(folder / "whole")
        print(f"  the same command, with room: exit {done.returncode}, {'the same bytes' if same else 'DIFFERENT'}")
        hold(same, "full disk, with room")
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
        "missing column of Parquet": ("bad.parquet", _parquet(pa.table({"number": [1], "author": ["a"]}))),
        "without permission": ("bad.jsonl", source.read_bytes()),
        "loop of links": ("bad.jsonl", None),
        "UTF-16": ("bad.csv", b"\xff\xfe" + "text\n一".encode("utf-16-le")),
    }
    for what, (name, content) in bad.items():
        if content is None:
            (archive / name).symlink_to(name)
        else:
            (archive / name).write_bytes(content)
        if what == "without permission":
            if os.geteuid() == 0:
                print(f"{what}: not tried, root reads everything")
                (archive / name).unlink()
                continue
            (archive / name).chmod(0)
        command = [*COMMAND, str(archive if content else archive / name), "-o", str(folder / "bad")]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        print(f"{what}: exit {done.returncode}: {done.stderr.strip().replace(str(folder), '')}")
        hold(done.returncode == 2 and "Traceback" not in done.stderr, what)
        (archive / name).unlink()


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def damaged_in_between(folder: Path) -> None:
    source, out = folder / "many.jsonl", folder / "stopped"
    source.write_text("".join(json.dumps({"text": f"post {number}"}) + "\n" for number in range(300)))
    chosen = ScoringSettings(shard_size=50, format="jsonl")
    score_archive([source], folder / "unstopped", Lengths(), chosen)

    def stop(progress: ScoringProgress) -> None:
        if progress.step == "Writing" and progress.done > 0.5:
            raise KeyboardInterrupt

    for kind in ("posts", "texts", "rejects", "scores", "scored", "counts", "samples"):
        for damage in ("halved", "missing"):
            with contextlib.suppress(KeyboardInterrupt):
                score_archive([source], out, Lengths(), chosen, on_progress=stop)
            path = max((out / UNFINISHED / kind).iterdir(), key=lambda path: path.stat().st_size)
            content = path.read_bytes()
            path.unlink()
            if damage == "halved":
                path.write_bytes(content[: len(content) // 2])
            score_archive([source], out, Lengths(), chosen)
            same = hold(_results(out) == _results(folder / "unstopped"), f"{kind} {damage}")
            print(f".unfinished/{kind} {damage}: {'the same bytes' if same else 'DIFFERENT'}")
            shutil.rmtree(out)


def _results(out: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(out).items() if not name.startswith(".")}


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
    in_csv = rows
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        out = csv.DictWriter(file, ["id", "text", "created_at"])
        out.writeheader()
        for number, row in enumerate(made):
            out.writerow(row)
            if number % 50 == 0:
                file.flush()
                file.buffer.write(chance.choice([b"1,\xff\xfe broken,\n", b"too,many,fields,here\n", b"few\n"]))
                in_csv += 1
        # Last of all: what it swallows, if anything, is no row.
        file.write('"opened, never closed\n')
        in_csv += 1
    strings = [str(row["text"]).encode("utf-8", "replace") if row["text"] is not None else None for row in made]
    strings[::97] = [b"\xff\xfe broken" for _ in strings[::97]]
    table = pa.table({"id": [str(row["id"]) for row in made], "text": pa.array(strings, pa.binary())})
    pq.write_table(table, folder / "rows.parquet")
    written_rows = {"rows.jsonl": rows, "rows.csv": in_csv, "rows.parquet": rows}
    typed = {
        "date32": pa.array([3_000_000, 1, None], pa.int32()).cast(pa.date32()),
        "duration": pa.array([2**62, 1, None], pa.int64()).cast(pa.duration("s")),
        "list": pa.array([["a"], [], None]),
        "int64": pa.array([2**62, 1, None]),
    }
    for kind, column in typed.items():
        for name in ("id", "text", "created_at", "is_repost"):
            path = folder / f"{kind} as {name}.parquet"
            pq.write_table(pa.table({"text": ["x", "y", "z"]} | {name: column}), path)
            written_rows[path.name] = 3
    for name, expected in written_rows.items():
        out_folder = folder / f"{name} scored"
        summary = score_archive([folder / name], out_folder, Lengths(), ScoringSettings(shard_size=1000))
        written = pq.read_metadata(out_folder / "scores.parquet").num_rows
        rejected = len((out_folder / "rejects.jsonl").read_bytes().splitlines())
        adds_up = summary.rows_read == written + rejected == summary.posts + summary.rejected
        adds_up = hold(adds_up and summary.rows_read == expected, name)
        print(
            f"{name}: {summary.rows_read:,} rows read, {written:,} written, {rejected:,} rejected: "
            f"{'adds up' if adds_up else f'DOES NOT ADD UP to {expected:,}'}"
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
        damaged_in_between(folder)
        texts = [
            t for batch in Archive.open(given.inputs).read(1024, given.posts) for t in batch.posts["text"].to_pylist()
        ]
        source = folder / "posts.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        bad_files(source, folder)
        kills(source, folder, given.kills)
        full_disk(source, folder)
    if wrong:
        sys.exit(f"NOT AS IT SHOULD BE: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
