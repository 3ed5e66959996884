"""``narratrace benchmark``: how fast an artefact is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from narratrace.commands.options import ArtefactFolder

MEASURES = (
    "posts per second",
    "its quartiles",
    "tokens per second",
    "one post: p50",
    "p95",
    "p99",
    "loading",
    "most memory",
)


def benchmark(
    posts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]",
            help="Files of posts, as for narratrace score; the examples of the artefact's taxonomy if not given.",
            show_default=False,
        ),
    ] = None,
    artefact: ArtefactFolder = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="onnx-int8, onnx or torch; may be given several times. All that can run if not given.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Measure with so many distinct posts.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="Score all of them so often.")] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; one for each core if not given.", show_default=False)
    ] = None,
) -> None:
    """Measure how fast posts are scored here, many at once and one by one.

    Many at once, as narratrace score does it: posts and tokens per second, the
    median of the rounds with its quartiles. One by one, as a moderation tool
    calls it: the time that half, 95 and 99 of 100 calls stay under. Loading
    time and the most memory that the process had. A warm-up goes before all;
    what else runs on the machine counts too.

    [bold]Example[/bold]

        narratrace benchmark posts.csv --backend onnx-int8
    """
    from importlib.util import find_spec

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from narratrace.commands.archive_display import reading
    from narratrace.inference.archives.archive import Archive
    from narratrace.inference.scoring import count_cores
    from narratrace.inference.speed import measure
    from narratrace.model.artefact import Artefact
    from narratrace.model.errors import InputError

    opened = Artefact.open(artefact)
    distinct: dict[str, None] = {}
    if posts:
        archive = Archive.open(posts)
        with reading(archive, Console(stderr=True, highlight=False), limit) as batches:
            for batch in batches:
                distinct |= dict.fromkeys(batch.posts["text"].to_pylist())
                if len(distinct) >= limit:
                    break
    else:
        examples = (narrative.examples for narrative in opened.taxonomy.narratives)
        distinct = dict.fromkeys(text for example in examples for texts in example.values() for text in texts)
    if not distinct:
        raise InputError(f"There is no post in {', '.join(posts or ())}.")
    chosen = list(distinct)[:limit]
    there = [name for name in opened.backends if name != "torch" or find_spec("torch")]
    threads = threads or count_cores()
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    shown: list[list[str]] = []
    for name in backend or there:
        with console.status(f"Measuring {name}"):
            speed = measure(opened.path, name, chosen, rounds=rounds, threads=threads)
        table.add_column(name, justify="right")
        low, median, high = speed.posts_per_second
        shown.append(
            [
                f"{median:,.1f}",
                f"{low:,.1f} to {high:,.1f}",
                f"{speed.tokens_per_second:,.0f}",
                *(f"{1000 * seconds:,.1f} ms" for seconds in speed.latency),
                f"{speed.load_seconds:.1f} s",
                f"{speed.peak_bytes / 2**20:,.0f} MB" if speed.peak_bytes else "not told",
            ]
        )
    for what, *values in zip(MEASURES, *shown, strict=True):
        table.add_row(what, *values)
    console.print(f"{escape(opened.id)}, {len(chosen):,} distinct posts, {threads} threads")
    console.print(table)
