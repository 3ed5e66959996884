"""``narratrace extend``: add one narrative to an artefact from a few examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def extend(
    definition: Annotated[Path, typer.Argument(help="The narrative: a YAML file, as one entry of a taxonomy.")],
    examples: Annotated[
        Path, typer.Argument(help="Labelled posts: 5 to 20 that advance it, and any number that do not.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new artefact.", show_default=False)],
    artefact: Annotated[Path | None, typer.Option(help="Artefact to extend.", show_default="the built-in one")] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled posts on which all other scores are compared, too.", show_default=False),
    ] = None,
) -> None:
    r"""Add one narrative to an artefact, without training the encoder and without touching any other score.

    The new narrative gets scores but no threshold, since a few examples support none: posts that score 0.5 or more are
    left to a person, under "abstained". For labels, collect more posts and train. Needs the extra \[train].

    [bold]Example[/bold]

        narratrace extend examples/new_narrative/definition.yaml examples/new_narrative/examples.jsonl -o runs/extended

        narratrace predict --artefact runs/extended "A press vest is the new rioter's uniform."
    """
    from rich.console import Console
    from rich.markup import escape

    from narratrace.model.artefact import Artefact
    from narratrace.model.errors import MissingExtraError
    from narratrace.model.printable import printable
    from narratrace.model.settings import load_settings
    from narratrace.model.taxonomy import Narrative

    try:
        from narratrace.training.extension import BOUND, extend_taxonomy
        from narratrace.training.extension import extend as run
        from narratrace.training.labelled import read_labelled
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Adding a narrative") from error

    opened = Artefact.open(artefact)
    narrative = load_settings(Narrative, definition)
    taxonomy = extend_taxonomy(opened.taxonomy, narrative)
    checked = [post.text for path in check or () for post in read_labelled(path, taxonomy)]
    extended, report = run(opened, narrative, read_labelled(examples, taxonomy), out, checked)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{escape(extended.id)}: {report.narrative} from {report.positives} posts and {report.negatives} others"
    )
    console.print(
        f"cross-validated on these at a score of 0.5: precision {report.precision:.2f}, recall {report.recall:.2f}, "
        f"F1 {report.f1:.2f}; {report.passed:.0%} of the positives pass the gate"
    )
    console.print(
        f"all other scores on {report.checked} posts moved by at most {report.moved:.1e} (allowed: {BOUND:.0e})"
    )
    if not check:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            "no dev posts were compared: give labelled posts with --check to compare all other scores on them, too"
        )
    console.print("threshold: none, posts from a score of 0.5 are left to review")
    console.print(f"The artefact is in {escape(printable(extended.path))}.")
