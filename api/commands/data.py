"""``narratrace data``: look at labelled posts before training, split them, and put their texts back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narratrace.commands.options import LabelledColumns, parse_labelled_columns

if TYPE_CHECKING:
    from narratrace.training.folds import Share

app = typer.Typer(
    help="Labelled posts: check them, split them, put their texts back.", no_args_is_help=True, rich_markup_mode="rich"
)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help=".jsonl, .csv, .tsv or .parquet, a folder of a Hugging Face data set, or hf:ID; #SPLIT takes one split.",
        show_default=False,
    ),
]
TaxonomyOption = Annotated[
    str, typer.Option("--taxonomy", "-t", help="Id of a shipped taxonomy, or a YAML file.", show_default=False)
]
SHOWN_OFF = 0.05
"""Distance of a share from its target from which it is marked."""


@app.command()
def check(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[SPLIT=]SOURCE",
            help="Sources of labelled posts; splits as in train=a.jsonl train=b.jsonl dev=c.jsonl, of which the first "
            "is the one that is learnt from.",
            show_default=False,
        ),
    ],
    taxonomy: TaxonomyOption,
    maps: LabelledColumns = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything that was found here.", show_default=False)
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page to read here.", show_default=False)
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=3,
            max=512,
            help="Tokens that training will read at once, max_tokens of its settings.",
            show_default="of the built-in artefact",
        ),
    ] = None,
) -> None:
    r"""Check labelled posts before anything is learnt from them.

    Counts narratives, languages, stances and sources, and looks for rows that cannot be read, unknown labels, copies
    and near-duplicates, contradicting labels, leaks between splits, languages that do not match, posts that are too
    long, narratives that are too rare, and labels that are likely wrong. Exit code 1 if there are errors, 0 if there
    are warnings alone. Needs the extra \[train].

    [bold]Examples[/bold]

        narratrace data check posts.csv -t hong_kong_2019 --map text=body

        narratrace data check train=train.jsonl dev=dev.jsonl -t hong_kong_2019 --html check.html
    """
    from rich.console import Console

    from narratrace.commands.check_display import show
    from narratrace.model.errors import InputError, MissingExtraError
    from narratrace.model.taxonomy import Taxonomy

    try:
        from narratrace.training.check_report import write_report
        from narratrace.training.checking import check as run
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Checking labelled posts") from error

    known = Taxonomy.load(taxonomy)
    for path in (json_file, html_file):
        if path and not path.parent.is_dir():
            raise InputError(f"There is no folder {path.parent} for the report: make it first.")
    with Console(stderr=True, highlight=False).status("Reading") as status:
        report = run(
            parse_splits(sources), known, parse_labelled_columns(maps), on_stage=status.update, max_tokens=max_tokens
        )
    show(report, Console(highlight=False))
    if json_file:
        json_file.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if html_file:
        write_report(report, html_file)
    if report.of("error"):
        raise typer.Exit(1)


@app.command()
def split(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the parts.", show_default=False)],
    taxonomy: TaxonomyOption,
    parts: Annotated[
        str | None,
        typer.Option(help="Name and fraction of each part, as in train=0.8,dev=0.1,test=0.1.", show_default=False),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="So many parts of one size, fold-1, fold-2, ...", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides among what is equally good.")] = 0,
    maps: LabelledColumns = None,
) -> None:
    r"""Split labelled posts so that related ones stay together and every part has its share of everything.

    Related are posts of one account, group, family or rewriting, and near-duplicates, which are found by themselves.
    Shares of narratives, languages and stances come as close to their targets as whole groups allow; the table says
    how close. The same posts and seed give the same parts. Needs the extra \[train].

    [bold]Examples[/bold]

        narratrace data split posts.csv -t hong_kong_2019 --parts train=0.8,dev=0.1,test=0.1 -o parts

        narratrace data split posts.parquet -t my_taxonomy.yaml --map text=body --folds 5 -o folds
    """
    from rich.console import Console

    from narratrace.model.errors import MissingExtraError, SettingsError
    from narratrace.model.taxonomy import Taxonomy

    try:
        from narratrace.training.splitting import split_files
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "Splitting labelled posts") from error

    if (parts is None) == (folds is None):
        raise SettingsError("Say either --parts, as in --parts train=0.8,dev=0.2, or --folds.")
    fractions = _parse_parts(parts) if parts else {f"fold-{fold + 1}": 1 / (folds or 1) for fold in range(folds or 0)}
    console = Console(stderr=True, highlight=False)
    with console.status("Splitting"):
        shares = split_files(sources, Taxonomy.load(taxonomy), parse_labelled_columns(maps), fractions, out, seed)
    _show_shares(shares, list(fractions), Console(highlight=False))
    console.print(f"{len(fractions)} parts are in {out}.", markup=False)


@app.command()
def hydrate(
    labels: Annotated[Path, typer.Argument(help="JSON Lines of labels by hash.", show_default=False)],
    posts: Annotated[
        list[str], typer.Argument(metavar="POSTS", help="Archives with the texts, as for narratrace score.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to make, in JSON Lines.", show_default=False)],
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=COLUMN", help="Columns of the archives, as in --map text=body.", show_default=False
        ),
    ] = None,
) -> None:
    """Put texts back to labels that are passed on without them.

    Posts belong to their authors, labels to those who gave them. A file of labels by hash has, for each post, the
    SHA-256 of its UTF-8 text exactly as published ("sha256"), and "labels", "stance", "lang" and so on as a file of
    labelled posts has. Whoever has the posts gets the labelled posts back. Exit code 1 if no post is found.

    [bold]Example[/bold]

        narratrace data hydrate labels.jsonl posts.parquet -o labelled.jsonl
    """
    from rich.console import Console

    from narratrace.commands.archive_display import reading
    from narratrace.inference.archives.archive import Archive
    from narratrace.inference.archives.mapping import parse_mapping
    from narratrace.training.hydrating import hydrate as run

    archive = Archive.open(posts, parse_mapping(maps or ()))
    console = Console(stderr=True, highlight=False)
    with reading(archive, console, 4096) as batches, console.status("Looking for the posts"):
        rows = (
            row
            for batch in batches
            for row in zip(*(batch.posts[name].to_pylist() for name in ("text", "account_id")), strict=True)
        )
        found = run(labels, rows, out)
    where = f" and are in {out}" if found.found else ", so nothing is written"
    console.print(f"{found.found:,} labels found their post{where}; {found.missing:,} did not.", markup=False)
    if not found.found:
        raise typer.Exit(1)


def _parse_parts(said: str) -> dict[str, float]:
    from narratrace.model.errors import SettingsError

    parts: dict[str, float] = {}
    for part in said.split(","):
        name, _, fraction = part.partition("=")
        if name.strip() in parts:
            raise SettingsError(f"--parts names '{name.strip()}' twice: give each part a name of its own.")
        try:
            parts[name.strip()] = float(fraction)
        except ValueError as error:
            raise SettingsError(f"'{part}' is no part: write its name and fraction, as in train=0.8.") from error
    return parts


def _show_shares(shares: Sequence[Share], parts: Sequence[str], console: Any) -> None:
    from rich.table import Table

    table = Table("", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("posts", *parts, "off by"):
        table.add_column(column, justify="right")
    kind = None
    for share in shares:
        total = sum(share.counts)
        cells = (f"{count} ({count / total:.1%})" for count in share.counts)
        off = f"{100 * share.off:.1f} points"
        style = "yellow" if share.off > SHOWN_OFF else ""
        table.add_row("" if share.kind == kind else share.kind, share.name, str(total), *cells, off, style=style)
        kind = share.kind
    console.print(table)


def parse_splits(named: Sequence[str]) -> dict[str, list[str]]:
    """Tell the sources of each split; what has no name is of the split 'all'."""
    splits: dict[str, list[str]] = {}
    for source in named:
        name, mark, rest = source.partition("=")
        if not mark or Path(source).exists():
            name, rest = "all", source
        splits.setdefault(name, []).append(rest)
    return splits
