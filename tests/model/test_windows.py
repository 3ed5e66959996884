from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from narratrace.model.backends import ForwardPass
from narratrace.model.windows import merge_windows


def random_forward(rows: int) -> ForwardPass:
    rng = np.random.default_rng(rows)
    embeddings = rng.normal(size=(rows, 5)).astype(np.float32)
    return ForwardPass(
        rng.normal(size=(rows, 3)).astype(np.float32),
        rng.normal(size=(rows, 4)).astype(np.float32),
        embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
    )


def test_one_window_that_advances_is_enough_and_the_stance_is_the_mean() -> None:
    merged = merge_windows(
        ForwardPass(
            np.array([[-1, 5], [3, -2], [0, 0]], dtype=np.float32),
            np.array([[0, 4], [2, 0], [7, 7]], dtype=np.float32),
            np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32),
        ),
        [2, 1],
    )
    assert merged.narratives.tolist() == [[3, 5], [0, 0]]
    assert merged.stances.tolist() == [[1, 2], [7, 7]]
    np.testing.assert_allclose(merged.embeddings, [[0.5**0.5, 0.5**0.5], [0, -1]], rtol=1e-6)


def test_single_windows_stay_as_they_are() -> None:
    forward = random_forward(4)
    for part, same in zip(merge_windows(forward, [1] * 4), forward, strict=True):
        np.testing.assert_array_equal(part, same)
    assert [part.shape for part in merge_windows(random_forward(0), [])] == [(0, 3), (0, 4), (0, 5)]


def test_opposite_windows_give_no_nan() -> None:
    forward = random_forward(2)
    forward.embeddings[1] = -forward.embeddings[0]
    assert np.isfinite(merge_windows(forward, [2]).embeddings).all()


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=8))
def test_a_post_does_not_depend_on_its_neighbours(windows: list[int]) -> None:
    forward = random_forward(sum(windows))
    merged = merge_windows(forward, windows)
    ends = np.cumsum(windows)
    for row, (end, count) in enumerate(zip(ends, windows, strict=True)):
        alone = merge_windows(ForwardPass(*(part[end - count : end] for part in forward)), [count])
        for part, same in zip(merged, alone, strict=True):
            assert part.dtype == np.float32
            np.testing.assert_allclose(part[row], same[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(merged.embeddings, axis=1), 1, atol=1e-5)
