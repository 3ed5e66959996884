"""The commands as a person meets them: what they say, and how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from narratrace.commands import main
from narratrace.commands.predict import READ_AT_ONCE
from narratrace.inference.classifier import Classifier
from narratrace.model.artefact import MANIFEST, Artefact
from narratrace.model.settings import save_settings
from narratrace.training.settings import TrainingSettings


class Ending(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ending]


@pytest.fixture
def narratrace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process, in a window that is wide enough for whole sentences."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path, stdin: bytes = b"") -> Ending:
        monkeypatch.setattr("sys.argv", ["narratrace", *map(str, words)])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Ending(code, *capsys.readouterr())

    return run


@pytest.fixture
def predict(narratrace: Command, tiny_artefact: Artefact) -> Command:
    return lambda *words, stdin=b"": narratrace("predict", *words, "--artefact", tiny_artefact.path, stdin=stdin)


POSTS = ["支持警察嚴正執法！", "[bold]Stand[/bold] firm", "今日天氣好好"]


def test_predict_shows_each_post_with_its_scores(
    predict: Command, tiny_artefact: Artefact, labelled: list[dict[str, Any]]
) -> None:
    known = next(post for post in labelled if post["stance"] == "A")
    ended = predict(*POSTS, str(known["text"]))
    assert (ended.code, ended.err) == (0, "")
    places = [ended.out.index(post) for post in [*POSTS, str(known["text"])]]
    assert places == sorted(places)
    assert ended.out.count("stance: ") == ended.out.count("language: ") == 4
    assert "stance: advances" in ended.out


def test_predict_as_json_says_what_the_library_says(predict: Command, tiny_classifier: Classifier) -> None:
    ended = predict("--json", *POSTS)
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, ended.err, len(lines)) == (0, "", 3)
    for line, post, prediction in zip(lines, POSTS, tiny_classifier.predict(POSTS), strict=True):
        assert line["text"] == post
        assert (line["stance"], line["artefact"]) == (prediction.stance, prediction.artefact)
        assert line["scores"] == pytest.approx(prediction.scores, abs=1e-5)
        assert line["labels"] == list(prediction.labels)


def test_predict_reads_one_post_a_line_from_stdin(predict: Command) -> None:
    ended = predict("--json", stdin="支持警察\r\n\n  \nsecond\u2028post\n最後".encode())
    assert ended.code == 0
    assert [json.loads(line)["text"] for line in ended.out.splitlines()] == ["支持警察", "second\u2028post", "最後"]


def test_predict_of_nothing_says_nothing(predict: Command) -> None:
    for stdin in (b"", b"\n \n"):
        assert predict("--json", stdin=stdin) == (0, "", "")
        assert predict(stdin=stdin) == (0, "", "")


def test_predict_takes_an_empty_post_and_bytes_that_are_no_text(predict: Command) -> None:
    assert json.loads(predict("--json", "").out)["text"] == ""
    ended = predict("--json", stdin=b"caf\xe9 ok\n")
    assert ended.code == 0
    assert json.loads(ended.out)["text"] == "caf\N{REPLACEMENT CHARACTER} ok"
    ended = predict("caf\udce9 ok")  # as Python gives a word of the command line that is not UTF-8
    assert ended.code == 0
    assert "caf\N{REPLACEMENT CHARACTER} ok" in ended.out


def test_predict_reads_a_long_stdin_as_it_reads_a_short_one(predict: Command) -> None:
    # Lines and characters lie across what is read at once, one line is longer than it, and the last one is not ended.
    posts = [f"{number}" + "支持警察" * (number % 7) for number in range(900)]
    posts[450] = "遮" * READ_AT_ONCE
    ended = predict("--json", stdin="\n".join(posts).encode())
    assert (ended.code, ended.err) == (0, "")
    assert [json.loads(line)["text"] for line in ended.out.splitlines()] == posts


def test_predict_answers_a_post_before_the_next_one_is_sent(tiny_artefact: Artefact) -> None:
    command = [sys.executable, "-m", "narratrace", "predict", "--jsonl", "--artefact", str(tiny_artefact.path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ThreadPoolExecutor() as aside,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for sent in ("a", "b"):
                process.stdin.write(json.dumps({"id": sent, "text": "支持警察"}).encode() + b"\n")
                process.stdin.flush()
                answer = aside.submit(process.stdout.readline).result(timeout=120)
                assert json.loads(answer)["id"] == sent
            process.stdin.close()
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()


def test_predict_takes_records_with_ids(predict: Command, tiny_classifier: Classifier) -> None:
    posts = ["支持警察\n嚴正執法！", "[bold]Stand[/bold] firm", ""]
    records = [{"id": "p1", "text": posts[0]}, {"text": posts[1], "likes": 3}, {"id": 2**60, "text": posts[2]}]
    ended = predict("--jsonl", stdin="\n".join(map(json.dumps, records)).encode("utf-8-sig"))
    assert (ended.code, ended.err) == (0, "")
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert [answer["text"] for answer in answers] == posts
    assert [answer.get("id") for answer in answers] == ["p1", None, 2**60]
    assert [answer["stance"] for answer in answers] == [one.stance for one in tiny_classifier.predict(posts)]


def test_predict_answers_a_record_that_is_no_post_and_goes_on(predict: Command) -> None:
    lines = ['{"text": "x"', "[1]", '{"id": 3}', '{"id": 4, "text": 4}', "[" * 100_000, '{"id": 6, "text": "\\ud800"}']
    ended = predict("--jsonl", stdin="\n".join(lines).encode())
    assert (ended.code, ended.err) == (0, "")
    *errors, last = [json.loads(line) for line in ended.out.splitlines()]
    assert errors == [
        {"error": "unreadable JSON"},
        {"error": "not a JSON object"},
        {"id": 3, "error": "no text"},
        {"id": 4, "error": "text is not a string"},
        {"error": "unreadable JSON"},
    ]
    assert (last["id"], last["text"]) == (6, "\N{REPLACEMENT CHARACTER}")


def test_predict_answers_on_one_line_whatever_is_in_a_post(predict: Command) -> None:
    # Many programs split lines at these, though JSON leaves them as they are.
    ends = "a\x85b\u2028c\u2029d"
    lines = [json.dumps(record) for record in ({"id": ends, "text": ends}, {"id": ends})]
    text, error = [json.loads(line) for line in predict("--jsonl", stdin="\n".join(lines).encode()).out.splitlines()]
    assert (text["text"], text["id"], error["id"]) == (ends, ends, ends)
    assert [json.loads(line)["text"] for line in predict("--json", ends).out.splitlines()] == [ends]


def test_predict_takes_records_from_stdin_alone(predict: Command) -> None:
    ended = predict("--jsonl", "a post")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_info_shows_what_an_artefact_is(narratrace: Command, tiny_artefact: Artefact) -> None:
    ended = narratrace("info", tiny_artefact.path)
    assert (ended.code, ended.err) == (0, "")
    manifest = tiny_artefact.manifest
    for shown in (
        manifest.id,
        "base: tiny (Apache-2.0)",
        *manifest.languages,
        *manifest.narratives,
        "onnx-int8, torch",
    ):
        assert shown in ended.out
    whole = narratrace("info", tiny_artefact.path, "--json")
    assert json.loads(whole.out) == json.loads(manifest.model_dump_json())


def test_names_of_folders_are_shown_and_not_obeyed(
    narratrace: Command, tiny_artefact: Artefact, tiny_settings: TrainingSettings, tmp_path: Path
) -> None:
    """Rich takes brackets for markup, and a terminal obeys what follows an escape character."""
    folder = tmp_path / "run [/bold] \x1b[2J"
    shutil.copytree(tiny_artefact.path.parent, folder)
    config = tmp_path / "settings.yaml"
    save_settings(tiny_settings, config)
    trained = narratrace("train", config, "-o", folder)
    shown = narratrace("info", folder / "artefact")
    for ended, written in ((trained, trained.err), (shown, shown.out)):
        assert ended.code == 0, ended.err
        assert "run [/bold] \\x1b[2J" in written


def rewritten(artefact: Artefact, copy: Path, title: str, narrative: str | None = None) -> Path:
    """Copy an artefact with another title for every narrative, and another name for the last in the manifest."""
    from narratrace.model.artefact import TAXONOMY, save_artefact

    last = artefact.manifest.narratives[-1]

    def fill(folder: Path) -> None:
        shutil.copytree(artefact.path, folder, dirs_exist_ok=True)
        (folder / MANIFEST).unlink()
        narratives = tuple(one.model_copy(update={"title": title}) for one in artefact.taxonomy.narratives)
        artefact.taxonomy.model_copy(update={"narratives": narratives}).dump(folder / TAXONOMY)

    content = artefact.manifest.model_dump_json(exclude={"format", "id", "created", "files"})
    fields = json.loads(content.replace(f'"{last}"', json.dumps(narrative or last)).replace('"yue"', '"[/yue]"'))
    fields["metrics"] = {f"set {title}": figures for figures in fields["metrics"].values()}
    fields["narratrace"] = title
    return save_artefact(copy, fill, **fields).path


def test_what_an_artefact_says_is_shown_and_not_obeyed(
    narratrace: Command, tiny_artefact: Artefact, labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    """An artefact may come from anyone, too."""
    title, narrative = "[/bold] \x1b[2J", "[/red] \x1b[3J"
    known = next(str(post["text"]) for post in labelled if post["stance"] == "A")
    titled = rewritten(tiny_artefact, tmp_path / "titled", title)
    renamed = rewritten(tiny_artefact, tmp_path / "renamed", title, narrative)
    (tmp_path / "posts.jsonl").write_text(json.dumps({"text": known}), encoding="utf-8")
    words = ("score", tmp_path / "posts.jsonl", "-o", tmp_path / "out", "--artefact", renamed)
    for ended, shown in (
        (narratrace("predict", known, "--artefact", titled), ["[/bold] \\x1b[2J"]),
        (
            narratrace("info", renamed),
            ["by narratrace [/bold] \\x1b[2J", "F1 set [/bold] \\x1b[2J", "[/red] \\x1b[3J", "[/yue]"],
        ),
        (narratrace(*words), ["[/red] \\x1b[3J"]),
    ):
        assert ended.code == 0, ended.err
        assert [text for text in shown if text not in ended.out] == []
        assert "\x1b" not in ended.out


def test_backend_check_compares_the_backends(
    narratrace: Command, tiny_artefact: Artefact, labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [json.dumps({"text": post["text"]}) for post in labelled[:10]]
    path.write_text("\n".join([*rows, "{"]), encoding="utf-8")
    ended = narratrace("backend", "check", path, "--artefact", tiny_artefact.path)
    assert ended.code == 0
    assert "1 rows rejected: unreadable JSON" in ended.err
    assert f"{tiny_artefact.id} against torch on 10 posts" in ended.out
    assert [line.split()[0] for line in ended.out.splitlines() if line.startswith("onnx")] == ["onnx", "onnx-int8"]
    path.write_text("", encoding="utf-8")
    ended = narratrace("backend", "check", path, "--artefact", tiny_artefact.path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


@pytest.fixture
def run(tiny_artefact: Artefact, tmp_path: Path) -> Path:
    """A finished run, so that nothing is trained anew."""
    return Path(shutil.copytree(tiny_artefact.path.parent, tmp_path / "run"))


def test_train_makes_an_artefact_and_says_where(narratrace: Command, run: Path, tiny_artefact: Artefact) -> None:
    shutil.rmtree(run / "artefact")
    ended = narratrace("train", run / "settings.yaml", "-o", run)
    assert ended.code == 0
    assert tiny_artefact.id in ended.err
    assert Artefact.open(run / "artefact").id == tiny_artefact.id


def test_train_resumes_what_is_there_and_nothing_else(narratrace: Command, run: Path, tmp_path: Path) -> None:
    config, mistyped = run / "settings.yaml", tmp_path / "rum"
    ended = narratrace("train", config, "-o", mistyped, "--resume")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "holds no run to go on with" in ended.err
    assert not mistyped.exists()
    assert narratrace("train", config, "-o", run, "--resume").code == 0


def test_extend_warns_that_no_dev_posts_were_compared(
    narratrace: Command, tiny_artefact: Artefact, tmp_path: Path
) -> None:
    example = Path(__file__).parents[2] / "examples" / "new_narrative"
    dev = tmp_path / "dev.jsonl"
    dev.write_text(json.dumps({"text": "Happy birthday!", "stance": "N", "labels": []}), encoding="utf-8")
    words = ("extend", example / "definition.yaml", example / "examples.jsonl", "--artefact", tiny_artefact.path, "-o")
    without = narratrace(*words, tmp_path / "without")
    assert (without.code, without.err.count("\n")) == (0, 1), without.err
    assert "no dev posts were compared" in without.err
    compared = narratrace(*words, tmp_path / "with", "--check", dev)
    assert (compared.code, compared.err) == (0, "")


def damaged(artefact: Artefact, copy: Path) -> Path:
    shutil.copytree(artefact.path, copy)
    with (copy / "heads.safetensors").open("ab") as file:
        file.write(b"\0")
    return copy


def test_an_error_is_one_line_that_names_what_is_wrong(
    narratrace: Command, tiny_artefact: Artefact, tiny_settings: TrainingSettings, run: Path, tmp_path: Path
) -> None:
    whole, broken = tiny_artefact.path, damaged(tiny_artefact, tmp_path / "broken")
    (tmp_path / "empty").mkdir()
    config = run / "settings.yaml"
    for words, named in (
        (("predict", "x", "--artefact", tmp_path / "none"), "none"),
        (("predict", "x", "--artefact", tmp_path / "empty"), MANIFEST),
        (("predict", "x", "--artefact", broken), "heads.safetensors"),
        (("predict", "x", "--artefact", whole, "--backend", "tflite"), "tflite"),
        (("info", broken), "heads.safetensors"),
        (("backend", "check", tmp_path / "none.csv", "--artefact", whole), "none.csv"),
        (("train", tmp_path / "none.yaml", "-o", tmp_path / "out"), "none.yaml"),
        (("train", config, "-o", run, "--set", "optimiser.epochs=many"), "optimiser.epochs"),
        (("train", config, "-o", run, "--set", "optimiser.epoch=1"), "optimiser.epoch"),
        (("train", config, "-o", run, "--set", "optimiser.epochs=11"), "other settings"),
    ):
        ended = narratrace(*words)
        assert (ended.code, ended.out) == (2, ""), words
        assert ended.err.startswith("narratrace: "), words
        assert ended.err.count("\n") == 1, ended.err
        assert named in ended.err, ended.err


@pytest.mark.parametrize(
    "words",
    [(), ("predict",), ("info",), ("backend",), ("backend", "check"), ("train",), ("score",), ("base", "build")],
)
def test_help_tells_what_a_command_does(narratrace: Command, words: tuple[str, ...]) -> None:
    ended = narratrace(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "Usage: " in ended.out
    assert "Usage: " in narratrace(*words, "-h").out
    if words not in ((), ("backend",)):
        assert "Example" in ended.out


def test_a_wrong_option_ends_with_2(narratrace: Command) -> None:
    for words in (("predict", "--nonsense"), ("nonsense",), ("train",)):
        ended = narratrace(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "Traceback" not in ended.err


def test_the_module_is_the_command(tiny_artefact: Artefact) -> None:
    """Through the shell, where the locale knows no Chinese."""
    command = [sys.executable, "-m", "narratrace", "predict", "--json", "--artefact", str(tiny_artefact.path)]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, input="支持警察\n".encode(), capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "支持警察"
    command[-1] = "nowhere"
    done = subprocess.run(command, input=b"x\n", capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"Traceback" not in done.stderr


def test_evaluate_measures_and_writes_a_report(
    narratrace: Command, tiny_artefact: Artefact, labelled: list[dict[str, object]], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        rows = [json.dumps(post, ensure_ascii=False) for post in labelled[:8]]
        (tmp_path / name / "dev.jsonl").write_text("\n".join(rows), encoding="utf-8")
    first, second = tmp_path / "first" / "dev.jsonl", tmp_path / "second" / "dev.jsonl"
    out = tmp_path / "out"
    ended = narratrace("evaluate", tiny_artefact.path, f"mine={first}", second, "-o", out)
    assert ended.code == 0
    assert "mine: 8 posts" in ended.out
    assert "dev: 8 posts" in ended.out
    assert "stance accuracy" in ended.out
    assert sorted(path.name for path in out.iterdir()) == ["card.md", "evaluation.html", "evaluation.json"]

    again = narratrace("evaluate", tiny_artefact.path, first, "-o", out)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "--overwrite" in again.err
    for words, says in (
        ((tiny_artefact.path, first, second), "first=|Two sets are called 'dev'"),
        ((tiny_artefact.path,), "no labelled posts"),
        ((tmp_path, first), "artefact"),
        ((tiny_artefact.path, tmp_path / "none.jsonl"), "none.jsonl"),
    ):
        ended = narratrace("evaluate", *words, "-o", tmp_path / "other")
        assert (ended.code, ended.out) == (2, "")
        assert re.search(says, ended.err)
    assert not (tmp_path / "other").exists()


def test_evaluate_maps_the_columns_of_labelled_posts(
    narratrace: Command, tiny_artefact: Artefact, labelled: list[dict[str, object]], tmp_path: Path
) -> None:
    posts = sorted(labelled, key=lambda post: "police_heroes" not in post["labels"])[:8]
    file = tmp_path / "posts.csv"
    with file.open("w", encoding="utf-8", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["body", "is_hero", "what", "who"])
        for at, post in enumerate(posts):
            writer.writerow([post["text"], int("police_heroes" in post["labels"]), post["stance"], f"user {at // 4}"])
    maps = ("text=body", "labels.police_heroes=is_hero", "stance=what", "account=who")
    out = tmp_path / "out"
    ended = narratrace("evaluate", tiny_artefact.path, file, *(f"--map={one}" for one in maps), "-o", out)
    assert (ended.code, "posts: 8 posts" in ended.out) == (0, True), ended.err
    own = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["sets"]["posts"]["rows"]
    own = own["narratrace, onnx-int8"]
    heroes = sum("police_heroes" in post["labels"] for post in posts)
    assert own["narratives"]["police_heroes"]["support"] == heroes > 0
    assert (own["groups"], sum(map(sum, own["confusion"]))) == (2, 8)
    for words, says in (((file,), "no column 'text'"), (("--map=text=body",), "data.columns")):
        ended = narratrace("evaluate", tiny_artefact.path, *words, "-o", tmp_path / "other")
        assert (ended.code, ended.out) == (2, "")
        assert re.search(says, ended.err)
