"""Print how long narratrace takes to start and to answer, beside the session's own call.

Usage: python benchmarks/archive/startup.py [--rounds 5] [--calls 200]

CPU times are printed beside the wall's, as a machine that does other work is slower by the wall only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from narratrace import Classifier
from narratrace.model.artefact import TOKENIZER, Artefact
from narratrace.model.backends import open_backend
from narratrace.model.tokenizer import PostTokenizer, pad

POST = "暴徒都是收了外国势力的钱，支持警察严正执法！"
PREDICT = f"from narratrace import Classifier; Classifier.load(backend='onnx-int8').predict({POST!r})"
STARTS = {"python, nothing imported": "pass", "import narratrace": "import narratrace", "first prediction": PREDICT}


def timed(code: str) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians\n{'':28}seconds   CPU s")
    for what, code in STARTS.items():
        wall, cpu = zip(*(timed(code) for _ in range(given.rounds)), strict=True)
        print(f"{what:<25}{statistics.median(wall):10.3f}{statistics.median(cpu):8.3f}")
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, json, narratrace; print(json.dumps(list(sys.modules)))"],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    heavy = {"torch", "transformers", "onnxruntime", "pyarrow"} & set(json.loads(loaded.stdout))
    print(f"import narratrace loads {', '.join(sorted(heavy)) or 'nothing heavy'}")

    artefact = Artefact.open()
    classifier = Classifier(artefact, "onnx-int8")
    backend = open_backend(artefact, "onnx-int8")
    ids = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)([POST]).ids
    feed = pad(ids, 1)
    calls = {"predict": lambda: classifier.predict(POST), "the session alone": lambda: backend.run(*feed)}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(given.calls):  # in turns, so that both meet the same machine
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name].append(1000 * (time.perf_counter() - start))
    print(f"\none post of {len(ids[0])} tokens, {given.calls} calls   p50 ms   p95 ms   least ms")
    for name, each in found.items():
        p50, p95 = np.quantile(each, [0.5, 0.95])
        print(f"{name:<36}{p50:8.2f}{p95:9.2f}{min(each):11.2f}")
    ratio, least = (of(found["predict"]) / of(found["the session alone"]) for of in (statistics.median, min))
    print(f"predict takes {ratio:.2f} times as long at the median, {least:.2f} times at the least")


if __name__ == "__main__":
    main()
