"""What is seen of a run while it lasts."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from narratrace.commands import progress
from narratrace.commands.progress import ProgressDisplay
from narratrace.inference.scoring import ScoringProgress

HALF = ScoringProgress("Scoring", count=1200, rejected=3, done=0.5, seconds=60.0, new_count=600, new_done=0.25)


def shown(console_is_terminal: bool, quiet: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=console_is_terminal, width=120, quiet=quiet, color_system=None)
    with ProgressDisplay(console) as display:
        display.update(HALF)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_a_bar_with_rate_and_time_left() -> None:
    assert "50%" in shown(console_is_terminal=True)
    assert "1,200 distinct texts, 10 a second, 3 rows rejected, 0:02:00 left" in shown(console_is_terminal=True)


def test_a_log_gets_a_plain_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(console_is_terminal=False) == ""  # the first line is not due yet
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert (
        shown(console_is_terminal=False)
        == "Scoring 50%: 1,200 distinct texts, 10 a second, 3 rows rejected, 0:02:00 left\n"
    )


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert shown(console_is_terminal=True, quiet=True) == shown(console_is_terminal=False, quiet=True) == ""
