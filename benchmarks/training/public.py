"""How well narratrace's training does on public sets, beside published figures: is the pipeline as good as the field's?

    python benchmarks/training/public.py ../shared/data/benchmarks --base runs/base

Each set with its own splits: learnt from its training split, weights of encoder and wide part fitted on its dev split,
measured once on its test split. Nothing is chosen by a test split. Sets are the Parquet files of the folder, with the
columns text, label, split and, for stance, target.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from narratrace.model.network import load_encoder, lower_layers
from narratrace.model.scores import Logits
from narratrace.model.settings import check_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.calibration import fit_calibration
from narratrace.training.frozen import LowerStates, compute_states
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix
from narratrace.training.precision import on_cpu
from narratrace.training.settings import TrainingSettings
from narratrace.training.trainer import fine_tune, infer
from narratrace.training.wide import fit_wide

Truth = NDArray[np.int64]
Metric = Callable[[Truth, Truth, Sequence[str]], float]


def macro_f1(truth: Truth, told: Truth, classes: Sequence[str]) -> float:
    """Mean of the classes' F1."""
    return float(f1_score(truth, told, average="macro"))


def stance_f1(truth: Truth, told: Truth, classes: Sequence[str]) -> float:
    """TweetEval's: mean F1 of the classes favor and against, posts of all targets together."""
    counted = [classes.index("favor"), classes.index("against")]
    return float(f1_score(truth, told, labels=counted, average="macro", zero_division=0.0))


@dataclass(frozen=True)
class Task:
    """A public set and what others reached on it."""

    file: str
    dev: str
    metric: Metric
    published: dict[str, float]


TWEETEVAL = ("SVM", "FastText", "RoBERTa-base", "BERTweet")
TASKS = {
    "emotion": Task(
        "tweeteval_emotion.parquet", "val", macro_f1, dict(zip(TWEETEVAL, (0.647, 0.652, 0.761, 0.793), strict=True))
    ),
    "stance": Task(
        "tweeteval_stance.parquet", "val", stance_f1, dict(zip(TWEETEVAL, (0.673, 0.654, 0.68, 0.712), strict=True))
    ),
    "checked": Task("checked_weibo_covid.parquet", "dev", macro_f1, {"FastText": 0.839, "TextCNN": 0.938}),
    "hate": Task(
        "tweeteval_hate.parquet", "val", macro_f1, dict(zip(TWEETEVAL, (0.367, 0.506, 0.466, 0.564), strict=True))
    ),
    "cold": Task("cold_offensive_zh.parquet", "dev", macro_f1, {}),
}


def settings_for(base: Path, epochs: int, frozen: int, rate: float, seed: int) -> TrainingSettings:
    nothing = {"strip_punctuation": 0, "strip_digits": 0, "lower_case": 0}
    fields = {
        "taxonomy": "-",
        "base": str(base),
        "max_tokens": 96,
        "seed": seed,
        "threads": 1,
        "data": {"description": "a public set", "train": ["-"], "languages": ["en"]},
        "augmentation": nothing,
        "optimiser": {
            "epochs": epochs,
            "batch_size": 32,
            "learning_rate": rate,
            "head_learning_rate": 1e-3,
            "layer_decay": 0.9,
            "train_embeddings": False,
            "frozen_layers": frozen,
            "variants": 1,
            "warmup": 0.1,
            "weight_decay": 0.01,
            "average": 0.98,
        },
        "loss": {
            "stance": 0,
            "positive_weight_power": 0.25,
            "positive_weight_limit": 5,
            "dropout": 0.1,
            "hidden_dropout": 0.1,
        },
        "wide": {"min_posts": 2, "inverse_penalty": 10},
        "thresholds": {"folds": 2, "smoothing": 0, "false_flags": {}},
        "full_precision": False,
    }
    return check_settings(TrainingSettings, fields, "benchmark")


def taxonomy_of(classes: Sequence[str]) -> Taxonomy:
    """Classes of a set in the place of narratives."""
    narratives = [
        {"id": name, "title": name, "definition": name, "include": [name], "exclude": ["-"], "examples": {"en": [name]}}
        for name in classes
    ]
    about = {"id": "public", "version": "1", "title": "public", "description": "public", "source": "public"}
    return Taxonomy.model_validate(about | {"languages": ["en"], "narratives": narratives})


