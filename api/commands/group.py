"""``narratrace group``: find the copypasta of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from narratrace.commands.options import ArtefactFolder, BackendName, EngineName, PostColumns, ResultsFolder, Threads

if TYPE_CHECKING:
    from rich.console import Console

    from narratrace.inference.copypasta.run import GroupingRunSummary


def group(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Files, folders or globs of posts, raw or scored: CSV, TSV, JSON Lines or Parquet, each also as .gz "
            "or .zst.",
            show_default=False,
        ),
    ],
    out: ResultsFolder,
    mapping: PostColumns = None,
    semantic: Annotated[
        bool | None,
        typer.Option(
            "--semantic/--no-semantic",
            help="Whether to look for the same in another language or other words too (default: as the settings say, "
            "no). It finds many translations and some rewordings, but no free paraphrases. Every distinct post is "
            "embedded for it, by --artefact, --backend and --threads, which takes by far the most time.",
            show_default=False,
        ),
    ] = None,
    reposts: Annotated[
        str | None,
        typer.Option(
            help="Whether reposts tie accounts as other copies do (include), not at all (exclude), or in a layer of "
            "their own (apart, the default).",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[
        bool | None,
        typer.Option("--csv/--no-csv", help="Write the tables as CSV too (default: do not).", show_default=False),
    ] = None,
    artefact: ArtefactFolder = None,
    backend: BackendName = None,
    threads: Threads = None,
    engine: EngineName = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file, as settings.yaml of an earlier run.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change one setting, as in --set fuzzy.min_containment=0.9.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are in OUT, or a stopped run of something else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Find the copypasta of an archive, and the accounts that posted the same texts.

    OUT gets groups.parquet (a row for each group), posts.parquet (a row for
    each post), links.parquet (why a post is in its group), accounts.parquet,
    edges.parquet (a row for each pair of accounts that posted the same text),
    graph.graphml and graph.gexf (for Gephi and the like), rejects.jsonl,
    summary.json, settings.yaml, and report.html: all of it on one page. A run
    that was stopped goes on when the same command is given again.

    That accounts posted the same text says nothing about who they are.

    [bold]Examples[/bold]

    A Twitter Information Operations archive, recognised by its header:

        narratrace group twitter_io/ -o groups

    Your own CSV, whose columns are called otherwise:

        narratrace group posts.csv.gz --map text=body --map account_id=user -o groups

    A scored archive, whose groups then say which narratives they advance:

        narratrace group scored/scores.parquet -o groups --csv

    On the Ray cluster that this machine belongs to, from a folder that all its machines share:

        narratrace group scored/scores.parquet -o groups --engine ray
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from narratrace.commands.archive_display import show_archive
    from narratrace.inference.archives.archive import Archive
    from narratrace.inference.archives.mapping import parse_mapping
    from narratrace.inference.archives.results import GROUPING, check_free
    from narratrace.inference.classifier import Classifier
    from narratrace.inference.copypasta.run import group_archive
    from narratrace.inference.copypasta.settings import DEFAULT_SETTINGS, GroupSettings
    from narratrace.inference.engine import open_engine
    from narratrace.model.backends import default_backend
    from narratrace.model.settings import check_settings, load_settings

    settings = load_settings(GroupSettings, config or DEFAULT_SETTINGS, overrides or ())
    given = {"csv": csv, "engine": engine, "artefact": artefact, "backend": backend, "threads": threads}
    chosen = settings.model_dump() | {name: value for name, value in given.items() if value is not None}
    if semantic is not None:
        chosen["semantic"]["enabled"] = semantic
    if reposts is not None:
        chosen["coordination"]["reposts"] = reposts
    if chosen["semantic"]["enabled"]:
        chosen["backend"] = chosen["backend"] or default_backend()
    if chosen["engine"] != "native":
        chosen["threads"] = chosen["threads"] or 1  # a cluster has room for many units instead
    settings = check_settings(GroupSettings, chosen, "narratrace group")
    check_free(out, overwrite, GROUPING)
    archive = Archive.open(inputs, parse_mapping(mapping or ()), out=out)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    show_archive(archive, console)
    classifier = None
    if settings.semantic.enabled:
        classifier = Classifier.load(settings.artefact, backend=settings.backend, threads=settings.threads)
    on_gpu = classifier is not None and settings.backend == "torch"
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with (
            open_engine(settings.engine, cpus=settings.threads or 1, gpu=on_gpu) as carrying,
            Progress(*columns, console=console, transient=True, disable=quiet) as progress,
        ):
            task = progress.add_task("Reading", total=1.0)

            def show(doing: str, done: float) -> None:
                total = 1.0 if doing == "Reading" or done else None
                progress.update(task, description=doing, completed=done, total=total)

            summary = group_archive(
                archive,
                out,
                settings,
                embed=classifier.embed if classifier else None,
                artefact=classifier.artefact.id if classifier else "",
                engine=carrying,
                overwrite=overwrite,
                on_progress=show,
            )
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    if not quiet:
        _show(summary, out, Console(highlight=False))


def _show(summary: GroupingRunSummary, out: Path, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from narratrace.inference.archives.faults import say_faults
    from narratrace.model.printable import printable

    found = summary.found
    console.print(
        f"[bold]{found.groups:,}[/bold] groups with {found.grouped:,} of {found.posts:,} posts; the largest has "
        f"{found.largest:,}. {found.groups_of_accounts:,} groups are of two accounts or more.",
        soft_wrap=True,
    )
    table = Table("Stage", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("links", justify="right")
    for stage, links in found.stages.items():
        if links:
            table.add_row(stage, f"{links:,}")
    console.print()
    console.print(table)
    console.print()
    for what, groups in found.innocent.items():
        console.print(f"{groups:,} groups have an innocent explanation: {escape(what)}")
    if found.short:
        console.print(f"{found.short:,} posts say too little to be grouped")
    for sentence in say_faults(summary.rejects, summary.oddities):
        console.print(escape(sentence), soft_wrap=True)
    tied = summary.coordination
    if tied.repeated_rows:
        console.print(
            f"{tied.repeated_rows:,} rows repeat a post (the same id, account, time and group): each post ties its "
            "account once.",
            soft_wrap=True,
        )
    console.print(
        f"{tied.tied:,} of {tied.accounts:,} accounts posted the same text as another; {tied.repeated:,} pairs of them "
        f"repeatedly, in {tied.clusters:,} cluster{'' if tied.clusters == 1 else 's'}.",
        soft_wrap=True,
    )
    tested = (
        f"{tied.close_groups:,} of {tied.tested_groups:,} groups and {tied.close_accounts:,} of "
        f"{tied.tested_accounts:,} accounts whose times can be tested came closer together than chance explains."
    )
    console.print(tested if tied.tested_groups else "No group has times that can be tested.", soft_wrap=True)
    console.print(f"Report: {escape(printable(out))}/report.html", soft_wrap=True)
    if summary.rejects:
        console.print(f"Rejected rows: {escape(printable(out))}/rejects.jsonl", soft_wrap=True)
