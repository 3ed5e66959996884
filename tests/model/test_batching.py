"""Batches: every text in one of them, those of like length together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.batching import by_length, equal_batches, padded_batches, token_batches

TEXTS = st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=12), max_size=30)


def test_equal_batches_keep_the_order() -> None:
    assert [list(batch) for batch in equal_batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(equal_batches([], 2)) == []


def test_a_batch_has_so_many_tokens_with_its_padding_and_a_longer_text_goes_alone() -> None:
    ids = [[7] * length for length in (9, 2, 3, 2, 30)]
    assert list(token_batches(ids, 6)) == [[1, 3], [2], [0], [4]]
    assert list(token_batches(ids, 9)) == [[1, 3, 2], [0], [4]]


@given(ids=TEXTS, tokens=st.integers(1, 40), size=st.integers(1, 9))
def test_each_text_is_in_one_batch_and_padded_at_its_end(ids: list[list[int]], tokens: int, size: int) -> None:
    order = by_length(ids)
    assert order == np.argsort([len(text) for text in ids], kind="stable").tolist()
    for batches in (token_batches(ids, tokens), equal_batches(order, size)):
        seen: list[int] = []
        for rows, stacked, mask in padded_batches(ids, batches, 1):
            seen += rows
            for row, padded, kept in zip(rows, stacked, mask, strict=True):
                assert padded[kept == 1].tolist() == ids[row]
                assert set(padded[kept == 0].tolist()) <= {1}
        assert seen == order
