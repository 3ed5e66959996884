"""No cell of a CSV runs as a formula, and none loses what it said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narratrace.inference.archives.cells import neutralise, restore

FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"


@given(st.text(), st.sampled_from(["", *FORMULA_STARTS, "'", "'=", "''@"]))
def test_a_cell_is_harmless_and_can_be_restored(text: str, start: str) -> None:
    cell = neutralise(start + text)
    assert not cell.startswith(tuple(FORMULA_STARTS))
    assert restore(cell) == start + text


@pytest.mark.parametrize("cell", ["光復香港", "'tis", "a=b", "", " = "])
def test_other_cells_are_left_alone(cell: str) -> None:
    assert neutralise(cell) == restore(cell) == cell
