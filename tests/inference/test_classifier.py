"""The contract of the classifier: one answer for each post, the same whatever stands beside it."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narratrace.inference.classifier import Classifier, Prediction
from narratrace.model.artefact import ONNX_FILES, Artefact
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.language import LANGUAGES
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import WINDOWS

HOSTILE = {
    "empty": "",
    "blanks": " \t\r\n\u3000",
    "lone surrogates": "警\ud83d察\udc00",
    "NUL": "a\x00b\x00",
    "zero width": "\u200b\u200d\ufeff",
    "emoji only": "😀👨‍👩‍👧🇭🇰1️⃣",
    "right to left": "\u202eمرحبا\u202c",
    "marks": "e" + "\u0301" * 5000,
    "link only": "https://t.co/abc",
    "noncharacters": "\uffff\U0010ffff\ue000",
}


@pytest.fixture(scope="module")
def posts(labelled: list[dict[str, Any]]) -> list[str]:
    """Posts of very different lengths, some of several windows."""
    texts = [str(post["text"]) for post in labelled[:24]]
    return ["", *texts[:12], " ".join(texts), "警察", *texts[12:], "x", " ".join(texts[:8])]


@pytest.fixture(scope="module")
def predictions(tiny_classifier: Classifier, posts: list[str]) -> list[Prediction]:
    return tiny_classifier.predict(posts)


def assert_same(one: Prediction, other: Prediction) -> None:
    """Equal, but for what floating point makes of another order of sums."""
    assert list(one.scores) == list(other.scores)
    np.testing.assert_allclose(list(one.scores.values()), list(other.scores.values()), atol=1e-5)
    np.testing.assert_allclose(list(one.stances.values()), list(other.stances.values()), atol=1e-5)
    assert (one.labels, one.abstained, one.stance) == (other.labels, other.abstained, other.stance)
    assert (one.language, one.windows, one.truncated) == (other.language, other.windows, other.truncated)


def test_one_text_gives_one_prediction_and_a_list_a_list(tiny_classifier: Classifier) -> None:
    one = tiny_classifier.predict("支持警察")
    assert isinstance(one, Prediction)
    assert tiny_classifier.predict(["支持警察"]) == [one]
    assert tiny_classifier.predict(("支持警察",)) == [one]
    assert tiny_classifier.predict(np.array(["支持警察"], dtype=object)) == [one]  # type: ignore[call-overload]
    assert tiny_classifier.predict([]) == []


def test_a_prediction_says_all_that_is_documented(
    tiny_classifier: Classifier, predictions: list[Prediction], taxonomy: Taxonomy
) -> None:
    for prediction in predictions:
        assert tuple(prediction.scores) == taxonomy.narrative_ids
        assert all(0 <= score <= 1 for score in prediction.scores.values())
        assert tuple(prediction.stances) == STANCES
        assert sum(prediction.stances.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.stances[prediction.stance] == max(prediction.stances.values())
        assert prediction.language in LANGUAGES
        assert prediction.artefact == tiny_classifier.artefact.id
        in_order = [name for name in taxonomy.narrative_ids if name in prediction.labels]
        assert list(prediction.labels) == in_order
        json.dumps(prediction.scores)  # plain numbers
    assert any(prediction.labels for prediction in predictions)


def test_posts_learnt_by_heart_are_known_again(tiny_classifier: Classifier, labelled: list[dict[str, Any]]) -> None:
    found = tiny_classifier.predict([str(post["text"]) for post in labelled])
    stances = [prediction.stance == post["stance"] for prediction, post in zip(found, labelled, strict=True)]
    assert np.mean(stances) > 0.9


def test_answers_do_not_depend_on_order_or_company(
    tiny_classifier: Classifier, posts: list[str], predictions: list[Prediction]
) -> None:
    order = random.Random(3).sample(range(len(posts)), len(posts))
    for row, prediction in zip(order, tiny_classifier.predict([posts[row] for row in order]), strict=True):
        assert_same(prediction, predictions[row])
    for row in (0, 5, 13, len(posts) - 1):
        assert_same(tiny_classifier.predict(posts[row]), predictions[row])
    for start in range(0, len(posts), 7):
        for one, other in zip(tiny_classifier.predict(posts[start : start + 7]), predictions[start:], strict=False):
            assert_same(one, other)
    for prediction in tiny_classifier.predict([posts[5]] * 300)[::50]:
        assert_same(prediction, predictions[5])


def test_threads_share_a_classifier(
    tiny_classifier: Classifier, posts: list[str], predictions: list[Prediction]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(tiny_classifier.predict, [posts] * 8):
            for one, other in zip(answers, predictions, strict=True):
                assert_same(one, other)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["list"], float("nan")], ids=repr)
def test_what_is_no_string_is_named_by_its_row(tiny_classifier: Classifier, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"Post 1 is of type {type(wrong).__name__}"):
        tiny_classifier.predict(["fine", wrong, "fine"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=f"Post 1 is of type {type(wrong).__name__}"):
        tiny_classifier.embed(["fine", wrong, "fine"])  # type: ignore[list-item]


def test_one_text_is_not_embedded_character_by_character(tiny_classifier: Classifier) -> None:
    with pytest.raises(TypeError, match="put one text into a list"):
        tiny_classifier.embed("one text")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_posts_are_posts(tiny_classifier: Classifier, text: str) -> None:
    alone = tiny_classifier.predict(text)
    assert_same(alone, tiny_classifier.predict(["支持警察", text, "x"])[1])
    assert not alone.truncated
    assert all(np.isfinite(score) for score in alone.scores.values())


@pytest.mark.parametrize("unit", ["警察", "riot ", "\U0001f600", "&"])
def test_a_megabyte_is_read_in_part_and_in_time(tiny_classifier: Classifier, unit: str) -> None:
    start = time.process_time()
    prediction = tiny_classifier.predict(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 5
    assert prediction.truncated
    assert prediction.windows <= WINDOWS


def test_a_long_post_is_read_to_its_end(tiny_classifier: Classifier, labelled: list[dict[str, Any]]) -> None:
    classifier, filler = tiny_classifier, "今天天氣很好。" * 40
    text = next(str(post["text"]) for post in labelled if post["stance"] == "A")
    long, plain = classifier.predict([filler + text, filler])
    assert 1 < plain.windows <= long.windows
    assert not long.truncated
    assert list(long.scores.values()) != pytest.approx(list(plain.scores.values()), abs=1e-3)


def test_addresses_and_handles_do_not_change_the_language(tiny_classifier: Classifier) -> None:
    for text in ("支持", "支持警察严正执法"):
        plain, dressed = tiny_classifier.predict([text, f"RT @some_user: {text} https://t.co/abc"])
        assert dressed.language == plain.language == "zh-Hans"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_batch_gives_the_documented_columns(tiny_classifier: Classifier, taxonomy: Taxonomy, count: int) -> None:
    texts = np.empty(count, dtype=object)
    texts[:] = ["支持警察", "", "暴徒", "hello", "x" * 5000][:count]
    columns = tiny_classifier.batch({"text": texts, "id": np.arange(count), "unread": np.zeros((count, 2))})
    expected = {
        "language": object,
        "stance": object,
        **{f"stance_{stance}": np.float32 for stance in STANCES},
        "labels": object,
        "abstained": object,
        "windows": np.int16,
        "truncated": np.bool_,
        **{f"score_{narrative}": np.float32 for narrative in taxonomy.narrative_ids},
        "artefact": object,
    }
    assert {name: column.dtype for name, column in columns.items()} == expected
    assert list(columns) == list(expected)
    assert all(column.shape == (count,) for column in columns.values())
    assert all(isinstance(labels, list) for name in ("labels", "abstained") for labels in columns[name])
    assert all(isinstance(text, str) for name in ("language", "stance", "artefact") for text in columns[name])


def test_batch_and_predict_agree(
    tiny_classifier: Classifier, posts: list[str], predictions: list[Prediction], taxonomy: Taxonomy
) -> None:
    columns = tiny_classifier.batch({"text": np.array(posts, dtype=object)})
    for row, prediction in enumerate(predictions):
        assert columns["labels"][row] == list(prediction.labels)
        assert columns["stance"][row] == prediction.stance
        assert [columns[f"score_{name}"][row] for name in taxonomy.narrative_ids] == list(prediction.scores.values())


def test_embeddings_are_of_unit_length_in_the_order_of_the_posts(tiny_classifier: Classifier, posts: list[str]) -> None:
    embeddings = tiny_classifier.embed(posts)
    assert embeddings.shape == (len(posts), 64)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(tiny_classifier.embed(posts[::-1])[::-1], embeddings, atol=1e-5)
    assert tiny_classifier.embed([]).shape == (0, 64)


@pytest.fixture(scope="module")
def torch_classifier(tiny_artefact: Artefact) -> Classifier:
    return Classifier(tiny_artefact, backend="torch", threads=1)


def test_backends_agree(
    tiny_artefact: Artefact,
    torch_classifier: Classifier,
    tiny_classifier: Classifier,
    posts: list[str],
    predictions: list[Prediction],
) -> None:
    full = Classifier(tiny_artefact, backend="onnx", threads=1)
    for one, other in zip(torch_classifier.predict(posts), full.predict(posts), strict=True):
        assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=1e-4)
    for exact, rounded in zip(torch_classifier.predict(posts), predictions, strict=True):
        assert list(exact.scores.values()) == pytest.approx(list(rounded.scores.values()), abs=0.2)
        assert list(exact.stances.values()) == pytest.approx(list(rounded.stances.values()), abs=0.2)
        assert (exact.language, exact.windows) == (rounded.language, rounded.windows)
    cosines = (torch_classifier.embed(posts) * tiny_classifier.embed(posts)).sum(axis=1)
    assert cosines.min() > 0.99


def test_sentence_transformers_reads_the_encoder(
    tiny_artefact: Artefact, torch_classifier: Classifier, labelled: list[dict[str, Any]]
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [str(post["text"]) for post in labelled if normalise(str(post["text"])).text == post["text"]][:30]
    assert len(texts) == 30
    model = SentenceTransformer(str(tiny_artefact.path / "encoder"), device="cpu")
    assert model.max_seq_length == tiny_artefact.manifest.max_tokens
    theirs = model.encode(texts, batch_size=8)
    ours = torch_classifier.embed(texts)
    np.testing.assert_allclose(np.linalg.norm(theirs, axis=1), 1, atol=1e-5)
    assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_a_backend_that_is_not_there_is_named(tiny_artefact: Artefact, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'tflite'; choose one of onnx-int8, onnx, torch"):
        Classifier(tiny_artefact, backend="tflite")
    fewer = {name: file for name, file in tiny_artefact.manifest.files.items() if name != ONNX_FILES["onnx"]["labels"]}
    without = Artefact(tiny_artefact.path, tiny_artefact.manifest.model_copy(update={"files": fewer}))
    with pytest.raises(ArtefactError, match=r"'onnx', only for onnx-int8, torch"):
        Classifier(without, backend="onnx")
    copy = shutil.copytree(tiny_artefact.path, tmp_path / "copy")
    (copy / ONNX_FILES["onnx-int8"]["lower"]).write_bytes(b"no graph")
    with pytest.raises(ArtefactError, match=r"lower-int8\.onnx"):
        Classifier.load(copy)


def test_the_promised_thresholds_label_less_and_leave_the_rest_to_a_person(
    tiny_artefact: Artefact, tiny_classifier: Classifier, posts: list[str]
) -> None:
    strict = Classifier.load(tiny_artefact.path, threads=1, thresholds="precision")
    promised = tiny_artefact.manifest.promised
    assert promised is not None
    best, sure = tiny_classifier.predict(posts), strict.predict(posts)
    assert any(prediction.labels for prediction in best)
    for one, other in zip(best, sure, strict=True):
        assert one.scores == other.scores
        assert all(promised.of(label, other.language) is not None for label in other.labels)
        assert set(one.labels) <= set(other.labels) | set(other.abstained)


def test_thresholds_that_are_not_there_are_named(tiny_artefact: Artefact) -> None:
    with pytest.raises(SettingsError, match=r"'best'; choose f1 or precision"):
        Classifier(tiny_artefact, thresholds="best")
    without = Artefact(tiny_artefact.path, tiny_artefact.manifest.model_copy(update={"promised": None}))
    with pytest.raises(ArtefactError, match="promises no precision"):
        Classifier(without, thresholds="precision")
    first = Artefact(tiny_artefact.path, tiny_artefact.manifest.model_copy(update={"default_thresholds": "precision"}))
    assert Classifier(first, threads=1).thresholds == "precision"
    assert Classifier(first, threads=1, thresholds="f1").thresholds == "f1"


WITHOUT_EXTRAS = """
import json, sys
for name in ("torch", "transformers", "sklearn", "scipy", "onnx", "datasets", "accelerate", "sentence_transformers"):
    sys.modules[name] = None
import narratrace
classifier = narratrace.Classifier.load(sys.argv[1], threads=1)
print(json.dumps([prediction.scores for prediction in classifier.predict(json.loads(sys.argv[2]))]))
try:
    narratrace.Classifier.load(sys.argv[1], backend="torch")
except narratrace.MissingExtraError as error:
    print(error)
"""


def test_inference_needs_no_extra(tiny_artefact: Artefact, posts: list[str], predictions: list[Prediction]) -> None:
    command = [sys.executable, "-c", WITHOUT_EXTRAS, str(tiny_artefact.path), json.dumps(posts[:5])]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    scores, message = done.stdout.splitlines()
    for one, other in zip(json.loads(scores), predictions, strict=False):
        assert list(one.values()) == pytest.approx(list(other.scores.values()), abs=1e-5)
    assert "pip install 'narratrace[train]'" in message


def test_a_pickled_classifier_is_loaded_from_anywhere(
    tiny_artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_artefact.path.parent)
    sent = pickle.dumps(Classifier.load(Path(tiny_artefact.path.name), threads=1))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(sent).artefact.id == tiny_artefact.id
