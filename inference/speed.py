"""Speed: how fast an artefact's backends are on this machine, with some posts."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from narratrace.inference.archives.distinct import score_texts
from narratrace.inference.classifier import Classifier
from narratrace.model.artefact import TOKENIZER, Artefact
from narratrace.model.tokenizer import PostTokenizer


class Throughput(NamedTuple):
    """How fast many posts are scored, as ``narratrace score`` does it: several batches at once, one thread each."""

    seconds: tuple[float, ...]
    """Each round over all posts."""
    load_seconds: float
    """Loading the artefact."""
    peak_bytes: int | None
    """Most memory that the process had; None where the system does not tell."""


class Speed(NamedTuple):
    """What was measured of a backend."""

    backend: str
    posts_per_second: tuple[float, float, float]
    """Lower quartile, median and upper quartile of the rounds."""
    tokens_per_second: float
    """At the median."""
    latency: tuple[float, float, float]
    """Seconds of a call with one post: 50th, 95th and 99th percentile."""
    load_seconds: float
    peak_bytes: int | None


def measure(artefact: Path, backend: str, posts: Sequence[str], *, rounds: int, threads: int) -> Speed:
    """Measure a backend, in fresh processes so that others' memory does not count.

    Parameters
    ----------
    artefact
        The artefact folder.
    backend
        One that it has the files for.
    posts
        Distinct posts.
    rounds
        How often all posts are scored, after once to warm up.
    threads
        CPU threads.
    """
    opened = Artefact.open(artefact)
    tokenised = PostTokenizer(opened.file(TOKENIZER), opened.manifest.max_tokens)(posts)
    tokens = sum(map(len, tokenised.ids))
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context) as process:
        many = process.submit(score_many, artefact, backend, posts, rounds, threads).result()
    with ProcessPoolExecutor(1, context) as process:
        single = process.submit(score_single, artefact, backend, posts, threads).result()
    slow, median, fast = np.quantile(many.seconds, [0.75, 0.5, 0.25]).tolist()
    return Speed(
        backend,
        (len(posts) / slow, len(posts) / median, len(posts) / fast),
        tokens / median,
        tuple(np.quantile(single, [0.5, 0.95, 0.99]).tolist()),
        many.load_seconds,
        many.peak_bytes,
    )


def score_many(artefact: Path, backend: str, posts: Sequence[str], rounds: int, threads: int) -> Throughput:
    """Score all posts `rounds` times in this process."""
    start = time.perf_counter()
    classifier = Classifier.load(artefact, backend=backend, threads=1)
    load_seconds = time.perf_counter() - start
    numbers = pa.array(range(len(posts)), pa.uint64())
    texts = pa.table({"key_high": numbers, "key_low": numbers, "text": pa.array(posts, pa.string())})
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        score_texts(texts, classifier, threads)
        seconds.append(time.perf_counter() - start)
    return Throughput(tuple(seconds[1:]), load_seconds, peak_memory())


def score_single(artefact: Path, backend: str, posts: Sequence[str], threads: int) -> list[float]:
    """Seconds that each post takes by itself in this process, after some to warm up."""
    classifier = Classifier.load(artefact, backend=backend, threads=threads)
    seconds = []
    for post in (*posts[:10], *posts):
        start = time.perf_counter()
        classifier.predict(post)
        seconds.append(time.perf_counter() - start)
    return seconds[min(10, len(posts)) :]


def peak_memory() -> int | None:
    """Most bytes that this process has held so far; None on a system that does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
