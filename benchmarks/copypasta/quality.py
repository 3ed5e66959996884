"""How well copies, edits, rewritten and translated posts are found, beside other tools on the same texts.

    python benchmarks/copypasta/quality.py FAMILIES BACKGROUND [--semantic] [--artefact FOLDER] [--peers all]

FAMILIES is a JSONL file with family, kind and text; every seed gets the mechanical variants of variants.py that differ
from it. BACKGROUND is a Parquet file with the column text. Half of the families and as many posts of the background
choose the threshold of every peer, the other half is reported; narratrace runs with its default settings. Columns P, R,
F1, B3 (B-cubed F1) and ARI are on the kinds that the stages exact to fuzzy are for, with distractors and background; in
rows "with written" on the registers, paraphrases and translations too. The others are the share of the posts of a kind
that are in the group of their seed, and of the distractors that are in a group with a post of their family.

Each peer runs in a process of its own; what is not installed or takes too long is said in a line.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from families import LEXICAL, WRITTEN, Collection, load_halves
from limits import NotDoneError, run_within
from measures import Quality, measure
from peers import SLOW_PEERS, e5, lexical_peers, retsim, vector_peers
from variants import KINDS

from narratrace import Classifier, CopypastaGrouper
from narratrace.model.errors import NarratraceError

PEERS = ("none", "lexical", "slow", "retsim", "artefact", "e5", "all")
EMBEDDINGS = {"retsim": "RETSim", "artefact": "our embedding", "e5": "e5"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--posts", type=int, default=3000, help="posts of the background in each half (default 3000)")
    parser.add_argument("--semantic", action="store_true", help="embed posts for the semantic and translation stages")
    parser.add_argument("--artefact", type=Path, help="artefact that embeds; the built-in one if not given")
    parser.add_argument("--base", type=Path, help="folder of 'narratrace base build': the e5 encoder, for --peers e5")
    parser.add_argument(
        "--peers", nargs="*", default=["lexical"], choices=PEERS, help="sets of peers (default lexical)"
    )
    parser.add_argument("--limit", type=float, default=1800, help="seconds for each peer (default 1800)")
    # How this file calls itself: embed all texts into a file, or show one peer, of the vectors in a file.
    parser.add_argument("--embed", choices=EMBEDDINGS, help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--vectors", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if "e5" in given.peers and not given.base:
        parser.error("--peers e5 needs --base")
    chosen, reported = load_halves(given.families, given.background, given.posts)
    if given.embed:
        np.save(given.vectors, embedder(given.embed, given)([*chosen.texts, *reported.texts]))
    elif given.one:
        show_peer(given, chosen, reported)
    else:
        show_all(given, chosen, reported)


def show_all(given: argparse.Namespace, chosen: Collection, reported: Collection) -> None:
    print(f"{len(chosen.texts)} posts to choose thresholds, {len(reported.texts)} to report\n", flush=True)
    head(reported)
    embed = Classifier.load(given.artefact).embed if given.semantic else None
    start = cpu_seconds()
    labels = CopypastaGrouper(embed=embed).fit(reported.texts).labels_
    seconds = cpu_seconds() - start
    for note, kinds in measured(given.semantic):
        row("narratrace" + (" --semantic" if given.semantic else "") + note, None, measure(reported, labels, kinds),
            seconds)  # fmt: skip
    sets = [each for each in PEERS[1:-1] if each in given.peers or "all" in given.peers]
    if "e5" in sets and not given.base:
        print(f"{'peers on e5':44} left out: they need --base")
        sets.remove("e5")
    for name in [*(lexical_peers() if "lexical" in sets else ()), *(SLOW_PEERS if "slow" in sets else ())]:
        call(given, name, "--one", name)
    with tempfile.TemporaryDirectory() as folder:
        for name, title in ((name, EMBEDDINGS[name]) for name in sets if name in EMBEDDINGS):
            vectors = ("--vectors", f"{folder}/{name}.npy")
            if call(given, f"peers on {title}", "--embed", name, *vectors):
                for peer in vector_peers(title, np.zeros((0, 1), dtype=np.float32)):
                    call(given, peer, "--one", peer, *vectors)


def call(given: argparse.Namespace, name: str, *options: str) -> bool:
    """Have this file do a part in a process of its own; tell whether it was done."""
    command = [sys.executable, __file__, str(given.families), str(given.background), "--posts", str(given.posts)]
    command += ["--semantic"] if given.semantic else []
    command += ["--artefact", str(given.artefact)] if given.artefact else []
    command += ["--base", str(given.base)] if given.base else []
    try:
        print(run_within([*command, *options], given.limit), end="", flush=True)
    except NotDoneError as reason:
        print(f"{name:44} {reason}", flush=True)
        return False
    return True


def show_peer(given: argparse.Namespace, chosen: Collection, reported: Collection) -> None:
    """Choose a peer's threshold by its F1 on one half, and print what it does on the other."""
    peers = (lexical_peers() | SLOW_PEERS, lexical_peers() | SLOW_PEERS)
    if given.vectors:
        halves = np.split(np.load(given.vectors), [len(chosen.texts)])
        title = given.one.partition(" on ")[2]
        peers = (vector_peers(title, halves[0]), vector_peers(title, halves[1]))
    choosing, reporting = (each[given.one] for each in peers)
    labels = {each: choosing.group(chosen.texts, each) for each in choosing.thresholds}
    for note, kinds in measured(given.semantic and bool(given.vectors)):
        best = max(labels, key=lambda each: measure(chosen, labels[each], kinds).f1)
        start = cpu_seconds()
        found = reporting.group(reported.texts, best)
        seconds = cpu_seconds() - start
        row(given.one + note, best, measure(reported, found, kinds), seconds)


def embedder(name: str, given: argparse.Namespace) -> Callable[[list[str]], np.ndarray]:
    if name == "artefact":
        return Classifier.load(given.artefact).embed
    return retsim if name == "retsim" else partial(e5, given.base)


def measured(semantic: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Kinds to measure on, and what to call them: what embeddings bring counts only where it is looked for."""
    return [("", LEXICAL), *([(", with written", (*LEXICAL, *WRITTEN))] if semantic else [])]


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def head(reported: Collection) -> None:
    kinds = [kind.replace("_", " ") for kind in (*KINDS, *WRITTEN)]
    print(
        f"{'':44}{'at':>5}{'CPU s':>7}{'P':>7}{'R':>7}{'F1':>7}{'B3':>7}{'ARI':>7}{'distr.':>7}  " + " | ".join(kinds)
    )
    counts = " ".join(f"{int(reported.where([kind]).sum()):4}" for kind in (*KINDS, *WRITTEN))
    print(f"{'posts of a kind':98}  {counts}")


def row(name: str, threshold: float | None, found: Quality, seconds: float) -> None:
    figures = (found.precision, found.recall, found.f1, found.b_cubed, found.rand, found.distractors)
    kinds = " ".join(f"{found.by_kind.get(kind, float('nan')):.2f}" for kind in (*KINDS, *WRITTEN))
    at = "" if threshold is None else f"{threshold:.2f}"
    print(
        f"{name:44}{at:>5}{seconds:7.1f}" + "".join(f"{figure:7.3f}" for figure in figures) + "  " + kinds, flush=True
    )


if __name__ == "__main__":
    try:
        main()
    except NarratraceError as error:
        sys.exit(str(error))
