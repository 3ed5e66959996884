"""``narratrace score``: score an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from narratrace.commands.options import ArtefactFolder, BackendName, EngineName, PostColumns, ResultsFolder, Threads

if TYPE_CHECKING:
    from rich.console import Console

    from narratrace.inference.scoring import ScoringSettings
    from narratrace.inference.summary import Summary

THRESHOLDS_HELP = (
    "f1: label from the scores of the best F1 on. precision: label only what keeps the artefact's promised precision, "
    "and leave the rest to review; the built-in artefact can promise few narratives, so that nearly all is left. The "
    "artefact's own choice if not given, which in the built-in one is f1."
)


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Files, folders or globs: CSV, TSV, JSON Lines or Parquet, each also as .gz or .zst.",
            show_default=False,
        ),
    ],
    out: ResultsFolder,
    mapping: PostColumns = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="parquet (default), jsonl, or csv (for spreadsheets, with a byte order mark).",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        bool | None,
        typer.Option(
            "--text/--no-text", help="Whether the scores repeat the texts (default: they do).", show_default=False
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many posts.", show_default=False)] = None,
    artefact: ArtefactFolder = None,
    backend: BackendName = None,
    threads: Threads = None,
    thresholds: Annotated[
        Literal["f1", "precision"] | None, typer.Option(help=THRESHOLDS_HELP, show_default=False)
    ] = None,
    engine: EngineName = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file, as settings.yaml of an earlier run.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change one setting, as in --set shard_size=10000.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are in OUT, or a stopped run of something else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Score every post of an archive: which narratives it advances, its stance and language.

    OUT gets scores.parquet (a row for each post), rejects.jsonl (rows that
    cannot be scored, with line and reason), report.html (a page to look at),
    summary.json and settings.yaml. A text that many posts share is scored once.
    A run that was stopped, however it was, goes on when the same command is
    given again.

    [bold]Examples[/bold]

    A Twitter Information Operations archive, recognised by its header:

        narratrace score twitter_io/ -o scored

    Your own CSV, whose columns are called otherwise:

        narratrace score posts.csv.gz --map text=body -o scored --format csv

    On the Ray cluster that this machine belongs to, from a folder that all its machines share:

        narratrace score 'archive/*.parquet' -o scored --engine ray

    A look at the first thousand posts of many files:

        narratrace score 'archive/2019-*.jsonl' -o look --limit 1000
    """
    from rich.console import Console

    from narratrace.commands.archive_display import show_archive
    from narratrace.commands.progress import ProgressDisplay
    from narratrace.inference.archives.archive import Archive
    from narratrace.inference.archives.mapping import parse_mapping
    from narratrace.inference.archives.results import check_free
    from narratrace.inference.classifier import Classifier
    from narratrace.inference.engine import open_engine
    from narratrace.inference.scoring import DEFAULT_SETTINGS, ScoringSettings, score_archive
    from narratrace.model.backends import default_backend
    from narratrace.model.settings import check_settings, load_settings

    given: dict[str, Any] = {
        "format": form, "text": text, "limit": limit, "artefact": artefact, "backend": backend, "threads": threads,
        "thresholds": thresholds, "engine": engine,
    }  # fmt: skip
    settings = load_settings(ScoringSettings, config or DEFAULT_SETTINGS, overrides or ())
    chosen = settings.model_dump() | {name: value for name, value in given.items() if value is not None}
    chosen["mapping"] |= parse_mapping(mapping or ())
    chosen["backend"] = chosen["backend"] or default_backend()
    if chosen["engine"] != "native":
        chosen["threads"] = chosen["threads"] or 1  # a cluster has room for many units instead
    settings = check_settings(ScoringSettings, chosen, "narratrace score")

    # Whatever is wrong with the input or the folder shows before the model is loaded.
    check_free(out, overwrite)
    archive = Archive.open(inputs, settings.mapping, out=out)
    progress_to = Console(stderr=True, quiet=quiet, highlight=False)
    show_archive(archive, progress_to)
    # One thread for each batch and several batches at once waste less than several threads for one batch.
    classifier = Classifier.load(settings.artefact, backend=settings.backend, threads=1, thresholds=settings.thresholds)

    try:
        with (
            open_engine(settings.engine, cpus=settings.threads or 1, gpu=settings.backend == "torch") as carrying,
            ProgressDisplay(progress_to) as display,
        ):
            summary = score_archive(
                archive, out, classifier, settings, overwrite=overwrite, engine=carrying, on_progress=display.update
            )
    except KeyboardInterrupt:
        progress_to.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    if not quiet:
        _show_summary(summary, out, settings, Console(highlight=False))


def _show_summary(summary: Summary, out: Path, settings: ScoringSettings, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from narratrace.inference.archives.faults import say_faults
    from narratrace.model.printable import printable

    posts = max(summary.posts, 1)

    def table(*columns: str) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, column in enumerate(columns):
            made.add_column(column, justify="right" if place else "left")
        return made

    def count(number: int) -> tuple[str, str]:
        return f"{number:,}", f"{number / posts:.1%}"

    console.print()
    console.print(
        f"[bold]{summary.posts:,}[/bold] posts scored in {summary.seconds:,.1f} s "
        f"({summary.posts_per_second:,.0f} posts/s) with {escape(printable(summary.artefact))}"
    )
    if summary.saved:
        console.print(f"They repeat {summary.texts:,} distinct texts, each scored once: {summary.saved:.0%} saved")
    for title, counts in (("Language", summary.languages), ("Stance", summary.stances)):
        shown = table(title, "posts", "share")
        for name, number in counts.items():
            shown.add_row(name, *count(number))
        console.print()
        console.print(shown)
    shown = table("Narrative", "flagged", "share", "to review")
    for name, found in sorted(summary.narratives.items(), key=lambda item: -item[1].flagged):
        shown.add_row(escape(printable(name)), *count(found.flagged), f"{found.abstained:,}")
    shown.add_row("any narrative", *count(summary.flagged), f"{summary.abstained:,}", style="bold")
    console.print()
    console.print(shown)
    notes = say_faults(summary.rejects, summary.oddities)
    if summary.truncated:
        notes.append(f"{summary.truncated:,} posts are so long that their end was not read (truncated)")
    console.print()
    for note in notes:
        console.print(escape(note), soft_wrap=True)
    console.print(f"Scores: {escape(printable(out))}/scores.{settings.format}", soft_wrap=True)
    console.print(f"Report: {escape(printable(out))}/report.html", soft_wrap=True)
    if summary.rejected:
        console.print(f"Rejected rows: {escape(printable(out))}/rejects.jsonl", soft_wrap=True)
