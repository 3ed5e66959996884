"""How well a second judge agrees with the labels of the dev sets: what noise in the labels leaves for any classifier.

    python benchmarks/classifier/agreement.py configs/training/hong_kong_2019.yaml \
        examples/hong_kong_2019/second_labels.jsonl

The second judge's labels name each post by the SHA-256 of its text. A judge that is measured as a classifier would be:
figures that a classifier misses, and the judge does not, are not the labels' fault.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from narratrace.model.settings import load_settings
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.hydrating import hydrate
from narratrace.training.labelled import read_labelled, tie_groups
from narratrace.training.metrics import SUPPORT, Answers, Truth, measure
from narratrace.training.settings import TrainingSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="settings of the training whose dev sets are judged")
    parser.add_argument("second", type=Path, help="labels by hash")
    arguments = parser.parse_args()
    settings = load_settings(TrainingSettings, arguments.config, [])
    taxonomy = Taxonomy.load(settings.taxonomy)
    for name, source in settings.data.dev.items():
        first = read_labelled(source, taxonomy, settings.data.columns)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "second.jsonl"
            hydrate(arguments.second, ((post.text, None) for post in first), file)
            judged = {post.text: post for post in read_labelled(file, taxonomy)}
        first = [post for post in first if post.text in judged]
        second = Truth.of([judged[post.text] for post in first], taxonomy)
        answers = Answers(second.labels.astype(np.float32), second.labels, second.stances)
        found = measure(taxonomy.narrative_ids, answers, Truth.of(first, taxonomy), tie_groups(first))
        print(f"{name}: {len(first)} posts, of which a second judge says the same:")
        for figure in ("macro_f1", "micro_f1", "stance_accuracy"):
            low, high = found["intervals"][figure]
            print(f"  {figure:16} {found[figure]:.3f} ({low:.3f} to {high:.3f})")
        print("  false flags      ", json.dumps(found["false_flags"]))
        for narrative, figures in found["narratives"].items():
            if figures["support"] >= SUPPORT:
                print(f"    {narrative:24} F1 {figures['f1']:.2f}, {figures['support']} posts")


if __name__ == "__main__":
    main()
