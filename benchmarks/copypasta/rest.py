"""Write the posts that the benchmarks' background has not: an embedding may learn from these.

    python benchmarks/copypasta/rest.py FAMILIES BACKGROUND -o runs/rest.parquet [--posts 3000]

FAMILIES, BACKGROUND and --posts are those of quality.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from families import load_halves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--posts", type=int, default=3000, help="posts of the background in each half (default 3000)")
    given = parser.parse_args()
    taken = {text for half in load_halves(given.families, given.background, given.posts) for text in half.texts}
    posts = pq.read_table(given.background)
    kept = [row for row, text in enumerate(posts["text"].to_pylist()) if text not in taken]
    pq.write_table(posts.take(kept), given.out)
    print(f"{len(kept):,} of {len(posts):,} posts")


if __name__ == "__main__":
    main()
