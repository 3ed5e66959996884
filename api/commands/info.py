"""``narratrace info``: what an artefact is, in short."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    artefact: Annotated[
        Path | None, typer.Argument(help="Artefact folder; the built-in one if not given.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as JSON.")] = False,
) -> None:
    """Show what an artefact was made from, its narratives and thresholds, and how well it does.

    Every file of the artefact is verified on the way.

    [bold]Examples[/bold]

        narratrace info

        narratrace info runs/mine/artefact --json
    """
    from narratrace.model.artefact import CARD, Artefact
    from narratrace.model.printable import printable

    opened = Artefact.open(artefact)
    manifest = opened.manifest
    if as_json:
        typer.echo(manifest.model_dump_json(indent=1))
        return

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def safe(text: str) -> str:
        """Show what stands in the artefact as it is, though it may come from anyone."""
        return escape(printable(text))

    console = Console(highlight=False)
    console.print(
        f"[bold]{safe(manifest.id)}[/bold], made {manifest.created:%Y-%m-%d} by narratrace {safe(manifest.narratrace)}"
    )
    base = f"{manifest.base.name} ({manifest.base.licence or 'licence not known'})"
    console.print(f"base: {safe(base)}, {manifest.base.vocabulary:,} pieces", soft_wrap=True)
    console.print(
        f"taxonomy: {safe(manifest.taxonomy)}; languages: {safe(', '.join(manifest.languages))}", soft_wrap=True
    )
    console.print(
        f"backends: {', '.join(opened.backends)}; reads {manifest.max_tokens} tokens at once, longer posts in windows",
        soft_wrap=True,
    )
    console.print(f"labels need the stance 'advances' with a probability of at least {manifest.advances:.2f}")
    sets = list(manifest.metrics)
    figures = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    figures.add_column("")
    for name in sets:
        figures.add_column(safe(name.replace("_", " ")), justify="right")
    for row, key in (("posts", "posts"), ("macro F1", "macro_f1"), ("stance accuracy", "stance_accuracy")):
        figures.add_row(row, *(_shown(manifest.metrics[name][key]) for name in sets))
    for stance, who in (("R", "reports"), ("C", "counters"), ("N", "none of these themes")):
        shares = (manifest.metrics[name]["false_flags"].get(stance) for name in sets)
        figures.add_row(f"false flags: {who}", *("-" if share is None else f"{share:.1%}" for share in shares))
    console.print()
    console.print(figures)
    narratives = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    narratives.add_column("narrative")
    narratives.add_column("threshold", justify="right")
    for name in sets:
        narratives.add_column(f"F1 {safe(name.replace('_', ' '))}", justify="right")
    for narrative in manifest.narratives:
        threshold = manifest.thresholds[narrative].default
        # A narrative that was added later was in none of the sets.
        each = (manifest.metrics[name]["narratives"].get(narrative) for name in sets)
        narratives.add_row(
            safe(narrative),
            "review" if threshold is None else f"{threshold:.2f}",
            *(f"{_shown(one['f1'])} ({one['support']})" if one else "-" for one in each),
        )
    console.print()
    console.print(narratives)
    console.print(f"\nThe whole card: {safe(str(opened.path / CARD))}", soft_wrap=True)


def _shown(figure: float | None) -> str:
    """A count, a share, or a dash where there was nothing to measure."""
    if figure is None:
        return "-"
    return f"{figure:.2f}" if isinstance(figure, float) else str(figure)
