"""How time and memory of the coordination part grow with one huge group: python benchmarks/coordination/growth.py.

Accounts with ten posts each, of which one is a copy of the one message, and two are of small groups of ten accounts.
"""

from __future__ import annotations

import resource
import sys
import time
from multiprocessing import get_context

import numpy as np
import pyarrow as pa

from narratrace.inference.coordination.bursts import find_bursts
from narratrace.inference.coordination.copies import read_copies
from narratrace.inference.coordination.ties import find_ties
from narratrace.inference.copypasta.settings import default_settings

SIZES = (1_000, 10_000, 100_000)


def measure(accounts: int) -> tuple[float, float, int, float]:
    """Return seconds for ties, seconds for tests, ties, and peak memory in MB."""
    settings = default_settings().coordination
    random = np.random.default_rng(1)
    number = np.repeat(np.arange(accounts), 10)
    place = np.tile(np.arange(10), accounts)
    group = np.where(place == 0, 0, np.where(place < 3, 1 + random.integers(0, accounts // 5, len(number)), -1))
    posts = pa.table(
        {
            "account_id": pa.array(number).cast(pa.string()),
            "created_at": pa.array(random.integers(0, 86_400, len(number)), pa.timestamp("s", tz="UTC")),
            "group": pa.array(group, mask=group < 0),
        }
    )
    copies = read_copies(posts)
    start = time.process_time()
    ties = find_ties(copies.where(copies.is_shared()).first_of_accounts(), 600, settings.neighbours)
    tied = time.process_time()
    find_bursts(copies, 600, settings.shuffles, settings.seed)
    tested = time.process_time()
    return tied - start, tested - tied, len(ties.a), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    print("| accounts of the group | posts | ties | ties, CPU s | tests, CPU s | peak MB |")
    print("|---|---|---|---|---|---|")
    for accounts in map(int, sys.argv[1:] or SIZES):
        with get_context("spawn").Pool(1) as pool:  # a process each, so that peaks do not add up
            tied, tested, ties, memory = pool.apply(measure, (accounts,))
        print(
            f"| {accounts:,} | {10 * accounts:,} | {ties:,} | {tied:.1f} | {tested:.1f} | {memory:,.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
