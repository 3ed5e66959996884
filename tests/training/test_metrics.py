"""Figures are those of scikit-learn and of examples by hand; intervals are as wide as groups make them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from narratrace.training.metrics import (
    HEADLINES,
    SUPPORT,
    Answers,
    Truth,
    headline,
    measure,
    measure_languages,
    reliability,
)


def answers_of(flagged: NDArray[np.bool_], stances: object, scores: object = None) -> Answers:
    given = flagged if scores is None else np.asarray(scores)
    return Answers(given.astype(np.float32), flagged, np.asarray(stances))


def truth_of(labels: NDArray[np.bool_], stances: object, known: NDArray[np.bool_] | None = None) -> Truth:
    return Truth(labels, np.ones_like(labels) if known is None else known, np.asarray(stances))


def test_measures_are_those_of_an_example_by_hand() -> None:
    # Eight posts that advance "often", two of them "once" too, then one that reports, two that counter, one neither.
    labels = np.zeros((12, 2), dtype=bool)
    labels[:8, 0] = True
    labels[0, 1] = True
    flagged = np.zeros((12, 2), dtype=bool)
    flagged[:6, 0] = True  # six of eight found
    flagged[8, 0] = flagged[9, 0] = True  # the report and one counter flagged
    flagged[1, 1] = True  # wrong post
    truth = truth_of(labels, [0] * 8 + [1, 2, 2, 3])
    measured = measure(("often", "once"), answers_of(flagged, [0] * 7 + [1] + [1, 0, 2, 3]), truth)
    assert (measured["posts"], measured["counted"]) == (12, 1)
    often = measured["narratives"]["often"]
    assert (often["precision"], often["recall"], often["f1"]) == (0.75, 0.75, 0.75)
    assert (often["support"], often["flagged"]) == (8, 8)
    once = measured["narratives"]["once"]
    assert (once["precision"], once["recall"], once["f1"], once["support"]) == (0.0, 0.0, 0.0, 1)
    assert once["average_precision"] == pytest.approx(1 / 12, abs=1e-4)
    assert SUPPORT > 1
    assert measured["macro_f1"] == 0.75  # "once" has too few positives to count
    assert (measured["macro_precision"], measured["macro_recall"]) == (0.75, 0.75)
    assert measured["micro_f1"] == pytest.approx(2 * 6 / (9 + 9), abs=1e-4)
    assert measured["micro_precision"] == measured["micro_recall"] == pytest.approx(6 / 9, abs=1e-4)
    # Ties at the score 1 count together, then those at 0: 0.75 of recall at 0.75, the rest at 8 of 12.
    assert often["average_precision"] == pytest.approx(0.75 * 0.75 + 0.25 * 8 / 12, abs=1e-4)
    assert measured["macro_average_precision"] == often["average_precision"]
    assert measured["stance_accuracy"] == pytest.approx(10 / 12, abs=1e-4)
    assert measured["false_flags"] == {"R": 1.0, "C": 0.5, "N": 0.0}
    assert measured["confusion"] == [[7, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    # Every post that is named has the score 1, and six of eight are right.
    assert often["calibration_error"] == 0.25


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([0.05, 0.2, 0.2001, 0.5, 0.9]), st.booleans(), st.booleans()), min_size=1))
def test_measures_are_those_of_scikit_learn(posts: list[tuple[float, bool, bool]]) -> None:
    scores, labels, flagged = (np.array([post[part] for post in posts])[:, None] for part in range(3))
    found = measure(("x",), answers_of(flagged, np.zeros(len(posts), int), scores), truth_of(labels, [0] * len(posts)))
    one = found["narratives"]["x"]
    precision, recall, f1, _ = precision_recall_fscore_support(labels, flagged, average="binary", zero_division=0.0)
    if labels.any():
        assert (one["recall"], one["f1"]) == pytest.approx((recall, f1), abs=1e-4)
        expected = average_precision_score(labels[:, 0], scores[:, 0])
        assert one["average_precision"] == pytest.approx(expected, abs=1e-4)
    else:
        assert one["recall"] is one["f1"] is one["average_precision"] is None
    assert one["precision"] == (pytest.approx(precision, abs=1e-4) if flagged.any() else None)


def test_averages_are_those_of_scikit_learn() -> None:
    answers, truth = draw(200)
    found = measure(("a", "b"), answers, truth)
    for average in ("macro", "micro"):
        expected = precision_recall_fscore_support(truth.labels, answers.flagged, average=average)[:3]
        each = [found[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert each == pytest.approx(expected, abs=1e-4)


def test_a_narrative_that_no_post_got_has_no_precision_and_a_recall_of_nothing() -> None:
    labels = np.ones((8, 2), dtype=bool)
    flagged = labels & np.array([True, False])
    found = measure(("got", "never"), answers_of(flagged, [0] * 8), truth_of(labels, [0] * 8))
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == (1.0, 0.5, 0.5)
    nothing = measure(("got", "never"), answers_of(labels ^ labels, [0] * 8), truth_of(labels, [0] * 8))
    assert nothing["macro_precision"] is nothing["micro_precision"] is None
    assert nothing["macro_recall"] == nothing["micro_recall"] == 0


def draw(posts: int, seed: int = 0) -> tuple[Answers, Truth]:
    rng = np.random.default_rng(seed)
    stances = rng.integers(0, 4, posts)
    labels = (rng.random((posts, 2)) < 0.5) & (stances == 0)[:, None]
    scores = np.clip(0.6 * labels + rng.random((posts, 2)) * 0.5, 0, 1)
    told = np.where(rng.random(posts) < 0.8, stances, rng.integers(0, 4, posts))
    return answers_of(scores > 0.45, told, scores), truth_of(labels, stances)


def test_an_interval_holds_the_figure_and_is_narrower_with_more_posts() -> None:
    widths = {}
    for posts in (100, 1600):
        found = measure(("a", "b"), *draw(posts), np.arange(posts))
        assert found["intervals"].keys() == HEADLINES.keys()
        for name, (low, high) in found["intervals"].items():
            value = found["false_flags"][name[-1]] if name.startswith("flagged") else found[name]
            assert 0 <= low <= value <= high <= 1
        low, high = found["intervals"]["stance_accuracy"]
        widths[posts] = high - low
    assert widths[1600] < widths[100] / 2


def test_posts_that_repeat_each_other_make_no_interval_narrower() -> None:
    """Ten copies of each post: alone they would pretend to be ten times as many."""
    answers, truth = draw(100)
    copies = np.repeat(np.arange(100), 10)
    of_groups = measure(("a", "b"), answers.take(copies), truth.take(copies), copies)
    of_posts = measure(("a", "b"), answers.take(copies), truth.take(copies), np.arange(1000))
    once = measure(("a", "b"), answers, truth, np.arange(100))
    width = {
        name: np.subtract(*found["intervals"]["macro_f1"][::-1])
        for name, found in (("groups", of_groups), ("posts", of_posts), ("once", once))
    }
    assert of_groups["macro_f1"] == once["macro_f1"]
    assert width["groups"] == pytest.approx(width["once"], rel=0.1)
    assert width["posts"] < width["groups"] / 2


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of 40 samples of a known accuracy; narrow or wide, they would miss it more often or never."""
    held = 0
    for seed in range(40):
        answers, truth = draw(200, seed)
        low, high = measure(("a", "b"), answers, truth, np.arange(200))["intervals"]["stance_accuracy"]
        held += low <= 0.85 <= high
    assert held >= 34


