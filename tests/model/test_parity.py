from __future__ import annotations

from typing import Any

from narratrace.model.artefact import Artefact
from narratrace.model.parity import TOLERANCE, compare_backends


def test_backends_give_the_same_answers(tiny_artefact: Artefact, labelled: list[dict[str, Any]]) -> None:
    posts = [str(post["text"]) for post in labelled[:20]]
    found = {one.backend: one for one in compare_backends(tiny_artefact, ["", *posts, " ".join(posts)])}
    assert list(found) == ["onnx", "onnx-int8"]
    full, int8 = found["onnx"], found["onnx-int8"]
    assert full.posts == int8.posts == 22
    assert full.score_difference < TOLERANCE
    assert full.label_flips == full.stance_flips == 0
    assert full.least_cosine > 0.9999
    assert int8.batch_difference < TOLERANCE
    assert int8.score_difference < 0.2
    assert int8.least_cosine > 0.99
    assert int8.score_difference > full.score_difference
