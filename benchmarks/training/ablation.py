"""What each part of a training is worth, and whether more labelled posts would help.

    python benchmarks/training/ablation.py configs/training/hong_kong_2019.yaml -o runs/ablation
    python benchmarks/training/ablation.py configs/training/hong_kong_2019.yaml -o runs/ablation --quick

Every row is a whole run of `narratrace train` with one thing changed: trainings of all folds, calibration, thresholds,
then the dev sets of the settings. Runs are kept in the output folder; the same command goes on where it was cut off.
--quick freezes three quarters of the encoder and trains for two epochs: good for comparing rows, not for judging any.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from narratrace.model.network import load_encoder
from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.bases import open_base
from narratrace.training.labelled import LabelledPost, tie_groups
from narratrace.training.metrics import SUPPORT
from narratrace.training.run import train
from narratrace.training.run_posts import read_posts
from narratrace.training.settings import TrainingSettings

SHARES = (25, 50, 75)
"""Per cent of the training posts; the row "all" is the last point of the curve."""

NO_AUGMENTATION = [
    f"augmentation.{name}=0"
    for name in ("strip_punctuation", "strip_digits", "lower_case", "add_tags", "drop_tags", "add_emoji", "typos")
]

ABLATIONS: dict[str, list[str]] = {
    "all": [],
    "no augmentation": [*NO_AUGMENTATION, "augmentation.homoglyphs=0"],
    "encoder alone": ["wide.min_posts=1000000000"],
    "no synthetic posts": ["data.synthetic=[]"],
    "no average of weights": ["optimiser.average=0"],
    "one rate for all layers": ["optimiser.layer_decay=1"],
    "no weight on rare narratives": ["loss.positive_weight_power=0"],
    "no dropout": ["loss.dropout=0", "loss.hidden_dropout=0"],
}


def quick(settings: TrainingSettings, out: Path) -> list[str]:
    layers = load_encoder(open_base(settings.base, out)[0]).config.num_hidden_layers
    return [f"optimiser.frozen_layers={layers * 3 // 4}", "optimiser.variants=2", "optimiser.epochs=2"]


def subsets(settings: TrainingSettings, out: Path) -> Iterator[tuple[str, list[str]]]:
    """Shares of the posts to learn from, whole groups of related ones, each share part of the next."""
    posts = read_posts(settings, Taxonomy.load(settings.taxonomy))
    groups = tie_groups(posts.learnt).tolist()
    rank = {group: random.Random(f"{settings.seed}/{group}").random() for group in set(groups)}
    for share in SHARES:
        kept = [rank[group] < share / 100 for group in groups]
        overrides = []
        for name, first, part in (("train", 0, posts.measured), ("synthetic", len(posts.measured), posts.synthetic)):
            file = out / f"{name}-{share}.jsonl"
            chosen = [
                _row(post, group) for post, group, keep in zip(part, groups[first:], kept[first:], strict=False) if keep
            ]
            file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen), encoding="utf-8")
            overrides.append(f"data.{name}=[{file}]" if chosen else f"data.{name}=[]")
        yield f"{share} % of the posts", [*overrides, "data.columns={}"]


def _row(post: LabelledPost, group: int) -> dict[str, Any]:
    row = {"text": post.text, "lang": post.language, "stance": post.stance, "labels": post.labels, "group": str(group)}
    return row | ({"unknown": post.unknown} if post.unknown else {})


def report(name: str, metrics: dict[str, Any], sets: Sequence[str]) -> None:
    cells = []
    for one in sets:
        false = metrics[one]["false_flags"]
        cells.append(
            f"{one}: macro F1 {metrics[one]['macro_f1']:.3f}, AP {metrics[one]['macro_average_precision']:.3f}, "
            f"stance {metrics[one]['stance_accuracy']:.3f}, flags "
            + "/".join(f"{stance} {false[stance]:.1%}" for stance in "RCN" if stance in false)
        )
    print(f"{name:30} {' | '.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="settings of the run that is taken apart")
    parser.add_argument("--out", "-o", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of every run")
    parser.add_argument("--rows", nargs="+", choices=[*ABLATIONS, "curve"], help="only these rows, or the curve")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--quick", action="store_true", help="few epochs of few layers")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = load_settings(TrainingSettings, arguments.config, arguments.set)
    # An earlier artefact that is averaged in knows all posts and all parts; the embedding is looked at by no row.
    common = [
        "soup=null",
        "embedding=null",
        *arguments.set,
        *(quick(settings, arguments.out) if arguments.quick else []),
    ]
    wanted = arguments.rows or [*ABLATIONS, "curve"]
    rows = [(name, overrides) for name, overrides in ABLATIONS.items() if name in wanted]
    if "curve" in wanted:
        rows += subsets(settings, arguments.out)
        rows += [("all", [])] if "all" not in wanted else []
    found = {}
    for name, overrides in rows:
        changed = load_settings(TrainingSettings, arguments.config, [*common, *overrides])
        folder = arguments.out / name.replace(" ", "_").replace("%", "percent")
        _, metrics = train(changed, folder, jobs=arguments.jobs)
        found[name] = metrics
        report(name, metrics, list(settings.data.dev))
    curve = [*(name for name in found if name.endswith("of the posts")), "all"]
    for one in settings.data.dev if "curve" in wanted else ():
        print(f"\n{one}, average precision by narrative: {' -> '.join(curve)}")
        for narrative, figures in found[curve[0]][one]["narratives"].items():
            if figures["support"] >= SUPPORT:
                each = [found[name][one]["narratives"][narrative]["average_precision"] for name in curve]
                print(f"  {narrative:25} {' -> '.join(f'{value:.2f}' for value in each)}")


if __name__ == "__main__":
    main()
