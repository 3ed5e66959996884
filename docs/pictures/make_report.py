"""Make group.png, the picture of the group report: python docs/pictures/make_report.py [path of chromium]."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from narratrace.inference.copypasta.run import group_archive

HERE = Path(__file__).resolve().parent


def main() -> None:
    browser = sys.argv[1] if len(sys.argv) > 1 else "chromium"
    with tempfile.TemporaryDirectory() as out:
        group_archive([HERE.parents[1] / "examples" / "campaign.jsonl"], out)
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=15000",
        ]
        picture = [f"--screenshot={HERE / 'group.png'}", "--window-size=1250,1640"]
        subprocess.run([browser, *options, *picture, (Path(out) / "report.html").as_uri()], check=True)


if __name__ == "__main__":
    main()
