from __future__ import annotations

import numpy as np
import pytest

from narratrace.training.metrics import SUPPORT, measure


def test_measures_are_those_of_an_example_by_hand() -> None:
    # Eight posts that advance "often", two of them "once" too, then one that reports, two that counter, one neither.
    labels = np.zeros((12, 2), dtype=bool)
    labels[:8, 0] = True
    labels[0, 1] = True
    flagged = np.zeros((12, 2), dtype=bool)
    flagged[:6, 0] = True  # six of eight found
    flagged[8, 0] = flagged[9, 0] = True  # the report and one counter flagged
    flagged[1, 1] = True  # wrong post
    scores = flagged.astype(np.float32)
    truth = np.array([0] * 8 + [1, 2, 2, 3])
    found = np.array([0] * 7 + [1] + [1, 0, 2, 3])
    measured = measure(("often", "once"), scores, flagged, labels, found, truth)
    assert measured["posts"] == 12
    often = measured["narratives"]["often"]
    assert (often["precision"], often["recall"], often["f1"], often["support"]) == (0.75, 0.75, 0.75, 8)
    assert measured["narratives"]["once"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "average_precision": pytest.approx(1 / 12, abs=1e-4),
        "support": 1,
    }
    assert SUPPORT > 1
    assert measured["macro_f1"] == 0.75  # "once" has too few positives to count
    # Ties at the score 1 count together, then those at 0: 0.75 of recall at 0.75, the rest at 8 of 12.
    assert often["average_precision"] == pytest.approx(0.75 * 0.75 + 0.25 * 8 / 12, abs=1e-4)
    assert measured["macro_average_precision"] == often["average_precision"]
    assert measured["stance_accuracy"] == pytest.approx(10 / 12, abs=1e-4)
    assert measured["false_flags"] == {"R": 1.0, "C": 0.5, "N": 0.0}


def test_a_stance_that_no_post_has_is_left_out_and_nothing_is_no_error() -> None:
    none = np.zeros((2, 1), dtype=bool)
    measured = measure(("x",), none.astype(np.float32), none, none, np.array([3, 3]), np.array([3, 3]))
    assert measured["false_flags"] == {"N": 0.0}
    assert measured["macro_f1"] == measured["macro_average_precision"] == 0.0
    assert measured["narratives"]["x"]["support"] == 0


def test_a_taxonomy_may_have_a_single_narrative() -> None:
    labels = np.array([[True], [True], [False], [False]])
    flagged = np.array([[True], [False], [False], [False]])
    measured = measure(("x",), flagged.astype(np.float32), flagged, labels, np.zeros(4), np.array([0, 0, 3, 3]))
    found = measured["narratives"]["x"]
    assert (found["precision"], found["recall"], found["support"]) == (1.0, 0.5, 2)
