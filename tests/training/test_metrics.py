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
    measured = measure(("often", "once"), scores, flagged, labels, np.ones_like(labels), found, truth)
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
    measured = measure(("x",), none.astype(np.float32), none, none, ~none, np.array([3, 3]), np.array([3, 3]))
    assert measured["false_flags"] == {"N": 0.0}
    assert measured["macro_f1"] == measured["macro_average_precision"] == 0.0
    assert measured["narratives"]["x"]["support"] == 0


def test_a_taxonomy_may_have_a_single_narrative() -> None:
    labels = np.array([[True], [True], [False], [False]])
    flagged = np.array([[True], [False], [False], [False]])
    every = np.ones_like(labels)
    truth = np.array([0, 0, 3, 3])
    measured = measure(("x",), flagged.astype(np.float32), flagged, labels, every, np.zeros(4), truth)
    found = measured["narratives"]["x"]
    assert (found["precision"], found["recall"], found["support"]) == (1.0, 0.5, 2)


def test_what_is_not_known_is_left_out() -> None:
    labels = np.array([[True], [True], [False], [False]])
    flagged = np.array([[True], [False], [True], [False]])
    known = np.array([[True], [False], [True], [False]])
    truth = np.array([0, -100, 3, -100])
    measured = measure(("x",), flagged.astype(np.float32), flagged, labels, known, np.array([0, 1, 0, 1]), truth)
    found = measured["narratives"]["x"]
    assert (found["precision"], found["recall"], found["support"]) == (0.5, 1.0, 1)
    assert measured["stance_accuracy"] == 0.5
    assert measured["false_flags"] == {"N": 1.0}
    nothing = measure(("x",), flagged.astype(np.float32), flagged, labels, ~labels & labels, truth, np.full(4, -100))
    assert nothing["narratives"]["x"]["support"] == nothing["stance_accuracy"] == nothing["macro_f1"] == 0.0
