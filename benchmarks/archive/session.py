"""Print what settings of the ONNX Runtime session cost in CPU time and memory, on packed batches of real lengths.

Usage: python benchmarks/archive/session.py POSTS [--posts 300] [--rounds 3]

POSTS is what `narratrace score` reads. Each setting runs in a process of its own, in turns, on one thread; CPU time
counts that process alone, so that what else runs on the machine matters little. The last rows give more or fewer
tokens at once.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import onnxruntime

from narratrace.inference.archives.archive import Archive
from narratrace.inference.speed import peak_memory
from narratrace.model.artefact import LABELS, LOWER, TOKENIZER, Artefact, onnx_paths
from narratrace.model.tokenizer import PostTokenizer, pad

SETTINGS = [
    {"arena": arena, "pattern": pattern, "tokens": 512} for arena, pattern in itertools.product((True, False), repeat=2)
] + [{"arena": True, "pattern": True, "tokens": tokens} for tokens in (128, 256, 1024, 2048)]


def run(ids: list[list[int]], arena: bool, pattern: bool, tokens: int) -> tuple[float, int]:
    """CPU seconds of all posts after a warm-up, and the most memory of the process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = pattern
    paths = onnx_paths(Artefact.open().path, "onnx-int8")
    lower, labels = (
        onnxruntime.InferenceSession(paths[graph], options, providers=["CPUExecutionProvider"])
        for graph in (LOWER, LABELS)
    )
    batches: list[list[list[int]]] = [[]]
    for one in sorted(ids, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(one) > tokens:
            batches.append([])
        batches[-1].append(one)
    for _ in range(2):
        start = time.process_time()
        for batch in batches:
            input_ids, attention_mask = pad(batch, 1)
            [states] = lower.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})
            labels.run(None, {"states": states, "attention_mask": attention_mask})
        seconds = time.process_time() - start
    return seconds, peak_memory() or 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="POSTS")
    parser.add_argument("--posts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    texts = [
        text for batch in Archive.open(given.inputs).read(1024, given.posts) for text in batch.posts["text"].to_pylist()
    ]
    artefact = Artefact.open()
    ids = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)(texts).ids
    found: list[list[tuple[float, int]]] = [[] for _ in SETTINGS]
    for _ in range(given.rounds):
        for settings, measured in zip(SETTINGS, found, strict=True):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                measured.append(process.submit(run, ids, **settings).result())
    print(f"{len(texts)} posts, {sum(map(len, ids))} tokens, {len(ids)} windows; medians of {given.rounds} rounds")
    print("arena  pattern  tokens at once  CPU ms/post  peak MB")
    for settings, measured in zip(SETTINGS, found, strict=True):
        seconds = statistics.median(one for one, _ in measured)
        peak = np.median([two for _, two in measured])
        switches = "".join(("on" if settings[name] else "off").ljust(8) for name in ("arena", "pattern"))
        print(f"{switches}{settings['tokens']:>14}{1000 * seconds / len(texts):13.2f}{peak / 2**20:9.0f}")


if __name__ == "__main__":
    main()
