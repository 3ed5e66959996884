"""How time and memory of the grouping grow with the archive, and with one campaign in it.

    python benchmarks/copypasta/speed.py POSTS [--sizes 10000 100000 1000000] [--campaigns 100 10000 100000]

POSTS is a Parquet file with the column text, of whose clauses archives are made (crowd.py), 40 % of the posts in
groups; a campaign is so many copies of one post within 200,000 posts. Each run is a process of its own. CPU seconds
count, as other jobs on the machine change the wall time; memory is the peak beyond what was in use before, the posts
themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crowd import clauses, make_crowd

CAMPAIGN_WITHIN = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--campaigns", type=int, nargs="*", default=[100, 10_000, 100_000])
    parser.add_argument("--one", type=int, nargs=2, metavar=("POSTS", "COPIES"), help="one run; prints JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run(given.posts, *given.one)))
        return
    print(f"{'posts':>10}{'copies':>10}{'CPU s':>9}{'wall s':>9}{'GB':>7}{'groups':>9}{'P':>8}{'R':>8}  growth")
    before = None
    for size in given.sizes:
        found = start(given.posts, size, 0)
        growth = "" if before is None else f"n^{math.log(found['cpu'] / before[1]) / math.log(size / before[0]):.2f}"
        show(size, 0, found, growth)
        before = (size, found["cpu"])
    smallest = None
    for copies in given.campaigns:
        found = start(given.posts, CAMPAIGN_WITHIN, copies)
        smallest = smallest or found["cpu"]
        show(CAMPAIGN_WITHIN, copies, found, f"{found['cpu'] / smallest:.2f} x the smallest campaign")


def start(posts: Path, size: int, copies: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(posts), "--one", str(size), str(copies)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    found: dict[str, float] = json.loads(done.stdout)
    return found


def show(size: int, copies: int, found: dict[str, float], growth: str) -> None:
    print(
        f"{size:10,}{copies:10,}{found['cpu']:9.1f}{found['wall']:9.1f}{found['gb']:7.2f}{found['groups']:9,}"
        f"{found['precision']:8.4f}{found['recall']:8.4f}  {growth}",
        flush=True,
    )


def run(posts: Path, size: int, copies: int) -> dict[str, float]:
    """Make an archive and group it."""
    from narratrace import CopypastaGrouper

    pool = clauses(pq.read_table(posts, columns=["text"])["text"].to_pylist())
    texts, groups = make_crowd(pool, size)
    if copies:  # in the place of posts without a group
        single = [row for row, group in enumerate(groups) if group < 0][:copies]
        message = "".join(pool[:5])
        for row in single:
            texts[row], groups[row] = message, size
    table, truth = pa.table({"text": texts}), np.array(groups)
    del texts, groups, pool
    CopypastaGrouper().fit(["香港"])  # reads the dictionaries
    used = resident()
    cpu, wall = time.process_time(), time.perf_counter()
    grouper = CopypastaGrouper().fit(table)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    labels = grouper.labels_
    both = (truth >= 0) & (labels >= 0)
    right = pairs(truth[both] * 10**7 + labels[both])
    return {
        "cpu": cpu,
        "wall": wall,
        "gb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used) / 1e9,
        "groups": grouper.groups_.num_rows,
        "precision": right / max(pairs(labels[labels >= 0]), 1),
        "recall": right / max(pairs(truth[truth >= 0]), 1),
    }


def pairs(labels: np.ndarray) -> int:
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def resident() -> int:
    """Bytes in use now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
