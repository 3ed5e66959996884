"""What scoring and grouping cost, work by work: CPU seconds, memory of the largest process, bytes between the works.

    python benchmarks/scaling/cost.py POSTS --score 1000,10000 --rest 100000,1000000 --group 10000,100000,1000000

Posts are put together from the clauses of POSTS (what `narratrace score` reads), 40 % of them in groups of copies and
variants (benchmarks/copypasta/crowd.py): the more clauses, the less do posts resemble each other by chance. Each size
runs in a process of its own, in one thread, on the native engine: the works are the same on a cluster. A text costs
the network the same in an archive of any size, so that sizes of --rest are scored without it, and all but ScoreTexts
is as it would be.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "benchmarks" / "copypasta"), str(ROOT / "benchmarks" / "archive")]

from crowd import clauses, make_crowd  # noqa: E402
from growth import WithoutNetwork  # noqa: E402

from narratrace.inference.archives.archive import Archive  # noqa: E402
from narratrace.inference.classifier import Classifier  # noqa: E402
from narratrace.inference.copypasta.run import group_archive  # noqa: E402
from narratrace.inference.engine import NativeEngine, Said, Work  # noqa: E402
from narratrace.inference.scoring import ScoringSettings, score_archive  # noqa: E402


class Measured(NativeEngine):
    """The native engine, with the CPU seconds of each work and the bytes that it leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
        name, start, before = type(work).__name__, time.process_time(), self._bytes()
        yield from super().run(work, units)
        self.seconds[name] += time.process_time() - start
        self.bytes[name] += self._bytes() - before

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def measure(source: str, what: str, posts: int) -> list[tuple[str, float, int]]:
    """Run one job; rows of work, CPU seconds, bytes; the last one is of the whole, with the peak of memory."""
    given = [text for batch in Archive.open([source]).read(1024, 200_000) for text in batch.posts["text"].to_pylist()]
    texts, _ = make_crowd(clauses(given), posts)
    del given
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "posts.jsonl", Path(folder) / "out"
        with archive.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        del texts
        engine = Measured(out / ".unfinished")
        classifiers = {"score": lambda: Classifier.load(threads=1), "rest": WithoutNetwork, "group": lambda: None}
        classifier = classifiers[what]()
        start = time.process_time()
        if classifier:
            distinct = score_archive([archive], out, classifier, ScoringSettings(threads=1), engine=engine).texts
        else:
            distinct = group_archive([archive], out, engine=engine).found.texts
        whole = time.process_time() - start
        size = archive.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows = [(name, engine.seconds[name], engine.bytes[name]) for name in engine.seconds]
    rows.append(("elsewhere", whole - sum(engine.seconds.values()), 0))
    rows.append((f"whole ({distinct:,} distinct texts, archive of {size / 1e6:.1f} MB)", whole, peak))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", help="file of posts")
    for job, sizes in (("score", "1000,10000"), ("rest", ""), ("group", "10000,100000")):
        parser.add_argument(f"--{job}", default=sizes, help="numbers of posts, with commas between")
    chosen = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    print("| job | posts | work | CPU s | CPU s per million posts | MB left for the next | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for what in ("score", "rest", "group"):
        for posts in map(int, filter(None, getattr(chosen, what).split(","))):
            with spawn.Pool(1) as pool:
                rows = pool.apply(measure, (chosen.posts, what, posts))
            for work, seconds, size in rows:
                whole = work.startswith("whole")
                between, peak = ("", f"{size / 1e6:,.0f}") if whole else (f"{size / 1e6:,.1f}", "")
                million = f"{seconds / posts * 1e6:,.0f}"
                print(f"| {what} | {posts:,} | {work} | {seconds:,.1f} | {million} | {between} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
