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
MAX_PERIODS = 62
"""Bars in a row: those of two months by day."""
_OUTLIERS = 0.005
"""Share of posts before, and after, the time that is drawn: clocks that were wrong would squeeze all the rest."""
_UNITS = ("day", "week", "month", "year")


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
    """Sum counts by day up to the first of days, weeks, months or years that gives at most `MAX_PERIODS` bars.

    Where even years give more, only the years that follow each other and hold most posts are drawn, as many as may be.
    None without any time.
    """
    dated = sum(counts["posts"] for counts in days.values())
    if not dated:
        return None
    first, last = _span({day: counts["posts"] for day, counts in days.items()}, dated)
    unit = next(unit for unit in _UNITS if _steps(first, last, unit) < MAX_PERIODS)
    length = (last - first).days
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
    """First and last day, without the outermost posts, and of too many years only the densest."""

    def edge(days: list[str]) -> date:
        passed = 0
        for day in days:
            passed += posts[day]
            if passed > _OUTLIERS * total:
                break
        return date.fromisoformat(day)

    first, last = edge(sorted(posts)), edge(sorted(posts, reverse=True))
    if _steps(first, last, "year") < MAX_PERIODS:
        return first, last
    # A small archive has no half percent to leave out, so that one clock that was wrong could fill a page with nothing.
    dated = {day: count for day, count in posts.items() if first <= date.fromisoformat(day) <= last}
    years: Counter[int] = Counter()
    for day, count in dated.items():
        years[int(day[:4])] += count
    begins = max(years, key=lambda begin: (sum(years[begin + step] for step in range(MAX_PERIODS)), begin))
    kept = [day for day in dated if 0 <= int(day[:4]) - begins < MAX_PERIODS]
    return date.fromisoformat(min(kept)), date.fromisoformat(max(kept))


def _steps(first: date, last: date, unit: str) -> int:
    """How many periods later than the one of the first day the one of the last day is."""
    if unit == "week":
        return (last.toordinal() - 1) // 7 - (first.toordinal() - 1) // 7  # day 1, of year 1, was a Monday
    if unit == "month":
        return 12 * (last.year - first.year) + last.month - first.month
    return last.year - first.year if unit == "year" else (last - first).days


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
