from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from narratrace.inference.archives.ledger import Ledger, Run
from narratrace.inference.copypasta import spread
from narratrace.inference.copypasta.grouper import CopypastaGrouper
from narratrace.inference.copypasta.spread import SpreadFuzzyStage
from narratrace.inference.copypasta.units import Units
from narratrace.inference.engine import NativeEngine, Said, Work
from narratrace.model.errors import InputError

RUN = Run(narratrace="0", artefact="", settings={}, inputs=())


class Watched(NativeEngine):
    """The native engine, with a list of what it did, stopped after so many units."""

    def __init__(self, units: int | None = None) -> None:
        self.units = units
        self.did: list[str] = []

    def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
        for step, said in super().run(work, units):
            if self.units == len(self.did):
                raise KeyboardInterrupt
            self.did.append(f"{type(work).__name__} {step}")
            yield step, said


def group(posts: Sequence[str], folder: Path, engine: NativeEngine) -> CopypastaGrouper:
    ledger = Ledger(folder / "ledger.jsonl", RUN)

    units = Units(engine, ledger, on_progress=lambda doing, done: None)
    try:
        return CopypastaGrouper(fuzzy=partial(SpreadFuzzyStage, units=units)).fit(posts)
    finally:
        ledger.close()


@pytest.fixture
def posts(labelled: list[dict[str, object]]) -> list[str]:
    """Posts, most of them with edited copies; some say too little."""
    chance = random.Random(5)
    texts = [str(post["text"]) for post in labelled]
    made = ["加油", "加油！", "rt", "", *texts]
    for text in texts:
        for _ in range(chance.randrange(6)):
            at = chance.randrange(len(text))
            made.append(text[:at] + chance.choice(["", "香港", "！", text]) + text[at + 2 :])
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("unit", [13, 100, 2**16])
def test_the_same_groups_as_in_memory(
    posts: list[str], unit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "UNIT", unit)
    engine = Watched()
    found, expected = group(posts, tmp_path, engine), CopypastaGrouper().fit(posts)
    for table in ("groups_", "links_", "posts_"):
        assert getattr(found, table).equals(getattr(expected, table))
    assert found.comparisons_ == expected.comparisons_
    assert len(found.groups_) > 5
    assert any(step.startswith("VerifyPairs") for step in engine.did) == (unit < 2**16)


def test_no_posts_no_groups(tmp_path: Path) -> None:
    assert len(group([], tmp_path, NativeEngine()).groups_) == 0


def test_a_stopped_grouping_does_not_repeat_what_is_done(
    posts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "UNIT", 40)
    whole = Watched()
    expected = group(posts, tmp_path / "whole", whole)
    first, second = Watched(len(whole.did) // 2), Watched()
    with pytest.raises(KeyboardInterrupt):
        group(posts, tmp_path / "stopped", first)
    found = group(posts, tmp_path / "stopped", second)
    assert first.did + second.did == whole.did
    assert found.links_.equals(expected.links_)


def test_posts_that_come_later_are_refused(tmp_path: Path) -> None:
    text = "机场瘫痪两天，上千航班取消，带着孩子的旅客睡在地上。这就是你们要的自由？"
    ledger = Ledger(tmp_path / "ledger.jsonl", RUN)
    fuzzy = partial(SpreadFuzzyStage, units=Units(NativeEngine(), ledger, on_progress=lambda doing, done: None))
    grouper = CopypastaGrouper(fuzzy=fuzzy).fit([text, text + "香港"])
    assert grouper.predict([text]).tolist() == [0]
    with pytest.raises(InputError, match="no index to predict with"):
        grouper.predict([text + "警察"])
    with pytest.raises(InputError, match="all posts in one fit"):
        grouper.partial_fit([text + "警察"])
    with pytest.raises(InputError, match="all posts in one fit"):
        CopypastaGrouper(fuzzy=fuzzy).fit([text, text + "警察"])
    ledger.close()
