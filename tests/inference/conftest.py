"""A classifier that scores by length, for tests of what happens around the model."""

from __future__ import annotations

import numpy as np
import pytest

from narratrace.model.text import normalise


class Lengths:
    """Scores by the length of a normalised text."""

    seen = 0

    def batch(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.seen += len(columns["text"])
        lengths = np.array([len(normalise(text).text) for text in columns["text"]], dtype=np.int64)
        size = len(lengths)
        labels, abstained = np.empty(size, dtype=object), np.empty(size, dtype=object)
        for place, length in enumerate(lengths):
            labels[place] = ["violent", "-odd"][: length % 3]
            abstained[place] = ["violent"] if length == 9 else []
        return {
            "language": np.array(["zh-Hant" if length % 2 else "en" for length in lengths], dtype=str),
            "stance": np.array(["A" if length % 3 else "N" for length in lengths], dtype=str),
            **{f"stance_{stance}": np.full(size, 0.25, dtype=np.float32) for stance in "ARCN"},
            "labels": labels,
            "abstained": abstained,
            "windows": np.minimum(1 + lengths // 500, 16).astype(np.int16),
            "truncated": lengths > 1000,
            "score_violent": (lengths % 3 / 3).astype(np.float32),
            "score_-odd": (lengths % 7 / 7).astype(np.float32),
            "artefact": np.full(size, "=lengths-1", dtype="U10"),
        }


@pytest.fixture(scope="session")
def lengths() -> type[Lengths]:
    """The class, for tests that count what each instance saw or change what it says."""
    return Lengths
