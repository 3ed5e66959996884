"""Each thing that can be wrong is found where it is, and nothing is found where nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from narratrace.model.errors import InputError, SettingsError
from narratrace.model.taxonomy import Taxonomy
from narratrace.training.check_report import Finding, Report, write_report
from narratrace.training.checking import check
from narratrace.training.settings import COLUMNS, ColumnSettings

Check = Callable[..., Report]

WORDS = "香港 警察 示威 遊行 法律 經濟 學生 議員 新聞 政府 市民 街道 商店 學校 晚上 早上 朋友 電視 報紙 地鐵".split()


def text(number: int) -> str:
    """A text of its own for each number."""
    return "，".join(WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 7, 9, 11)) + chr(0xAC00 + number) * 6


def post(number: int, stance: str | None = "N", labels: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"text": text(number), "lang": "zh-Hant", "stance": stance, "labels": labels or [], **fields}


@pytest.fixture
def checked(tmp_path: Path, taxonomy: Taxonomy) -> Check:
    """Check rows, as lists of splits; without a name they are of the split 'posts'."""

    def run(*posts: dict[str, Any], max_tokens: int | None = None, **splits: list[dict[str, Any]]) -> Report:
        files = {}
        for name, rows in (splits or {"posts": [*posts]}).items():
            path = tmp_path / f"{name}.jsonl"
            path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
            files[name] = [str(path)]
        return check(files, taxonomy, COLUMNS, max_tokens=max_tokens)

    return run


def finding(report: Report, kind: str) -> Finding:
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


QUIET = {"rare narratives", "hard to promise", "hard to measure", "stances"}
"""What a handful of posts cannot be free of."""


def test_clean_posts_have_no_finding_but_that_they_are_few(checked: Check) -> None:
    report = checked(*(post(number) for number in range(20)))
    assert kinds(report) <= QUIET
    assert report.of("error") == []
    assert report.posts == {"posts": 20}


@pytest.mark.parametrize(
    ("row", "kind", "detail"),
    [
        (post(1, "A", ["police_heros"]), "unknown label", "'police_heros', the nearest is police_heroes"),
        (post(1, "A", ["xyz", "zyx"]), "unknown label", "'zyx'"),
        (post(1) | {"text": "  "}, "empty text", "the text is empty"),
        (post(1, "X"), "unknown stance", "'X' is none of A, R, C, N"),
        (post(1, "C", ["police_heroes"]), "labels and stance", "stance C advances nothing"),
        ({"text": "x"}, "no label", "neither the stance nor any narrative"),
    ],
)
def test_every_faulty_row_is_an_error(checked: Check, row: dict[str, Any], kind: str, detail: str) -> None:
    report = checked(post(0), row, post(2), row)
    found = finding(report, kind)
    assert (found.severity, found.count) == ("error", 2)
    assert [example.where.rsplit(", ", 1)[1] for example in found.examples] == ["line 2", "line 4"]
    assert detail in found.examples[0].detail
    assert report.posts == {"posts": 2}
    assert report.findings[0] == found  # errors come first


def test_the_text_of_a_faulty_row_is_shown_whatever_its_column(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps({"post": {"body": "what it says"}, "stance": "X", "labels": []}), encoding="utf-8")
    report = check({"posts": [str(path)]}, taxonomy, ColumnSettings(text="post.body"))
    assert [example.text for example in finding(report, "unknown stance").examples] == ["what it says"]


def test_copies_and_contradictions_are_found(checked: Check) -> None:
    one = post(1, "A", ["police_heroes"])
    shouted = one | {"text": f"【轉】{text(1)}！！！", "stance": "C", "labels": []}
    edited = one | {"text": text(1) + "好", "labels": ["police_heroes", "separatism"]}
    unsure = one | {"text": text(1) + "嗎", "labels": [], "unknown": "*"}
    report = checked(post(0), one, one, shouted, edited, unsure)
    assert finding(report, "duplicates").count == 1
    assert finding(report, "near-duplicates").count >= 3
    details = {example.detail for example in finding(report, "conflicting labels").examples}
    assert "differ in stance A and C, police_heroes" in details
    assert "differ in separatism" in details
    where = [example.where for example in finding(report, "conflicting labels").examples]
    assert not any("line 2; " in one and "line 6" in one for one in where)  # unknown contradicts nothing


def test_a_text_in_every_split_leaks_between_each_two_of_them(checked: Check) -> None:
    edited = post(1) | {"text": text(1) + "好"}
    report = checked(train=[post(1), post(2)], dev=[post(3), post(1)], test=[edited, post(1), post(1)])
    same = {found.message.split(":")[0]: found.count for found in report.findings if found.kind == "leak of texts"}
    assert {about.removeprefix("Pairs of posts with ").removesuffix(" "): count for about, count in same.items()} == {
        "the same text in train and in dev": 1,
        "the same text in train and in test": 2,
        "the same text in dev and in test": 2,
        "nearly the same text in train and in test": 1,
        "nearly the same text in dev and in test": 1,
    }
    assert finding(report, "duplicates").count == 1
    assert finding(report, "near-duplicates").count == 1


def test_leaks_between_splits_are_errors_but_for_accounts(checked: Check) -> None:
    report = checked(
        train=[post(0, account_id="a"), post(1), post(2, group="g"), post(3)],
        dev=[post(1), post(3) | {"text": text(3) + "好"}, post(4, account_id="a"), post(5, group="g"), post(6)],
    )
    texts = [found for found in report.findings if found.kind == "leak of texts"]
    assert [found.count for found in texts] == [1, 1]
    assert all(found.severity == "error" for found in texts)
    account, group = finding(report, "leak by account"), finding(report, "leak by group, family or rewriting")
    assert (account.severity, account.count) == ("warning", 1)
    assert (group.severity, group.count) == ("error", 1)
    assert "dev.jsonl, line 3" in account.examples[0].where


def test_files_that_both_number_their_posts_leak_nothing(checked: Check) -> None:
    numbered = [post(number, id=number % 5, account_id=f"x{number}") for number in range(10)]
    report = checked(train=numbered[:5], dev=numbered[5:])
    assert not [kind for kind in kinds(report) if kind.startswith("leak")]


def test_a_language_that_does_not_match_is_found(checked: Check) -> None:
    english = post(0) | {"text": "The police of Hong Kong thanked the people of the city", "lang": "zh-Hans"}
    report = checked(english, post(1) | {"lang": "yue"}, post(2) | {"lang": "mixed"})
    found = finding(report, "language")
    assert found.count == 1
    assert found.examples[0].detail == "tagged zh-Hans, reads like en"


def test_unknown_language_tags_are_counted(checked: Check) -> None:
    tagged = [
        post(number) | {"lang": tag} for number, tag in enumerate(["ja", "en-US", "ja", "zh", "", "zh_TW", "MIX"])
    ]
    report = checked(*tagged)
    found = finding(report, "unknown language tag")
    assert (found.severity, found.count) == ("warning", 3)
    assert "ja (2), en-US (1)" in found.message
    assert found.examples[0].detail.startswith("tagged ja, taken for zh-")
    assert "unknown language tag" not in kinds(checked(*tagged[3:]))


def test_chinese_in_the_other_script_is_found(checked: Check) -> None:
    texts = ["严惩暴徒，支持香港警察", "嚴懲暴徒，支持香港警察", "香港加油", "著名作家張三 the famous writer said"]
    rows = [
        {"text": text, "lang": lang, "stance": "N", "labels": []} for text in texts for lang in ("zh-Hans", "zh-Hant")
    ]
    report = checked(*rows, rows[0] | {"lang": "yue"}, rows[1] | {"lang": "yue"}, rows[0] | {"lang": "mixed"})
    found = finding(report, "language")
    assert [(example.where.rsplit(" ", 1)[1], example.detail) for example in found.examples] == [
        ("2", "tagged zh-Hant, is in Simplified characters"),
        ("3", "tagged zh-Hans, is in Traditional characters"),
        ("7", "tagged zh-Hans, is in Traditional characters"),
    ]


def test_long_posts_are_measured_in_tokens(checked: Check) -> None:
    report = checked(post(0), post(1) | {"text": text(1) + "警察執法公正，市民支持。" * 60}, post(2), post(3))
    assert finding(report, "long posts").count == 1
    (lengths,) = report.lengths
    assert lengths.median < 60 < lengths.longest
    assert (lengths.at_once, lengths.cut, lengths.truncated) == (192, 1, 0)


def test_what_is_long_depends_on_what_training_reads_at_once(checked: Check) -> None:
    posts = [post(0), post(1) | {"text": "警察執法公正，市民支持。" * 20}]
    of_default, of_64 = checked(*posts), checked(*posts, max_tokens=64)
    assert "long posts" not in kinds(of_default)
    assert "the 64 tokens" in finding(of_64, "long posts").message
    assert [report.lengths[0].cut for report in (of_default, of_64)] == [0, 1]


def test_rare_narratives_are_counted_by_groups(checked: Check) -> None:
    many = [post(number, "A", ["separatism"], account_id="one") for number in range(30)]
    several = [post(number, "A", ["police_heroes"]) for number in range(30, 42)]
    report = checked(train=[*many, *several], dev=[post(50, "A", ["separatism"])])
    assert "separatism (30 in 1 groups)" in finding(report, "rare narratives").message
    assert "police_heroes (12)" in finding(report, "hard to promise").message
    assert "separatism (1)" in finding(report, "hard to measure").message
    assert "0 report, 0 counter" in finding(report, "stances").message


def test_a_group_that_is_most_of_a_split_is_named(checked: Check) -> None:
    report = checked(*(post(number, account_id="one" if number < 15 else str(number)) for number in range(30)))
    found = finding(report, "large group")
    assert found.count == 15
    assert "15 of 30 (15 share account:one)" in found.message
    assert "large group" not in kinds(checked(*(post(number, account_id=str(number // 5)) for number in range(30))))


def test_counts_are_of_every_kind(checked: Check) -> None:
    report = checked(
        post(0, "A", ["separatism", "police_heroes"], source="x"),
        post(1, "R", source="x"),
        post(2, None, ["separatism"], source="y", lang="en"),
    )
    assert report.table("posts", "stance", "source").cells == {"?": [0, 1], "A": [1, 0], "R": [1, 0]}
    languages = report.table("posts", "narrative", "language")
    assert languages.names == ["zh-Hant", "en"]
    assert languages.cells == {"police_heroes": [1, 0], "separatism": [1, 1]}


def test_the_page_shows_hostile_posts_as_text(checked: Check, tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>\u202e 支持警察 <img src=x onerror=alert(1)>"
    report = checked(
        post(0, "A", ["separatism"], source="<b>s</b>"), post(1) | {"text": hostile}, post(2) | {"text": hostile}
    )
    write_report(report, tmp_path / "check.html")
    page = (tmp_path / "check.html").read_text(encoding="utf-8")

    class Tags(HTMLParser):
        found: list[str] = []  # noqa: RUF012 - one parser

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.found.append(tag)

    Tags().feed(page)
    assert not {"script", "img", "b"} & {*Tags.found}
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    for title in ("stance by language", "stance by source", "narrative by stance", "duplicates"):
        assert title in page


def test_nothing_to_check_is_said(checked: Check, tmp_path: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(InputError, match="no labelled posts"):
        checked()
    only_faults = checked({"text": "", "labels": []})
    assert only_faults.posts == {"posts": 0}
    with pytest.raises(SettingsError, match="nearest is 'police_heroes'"):
        check({"posts": [str(tmp_path / "posts.jsonl")]}, taxonomy, ColumnSettings(labels={"police_heros": "x"}))
