"""Coordinated accounts are found, independent ones are not, and p-values mean what they say."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import log2
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from narratrace.inference.coordination import bursts
from narratrace.inference.coordination.bursts import adjust, find_bursts
from narratrace.inference.coordination.coordination import coordinate
from narratrace.inference.coordination.copies import read_copies
from narratrace.inference.coordination.ties import find_ties

if TYPE_CHECKING:
    from collections.abc import Callable

    from narratrace.inference.coordination.settings import CoordinationSettings

START = datetime(2019, 8, 1, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def renumbered(posts: pa.Table) -> pa.Table:
    """Number the rows anew, as the grouper does."""
    return posts.set_column(0, posts.schema.field("row"), pa.array(range(posts.num_rows), pa.int64()))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_accounts_are_found_and_independent_ones_are_not(
    simulate: Callable, tables: Callable, settings: CoordinationSettings, seed: int
) -> None:
    rows = simulate(seed, coordinated=6, independent=30, planted=8, popular=6)
    found = coordinate(*tables(rows), settings)
    accounts = found.accounts.to_pylist()
    close = {row["account_id"] for row in accounts if row["q"] is not None and row["q"] <= settings.max_q}
    assert close == {f"tied{n}" for n in range(6)}
    close_groups = found.groups.filter(pc.less_equal(found.groups["q"], settings.max_q))["group"].to_pylist()
    assert set(close_groups) >= set(range(8))
    assert len(close_groups) <= 9  # a false discovery rate of 5 % allows for one in twenty
    # One cluster holds the six, and the heaviest 15 ties are those among them.
    clusters = defaultdict(set)
    for row in accounts:
        clusters[row["cluster"]].add(row["account_id"])
    tied_cluster = {row["cluster"] for row in accounts if row["account_id"].startswith("tied")}
    assert len(tied_cluster) == 1
    heaviest = found.ties.slice(0, 15).to_pylist()
    assert {frozenset((tie["account_a"], tie["account_b"])) for tie in heaviest} == {
        frozenset(pair) for pair in combinations(sorted(close), 2)
    }
    assert all(tie["within"] >= 8 and tie["groups"] >= 8 for tie in heaviest)
    rest = found.ties.slice(15).to_pylist()
    assert max(tie["within"] for tie in rest) <= 2


def test_under_the_null_model_p_is_uniform(simulate: Callable, tables: Callable) -> None:
    p: list[float] = []
    for seed in range(6):
        rows = simulate(seed, coordinated=0, independent=40, planted=0, popular=25, days=1)
        of_group, of_account = find_bursts(read_copies(tables(rows)[0]), 7200, 199, seed)
        p += of_group.p.tolist()
        assert (of_account.q > 0.05).all()
    assert len(p) == 150
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        error = np.sqrt(level * (1 - level) / len(p))
        assert abs(np.mean(np.array(p) <= level) - level) < 3 * error, level


def test_times_that_cannot_be_shuffled_are_not_tested(tables: Callable, settings: CoordinationSettings) -> None:
    # Each account has one post on the day, so that nothing is known of its habits.
    found = coordinate(*tables([(f"a{n}", 0, minutes(n), False) for n in range(5)]), settings)
    [group] = found.groups.to_pylist()
    assert group["close_pairs"] == 10
    assert group["p"] is None
    assert group["q"] is None
    assert found.accounts["p"].null_count == 5


def test_without_times_accounts_are_tied_and_nothing_is_tested(
    tables: Callable, settings: CoordinationSettings
) -> None:
    found = coordinate(*tables([("a", 0, None, False), ("b", 0, None, False), ("c", None, None, False)]), settings)
    [tie] = found.ties.to_pylist()
    assert (tie["account_a"], tie["account_b"], tie["groups"], tie["within"]) == ("a", "b", 1, 0)
    assert tie["median_gap_s"] is None
    [group] = found.groups.to_pylist()
    assert (group["p"], group["close_pairs"], group["median_gap_s"], group["originators"]) == (None, None, None, [])


def test_a_group_is_described(tables: Callable, settings: CoordinationSettings) -> None:
    rows = [
        ("late", 0, minutes(500), False),
        ("first", 0, minutes(0), False),
        ("first", 0, minutes(1), False),
        ("second", 0, minutes(4), True),
        ("third", 0, minutes(10), False),
    ]
    posts, groups = tables(rows)
    narratives = [["separatism"], ["separatism", "elite_corruption"], [], None, None]
    posts = posts.append_column("narratives", pa.array(narratives, pa.list_(pa.string())))
    included = settings.model_copy(update={"reposts": "include"})
    [group] = coordinate(posts, groups, included).groups.to_pylist()
    assert group["originators"] == ["first"]
    assert group["median_gap_s"] == 6 * 60  # 4, 6 and 490 minutes between the accounts
    assert (group["burst_accounts"], group["burst_start"]) == (3, minutes(0))
    assert group["close_pairs"] == 5  # first's two copies with second's and third's, and second's with third's
    assert group["reposts"] == 1
    assert group["narratives"] == ["separatism", "elite_corruption"]
    assert (group["languages"], group["scripts"]) == (["en"], ["Latn"])


def test_reposts_count_not_at_all_or_apart(tables: Callable, settings: CoordinationSettings) -> None:
    posts, groups = tables(
        [("a", 0, minutes(0), False), ("b", 0, minutes(1), False), ("c", 0, minutes(2), True), ("d", 0, None, True)]
    )

    def ties(reposts: str) -> set[tuple[str, str, str]]:
        table = coordinate(posts, groups, settings.model_copy(update={"reposts": reposts})).ties
        return {(tie["layer"], tie["account_a"], tie["account_b"]) for tie in table.to_pylist()}

    assert ties("exclude") == {("posts", "a", "b")}
    assert ties("apart") == {("posts", "a", "b"), ("reposts", "c", "d")}
    assert ties("include") == {("all", *pair) for pair in combinations("abcd", 2)}


@pytest.mark.parametrize("reposts", ["exclude", "apart"])
def test_a_group_is_described_by_the_posts_that_count(
    tables: Callable, settings: CoordinationSettings, reposts: str
) -> None:
    rows = [
        ("reposter", 0, minutes(0), True),
        ("b", 0, minutes(360), False),
        ("a", 0, minutes(300), False),
        ("reposter", 0, minutes(900), True),
        ("reposter", 1, minutes(5), True),
        ("a", 2, None, False),
        ("b", 2, None, False),
    ]
    posts, groups = tables(rows)
    described, only_reposts, untimed = coordinate(
        posts, groups, settings.model_copy(update={"reposts": reposts})
    ).groups.to_pylist()
    assert (described["first_seen"], described["last_seen"]) == (minutes(300), minutes(360))
    assert (described["first_post"], described["originators"]) == ("p2", ["a"])
    assert (only_reposts["first_seen"], only_reposts["last_seen"], only_reposts["first_post"]) == (None, None, None)
    assert (untimed["first_seen"], untimed["first_post"]) == (None, "p5")
    included = coordinate(posts, groups, settings.model_copy(update={"reposts": "include"})).groups.to_pylist()
    assert (included[0]["first_seen"], included[0]["last_seen"]) == (minutes(0), minutes(900))
    assert (included[0]["first_post"], included[1]["first_post"]) == ("p0", "p4")


def test_a_poster_and_a_reposter_are_not_tied_where_reposts_stand_apart(
    tables: Callable, settings: CoordinationSettings
) -> None:
    posts, groups = tables([("poster", 0, minutes(0), False), ("reposter", 0, minutes(1), True)])
    assert coordinate(posts, groups, settings).ties.num_rows == 0


def test_an_innocent_group_ties_as_others_do_if_asked(tables: Callable, settings: CoordinationSettings) -> None:
    rows = [(account, group, minutes(group), False) for account in "abc" for group in (0, 1)]
    rows += [(account, None, minutes(600), False) for account in "abc"]
    included = settings.model_copy(update={"innocent": "include"})
    found = coordinate(*tables(rows, innocent={1: "poem"}), included)
    assert set(found.ties["groups"].to_pylist()) == {2}
    assert found.groups["close_pairs"].to_pylist() == [3, 3]
    assert found.groups["p"].null_count == 0


def test_an_innocent_group_is_described_and_ties_nobody(tables: Callable, settings: CoordinationSettings) -> None:
    rows = [(account, group, minutes(group), False) for account in "abc" for group in (0, 1)]
    found = coordinate(*tables(rows, innocent={1: "share button"}), settings)
    assert set(found.ties["groups"].to_pylist()) == {1}
    assert found.groups["burst_accounts"].to_pylist() == [3, 3]
    assert found.groups["close_pairs"].to_pylist() == [3, None]


@examples(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, 0, 1, 2, 3]), st.integers(0, 100)), max_size=40
    )
)
def test_ties_are_what_counting_all_pairs_gives(tables: Callable, drawn: list[tuple[str, int | None, int]]) -> None:
    posts, _ = tables([(account, group, minutes(time), False) for account, group, time in drawn])
    copies = read_copies(posts)
    ties = find_ties(copies.first_of_accounts(), 600, 32)
    first: dict[tuple[str, int], int] = {}
    for account, group, time in drawn:
        if group is not None:
            first[account, group] = min(time, first.get((account, group), 100))
    sizes = Counter(group for _, group in first)
    expected = {}
    for a, b in combinations(sorted({account for account, _ in first}), 2):
        both = [group for group in sizes if (a, group) in first and (b, group) in first]
        if both:
            gaps = [abs(first[a, group] - first[b, group]) for group in both]
            weight = sum(1 / log2(sizes[group]) for group in both)
            expected[a, b] = (len(both), round(weight, 9), sum(gap <= 10 for gap in gaps), float(np.median(gaps)) * 60)
    names = copies.accounts
    rows = zip(ties.a, ties.b, ties.groups, ties.weight, ties.within, ties.gap, strict=True)
    assert {(names[a], names[b]): (n, round(w, 9), c, g) for a, b, n, w, c, g in rows} == expected


@pytest.mark.parametrize("time", [None, START])
def test_the_order_of_rows_does_not_tell_who_came_after_whom(
    tables: Callable, settings: CoordinationSettings, time: datetime | None
) -> None:
    rows = [(f"a{n:02}", 0, time, False) for n in range(40)]
    shuffled = [rows[n] for n in np.random.default_rng(1).permutation(40)]
    once, again = (coordinate(*tables(order), settings) for order in (rows, shuffled))
    assert once.ties.num_rows < 780  # not all pairs, so that the order could choose
    assert once.ties == again.ties
    [group], [same] = once.groups.to_pylist(), again.groups.to_pylist()
    assert group["originators"] == same["originators"] == ([f"a{n:02}" for n in range(5)] if time else [])


def habits(seed: int) -> list[tuple[str, int | None, datetime, bool]]:
    """Draw a day of accounts that post when they like, to the hour, so that many times are the same."""
    random = np.random.default_rng(seed)
    return [
        (f"a{account}", group, minutes(60 * int(random.integers(24))), False)
        for account in range(8)
        for group in (0, 1, 2, 3, *[None] * 6)
    ]


@pytest.mark.parametrize("reposts", ["exclude", "include"])
def test_a_post_that_the_archive_holds_twice_counts_once(
    tables: Callable, settings: CoordinationSettings, reposts: str
) -> None:
    settings = settings.model_copy(update={"reposts": reposts, "window_minutes": 60})
    posts, groups = tables(habits(1))
    doubled = renumbered(pa.concat_tables([posts, posts]))
    once, twice = coordinate(posts, groups, settings), coordinate(doubled, groups, settings)
    assert once.groups["p"].null_count == 0
    assert once.groups == twice.groups
    assert once.accounts == twice.accounts
    assert once.ties == twice.ties
    assert (once.repeated_rows, twice.repeated_rows) == (0, posts.num_rows)


def test_posts_are_one_only_if_id_account_time_and_group_are_the_same(
    tables: Callable, settings: CoordinationSettings
) -> None:
    rows = [
        ("a", 0, minutes(0), False),
        ("a", 0, minutes(0), False),
        ("a", 0, minutes(1), False),
        ("a", 1, minutes(0), False),
        ("a", None, minutes(0), False),
        ("a", None, minutes(0), False),
        ("b", 0, minutes(0), False),
        ("c", 0, None, False),
        ("c", 0, None, False),
        (None, 0, minutes(0), False),
        (None, 0, minutes(0), False),
    ]
    posts, groups = tables(rows)
    rounded = posts.set_column(1, posts.schema.field("id"), pa.array(["1.04e+18"] * len(rows), pa.string()))
    found = coordinate(rounded, groups, settings).accounts
    assert dict(zip(found["account_id"].to_pylist(), found["posts"].to_pylist(), strict=True)) == {
        "a": 4,
        "b": 1,
        "c": 2,
    }
    own = coordinate(posts, groups, settings).accounts
    assert dict(zip(own["account_id"].to_pylist(), own["posts"].to_pylist(), strict=True)) == {"a": 6, "b": 1, "c": 2}


def test_the_order_of_rows_and_the_numbers_of_groups_do_not_change_p(
    tables: Callable, settings: CoordinationSettings
) -> None:
    settings = settings.model_copy(update={"window_minutes": 60})
    posts, groups = tables(habits(3))
    shuffled = renumbered(posts.take(pa.array(np.random.default_rng(3).permutation(posts.num_rows))))
    backwards = shuffled.set_column(
        shuffled.schema.get_field_index("group"), shuffled.schema.field("group"), pc.subtract(3, shuffled["group"])
    )
    once, again = coordinate(posts, groups, settings), coordinate(backwards, groups, settings)
    assert once.groups["p"].null_count == 0
    assert once.groups["p"].to_pylist() == again.groups["p"].to_pylist()[::-1]
    p = [{row["account_id"]: row["p"] for row in found.accounts.to_pylist()} for found in (once, again)]
    assert p[0] == p[1]


def test_a_huge_group_gives_no_square_of_pairs(tables: Callable) -> None:
    number = 20_000
    rows = pa.table(
        {
            "account_id": [f"a{n}" for n in range(number)] + ["a0", "a15000"],
            "created_at": pa.array([*range(number), 0, 0], pa.timestamp("s", tz="UTC")),
            "group": [0] * number + [1, 1],
        }
    )
    first = read_copies(rows).first_of_accounts()
    ties = find_ties(first, 600, 4)
    assert len(ties.a) <= 4 * number + 1
    # Far apart in the huge group, but paired by the small one: the huge one is counted for them too.
    [pair] = np.flatnonzero(ties.groups == 2)
    assert ties.weight[pair] == pytest.approx(1 + 1 / log2(number))


def test_q_is_that_of_benjamini_and_hochberg() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(adjust(p), [0.04, np.nan, 0.16 / 3, 0.16 / 3, 0.5])


def test_large_groups_are_shuffled_less_often(
    simulate: Callable, tables: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "MOST_MOVES", 12 * 250)
    copies = read_copies(tables(simulate(4, coordinated=12, independent=10, planted=1, popular=0))[0])
    assert find_bursts(copies, 600, 999, 7)[0].p[0] == pytest.approx(1 / 251)
    assert find_bursts(copies, 600, 99, 7)[0].p[0] == pytest.approx(1 / 100)
    assert np.isnan(find_bursts(copies, 600, 0, 7)[0].p).all()


def test_the_same_seed_gives_the_same_p(simulate: Callable, tables: Callable) -> None:
    copies = read_copies(tables(simulate(5, 3, 10, 2, 4))[0])
    once, twice = find_bursts(copies, 600, 99, 7), find_bursts(copies, 600, 99, 7)
    np.testing.assert_array_equal(once[0].p, twice[0].p)
    np.testing.assert_array_equal(once[1].p, twice[1].p)


def test_wrong_years_do_not_spoil_the_rest(
    simulate: Callable, tables: Callable, settings: CoordinationSettings
) -> None:
    rows = simulate(9, coordinated=5, independent=10, planted=5, popular=2)
    far = [(f"free{n}", 99, datetime(year, 1, 1, tzinfo=UTC), False) for n, year in ((1, 1), (2, 9999))]
    found = coordinate(*tables(rows + far), settings)
    close = found.groups.filter(pc.less_equal(found.groups["q"], settings.max_q))["group"].to_pylist()
    assert close == list(range(5))


def test_nothing_gives_empty_tables(tables: Callable, settings: CoordinationSettings) -> None:
    found = coordinate(*tables([("a", None, minutes(0), False)]), settings)
    assert found.ties.num_rows == found.groups.num_rows == found.graph.number_of_nodes() == 0
    assert found.accounts["partners"].to_pylist() == [0]
    assert found.summary(settings).tied == 0
    assert coordinate(*tables([]), settings).accounts.num_rows == 0
