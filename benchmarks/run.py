"""All tables of docs/copypasta.md and docs/speed.md, each below the command that prints it.

    python benchmarks/run.py copypasta [--base FOLDER] [--only quality archives speed thresholds]
    python benchmarks/run.py archive [--only compare growth faults startup session]

It takes hours, most of it the slow peers; `--limit` says how many seconds each of copypasta's may take. What is not
installed (`pip install "narratrace[benchmarks]"`), takes too long or lacks its data is said in a line. --base is the
folder of `narratrace base build`, for the peers on e5.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ARCHIVES = (
    "copypasta/hk2019_posts.jsonl",
    "archives/lihkg_flooding_2019.parquet",
    "archives/weibo_reposts.parquet",
    "archives/twitter_thailand_2020.parquet",
)


def tables(data: Path, base: list[Any], limit: list[Any]) -> dict[str, dict[str, list[list[Any]]]]:
    """The commands of each table, by proof."""
    families, posts = data / "copypasta/families_dev.jsonl", data / "unlabelled/posts.parquet"
    return {
        "copypasta": {
            "quality": [
                ["quality.py", families, posts, "--peers", "all", *base, *limit],
                ["quality.py", families, posts, "--semantic", "--peers", "artefact", *limit],
            ],
            "archives": [["archives.py", *(data / archive for archive in ARCHIVES), "--groups", 30]],
            "speed": [
                ["speed.py", posts, *limit],
                ["speed.py", posts, "--sizes", "--campaigns", "--semantic", 10_000, 100_000, *limit],
                ["speed.py", posts, "--sizes", "--campaigns", "--peers", *limit],
            ],
            "thresholds": [["thresholds.py", families, posts]],
        },
        "archive": {
            "compare": [
                ["compare.py", posts, "--posts", 20_000, "--distinct", "--sample", 2_000],
                ["compare.py", data / "archives/weibo_reposts.parquet", "--posts", 200_000, "--sample", 2_000],
            ],
            "growth": [["growth.py", posts, "--rows", 10_000, 100_000, 1_000_000]],
            "faults": [["faults.py", "examples/posts.jsonl", "--posts", 60, "--kills", 20, "--rows", 10_000]],
            "startup": [["startup.py"]],
            "session": [["session.py", posts]],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=["copypasta", "archive"])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the data (default ../shared)")
    parser.add_argument("--base", type=Path, help="the e5 encoder, for the peers on it")
    parser.add_argument("--only", nargs="+", help="tables, if not all")
    parser.add_argument("--limit", type=int, default=1800, help="seconds for each peer and run (default 1800)")
    given = parser.parse_args()
    base = ["--base", given.base] if given.base else []
    wanted = tables(given.shared / "data", base, ["--limit", given.limit])[given.proof]
    for unknown in [each for each in given.only or () if each not in wanted]:
        parser.error(f"there is no table {unknown}, only {', '.join(wanted)}")
    failed = 0
    for table in given.only or wanted:
        for script, *options in wanted[table]:
            command = ["python", str(HERE / given.proof / script), *map(str, options)]
            print(f"\n$ {shlex.join(command)}", flush=True)
            done = subprocess.run([sys.executable, *command[1:]], check=False)
            if done.returncode:
                print(f"{script} failed with exit status {done.returncode}", flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
