"""An evaluation on disk: its figures as JSON, a report as a page, the card as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from narratrace.model.artefact import Artefact
from narratrace.model.pages import write_page
from narratrace.model.taxonomy import STANCE_NAMES
from narratrace.training.card import render_card
from narratrace.training.evaluation.evaluate import Evaluation
from narratrace.training.evaluation.mistakes import KINDS
from narratrace.training.metrics import HEADLINES, headline, shown

FIGURES = "evaluation.json"
REPORT = "evaluation.html"
CARD = "card.md"


def write_evaluation(found: Evaluation, artefact: Artefact, out: Path) -> None:
    """Write ``evaluation.json`` and ``card.md``, which quote no post, and ``evaluation.html``, which does."""
    out.mkdir(parents=True, exist_ok=True)
    figures = found.figures
    (out / FIGURES).write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    card = render_card(
        artefact.manifest,
        artefact.taxonomy,
        figures["sets"],
        thresholds=figures["thresholds"],
        leakage=figures["leakage"],
        environment=figures["environment"],
    )
    (out / CARD).write_text(card, encoding="utf-8")
    write_page(
        out / REPORT,
        "narratrace.training",
        "evaluation.html",
        artefact=artefact.id,
        figures=figures,
        mistakes=found.mistakes,
        kinds=KINDS,
        stance_names=STANCE_NAMES,
        headline_names=HEADLINES,
        headline=headline,
        shown=shown,
        language_bars=_language_bars,
        zip=zip,
    )


def _language_bars(languages: Mapping[str, Mapping[str, Any]], name: str) -> list[tuple[Any, ...]]:
    """Rows of a bar plot: language, value, ends of its interval, and what to write beside it."""
    rows = []
    for language, figures in languages.items():
        low, high = figures.get("intervals", {}).get(name, (None, None))
        note = f"{headline(figures, name)}, {figures['posts']} posts"
        rows.append((language, figures[name], low, high, note))
    return rows
