"""How time and memory of the grouping grow with the archive, and with one campaign in it; other tools beside it.

    python benchmarks/copypasta/speed.py POSTS [--sizes 10000 100000 1000000] [--campaigns 100 10000 100000]
        [--semantic 10000 100000] [--peers [NAME ...]] [--limit 3600]

POSTS is a Parquet file with the column text, of whose clauses archives are made (crowd.py), 40 % of the posts in
groups. A campaign is so many copies of one post beside 200,000 other posts, which stay the same; once the copies are
all the same, once each has a random token behind it. Each run is a process of its own. CPU seconds count, as other jobs
on the machine change the wall time; memory is the peak beyond what was in use before, the posts themselves.

With --semantic, posts are given with vectors, so that the cost of the semantic and translation stages shows without
that of the embedding: noise around one vector for each group, and a vector of its own for each post without one. What
the embedding costs is printed apart, as posts per CPU second on 500 posts.

With --peers, tools of peers.py group the archive of --peer-size posts, with the threshold that has the best F1 on
another archive of --choose posts. F1 is of pairs. What is not installed, takes too long or wants too much memory is
said in a line. A tool on RETSim embeds the posts first, which counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crowd import clauses, make_crowd
from limits import NotDoneError, run_within
from peers import Peer, lexical_peers, retsim, vector_peers
from variants import trailing_token

CAMPAIGN_WITHIN = 200_000
EMBEDDED = 500
"""Posts to time the embedding on."""
DIMENSION = 256
"""Of the vectors of --semantic, as those of the built-in artefact."""
NOISE = 0.3
"""Length of the noise beside a group's vector of length 1: two members have a cosine of 0.92."""
PEERS = (*lexical_peers(), *vector_peers("RETSim", np.zeros((0, 1), dtype=np.float32)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--campaigns", type=int, nargs="*", default=[100, 10_000, 100_000])
    parser.add_argument("--within", type=int, default=CAMPAIGN_WITHIN, help="other posts than the campaign's")
    parser.add_argument("--semantic", type=int, nargs="*", default=[], help="sizes to group with vectors")
    parser.add_argument("--peers", nargs="*", metavar="NAME", choices=PEERS, help="all of them if none is named")
    parser.add_argument("--peer-size", type=int, default=100_000, help="posts that peers group (default 100000)")
    parser.add_argument("--choose", type=int, default=5000, help="posts to choose a peer's threshold on (default 5000)")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for each run (default 3600)")
    parser.add_argument("--memory", type=float, default=12, help="GB that a peer may use (default 12)")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # how this file calls itself: one run; prints JSON
    given = parser.parse_args()
    if given.one:
        asked = json.loads(given.one)
        runs: dict[str, Callable[..., dict[str, float]]] = {"ours": run, "embed": embed, "choose": choose, "peer": peer}
        print(json.dumps(runs[asked.pop("run")](given.posts, **asked)))
        return
    if given.sizes:
        show_growth(given)
    if given.campaigns:
        show_campaigns(given)
    if given.semantic:
        show_semantic(given)
    if given.peers is not None:
        show_peers(given)


def show_growth(given: argparse.Namespace) -> None:
    head("posts")
    before = None
    for size in given.sizes:
        if found := start(given, f"{size:,}", run="ours", size=size):
            growth = (
                "" if before is None else f"n^{math.log(found['cpu'] / before[1]) / math.log(size / before[0]):.2f}"
            )
            show(f"{size:,}", found, growth)
            before = (size, found["cpu"])


def show_campaigns(given: argparse.Namespace) -> None:
    for token in (False, True):
        head(f"{given.within:,} posts and copies" + (", each with a token" if token else ""))
        smallest = None
        for copies in given.campaigns:
            if found := start(given, f"{copies:,}", run="ours", size=given.within, copies=copies, token=token):
                smallest = smallest or found["cpu"]
                show(f"{copies:,}", found, f"{found['cpu'] / smallest:.2f} x the smallest campaign")


def show_semantic(given: argparse.Namespace) -> None:
    head("posts, with and without vectors")
    for size in given.semantic:
        without = start(given, f"{size:,} without", run="ours", size=size)
        if without:
            show(f"{size:,} without", without, "")
        with_vectors = start(given, f"{size:,} with", run="ours", size=size, vectors=True)
        if with_vectors:
            beyond = "" if not without else f"{with_vectors['cpu'] - without['cpu']:.1f} s for the semantic stages"
            show(f"{size:,} with", with_vectors, beyond)
    if found := start(given, "embedding", run="embed"):
        print(f"embedding: {found['rate']:.1f} posts per CPU second, so {1e5 / found['rate']:,.0f} CPU s for 100,000 "
              f"({found['what']}, one thread, {EMBEDDED} posts)")  # fmt: skip


def show_peers(given: argparse.Namespace) -> None:
    head(f"{given.peer_size:,} posts")
    if ours := start(given, "narratrace", run="ours", size=given.peer_size):
        show("narratrace", ours, "")
    for name in given.peers or PEERS:
        chosen = start(given, name, run="choose", name=name, size=given.choose)
        if chosen:
            at = f"at {chosen['threshold']:.2f}"
            found = start(given, name, run="peer", name=name, size=given.peer_size, threshold=chosen["threshold"])
            if found:
                show(name, found, at + (f", {found['cpu'] / ours['cpu']:.1f} x ours" if ours else ""))


def start(given: argparse.Namespace, title: str, **asked: object) -> dict[str, float] | None:
    """Have this file do one run in a process of its own; what is not done is said in a line."""
    command = [sys.executable, __file__, str(given.posts), "--one", json.dumps(asked)]
    try:
        printed = run_within(command, given.limit, given.memory if "name" in asked else None)
    except NotDoneError as reason:
        print(f"{title:44} {reason}", flush=True)
        return None
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


def head(title: str) -> None:
    print(f"\n{title:44}{'CPU s':>9}{'wall s':>9}{'GB':>7}{'groups':>9}{'P':>8}{'R':>8}{'F1':>8}", flush=True)


def show(title: str, found: dict[str, float], note: str) -> None:
    print(
        f"{title:44}{found['cpu']:9.1f}{found['wall']:9.1f}{found['gb']:7.2f}{found['groups']:9,}"
        f"{found['precision']:8.4f}{found['recall']:8.4f}{found['f1']:8.4f}  {note}",
        flush=True,
    )


def run(posts: Path, size: int, copies: int = 0, token: bool = False, vectors: bool = False) -> dict[str, float]:
    """Make an archive and group it."""
    from narratrace import CopypastaGrouper

    texts, groups = archive(posts, size, copies, token)
    given = around(np.array(groups)) if vectors else None
    table, truth = pa.table({"text": texts}), np.array(groups)
    del texts, groups
    CopypastaGrouper().fit(["香港"])  # reads the dictionaries
    return timed(truth, lambda: CopypastaGrouper().fit(table, given).labels_)


def embed(posts: Path) -> dict[str, float]:
    """Time the embedding."""
    from narratrace import Classifier

    texts = pq.read_table(posts, columns=["text"])["text"].to_pylist()
    texts = random.Random(0).sample(texts, EMBEDDED)
    classifier = Classifier.load(threads=1)
    classifier.embed(texts[:8])
    cpu = time.process_time()
    classifier.embed(texts)
    return {"rate": EMBEDDED / (time.process_time() - cpu), "what": classifier.artefact.id}


def choose(posts: Path, name: str, size: int) -> dict[str, float]:
    """Choose a peer's threshold on an archive that is not the one it is timed on."""
    texts, groups = archive(posts, size, seed=1)
    tool, truth = peer_of(name, texts), np.array(groups)
    return {"threshold": max(tool.thresholds, key=lambda each: compare(truth, tool.group(texts, each))["f1"])}


def peer(posts: Path, name: str, size: int, threshold: float) -> dict[str, float]:
    """Make an archive and have a peer group it."""
    texts, groups = archive(posts, size)
    return timed(np.array(groups), lambda: peer_of(name, texts).group(texts, threshold))


def peer_of(name: str, texts: list[str]) -> Peer:
    lexical = lexical_peers()
    return lexical[name] if name in lexical else vector_peers("RETSim", retsim(texts))[name]


def archive(posts: Path, size: int, copies: int = 0, token: bool = False, seed: int = 0) -> tuple[list[str], list[int]]:
    """Make posts, and the group of each (-1 for none), with a campaign among them."""
    pool = clauses(pq.read_table(posts, columns=["text"])["text"].to_pylist())
    texts, groups = make_crowd(pool, size, seed)
    chance, message = random.Random(seed), "".join(pool[:5])
    texts += [trailing_token(message, chance) if token else message for _ in range(copies)]
    groups += [size] * copies
    order = list(range(len(texts)))
    if copies:
        chance.shuffle(order)
    return [texts[at] for at in order], [groups[at] for at in order]


def around(truth: np.ndarray) -> np.ndarray:
    """Make vectors of unit length: alike within a group, strangers elsewhere."""
    chance = np.random.default_rng(0)
    own = np.where(truth >= 0, truth, truth.max() + 1 + np.arange(len(truth)))
    place = np.unique(own, return_inverse=True)[1]
    vectors = chance.standard_normal((place.max() + 1, DIMENSION), dtype=np.float32)[place]
    vectors += NOISE * chance.standard_normal(vectors.shape, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def timed(truth: np.ndarray, group: Callable[[], np.ndarray]) -> dict[str, float]:
    used = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    cpu, wall = cpu_seconds(), time.perf_counter()
    labels = group()
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "gb": (resident("VmHWM") - used) / 1e9} | compare(truth, labels)


def compare(truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of pairs; a post without a group is in no true pair."""
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    both = (truth >= 0) & (labels >= 0)
    right = pairs(truth[both] * 10**7 + labels[both])
    precision = right / max(pairs(labels[labels >= 0]), 1)
    recall = right / max(pairs(truth[truth >= 0]), 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"groups": int((sizes > 1).sum()), "precision": precision, "recall": recall, "f1": f1}


def pairs(labels: np.ndarray) -> int:
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def resident(what: str) -> int:
    """Bytes in use now (VmRSS) or at the peak (VmHWM), as Linux tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) * 1024


if __name__ == "__main__":
    main()
