"""The report of ``narratrace data check`` on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from narratrace.model.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from narratrace.training.check_report import Finding, Report, Support, Table

SHOWN = 3
"""Examples of a finding; --json and --html have more."""

TABLES = (("narrative", "stance"), ("narrative", "source"), ("stance", "language"), ("stance", "source"))
"""Rows and columns of the tables of counts; narratives by language stand beside how many posts there are of each."""

COLUMNS_SHOWN = 8
"""Columns of a table of counts; the rest are added up."""


def show(report: Report, console: Console) -> None:
    """Print a report."""
    for split, posts in report.posts.items():
        console.print(Text.assemble((printable(split), "bold"), f": {posts:,} posts"))
        _show_support(
            [one for one in report.support if one.split == split], report.table(split, "narrative", "language"), console
        )
        for rows, columns in TABLES:
            _show_counts(report.table(split, rows, columns), console)
        for lengths in report.lengths:
            if lengths.split == split:
                console.print(
                    f"Tokens: half of the posts have at most {lengths.median}, 95 % at most {lengths.most}, the "
                    f"longest {lengths.longest}. Training with max_tokens {lengths.at_once} cuts {lengths.cut} posts; "
                    f"of {lengths.truncated} the end is never read."
                )
        console.print()
    for finding in report.findings:
        _show_finding(finding, console)
    errors, warnings = (len(report.of(severity)) for severity in ("error", "warning"))
    console.print(f"[bold]errors: {errors}, warnings: {warnings}[/bold]")


def _show_support(support: Sequence[Support], languages: Table, console: Console) -> None:
    rows = {}
    for one in support:
        spread = languages.cells.get(one.narrative, [0] * len(languages.names))
        rows[one.narrative] = [one.posts, one.groups, one.unknown, *spread]
    _print_table("narrative", ["posts", "groups", "not known", *languages.names], rows, console)


def _show_counts(table: Table, console: Console) -> None:
    if not table.cells:
        return
    names, cells = table.names, table.cells
    if len(names) > COLUMNS_SHOWN:
        names = [*names[:COLUMNS_SHOWN], f"{len(names) - COLUMNS_SHOWN} others"]
        cells = {row: [*counts[:COLUMNS_SHOWN], sum(counts[COLUMNS_SHOWN:])] for row, counts in cells.items()}
    _print_table(f"{table.rows} by {table.columns}", names, cells, console)


def _print_table(title: str, names: Sequence[str], cells: Mapping[str, Sequence[int]], console: Console) -> None:
    table = RichTable(title, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(Text(printable(name)), justify="right")
    for row, counts in cells.items():
        table.add_row(Text(printable(row)), *(f"{count:,}" if count else "-" for count in counts))
    console.print(table)


def _show_finding(finding: Finding, console: Console) -> None:
    style = "bold red" if finding.severity == "error" else "bold yellow"
    console.print(Text.assemble((finding.severity, style), f" {finding.kind}: ", printable(finding.message)))
    for example in finding.examples[:SHOWN]:
        lines = Text.assemble(
            (printable(example.where), "dim"), f"  {printable(example.detail)}\n", printable(example.text)
        )
        console.print(Padding(lines, (0, 0, 0, 4)))
