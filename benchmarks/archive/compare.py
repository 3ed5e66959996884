"""Compare `narratrace score` with what a user would otherwise write, file to file, in one run.

Usage: python benchmarks/archive/compare.py POSTS [--posts 1000] [--distinct] [--only NAME ...] [--sample 2000]

POSTS is what `narratrace score` reads (20,000 distinct posts, or an archive that repeats itself). All have the same
encoder and heads, read the same Parquet file and write a file of scores:

- pipeline: `transformers.pipeline("text-classification", top_k=None)` over `datasets`, batches of 32, full precision
- onnx: the same graph in full precision, in unsorted batches of 32 that are padded to the longest
- loop: `Classifier.predict`, one post after another, int8
- narratrace: `narratrace score`, int8
- limit: the int8 graphs alone, on the distinct texts, tokenised and packed beforehand, a batch on each core

Each runs in a process of its own. CPU seconds are those of the process and its threads: on a machine that does other
work they are the fairer figure. On a long archive the first three, which cost the same for every row, may read a random
sample: what it took beyond a run of one batch, which is loading, is multiplied.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from narratrace.inference.archives.archive import Archive
from narratrace.inference.archives.keys import scored_form
from narratrace.model.artefact import ENCODER, TOKENIZER, Artefact, onnx_paths

BATCH = 32


def pipeline(source: Path, out: Path) -> None:
    import torch
    from datasets import disable_progress_bars, load_dataset
    from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
    from transformers import pipeline as make_pipeline
    from transformers.modeling_outputs import SequenceClassifierOutput
    from transformers.pipelines.pt_utils import KeyDataset
    from transformers.utils.logging import set_verbosity_error

    from narratrace.model.network import load_network

    set_verbosity_error()
    disable_progress_bars()
    artefact = Artefact.open()

    class Whole(PreTrainedModel):
        """The artefact's encoder with both heads as one classification model."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.network = load_network(artefact.path)

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> SequenceClassifierOutput:
            output = self.network(input_ids, attention_mask)
            return SequenceClassifierOutput(logits=torch.cat([output.narratives, output.stances], dim=1))

    names = [*artefact.manifest.narratives, *artefact.manifest.stances]
    config = AutoConfig.from_pretrained(artefact.path / ENCODER, id2label=dict(enumerate(names)))
    classify = make_pipeline(
        "text-classification",
        model=Whole(config).eval(),
        tokenizer=AutoTokenizer.from_pretrained(artefact.path / ENCODER),
        top_k=None,
        function_to_apply="sigmoid",
        batch_size=BATCH,
        truncation=True,
        max_length=artefact.manifest.max_tokens,
    )
    posts = load_dataset("parquet", data_files=str(source), split="train", cache_dir=str(out.parent / "cache"))
    with out.open("w") as file:
        for row in classify(KeyDataset(posts, "text")):
            file.write(json.dumps(row) + "\n")


def onnx(source: Path, out: Path) -> None:
    from tokenizers import Tokenizer

    from narratrace.model.backends.onnx_backend import OnnxBackend

    artefact = Artefact.open()
    tokenizer = Tokenizer.from_file(str(artefact.file(TOKENIZER)))
    tokenizer.enable_truncation(artefact.manifest.max_tokens)
    tokenizer.enable_padding(pad_id=1)
    backend = OnnxBackend(onnx_paths(Path(os.environ["FULL_PRECISION_GRAPHS"]), "onnx"))
    posts = pq.read_table(source)["text"].to_pylist()
    with out.open("w") as file:
        for start in range(0, len(posts), BATCH):
            encoded = tokenizer.encode_batch(posts[start : start + BATCH])
            ids = np.array([one.ids for one in encoded], dtype=np.int64)
            mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
            for row in zip(*backend.run(ids, mask), strict=True):
                file.write(json.dumps([part.tolist() for part in row]) + "\n")


