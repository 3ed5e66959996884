"""``narratrace backend``: whether every way to run an artefact gives the same answer."""

from __future__ import annotations

from typing import Annotated

import typer

from narratrace.commands.options import ArtefactFolder

app = typer.Typer(help="The engines that run an artefact.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _group() -> None:
    """Keep ``check`` a command of its own name, as Typer would fold a single one into the group."""


@app.command()
def check(
    posts: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Files of posts, as for narratrace score.", show_default=False)
    ],
    artefact: ArtefactFolder = None,
    limit: Annotated[int, typer.Option(min=2, help="Compare on so many posts.")] = 500,
) -> None:
    r"""Compare torch, ONNX in full precision and ONNX in int8 on the same posts, in padded batches of mixed length.

    Exit code 1 if full precision differs by more than 0.0001 in any score, or int8 gives a post another score among
    others than by itself. Needs the extra \[train].

    [bold]Example[/bold]

        narratrace backend check examples/posts.jsonl
    """
    from rich.console import Console
    from rich.table import Table

    from narratrace.commands.archive_display import reading
    from narratrace.inference.archives.archive import Archive
    from narratrace.model.artefact import Artefact
    from narratrace.model.errors import InputError, MissingExtraError

    try:
        from narratrace.model.parity import TOLERANCE, compare_backends
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Comparing backends") from error

    opened = Artefact.open(artefact)
    archive = Archive.open(posts)
    with reading(archive, Console(stderr=True, highlight=False), limit, limit) as batches:
        texts = [text for batch in batches for text in batch.posts["text"].to_pylist()]
    if not texts:
        raise InputError(f"There is no post in {', '.join(posts)}.")
    found = compare_backends(opened, texts)
    table = Table(
        title=f"{opened.id} against torch on {len(texts):,} posts", title_justify="left", box=None, pad_edge=False
    )
    for column in ("backend", "score, at most", "labels flip", "stance flips", "cosine, at least", "alone / in batch"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for one in found:
        table.add_row(
            one.backend,
            f"{one.score_difference:.6f}",
            f"{one.label_flips} ({one.label_flips / one.posts:.1%})",
            f"{one.stance_flips} ({one.stance_flips / one.posts:.1%})",
            f"{one.least_cosine:.4f}",
            f"{one.batch_difference:.6f}",
        )
    Console(highlight=False).print(table)
    full, int8 = found
    if full.score_difference > TOLERANCE or int8.batch_difference > TOLERANCE:
        typer.echo(f"Too far apart: the bound is {TOLERANCE}.", err=True)
        raise typer.Exit(1)
