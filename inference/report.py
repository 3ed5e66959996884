"""The report of a scoring run: one page that opens in a browser, from the tallies of the shards."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from narratrace.model.pages import write_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from narratrace.inference.archives.tallies import Totals
    from narratrace.inference.classifier import Classifier
    from narratrace.inference.summary import Summary
    from narratrace.model.artefact import Manifest

MAX_CHARACTERS = 500
"""Characters of a sample post that are shown."""
_OUTLIERS = 0.005
"""Share of posts before, and after, the time that is drawn: clocks that were wrong would squeeze all the rest."""


class Promised(NamedTuple):
    """For how much of what an artefact knows it promises a precision."""

    precision: float
    kept: int
    """Narratives by language with a threshold."""
    of: int
    """All of them."""


class Bars(NamedTuple):
    """How often something was found in each of several periods of equal length."""

    title: str
    counts: list[int]
    shares: list[float]
    """Heights, 0 to 1 of the highest."""


class Times(NamedTuple):
    """Narratives over time."""

    unit: str
    periods: list[str]
    rows: list[Bars]
    outside: int
    """Posts with a time that is not drawn."""
    undated: int


def write_report(
    path: Path, title: str, totals: Totals, summary: Summary, *, texts: bool, classifier: Classifier | None = None
) -> None:
    """Write the page.

    Parameters
    ----------
    path
        The file.
    title
        What the archive is called.
    totals
        What was found, by day, language and account, with sample posts.
    summary
        What was found in numbers.
    texts
        Whether texts may be shown.
    classifier
        What scored the posts, for its thresholds and the errors that were measured; None if that is not known.
    """
    narratives = sorted(summary.narratives, key=lambda name: -summary.narratives[name].flagged)
    write_page(
        path,
        "narratrace.inference",
        "score_report.html",
        title=title,
        summary=summary,
        thresholds=classifier and classifier.thresholds,
        promised=_promised(classifier.artefact.manifest) if classifier else None,
        measured=classifier.artefact.manifest.metrics if classifier else {},
        narratives=narratives,
        times=over_time(totals.days, narratives, summary.posts),
        languages=list(summary.languages),
        by_language=totals.languages,
        accounts=[_account(name, counts) for name, counts in totals.accounts.items()],
        samples={name: [_sample(row) for row in totals.samples.get(name, ())] for name in narratives} if texts else {},
    )


def _promised(manifest: Manifest) -> Promised | None:
    if manifest.promised is None:
        return None
    promises = [promise for each in manifest.promised.narratives.values() for promise in each.values()]
    kept = sum(promise.threshold is not None for promise in promises)
    return Promised(manifest.promised.precision, kept, len(promises))


def over_time(days: Mapping[str, Mapping[str, int]], narratives: list[str], posts: int) -> Times | None:
    """Sum counts by day up to days, weeks, months or years, whichever gives at most 62 bars; None without any time."""
    dated = sum(counts["posts"] for counts in days.values())
    if not dated:
        return None
    first, last = _span({day: counts["posts"] for day, counts in days.items()}, dated)
    length = (last - first).days
    unit = "day" if length < 62 else "week" if length < 62 * 7 else "month" if length < 62 * 30 else "year"
    periods = list(dict.fromkeys(_period(first + timedelta(days=day), unit) for day in range(length + 1)))
    found: dict[str, Counter[str]] = {period: Counter() for period in periods}
    outside = 0
    for day, counts in days.items():
        if first <= date.fromisoformat(day) <= last:
            found[_period(date.fromisoformat(day), unit)].update(counts)
        else:
            outside += counts["posts"]
    rows = []
    for title, what in [("all posts", "posts"), *((name, f"label {name}") for name in narratives)]:
        numbers = [found[period][what] for period in periods]
        highest = max(numbers) or 1
        rows.append(Bars(title, numbers, [number / highest for number in numbers]))
    return Times(unit, periods, rows, outside, posts - dated)


def _span(posts: Mapping[str, int], total: int) -> tuple[date, date]:
    """First and last day, without the outermost posts."""

    def edge(days: list[str]) -> date:
        passed = 0
        for day in days:
            passed += posts[day]
            if passed > _OUTLIERS * total:
                break
        return date.fromisoformat(day)

    return edge(sorted(posts)), edge(sorted(posts, reverse=True))


def _period(day: date, unit: str) -> str:
    if unit == "week":
        return (day - timedelta(days=day.weekday())).isoformat()
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[unit]]


def _account(name: str, counts: Mapping[str, int]) -> dict[str, Any]:
    labels = {what.removeprefix("label "): number for what, number in counts.items() if what.startswith("label ")}
    most = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    return {"name": name, "posts": counts["posts"], "labels": sum(labels.values()), "most": most[:4]}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row["text"]
    cut = text[:MAX_CHARACTERS] + ("…" if len(text) > MAX_CHARACTERS else "")
    return {**row, "text": cut, "created_at": row["created_at"] and f"{row['created_at']:%Y-%m-%d %H:%M}"}