def loop(source: Path, out: Path) -> None:
    from narratrace import Classifier

    classifier = Classifier.load(backend="onnx-int8")
    with out.open("w") as file:
        for post in pq.read_table(source)["text"].to_pylist():
            prediction = classifier.predict(post)
            file.write(json.dumps([prediction.labels, prediction.scores]) + "\n")


def narratrace(source: Path, out: Path) -> None:
    from narratrace.inference.classifier import Classifier
    from narratrace.inference.scoring import ScoringSettings, score_archive

    classifier = Classifier.load(backend="onnx-int8", threads=1)
    score_archive([source], out, classifier, ScoringSettings(format="jsonl"))


def limit(source: Path, out: Path) -> None:
    from narratrace.inference.classifier import BATCH_TOKENS
    from narratrace.model.backends import open_backend
    from narratrace.model.tokenizer import PostTokenizer, pad

    artefact = Artefact.open()
    posts = pq.read_table(source)["text"].to_pylist()
    distinct = list(dict.fromkeys(scored_form(post, "normalised") for post in posts))
    ids = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)(distinct).ids
    batches: list[list[list[int]]] = [[]]
    for one in sorted(ids, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(one) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(one)
    padded = [pad(batch, 1) for batch in batches]
    backend = open_backend(artefact, "onnx-int8", threads=1)
    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda feed: backend.run(*feed), padded):
            pass
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}))


RUNS = {run.__name__: run for run in (pipeline, onnx, loop, narratrace, limit)}
ROW_BY_ROW = {"pipeline", "onnx", "loop"}


def measure(name: str, source: Path, folder: Path) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, __file__, "--run", name, str(source), str(folder / name)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = {"seconds": time.perf_counter() - start}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found | (json.loads(done.stdout) if name == "limit" else {})


def measure_sample(name: str, texts: list[str], sample: int, folder: Path) -> dict[str, float]:
    """What all texts would take, from a sample of them."""
    drawn = random.Random(0).sample(texts, sample)
    found = []
    for part in (drawn[:BATCH], drawn):
        pq.write_table(pa.table({"text": part}), folder / "sample.parquet")
        found.append(measure(name, folder / "sample.parquet", folder))
    loading, whole = found
    return {unit: loading[unit] + (whole[unit] - loading[unit]) * len(texts) / sample for unit in whole}


def texts_of(inputs: list[str], limit: int, distinct: bool) -> list[str]:
    texts = (text for batch in Archive.open(inputs).read(1024) for text in batch.posts["text"].to_pylist())
    if not distinct:
        return list(islice(texts, limit))
    first = {scored_form(text, "normalised"): text for text in texts}
    return random.Random(0).sample(list(first.values()), min(limit, len(first)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="POSTS")
    parser.add_argument("--posts", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--distinct", action="store_true", help="so many distinct posts")
    parser.add_argument("--sample", type=int, help=f"rows of which {', '.join(sorted(ROW_BY_ROW))} are timed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = texts_of(given.inputs, given.posts, given.distinct)
        pq.write_table(pa.table({"text": texts}), folder / "posts.parquet")
        if "onnx" in given.only:
            from narratrace.model.export import export_onnx
            from narratrace.model.network import load_network

            graphs = folder / "graphs"
            os.environ["FULL_PRECISION_GRAPHS"] = str(graphs)
            export_onnx(load_network(Artefact.open().path), onnx_paths(graphs, "onnx"))
        found = {
            run: measure_sample(run, texts, given.sample, folder)
            if given.sample and run in ROW_BY_ROW
            else measure(run, folder / "posts.parquet", folder)
            for run in given.only
        }
    print(f"{len(texts):,} posts, {len(set(texts)):,} distinct, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("              seconds   CPU s   posts per CPU s   narratrace is faster (seconds, CPU)")
    ours = found.get("narratrace")
    for run, one in found.items():
        ratios = f"{one['seconds'] / ours['seconds']:10.2f}{one['cpu'] / ours['cpu']:10.2f}" if ours else ""
        print(f"{run:<12}{one['seconds']:10.1f}{one['cpu']:8.1f}{len(texts) / one['cpu']:18.1f}{ratios}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        RUNS[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
