"""Groups of real archives, with some at random printed for a reader to judge.

    python benchmarks/copypasta/archives.py ARCHIVE... [--groups 30] [--semantic]

ARCHIVE is anything that `narratrace group` reads. For every printed group: posts, texts, accounts, cohesion, the
representative, and its least similar members with stage and similarity. Groups of exact copies alone are left out of
the draw, as they leave nothing to judge; how many they are is printed. With --semantic, posts are embedded, and groups
are drawn in which a post was rewritten or translated.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc

from narratrace import Classifier, CopypastaGrouper
from narratrace.inference.archives.archive import Archive
from narratrace.inference.copypasta.groups import STAGES
from narratrace.inference.posts import POST_SCHEMA

MEMBERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+")
    parser.add_argument("--groups", type=int, default=30)
    parser.add_argument("--semantic", action="store_true", help="look for rewritten and translated posts too")
    given = parser.parse_args()
    embed = Classifier.load().embed if given.semantic else None
    shown = ("semantic", "translation") if given.semantic else STAGES[1:]
    for path in given.archives:
        batches = [batch.posts for batch in Archive.open([path]).read(2**14)]
        posts = pa.Table.from_batches(batches, POST_SCHEMA)
        start = time.process_time()
        grouper = CopypastaGrouper(embed=embed).fit(posts)
        seconds = time.process_time() - start
        found = grouper.summary()
        accounts = pc.count_distinct(grouper.posts_.filter(pc.is_valid(grouper.posts_["group"]))["account_id"]).as_py()
        print(f"\n# {path}: {found.posts:,} posts, {seconds:.1f} CPU s, {found.groups:,} groups")
        print(f"{found.grouped:,} posts of {accounts:,} accounts in them")
        print(f"links {found.stages}, innocent {found.innocent}\n")
        show(grouper, given.groups, shown)


def show(grouper: CopypastaGrouper, count: int, stages: tuple[str, ...]) -> None:
    members = defaultdict(dict)
    changed = grouper.posts_.filter(pc.is_in(grouper.posts_["stage"], pa.array(stages)))
    for post in changed.select(["group", "text", "stage", "similarity"]).to_pylist():
        members[post["group"]][post["text"]] = post
    groups = [group for group in grouper.groups_.to_pylist() if group["group"] in members]
    drawn = min(count, len(groups))
    print(f"{drawn} at random of the {len(groups):,} groups with links of the stages {', '.join(stages)} "
          f"({grouper.groups_.num_rows - len(groups):,} have none):")  # fmt: skip
    for group in random.Random(0).sample(groups, drawn):
        note = f", {group['innocent']}" if group["innocent"] else ""
        print(f"## posts {group['posts']}, texts {group['texts']}, accounts {group['accounts']}, "
              f"cohesion {group['cohesion']:.2f}{note}: {line(group['text'])}")  # fmt: skip
        for post in sorted(members[group["group"]].values(), key=lambda post: post["similarity"])[:MEMBERS]:
            print(f"   {post['stage']} {post['similarity']:.2f}: {line(post['text'])}")


def line(text: str) -> str:
    return " ".join(text.split())[:160]


if __name__ == "__main__":
    main()
