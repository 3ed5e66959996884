"""Foreign names neither steer a terminal nor end a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.model.printable import printable


@given(st.text(st.characters(exclude_categories=())))
def test_anything_fits_on_one_line_of_utf_8(name: str) -> None:
    shown = printable(name)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not any(character in shown for character in "\x1b\x07\b\x9b\u202e\u2066")


@pytest.mark.parametrize("name", ["微博正文.csv", "what they said", "👩‍👧 é\u3000ü", r"C:\posts.csv", ""])
def test_what_can_be_printed_stays_as_it_is(name: str) -> None:
    assert printable(name) == name


def test_names_in_another_encoding_stay_apart() -> None:
    first, second = (Path(os.fsdecode(f"{month}月.csv".encode("gbk"))) for month in "二三")
    assert printable(first) == r"\xb6\xfe\xd4\xc2.csv"
    assert printable(second) != printable(first)
