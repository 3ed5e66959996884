"""All tables of docs/copypasta.md: quality, real archives, speed, thresholds.

    python benchmarks/copypasta/run.py [--shared ../shared] [--base FOLDER] [--only quality archives speed thresholds]

Each command is printed above what it prints. It takes hours, most of it the slow peers; `--limit` says how
many seconds each may take. What is not installed (`pip install "narratrace[benchmarks]"`), takes too long or
lacks its data is said in a line. --base is the folder of `narratrace base build`, for the peers on e5.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ARCHIVES = (
    "copypasta/hk2019_posts.jsonl",
    "archives/lihkg_flooding_2019.parquet",
    "archives/weibo_reposts.parquet",
    "archives/twitter_thailand_2020.parquet",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the data (default ../shared)")
    parser.add_argument("--base", type=Path, help="the e5 encoder, for the peers on it")
    parser.add_argument("--only", nargs="+", help="tables, if not all")
    parser.add_argument("--limit", type=int, default=1800, help="seconds for each peer and run (default 1800)")
    given = parser.parse_args()
    data = given.shared / "data"
    families, posts = data / "copypasta/families_dev.jsonl", data / "unlabelled/posts.parquet"
    base = ["--base", given.base] if given.base else []
    limit = ["--limit", given.limit]
    tables = {
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
    }
    for unknown in [each for each in given.only or () if each not in tables]:
        parser.error(f"there is no table {unknown}, only {', '.join(tables)}")
    failed = 0
    for table in given.only or tables:
        for script, *options in tables[table]:
            command = ["python", str(HERE / script), *map(str, options)]
            print(f"\n$ {shlex.join(command)}", flush=True)
            done = subprocess.run([sys.executable, *command[1:]], check=False)
            if done.returncode:
                print(f"{script} failed with exit status {done.returncode}", flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
