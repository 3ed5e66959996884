"""The ``narratrace`` command: one file per command."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from narratrace.commands.backend import app as backend
from narratrace.commands.base import app as base
from narratrace.commands.benchmark import benchmark
from narratrace.commands.data import app as data
from narratrace.commands.evaluate import evaluate
from narratrace.commands.extend import extend
from narratrace.commands.group import group
from narratrace.commands.info import info
from narratrace.commands.predict import predict
from narratrace.commands.score import score
from narratrace.commands.train import train
from narratrace.model.errors import NarratraceError

__all__ = ["app", "main"]

app = typer.Typer(
    name="narratrace",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel="Posts")(predict)
app.command(rich_help_panel="Posts")(score)
app.command(rich_help_panel="Posts")(group)
app.command(rich_help_panel="Posts")(info)
app.command(rich_help_panel="Models")(train)
app.command(rich_help_panel="Models")(extend)
app.add_typer(data, name="data", rich_help_panel="Models")
app.command(rich_help_panel="Models")(evaluate)
app.command(rich_help_panel="Models")(benchmark)
app.add_typer(base, name="base", rich_help_panel="Models")
app.add_typer(backend, name="backend", rich_help_panel="Models")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"narratrace {version('narratrace')}")
        raise typer.Exit


@app.callback()
def _narratrace(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tell which disinformation narratives a post [bold]advances[/bold], and whether it reports or counters them.

    In Simplified and Traditional Chinese, Cantonese and English. A label says what a text advances: never that it is
    false, nor who wrote it.

    [bold]Start here[/bold]

        narratrace predict "暴徒都係畀外國勢力洗腦，支持警察嚴正執法！"

        narratrace score posts.csv -o scored
    """


def main() -> None:
    """Run the command; an error that narratrace raises on purpose is one line on stderr and exit code 2."""
    # Redirected output is in UTF-8 on every system; a post is never in the way of its own result.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except NarratraceError as error:
        from narratrace.model.printable import printable

        sys.stderr.write(f"narratrace: {printable(str(error))}\n")
        sys.exit(2)
