"""The report of a scoring run: right numbers, however the archive was cut, and harmless whatever the posts hold."""

from __future__ import annotations

import json
import random
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from narratrace.inference.classifier import Classifier
from narratrace.inference.report import over_time
from narratrace.inference.scoring import ScoringSettings, score_archive
from narratrace.model.artefact import Artefact, ThresholdSet

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</p></details><iframe src=//evil.example>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202eabc\u200b",
]


class Page(HTMLParser):
    """Tags, attribute names and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    chance = random.Random(2)
    rows = [
        {
            "id": f"<b>{number}</b>",
            "account_id": chance.choice(["a", "b", None, *HOSTILE]),
            "text": chance.choice(HOSTILE) + "長" * chance.randint(0, 2) + chance.choice("abc"),
            "created_at": chance.choice(["2019-08-24 08:40", "2019-08-31", "2019-09-01", "0001-01-01", ""]),
        }
        for number in range(200)
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "<script>\n")
    return path


def test_the_report_is_the_same_however_the_work_is_cut(archive: Path, tmp_path: Path, lengths: Any) -> None:
    for size in (7, 1000):
        score_archive([archive], tmp_path / str(size), lengths(), ScoringSettings(shard_size=size, window=size))
    assert (tmp_path / "7" / "report.html").read_bytes() == (tmp_path / "1000" / "report.html").read_bytes()


def test_its_numbers_are_those_of_the_scores(archive: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([archive], tmp_path / "out", lengths(), ScoringSettings(shard_size=50))
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    texts = Page((tmp_path / "out" / "report.html").read_text()).texts
    labels = Counter(row["account_id"] for row in rows for _ in row["labels"] if row["account_id"] is not None)
    posts = Counter(row["account_id"] for row in rows)
    for account in ("a", "b", HOSTILE[0]):
        place = texts.index(account)
        assert [text for text in texts[place + 1 :] if text][:2] == [str(labels[account]), str(posts[account])]
    start = texts.index("violent")
    shown = [text for text in texts[start + 1 :] if text][:3]
    flagged = sum("violent" in row["labels"] for row in rows)
    assert shown == [str(flagged), f"{100 * flagged / 200:.1f} %", str(sum(bool(row["abstained"]) for row in rows))]


def test_posts_cannot_put_anything_on_the_page(archive: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([archive], tmp_path / "out", lengths())
    html = (tmp_path / "out" / "report.html").read_text()
    page = Page(html)
    assert not page.tags.keys() & {"script", "img", "iframe", "b"}
    assert not {name for name in page.attributes if name.startswith("on")}
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    assert "\u202e" not in html
    assert "//" not in html.replace("src=//evil.example", "")  # nothing is loaded from elsewhere


def test_texts_that_are_left_out_are_not_in_the_report(archive: Path, tmp_path: Path, lengths: Any) -> None:
    texts = {json.loads(line)["text"] for line in archive.read_text().splitlines()[:-1]} - set(HOSTILE)
    for text in (True, False):
        score_archive([archive], tmp_path / str(text), lengths(), ScoringSettings(text=text))
        shown = Page((tmp_path / str(text) / "report.html").read_text()).texts
        assert bool(texts & set(shown)) == text


@pytest.mark.parametrize("thresholds", ["f1", "precision"])
def test_it_says_how_to_read_it_from_what_the_artefact_carries(
    archive: Path, tmp_path: Path, tiny_artefact: Artefact, thresholds: ThresholdSet
) -> None:
    classifier = Classifier(tiny_artefact, threads=1, thresholds=thresholds)
    score_archive([archive], tmp_path / "out", classifier)
    said = " ".join(" ".join(Page((tmp_path / "out" / "report.html").read_text()).texts).split())
    assert f"posts.jsonl, scored with {tiny_artefact.id} and its thresholds" in said
    promised = tiny_artefact.manifest.promised
    assert promised
    pairs = [promise for each in promised.narratives.values() for promise in each.values()]
    kept = f"{sum(pair.threshold is not None for pair in pairs)} of {len(pairs)} narratives by language"
    assert (kept in said) == (thresholds == "precision")
    for name, figures in tiny_artefact.manifest.metrics.items():
        shares = [figures["false_flags"][stance] for stance in "RCN"]
        row = [f"{figures['posts']:,}", *("-" if share is None else f"{100 * share:.1f} %" for share in shares)]
        assert f"{name.replace('_', ' ')} {' '.join(row)}" in said


def test_of_an_unknown_scorer_no_error_is_told(archive: Path, tmp_path: Path, lengths: Any) -> None:
    score_archive([archive], tmp_path / "out", lengths())
    texts = Page((tmp_path / "out" / "report.html").read_text()).texts
    assert "posts.jsonl, scored with =lengths-1. A label" in " ".join(texts)
    assert "How to read this" in texts
    assert "Some labels are wrong." not in texts


@pytest.mark.parametrize(
    ("days", "unit", "periods"),
    [
        (["2019-08-01", "2019-08-03"], "day", ["2019-08-01", "2019-08-02", "2019-08-03"]),
        (["2019-06-03", "2019-08-12"], "week", None),
        (["2014-01-31", "2018-12-01"], "month", None),
        (["2018-06-03", "2019-08-04"], "week", None),
        (["2018-06-03", "2019-08-05"], "month", None),
        (["2014-01-31", "2019-02-01"], "month", None),
        (["2014-01-01", "2019-03-01"], "year", None),
        (["2001-01-31", "2019-12-01"], "year", None),
        (["1958-01-31", "2019-12-01"], "year", None),
    ],
)
def test_the_time_axis_fits_the_archive(days: list[str], unit: str, periods: list[str] | None) -> None:
    counts = {day: {"posts": 10, "label x": 4} for day in days}
    times = over_time(counts, ["x"], posts=25)
    assert times is not None
    assert times.unit == unit
    assert len(times.periods) <= 62
    assert periods is None or times.periods == periods
    assert (times.undated, times.outside) == (5, 0)
    assert [sum(row.counts) for row in times.rows] == [20, 8]


def test_a_clock_that_was_wrong_does_not_squeeze_the_rest() -> None:
    counts = {f"2019-08-{day:02}": {"posts": 100} for day in range(1, 31)} | {"1970-01-01": {"posts": 3}}
    times = over_time(counts, [], posts=3003)
    assert times is not None
    assert (times.unit, times.outside, len(times.periods)) == ("day", 3, 30)


@pytest.mark.parametrize("clocks", [["0001-01-01"], ["9999-12-31"], ["0001-01-01", "9999-12-31"], ["1957-12-31"]])
def test_one_clock_that_was_wrong_does_not_squeeze_a_small_archive(clocks: list[str]) -> None:
    counts = {f"2019-08-{day:02}": {"posts": 5} for day in range(1, 20)} | {day: {"posts": 1} for day in clocks}
    times = over_time(counts, [], posts=100)
    assert times is not None
    assert (times.unit, times.outside, times.undated) == ("day", len(clocks), 5 - len(clocks))
    assert (times.periods[0], times.periods[-1], len(times.periods)) == ("2019-08-01", "2019-08-19", 19)
    assert sum(times.rows[0].counts) == 95


def test_the_densest_years_are_drawn_where_there_are_more(tmp_path: Path) -> None:
    counts = {f"{year:04}-05-05": {"posts": 1 + (year > 1930)} for year in range(1900, 2030)}
    times = over_time(counts, [], posts=229)
    assert times is not None
    assert (times.unit, len(times.periods)) == ("year", 62)
    assert (sum(times.rows[0].counts), times.outside) == (124, 229 - 124)


def test_an_archive_without_times() -> None:
    assert over_time({}, ["x"], posts=5) is None
