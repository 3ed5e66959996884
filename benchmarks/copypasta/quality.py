"""How well copies, edits, rewritten and translated posts are found, beside other tools on the same texts.

    python benchmarks/copypasta/quality.py FAMILIES BACKGROUND [--semantic] [--artefact FOLDER] [--peers all]

FAMILIES is a JSONL file with family, kind and text; every seed gets the mechanical variants of variants.py. BACKGROUND
is a Parquet file with the column text. Half of the families and of the background choose the threshold of every peer,
the other half is reported; narratrace runs with its default settings. Columns P, R, F1, B3 (B-cubed F1) and ARI are on
the kinds that the stages exact to fuzzy are for, with distractors and background; the others are the share of the posts
of a kind that are in the group of their seed, and of the distractors that are in a group with their family.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from families import WRITTEN, Collection, load_halves
from measures import Quality, measure
from peers import LEXICAL_PEERS, SLOW_PEERS, Peer, e5, on_folded, retsim, vector_peers
from variants import KINDS

from narratrace import Classifier, CopypastaGrouper
from narratrace.model.errors import NarratraceError

PEERS = ("none", "lexical", "slow", "retsim", "artefact", "e5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--posts", type=int, default=3000, help="posts of the background (default 3000)")
    parser.add_argument("--semantic", action="store_true", help="embed posts for the semantic and translation stages")
    parser.add_argument("--artefact", type=Path, help="artefact that embeds; the built-in one if not given")
    parser.add_argument("--base", type=Path, help="folder of 'narratrace base build': the e5 encoder, for --peers e5")
    parser.add_argument(
        "--peers", nargs="*", default=["lexical"], choices=PEERS, help="sets of peers (default lexical)"
    )
    given = parser.parse_args()
    if "e5" in given.peers and not given.base:
        parser.error("--peers e5 needs --base")
    chosen, reported = load_halves(given.families, given.background, given.posts)
    print(f"{len(chosen.texts)} posts to choose thresholds, {len(reported.texts)} to report\n", flush=True)
    head()
    embed = Classifier.load(given.artefact).embed if given.semantic or "artefact" in given.peers else None
    start = time.process_time()
    labels = CopypastaGrouper(embed=embed if given.semantic else None).fit(reported.texts).labels_
    row("narratrace" + (" --semantic" if given.semantic else ""), None, measure(reported, labels), start)
    if "lexical" in given.peers:
        for name, peer in LEXICAL_PEERS.items():
            compare(name, peer, peer, chosen, reported)
            with_folding = Peer(partial(on_folded, peer.group), peer.thresholds)
            compare(f"{name}, our folding", with_folding, with_folding, chosen, reported)
    if "slow" in given.peers:
        for name, peer in SLOW_PEERS.items():
            compare(name, peer, peer, chosen, reported)
    embeddings = {
        "retsim": ("RETSim", retsim),
        "artefact": ("our embedding", embed),
        "e5": ("e5", partial(e5, given.base)),
    }
    for name, function in (embeddings[peers] for peers in embeddings if peers in given.peers):
        vectors = np.split(np.asarray(function([*chosen.texts, *reported.texts])), [len(chosen.texts)])
        sets = [vector_peers(name, half) for half in vectors]
        for peer in sets[0]:
            compare(peer, sets[0][peer], sets[1][peer], chosen, reported)


def compare(name: str, choosing: Peer, reporting: Peer, chosen: Collection, reported: Collection) -> None:
    """Choose a peer's threshold by its F1 on one half, and print what it does on the other."""
    best = max(choosing.thresholds, key=lambda each: measure(chosen, choosing.group(chosen.texts, each)).f1)
    start = time.process_time()
    row(name, best, measure(reported, reporting.group(reported.texts, best)), start)


def head() -> None:
    kinds = [kind.replace("_", " ") for kind in (*KINDS, *WRITTEN)]
    print(
        f"{'':44}{'at':>5}{'CPU s':>7}{'P':>7}{'R':>7}{'F1':>7}{'B3':>7}{'ARI':>7}{'distr.':>7}  " + " | ".join(kinds)
    )


def row(name: str, threshold: float | None, found: Quality, start: float) -> None:
    seconds = time.process_time() - start
    figures = (found.precision, found.recall, found.f1, found.b_cubed, found.rand, found.distractors)
    kinds = " ".join(f"{found.by_kind[kind]:.2f}" for kind in (*KINDS, *WRITTEN))
    at = "" if threshold is None else f"{threshold:.2f}"
    print(
        f"{name:44}{at:>5}{seconds:7.1f}" + "".join(f"{figure:7.3f}" for figure in figures) + "  " + kinds, flush=True
    )


if __name__ == "__main__":
    try:
        main()
    except NarratraceError as error:
        sys.exit(str(error))
