from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from narratrace.model.scores import Logits
from narratrace.model.windows import merge_embeddings, merge_windows


def random_windows(rows: int) -> tuple[Logits, NDArray[np.float32]]:
    rng = np.random.default_rng(rows)
    embeddings = rng.normal(size=(rows, 5)).astype(np.float32)
    logits = Logits(*(rng.normal(size=(rows, width)).astype(np.float32) for width in (3, 4)))
    return logits, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def test_one_window_that_advances_is_enough_and_the_rest_is_the_mean() -> None:
    logits = Logits(
        np.array([[-1, 5], [3, -2], [0, 0]], dtype=np.float32),
        np.array([[0, 4], [2, 0], [7, 7]], dtype=np.float32),
    )
    merged = merge_windows(logits, [2, 1])
    assert merged.narratives.tolist() == [[3, 5], [0, 0]]
    assert merged.stances.tolist() == [[1, 2], [7, 7]]
    embeddings = merge_embeddings(np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32), [2, 1])
    np.testing.assert_allclose(embeddings, [[0.5**0.5, 0.5**0.5], [0, -1]], rtol=1e-6)


def test_single_windows_stay_as_they_are() -> None:
    logits, embeddings = random_windows(4)
    for part, same in zip(merge_windows(logits, [1] * 4), logits, strict=True):
        np.testing.assert_array_equal(part, same)
    np.testing.assert_array_equal(merge_embeddings(embeddings, [1] * 4), embeddings)
    logits, embeddings = random_windows(0)
    assert [part.shape for part in merge_windows(logits, [])] == [(0, 3), (0, 4)]
    assert merge_embeddings(embeddings, []).shape == (0, 5)


def test_opposite_windows_give_no_nan() -> None:
    _, embeddings = random_windows(2)
    embeddings[1] = -embeddings[0]
    assert np.isfinite(merge_embeddings(embeddings, [2])).all()


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=8))
def test_a_post_does_not_depend_on_its_neighbours(windows: list[int]) -> None:
    logits, embeddings = random_windows(sum(windows))
    merged = (*merge_windows(logits, windows), merge_embeddings(embeddings, windows))
    ends = np.cumsum(windows)
    for row, (end, count) in enumerate(zip(ends, windows, strict=True)):
        own = slice(end - count, end)
        alone = merge_windows(Logits(*(part[own] for part in logits)), [count])
        for part, same in zip(merged, (*alone, merge_embeddings(embeddings[own], [count])), strict=True):
            assert part.dtype == np.float32
            np.testing.assert_allclose(part[row], same[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(merged[-1], axis=1), 1, atol=1e-5)
