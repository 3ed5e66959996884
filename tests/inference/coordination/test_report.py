"""The page shows hostile posts as text, and holds what it promises, from a real run over an archive."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest

from narratrace.inference.archives.archive import Archive
from narratrace.inference.coordination.plots import Copied, plot_timeline
from narratrace.inference.copypasta.run import group_archive
from narratrace.inference.copypasta.settings import default_settings
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ATTACK = "<script>alert('text')</script>"
BREAK = "</script><img src=x onerror=alert('break')>"
MESSAGE = "有人付钱给示威者，真相就在这份名单里，大家快看快转发！"


class Page(HTMLParser):
    """The page as a browser reads it: its elements, their attributes, the text outside scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.scripts = ""
        self._in: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._in and self._in[-1] == "script":
            self.scripts += data
        elif not (self._in and self._in[-1] == "style"):
            self.text += f"{data} "


def drawn(page: Page, plot: str) -> list[dict[str, Any]]:
    """Return what a plot of the page draws."""
    start = re.search(rf'Plotly\.newPlot\(\s*"{plot}",\s*', page.scripts)
    assert start
    traces: list[dict[str, Any]] = json.JSONDecoder().raw_decode(page.scripts, start.end())[0]
    return traces


def hostile_archive(path: Path, attack: bool) -> Path:
    """Write posts of three accounts; what hostile hands would write stands where ordinary words stand otherwise."""
    evil, torn = (ATTACK, BREAK) if attack else ("script alert text", "script img break")
    name = "<b onmouseover=alert(1)>account</b>" if attack else "account"
    start = datetime(2019, 8, 4, 10, tzinfo=UTC)
    rows = [
        (name, f"{MESSAGE} {evil}"),
        ("=cmd|' /C calc'!A0", f"{MESSAGE} {evil}"),
        ("third", f"{MESSAGE} {torn} 转发"),
        ("third", f"{torn} 昨天的会议记录全部流出，名单上的人一个都跑不掉。"),
        (name, f"{torn} 昨天的会议记录全部流出，名单上的人一个都跑不掉。"),
        ("third", f"{evil} 今天天气很好，和家人去海边散步。"),
        ("third", f"\u202e{evil} 晚上一起看电影，票已经买好了。\0" if attack else "晚上一起看电影，票已经买好了。\0"),
    ]
    with path.open("w", encoding="utf-8") as file:
        for number, (account, text) in enumerate(rows):
            post = {"id": f"p{number}", "account_id": account, "text": text}
            time = start + timedelta(minutes=3 * number)
            scores = {"labels": [ATTACK if attack else "narrative"], "stance": "advances"}
            file.write(json.dumps(post | {"created_at": time.isoformat()} | scores) + "\n")
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders of results: of the hostile archive, and of the same one without attacks."""
    folder = tmp_path_factory.mktemp("grouped")
    settings = default_settings().model_copy(update={"csv": True})
    for attack in (True, False):
        archive = hostile_archive(folder / f"posts_{attack}.jsonl", attack)
        group_archive([archive], folder / str(attack), settings)
    return {attack: folder / str(attack) for attack in (True, False)}


def test_hostile_posts_are_shown_as_text(results: dict[bool, Path]) -> None:
    hostile, plain = (Page((results[attack] / "report.html").read_text(encoding="utf-8")) for attack in (True, False))
    assert ATTACK in hostile.text
    assert "onerror=alert('break')" in hostile.text
    assert "<b onmouseover=alert(1)>account</b>" in hostile.text
    # Only the marks of the diff and the languages to choose from may differ in number.
    changes = {"ins", "del", "option"}
    assert [tag for tag in hostile.tags if tag not in changes] == [tag for tag in plain.tags if tag not in changes]
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]
    assert hostile.tags.count("img") == 0
    assert ATTACK not in hostile.scripts
    assert "\u202e" not in hostile.text + hostile.scripts


def test_the_page_loads_nothing_from_elsewhere(results: dict[bool, Path]) -> None:
    page = Page((results[True] / "report.html").read_text(encoding="utf-8"))
    assert not [value for name, value in page.attributes if name == "src"]
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")
    assert "Plotly.newPlot" in page.scripts


def test_the_page_says_what_was_found(results: dict[bool, Path]) -> None:
    page = Page((results[False] / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.text.split())
    assert "3 accounts posted the same text within 10 minutes from 2019-08-04 10:00:00" in text
    assert "Posted 3 times by 3 accounts, in 2 spellings" in text
    assert "narrative 2 5 3" in text  # groups, posts, accounts
    assert "ins" in page.tags
    [bar] = drawn(page, "narratives_plot")
    assert (bar["name"], bar["x"]) == ("narrative", [3, 2])  # posts of both groups
    assert sum(drawn(page, "timeline")[0]["y"]) == 5
    assert not [word for word in ("bot", "state-backed", "fake account") if word in text.lower().split()]


def test_posts_that_share_an_id_keep_their_own_narratives(tmp_path: Path) -> None:
    other = "昨天的会议记录全部流出，名单上的人一个都跑不掉。"
    scored, csv, raw = tmp_path / "1.jsonl", tmp_path / "2.csv", tmp_path / "3.jsonl"
    rows = [{"nr": "1", "text": MESSAGE, "labels": ["first"], "stance": "A"}, {"nr": "2", "text": ""}]
    scored.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    csv.write_text(f"nr,text,labels,stance\n1,{MESSAGE},second|third,A\n2,{other},,N\n", encoding="utf-8")
    raw.write_text("".join(json.dumps({"nr": "1", "text": text}) + "\n" for text in (MESSAGE, other, other, "rt")))
    archive = Archive.open([scored, csv, raw], {"id": "nr"})
    group_archive(archive, tmp_path / "out")
    posts = pq.read_table(tmp_path / "out" / "posts.parquet")
    assert posts["narratives"].to_pylist() == [["first"], ["second", "third"], [], *[None] * 4]
    groups = pq.read_table(tmp_path / "out" / "groups.parquet")
    assert groups["narratives"].to_pylist() == [["first", "second", "third"], []]
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert {bar["name"]: bar["x"] for bar in drawn(page, "narratives_plot")} == {
        "first": [1],
        "second": [1],
        "third": [1],
    }


@pytest.mark.parametrize(("ids", "counted"), [(("p1", "p2"), 1), ((None, None), 2)])
def test_posts_without_ids_are_never_taken_for_one(
    tmp_path: Path, ids: tuple[str | None, str | None], counted: int
) -> None:
    rows = [
        {"id": name, "account_id": account, "text": MESSAGE, "created_at": "2019-08-04T10:00:00Z"}
        for name, account in zip(ids, "ab", strict=True)
    ]
    for folder in ("crawl", "backup"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        path = tmp_path / "in" / folder / "posts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    group_archive([tmp_path / "in" / "crawl", tmp_path / "in" / "backup"], tmp_path / "out")
    accounts = pq.read_table(tmp_path / "out" / "accounts.parquet")
    assert accounts["posts"].to_pylist() == accounts["copies"].to_pylist() == [counted, counted]
    # The tables of the grouping have every row.
    assert pq.read_table(tmp_path / "out" / "posts.parquet").num_rows == 4
    assert pq.read_table(tmp_path / "out" / "groups.parquet")["posts"].to_pylist() == [4]


def test_where_nothing_is_scored_there_is_nothing_of_narratives(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(f'{{"text": "{MESSAGE}"}}\n' * 2, encoding="utf-8")
    group_archive([path], tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "groups.parquet")["narratives"].to_pylist() == [None]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Narratives by group" not in page


def test_the_page_takes_first_copies_from_the_posts_that_count(tmp_path: Path) -> None:
    start = datetime(2019, 8, 4, 10, tzinfo=UTC)
    rows = [("reposter", 0, True), ("a", 5, False), ("b", 6, False), ("b", 9, True)]
    path = tmp_path / "posts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, (account, hours, repost) in enumerate(rows):
            time = (start + timedelta(hours=hours)).isoformat()
            post = {"id": f"p{number}", "account_id": account, "text": MESSAGE, "created_at": time, "is_repost": repost}
            file.write(json.dumps(post) + "\n")
    group_archive([path], tmp_path / "out")
    text = " ".join(Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).text.split())
    assert "2 posts of 2 accounts, the first of them p1 ;" in text
    assert "2019-08-04 15:00:00 to 2019-08-04 16:00:00 UTC (1 h)" in text
    assert "First copy a Between" in text
    table = text.split("After the first Copies")[1]
    assert table.startswith(
        " a 2019-08-04 15:00:00 0 s 1 b 2019-08-04 16:00:00 1 h 1 reposter repost 2019-08-04 10:00:00 Method"
    )


def test_the_filters_know_narratives_with_spaces_and_accounts_that_are_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(40):
            labels = ["foreign hands", "hands"] if number % 2 else ["foreign hands"]
            post = {"account_id": f"account{number}", "text": MESSAGE, "labels": labels, "stance": "A"}
            file.write(json.dumps(post) + "\n")
    group_archive([path], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    options = dict(re.findall(r'<option value="(\d+)">([^<]*)</option>', page))
    assert sorted(options.values()) == ["foreign hands", "hands"]
    [narratives] = re.findall(r'data-narratives="([^"]*)"', page)
    assert set(narratives.split()) == set(options)
    [names] = re.findall(r'data-names="([^"]*)"', page)
    assert set(names.split()) == {f"account{number}" for number in range(40)}


def test_a_click_on_an_account_knows_its_name(results: dict[bool, Path]) -> None:
    page = Page((results[True] / "report.html").read_text(encoding="utf-8"))
    assert "<b onmouseover=alert(1)>account</b>" in drawn(page, "graph")[-1]["customdata"]


def test_the_timeline_holds_bars_and_not_every_copy() -> None:
    start = np.datetime64("2019-08-04T10:00:00", "us")
    copies = [Copied("0: text", ["a", "b"], [datetime(2019, 8, 4, 10, tzinfo=UTC)] * 2)]
    few, many = (plot_timeline(copies, start + np.arange(number) * 1_000_000) for number in (1_000, 100_000))
    assert len(many) < len(few) + 1_000


def test_tables_are_written_in_both_formats_and_formulas_are_not_run(results: dict[bool, Path]) -> None:
    folder = results[True]
    for name in ("groups", "posts", "links", "accounts", "edges"):
        table = pq.read_table(folder / f"{name}.parquet")
        lines = (folder / f"{name}.csv").read_text(encoding="utf-8-sig")
        assert lines.split("\n")[0].strip().split(",") == table.column_names
    assert "'=cmd|" in (folder / "accounts.csv").read_text(encoding="utf-8-sig")
    assert pq.read_table(folder / "groups.parquet")["narratives"].to_pylist() == [[ATTACK]] * 2


def test_a_second_run_gives_the_same_bytes(results: dict[bool, Path], tmp_path: Path) -> None:
    settings = default_settings().model_copy(update={"csv": True})
    group_archive([results[True].parent / "posts_True.jsonl"], tmp_path, settings)
    for name in ("groups.parquet", "accounts.parquet", "edges.parquet", "graph.graphml", "report.html"):
        assert (tmp_path / name).read_bytes() == (results[True] / name).read_bytes(), name


def test_posts_are_never_replaced_by_results(tmp_path: Path) -> None:
    source = hostile_archive(tmp_path / "posts.jsonl", attack=False)
    pq.write_table(pj.read_json(source), tmp_path / "posts.parquet")
    (tmp_path / "accounts.csv").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"posts.parquet would be replaced"):
        group_archive([tmp_path / "posts.parquet"], tmp_path, overwrite=True)
    with pytest.raises(InputError, match="add --overwrite"):
        group_archive([source], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_results_are_not_read_as_posts_by_the_next_run(tmp_path: Path) -> None:
    hostile_archive(tmp_path / "posts.jsonl", attack=False)
    settings = default_settings().model_copy(update={"csv": True})
    once = group_archive([tmp_path], tmp_path / "out", settings)
    twice = group_archive([tmp_path], tmp_path / "out", default_settings(), overwrite=True)
    assert twice.found.posts == once.found.posts == 7
    assert not list((tmp_path / "out").glob("*.csv"))