def test_where_nothing_is_to_measure_there_is_no_figure() -> None:
    none = np.zeros((2, 1), dtype=bool)
    measured = measure(("x",), answers_of(none, [3, 3]), truth_of(none, [3, 3]), np.arange(2))
    assert measured["false_flags"] == {"R": None, "C": None, "N": 0.0}
    assert measured["macro_f1"] is measured["macro_average_precision"] is measured["micro_f1"] is None
    assert set(measured["intervals"]) == {"stance_accuracy", "flagged_N"}
    assert headline(measured, "macro_f1") == headline(measured, "flagged_R") == "-"
    assert headline(measured, "stance_accuracy") == "1.00 (1.00 - 1.00)"
    empty = measure(("x",), *(part.take(np.arange(0)) for part in (answers_of(none, [3, 3]), truth_of(none, [3, 3]))))
    assert (empty["posts"], empty["stance_accuracy"]) == (0, None)


def test_what_is_not_known_is_left_out() -> None:
    labels = np.array([[True], [True], [False], [False]])
    flagged = np.array([[True], [False], [True], [False]])
    known = np.array([[True], [False], [True], [False]])
    measured = measure(("x",), answers_of(flagged, [0, 1, 0, 1]), truth_of(labels, [0, -100, 3, -100], known))
    found = measured["narratives"]["x"]
    assert (found["precision"], found["recall"], found["support"]) == (0.5, 1.0, 1)
    assert measured["stance_accuracy"] == 0.5
    assert measured["false_flags"]["N"] == 1.0
    assert np.sum(measured["confusion"]) == 2
    nothing = measure(("x",), answers_of(flagged, [0] * 4), truth_of(labels, np.full(4, -100), ~labels & labels))
    assert nothing["narratives"]["x"]["support"] == 0
    assert nothing["stance_accuracy"] is None


def test_languages_are_measured_by_themselves() -> None:
    answers, truth = draw(60)
    languages = ["yue", "en", "en"] * 20
    found = measure_languages(("a", "b"), languages, answers, truth, np.arange(60))
    assert list(found) == ["en", "yue"]
    assert found["yue"] == measure(
        ("a", "b"), answers.take(np.arange(0, 60, 3)), truth.take(np.arange(0, 60, 3)), np.arange(0, 60, 3)
    )


def test_reliability_is_of_the_posts_in_each_bin() -> None:
    scores, labels = np.array([0.0, 0.12, 0.18, 1.0]), np.array([False, True, False, True])
    found = reliability(scores, labels)
    assert [count for *_, count in found] == [1, 2, 1]
    assert found[1] == pytest.approx((0.15, 0.5, 2))
    assert found[2][:2] == (1.0, 1.0)
