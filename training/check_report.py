"""The report of a check of labelled posts: what is there, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from narratrace.model.pages import write_page
from narratrace.model.strict import StrictModel

UNKNOWN = "?"
"""Stands for a stance or source that is not known."""


class Example(StrictModel):
    """One post that a finding is about."""

    where: str = Field(description="File and line.")
    text: str = Field(description="The start of the post.")
    detail: str = Field(description="What is particular to this post.")


class Finding(StrictModel):
    """Something that is wrong, or likely so."""

    severity: Literal["error", "warning"]
    kind: str = Field(description="What it is about, in a word or two.")
    message: str = Field(description="What is wrong and what to do.")
    count: int = Field(description="Posts, or pairs of posts, that it is about.")
    examples: tuple[Example, ...] = Field(default=(), description="Some of them, the clearest first.")


class Count(StrictModel):
    """How many posts of a split have a language, stance and source, and perhaps a narrative, in common."""

    split: str
    narrative: str | None = Field(description="None: whatever they advance, so that each post counts once.")
    language: str
    stance: str
    source: str
    posts: int


class Support(StrictModel):
    """What there is to learn a narrative from."""

    split: str
    narrative: str
    posts: int = Field(description="Posts that advance it.")
    groups: int = Field(description="Groups of related posts among these: ten copies teach as much as one post.")
    unknown: int = Field(description="Posts of which it is not known.")


class Lengths(StrictModel):
    """How long the posts of a split are."""

    split: str
    at_once: int = Field(description="Tokens that a model reads at once.")
    median: int = Field(description="Tokens.")
    most: int = Field(description="Tokens of the longest of 95 % of the posts.")
    longest: int = Field(description="Tokens.")
    cut: int = Field(description="Posts of which training reads the beginning alone.")
    truncated: int = Field(description="Posts whose end is not read in use, either.")


class Report(StrictModel):
    """Everything that a check found."""

    taxonomy: str = Field(description="Id and version.")
    sources: dict[str, tuple[str, ...]] = Field(description="Files of each split.")
    posts: dict[str, int] = Field(description="Posts of each split that can be read.")
    counts: tuple[Count, ...] = Field(description="A post with several narratives counts for each.")
    support: tuple[Support, ...]
    lengths: tuple[Lengths, ...]
    findings: tuple[Finding, ...] = Field(description="Errors first.")

    def of(self, severity: Literal["error", "warning"]) -> list[Finding]:
        """Findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def table(self, split: str, rows: str, columns: str) -> Table:
        """Posts of a split by two of ``narrative``, ``language``, ``stance`` and ``source``."""
        cells: dict[str, Counter[str]] = {}
        for count in self.counts:
            if count.split == split and (count.narrative is not None) == ("narrative" in (rows, columns)):
                cells.setdefault(getattr(count, rows), Counter())[getattr(count, columns)] += count.posts
        names = [name for name, _ in sum(cells.values(), Counter[str]()).most_common()]
        return Table(rows, columns, names, {row: [some[name] for name in names] for row, some in sorted(cells.items())})


class Table(NamedTuple):
    """Counts of posts: what its rows and columns are, the names of the columns, and the cells of each row."""

    rows: str
    columns: str
    names: list[str]
    cells: dict[str, list[int]]

    @property
    def most(self) -> int:
        """The greatest count, at least 1."""
        return max((count for counts in self.cells.values() for count in counts), default=1)


def write_report(report: Report, path: Path) -> None:
    """Write the report as an HTML page of its own."""
    shown = [("narrative", columns) for columns in ("language", "stance", "source")]
    shown += [("stance", columns) for columns in ("language", "source")]
    tables = {split: [report.table(split, *pair) for pair in shown] for split in report.posts}
    write_page(path, "narratrace.training", "data_check.html", report=report, tables=tables)
