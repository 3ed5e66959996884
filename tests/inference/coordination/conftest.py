"""Simulated campaigns with a known answer, as CooRTweet's ``simulate_data`` makes them for R."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from narratrace.inference.coordination.settings import CoordinationSettings
from narratrace.inference.copypasta.groups import GROUP_SCHEMA, POSTS_SCHEMA
from narratrace.inference.copypasta.settings import default_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START = datetime(2019, 8, 1, tzinfo=UTC)

Row = tuple[str, "int | None", "datetime | None", bool]
"""Account, group, time, whether it is a repost."""


def make_tables(rows: Sequence[Row], innocent: dict[int, str] | None = None) -> tuple[pa.Table, pa.Table]:
    """Write posts and groups as the grouper leaves them; the text of a group is its number."""
    ordinary: dict[str, Any] = {"language": None, "stage": None, "similarity": None, "note": None}
    posts = [
        {"row": row, "id": f"p{row}", "account_id": account, "text": f"text {group}", "created_at": time}
        | {"is_repost": repost, "group": group}
        | ordinary
        for row, (account, group, time, repost) in enumerate(rows)
    ]
    groups = []
    for group in sorted({group for _, group, _, _ in rows if group is not None}):
        members = [post for post in posts if post["group"] == group]
        times = [post["created_at"] for post in members if post["created_at"]]
        groups.append(
            {
                "group": group,
                "posts": len(members),
                "texts": 1,
                "accounts": len({post["account_id"] for post in members}),
                "first_seen": min(times, default=None),
                "last_seen": max(times, default=None),
                "cohesion": 1.0,
                "stages": ["exact"],
                "innocent": (innocent or {}).get(group),
                "representative": members[0]["id"],
                "representative_row": members[0]["row"],
                "text": members[0]["text"],
            }
        )
    return pa.Table.from_pylist(posts, POSTS_SCHEMA), pa.Table.from_pylist(groups, GROUP_SCHEMA)


def simulate_campaign(
    seed: int, coordinated: int, independent: int, planted: int, popular: int, days: int = 10
) -> list[Row]:
    """Draw a campaign: accounts that post planted texts within minutes, among others who post when they like.

    Every account posts eight posts of its own a day, at times of its own. Each **planted** text is posted by all
    coordinated accounts within two minutes. Each **popular** text is posted once by a random half of all accounts, on a
    day and at a time of their own.
    """
    random = np.random.default_rng(seed)
    accounts = [f"tied{n}" for n in range(coordinated)] + [f"free{n}" for n in range(independent)]
    rows: list[Row] = []

    def at(day: float, minute: float) -> datetime:
        return START + timedelta(days=float(day), minutes=float(minute))

    for account in accounts:
        for day in range(days):
            rows += [(account, None, at(day, minute), False) for minute in random.uniform(0, 1440, 8)]
    for group in range(planted):
        day, minute = random.integers(days), random.uniform(0, 1430)
        rows += [(account, group, at(day, minute + random.uniform(0, 2)), False) for account in accounts[:coordinated]]
    for group in range(planted, planted + popular):
        for account in random.choice(accounts, len(accounts) // 2, replace=False):
            rows.append((str(account), group, at(random.integers(days), random.uniform(0, 1440)), False))
    return rows


@pytest.fixture(scope="session")
def simulate() -> Callable[..., list[Row]]:
    return simulate_campaign


@pytest.fixture(scope="session")
def tables() -> Callable[..., tuple[pa.Table, pa.Table]]:
    return make_tables


@pytest.fixture(scope="session")
def settings() -> CoordinationSettings:
    """The settings that ship, with fewer shuffles."""
    return default_settings().coordination.model_copy(update={"shuffles": 499})
