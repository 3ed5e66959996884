"""The card: what an artefact is for, what it was made from and how well it does, in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from narratrace.model.taxonomy import Taxonomy
from narratrace.training.metrics import SUPPORT
from narratrace.training.settings import TrainingSettings

_TEMPLATE = """\
# {title}

A narratrace artefact: it says which of {count} narratives a post advances, and whether the post advances, reports or
counters them.

**For** triage and research: finding posts and campaigns that a person then reads. **Not for** deciding what is true,
who wrote a post or for whom, or for removing a post or an account on its word alone.

## Made from

{description}

- {train} posts to learn from, {synthetic} of them synthetic.
- Languages: {languages}. Posts in other languages get scores but no labels.
- Reads {max_tokens} tokens at once; longer posts in overlapping windows.

## Measured

Thresholds and calibration come from {folds}-fold cross-validation over groups of related posts; no figure below is on
posts that a threshold was chosen on, except the column of the cross-validation. Macro averages count narratives with
at least {support} positives. A false flag is a label on a post that advances nothing.

{summary}

## By narrative

F1 at the threshold, and in brackets the number of posts that advance the narrative.

{table}
"""


def write_card(
    path: Path, taxonomy: Taxonomy, settings: TrainingSettings, posts: int, synthetic: int, metrics: dict[str, Any]
) -> None:
    """Write the card of an artefact whose ``metrics`` are, for each set, as :func:`metrics.measure` gives them."""
    sets = list(metrics)
    heads = {name: name.replace("_", " ") for name in sets}
    false_flags = [
        [f"false flags on posts that {verb}", *(_share(metrics[name]["false_flags"].get(stance)) for name in sets)]
        for stance, verb in (("R", "report"), ("C", "counter"), ("N", "have nothing to do with it"))
    ]
    summary = [
        ["posts", *(str(metrics[name]["posts"]) for name in sets)],
        ["of these, with an account or copy among the posts learnt from", *(_tied(metrics[name]) for name in sets)],
        ["macro F1", *(f"{metrics[name]['macro_f1']:.2f}" for name in sets)],
        ["macro average precision", *(f"{metrics[name]['macro_average_precision']:.2f}" for name in sets)],
        ["stance accuracy", *(f"{metrics[name]['stance_accuracy']:.2f}" for name in sets)],
        *false_flags,
    ]
    rows = [[narrative, *(_cell(metrics[name], narrative) for name in sets)] for narrative in taxonomy.narrative_ids]
    path.write_text(
        _TEMPLATE.format(
            title=taxonomy.title,
            count=len(taxonomy.narratives),
            description=settings.data.description,
            train=posts,
            synthetic=synthetic,
            languages=", ".join(settings.data.languages),
            max_tokens=settings.max_tokens,
            folds=settings.thresholds.folds,
            support=SUPPORT,
            summary=_table(["", *heads.values()], summary),
            table=_table(["narrative", *heads.values()], rows),
        ),
        encoding="utf-8",
    )


def _tied(metrics: dict[str, Any]) -> str:
    return str(metrics.get("tied", 0))


def _cell(metrics: dict[str, Any], narrative: str) -> str:
    one = metrics["narratives"][narrative]
    return f"{one['f1']:.2f} ({one['support']})"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
