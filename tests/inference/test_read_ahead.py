"""Reading ahead changes when items are made, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.inference.archives.read_ahead import read_ahead


@given(st.lists(st.integers()), st.integers(1, 5))
def test_items_come_in_order(items: list[int], depth: int) -> None:
    assert list(read_ahead(iter(items), depth)) == items


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    seen: list[int] = []
    with pytest.raises(ValueError, match="third"):
        seen.extend(read_ahead(items()))
    assert seen == [1, 2]


def test_no_more_is_read_than_asked_for() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    stream = read_ahead(items(), depth=2)
    assert next(stream) == 0
    stream.close()
    assert len(made) <= 4


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    for item in read_ahead(iter(range(1000))):
        if item == 3:
            break
    del item
    assert threading.active_count() == before