def run(task: Task, folder: Path, base: Path, epochs: int, frozen: int, rate: float, seed: int) -> dict[str, float]:
    rows = pyarrow.parquet.read_table(folder / task.file).to_pylist()
    classes = sorted({_name(row["label"]) for row in rows})
    taxonomy = taxonomy_of(classes)
    settings = settings_for(base, epochs, frozen, rate, seed)
    parts: dict[str, list[LabelledPost]] = {"train": [], task.dev: [], "test": []}
    targets: dict[str, list[str]] = {name: [] for name in parts}
    for row in rows:
        if row["split"] in parts:
            target = row.get("target") or ""
            text = row["text"] or ""  # TweetEval's hate set has posts without a text; they are predicted like others
            text = f"{target}: {text}" if target else text
            parts[row["split"]].append(LabelledPost(text, "en", None, (_name(row["label"]),), ()))
            targets[row["split"]].append(target)

    learnt = parts["train"]
    tokenizer = PostTokenizer(base / "tokenizer.json", settings.max_tokens)
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as scratch:
        lower = Path(scratch)
        texts = [normalise(post.text).text for post in learnt]
        compute_states(lower_layers(load_encoder(base), frozen), tokenizer, [texts], lower)
        states = (LowerStates(lower), range(len(learnt)))
        network = fine_tune(learnt, taxonomy, settings, lower / "log", states=states)

    def deep(posts: Sequence[LabelledPost]) -> Logits:
        with on_cpu():
            return infer(network, tokenizer, [normalise(post.text).text for post in posts])

    def wide(name: str) -> Logits:
        """One wide part for each target: its n-grams cannot see which target a post is about."""
        posts, found = parts[name], np.zeros((len(parts[name]), len(classes)), dtype=np.float32)
        for target in set(targets[name]):
            own = [post for post, other in zip(learnt, targets["train"], strict=True) if other == target]
            at = [row for row, other in enumerate(targets[name]) if other == target]
            fitted = fit_wide(own, taxonomy, settings.wide)
            found[at] = fitted.run([normalise(posts[row].text).text for row in at]).narratives
        return Logits(found, np.zeros((len(posts), 4), dtype=np.float32))

    logits = {name: (deep(parts[name]), wide(name)) for name in (task.dev, "test")}
    labels = {name: label_matrix(parts[name], taxonomy) for name in logits}
    calibration = fit_calibration(*logits[task.dev], labels[task.dev], known_matrix(parts[task.dev], taxonomy))

    truth = {name: label.argmax(axis=1) for name, label in labels.items()}

    def together(name: str) -> Truth:
        of_deep, of_wide = (part.narratives for part in logits[name])
        scores = [
            one.deep * of_deep[:, column] + one.wide * of_wide[:, column] + one.intercept
            for column, one in enumerate(calibration)
        ]
        return np.argmax(scores, axis=0)

    def measure(name: str, told: Truth) -> float:
        return task.metric(truth[name], told, classes)

    return {
        "dev": measure(task.dev, together(task.dev)),
        "test": measure("test", together("test")),
        "deep alone": measure("test", logits["test"][0].narratives.argmax(axis=1)),
        "wide alone": measure("test", logits["test"][1].narratives.argmax(axis=1)),
    }


def _name(label: str) -> str:
    name = label.lower().replace("-", "_")
    return name if name[0].isalpha() else f"class_{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the sets")
    parser.add_argument("--base", type=Path, default=Path("runs/base"), help="folder of narratrace base build")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["emotion", "stance", "checked", "hate"])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--frozen", type=int, default=8, help="layers that do not learn")
    parser.add_argument("--rate", type=float, default=2e-4, help="peak learning rate of the last layer")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.tasks:
        start = time.process_time()
        task = TASKS[name]
        found = run(
            task,
            arguments.folder,
            arguments.base,
            arguments.epochs,
            arguments.frozen,
            arguments.rate,
            arguments.seed,
        )
        published = ", ".join(f"{system} {figure:.3f}" for system, figure in task.published.items())
        ours = ", ".join(f"{part} {figure:.3f}" for part, figure in found.items())
        print(f"{name}: {ours}; published: {published or '-'}; {time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
