"""A whole evaluation of the tiny artefact: its figures, its report, its card."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narratrace.inference.classifier import Classifier
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.training.evaluation.evaluate import Evaluation, Learnt, evaluate
from narratrace.training.evaluation.mistakes import KINDS, WORST, Lookalikes, find_mistakes
from narratrace.training.evaluation.report import CARD, FIGURES, REPORT, write_evaluation
from narratrace.training.evaluation.scored import Scored
from narratrace.training.labelled import UNKNOWN_STANCE, LabelledPost, read_labelled
from narratrace.training.metrics import HEADLINES, Answers, Truth
from narratrace.training.run_posts import read_posts
from narratrace.training.settings import TrainingSettings

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> \u202e #香港 警察'


@pytest.fixture(scope="module")
def posts(
    tiny_settings: TrainingSettings, taxonomy: Taxonomy, tmp_path_factory: pytest.TempPathFactory
) -> list[LabelledPost]:
    """Posts that were learnt from, some with another stance, and some of a stranger."""
    learnt = read_labelled(tiny_settings.data.train[0], taxonomy)[:24]
    file = tmp_path_factory.mktemp("dev") / "dev.jsonl"
    rows = [
        {"text": f"{HOSTILE} {number}", "lang": "yue", "stance": stance, "labels": labels, "account_id": "stranger"}
        for number, (stance, labels) in enumerate([("N", []), ("C", []), ("R", []), ("A", ["police_heroes"])])
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [*learnt, *read_labelled(file, taxonomy)]


@pytest.fixture(scope="module")
def found(
    tiny_classifier: Classifier, tiny_settings: TrainingSettings, taxonomy: Taxonomy, posts: list[LabelledPost]
) -> Evaluation:
    learnt = Learnt(read_posts(tiny_settings, taxonomy), tiny_settings)
    told: list[tuple[str, int, int]] = []
    torch = Classifier(tiny_classifier.artefact, backend="torch", threads=1)
    found = evaluate(tiny_classifier, {"dev": posts}, learnt, torch, lambda *step: told.append(step))
    assert {what for what, done, total in told if done == total} >= {"baselines", "frozen encoder", "dev: scoring"}
    return found


def test_figures_are_those_of_the_classifier(
    found: Evaluation, tiny_classifier: Classifier, posts: list[LabelledPost]
) -> None:
    figures = found.figures["sets"]["dev"]
    own = figures["rows"]["narratrace, onnx-int8"]
    predictions = tiny_classifier.predict([post.text for post in posts])
    right = [prediction.stance == post.stance for prediction, post in zip(predictions, posts, strict=True)]
    assert own["stance_accuracy"] == pytest.approx(np.mean(right), abs=1e-4)
    for stance in "RCN":
        flagged = [bool(p.labels) for p, post in zip(predictions, posts, strict=True) if post.stance == stance]
        assert own["false_flags"][stance] == pytest.approx(np.mean(flagged), abs=1e-4)
    heroes = own["narratives"]["police_heroes"]
    assert heroes["support"] == sum("police_heroes" in post.labels for post in posts)
    assert heroes["flagged"] == sum("police_heroes" in prediction.labels for prediction in predictions)
    assert set(own["intervals"]) <= set(HEADLINES)
    assert own["intervals"].keys() >= {"micro_precision", "micro_recall"}
    assert figures["abstained"] == sum(bool(prediction.abstained) for prediction in predictions)


def test_everything_that_was_asked_for_is_there(found: Evaluation, posts: list[LabelledPost]) -> None:
    figures = found.figures["sets"]["dev"]
    assert list(figures["rows"]) == [
        "narratrace, onnx-int8", "narratrace, torch", "majority", "TF-IDF", "TF-IDF with a gate", "frozen encoder"
    ]  # fmt: skip
    assert found.figures["left_out"] == {}
    assert figures["tied"] == len(posts) - 4
    assert {row["posts"] for row in figures["untied"].values()} == {4}
    assert sum(one["posts"] for one in figures["languages"].values()) == len(posts)
    assert set(found.figures["leakage"]) == {"grouped", "naive"}
    assert "#香港 added" in figures["flips"]
    for change in ("URL added", "mention added", "zero-width characters"):
        assert figures["flips"][change] == {"posts": len(posts), "labels": 0, "stance": 0, "either": 0}
    for flips in figures["flips"].values():
        assert flips["either"] is None or max(flips["labels"], flips["stance"]) <= flips["either"]
    assert figures["backends"]["score_difference"] < 0.2
    # Numbers alone, as JSON: no text of any post.
    text = json.dumps(found.figures, allow_nan=False)
    assert "onerror" not in text


def test_mistakes_come_with_their_evidence(found: Evaluation, posts: list[LabelledPost]) -> None:
    mistakes = found.mistakes["dev"]
    assert set(mistakes) == set(KINDS)
    assert all(len(each) <= WORST for each in mistakes.values())
    assert any(mistakes.values())
    by_text = {post.text: post for post in posts}
    for kind, each in mistakes.items():
        for one in each:
            assert one.nearest
            assert all(near.text != one.text for near in one.nearest)
            if kind in STANCES:
                assert by_text[one.text].stance == kind
            if kind == "missed":
                assert one.narrative in by_text[one.text].labels
                # A missed label is below its threshold, or the stance spoke against it.
                assert one.threshold is None or one.score < one.threshold or one.advances < one.gate
            if kind in ("wrong", *"RCN"):
                assert one.narrative not in by_text[one.text].labels
                assert one.threshold is not None
                assert one.score >= one.threshold
                assert one.advances >= one.gate
    scores = [one.score for one in mistakes["missed"]]
    assert scores == sorted(scores)


def test_a_wrong_label_shows_where_nobody_said_the_stance() -> None:
    truth = Truth(np.zeros((3, 1), dtype=bool), np.ones((3, 1), dtype=bool), np.array([0, UNKNOWN_STANCE, 1]))
    answers = Answers(np.array([[0.7], [0.9], [0.8]], np.float32), np.ones((3, 1), dtype=bool), np.zeros(3, np.int64))
    scored = Scored(answers, np.full((3, 4), 0.25, np.float32), ["en"] * 3, [[]] * 3)
    rows = {kind: [row for _, row, _ in cells] for kind, cells in find_mistakes(scored, truth)}
    assert rows["wrong"] == [1, 0]
    assert rows["R"] == [2]  # another stance: a false flag alone


def test_lookalikes_are_the_most_similar_first() -> None:
    posts = [LabelledPost(text, "en", "N", (), ()) for text in ("police are brave", "brave police", "lunch was good")]
    near = Lookalikes(posts).of(LabelledPost("police are brave", "en", "A", ("x",), ()))
    assert [one.text for one in near] == ["brave police", "lunch was good"]
    assert near[0].similarity > near[1].similarity
    assert near[0].said == "none"


class _Page(HTMLParser):
    """Collects the tags, the addresses and the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(found: Evaluation, tiny_classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "out"
    write_evaluation(found, tiny_classifier.artefact, out)
    return out


def test_the_report_is_self_contained_and_shows_hostile_posts_as_text(folder: Path, found: Evaluation) -> None:
    page = _Page()
    page.feed((folder / REPORT).read_text(encoding="utf-8"))
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "img", "iframe", "link"} & set(page.tags)
    assert "svg" in page.tags
    assert "\u202e" not in page.text
    shown = [one.text for each in found.mistakes["dev"].values() for one in each]
    assert any(HOSTILE[:20] in text for text in shown)
    assert '<script>alert("x")</script>' in page.text
    for name in ("frozen encoder", "naive", "to Simplified script", *HEADLINES.values()):
        assert name in page.text


