"""Neighbours of vectors that are equal: few pairs, one group, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from narratrace.inference.copypasta import neighbours
from narratrace.inference.copypasta.neighbours import MOST_NEIGHBOURS, find_neighbours
from narratrace.inference.copypasta.stars import components


def found(vectors: NDArray[np.float32], priority: NDArray[np.uint64], order: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Pairs of vectors in another order, by their places in this one."""
    a, b = find_neighbours(vectors[order], 0, 0.8, priority[order])
    return {(min(pair), max(pair)) for pair in zip(order[a].tolist(), order[b].tolist(), strict=True)}


@pytest.mark.parametrize(("exact", "cells"), [(20_000, 1), (100, 4)])
def test_equal_vectors_hang_on_the_same_few(exact: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT", exact)
    chance = np.random.default_rng(1)
    sides = chance.normal(size=(3, 48)).astype(np.float32)
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    vectors = np.repeat(sides, [900, 300, 10], axis=0)
    priority = chance.permutation(len(vectors)).astype(np.uint64)
    pairs = found(vectors, priority, np.arange(len(vectors)))
    assert len(pairs) <= cells * MOST_NEIGHBOURS * len(vectors)
    for _ in range(3):
        assert found(vectors, priority, chance.permutation(len(vectors))) == pairs
    if cells > 1:  # equal vectors make equal cells, of which each row takes any
        return
    a, b = np.array(sorted(pairs)).T
    assert np.bincount(components(len(vectors), a, b)).tolist()[::300] == [900, 0, 0, 300, 10]
    assert {(low, high) for low in range(1200, 1210) for high in range(low + 1, 1210)} <= pairs


def test_the_nearest_stay_before_those_that_are_level() -> None:
    vectors = np.array([[1, 0]] * 2 + [[0.8, 0.6]] * 40 + [[0.96, 0.28]], dtype=np.float32)
    priority = np.arange(len(vectors), dtype=np.uint64)
    a, b = find_neighbours(vectors, len(vectors) - 1, 0.5, priority)
    near = {*a.tolist(), *b.tolist()} - {len(vectors) - 1}
    assert near == {0, 1, *range(2, MOST_NEIGHBOURS)}
