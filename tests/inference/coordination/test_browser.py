"""The page in a real browser, where there is one: it works, and nothing that a hostile post holds runs."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "coordination" / "browser.py"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_nothing_that_a_post_holds_runs_in_a_browser() -> None:
    checks = runpy.run_path(str(SCRIPT))["check"](BROWSER)
    assert checks
    assert not [what for what, holds in checks.items() if not holds]