def test_the_card_says_what_it_is_for_and_quotes_no_post(
    folder: Path, found: Evaluation, taxonomy: Taxonomy, posts: list[LabelledPost]
) -> None:
    card = (folder / CARD).read_text(encoding="utf-8")
    assert card.startswith(f"# {taxonomy.title}\n")
    for pattern in (
        r"never that it is\s+false",
        r"nothing about who wrote a post",
        r"no sole ground",
        r"the taxonomy's own examples",  # what the settings say of the posts
        r"\| TF-IDF \|",
        r"\| yue \| \d+ \|",
        r"## Thresholds",
        r"precision at least 0\.90 with confidence 0\.90",
        r"review \(\d+; ",
        r"## When only the form changes",
        r"## Limits",
        r"Too rare to measure in dev",
        r"onnxruntime \d",
    ):
        assert re.search(pattern, card), pattern
    assert not any(post.text in card for post in posts)
    assert json.loads((folder / FIGURES).read_text(encoding="utf-8")) == json.loads(json.dumps(found.figures))


def test_a_base_that_is_not_at_hand_is_said_in_place_of_its_row(
    tiny_classifier: Classifier,
    tiny_settings: TrainingSettings,
    taxonomy: Taxonomy,
    posts: list[LabelledPost],
    tmp_path: Path,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = tiny_settings.model_copy(update={"base": empty})
    learnt = Learnt(read_posts(settings, taxonomy), settings)
    found = evaluate(tiny_classifier, {"dev": posts[:8]}, learnt, None, lambda *_: None)
    assert "TF-IDF" in found.figures["sets"]["dev"]["rows"]
    assert "frozen encoder" not in found.figures["sets"]["dev"]["rows"]
    assert "base build" in found.figures["left_out"]["frozen encoder"]
    write_evaluation(found, tiny_classifier.artefact, tmp_path / "out")
    page = _Page()
    page.feed((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))
    assert f"The row 'frozen encoder' is left out. {empty} is no base encoder" in page.text


def test_without_what_was_learnt_from_there_are_no_baselines(
    tiny_classifier: Classifier, posts: list[LabelledPost], tmp_path: Path
) -> None:
    strict = Classifier(tiny_classifier.artefact, threads=1, thresholds="precision")
    found = evaluate(strict, {"one": posts[:5], "two": posts[5:9]}, None, None, lambda *_: None)
    sets: dict[str, Any] = found.figures["sets"]
    assert list(sets) == ["one", "two"]
    assert list(sets["one"]["rows"]) == ["narratrace, onnx-int8"]
    assert sets["one"]["untied"] is sets["one"]["tied"] is found.figures["leakage"] is None
    assert found.figures["thresholds"] == "precision"
    write_evaluation(found, strict.artefact, tmp_path)
    assert "leakage" not in (tmp_path / REPORT).read_text(encoding="utf-8")
