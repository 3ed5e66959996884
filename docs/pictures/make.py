"""Make the pictures of the documentation from what the commands really print.

python docs/pictures/make.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COLUMNS = 108

POSTS = [
    "前線暴徒背後都係外國勢力畀錢，全力支持警察嚴正執法！",
    "又話我哋係暴徒、收外國勢力錢，講大話都唔使打草稿，黑警可恥！",
    "The Foreign Ministry on Tuesday accused Washington of being behind the unrest in Hong Kong.",
]


def run(*arguments: str) -> str:
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "narratrace", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout


def save(name: str, typed: str, output: str) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ " + typed, style="bold"))
    console.print()
    console.print(Text.from_ansi(output.strip("\n")))
    svg = console.export_svg(title="narratrace")
    # Rich counts a Chinese character as one column here and would squeeze the text.
    (HERE / f"{name}.svg").write_text(re.sub(r' textLength="[^"]*"', "", svg), encoding="utf-8")


def main() -> None:
    typed = " \\\n    ".join(["narratrace predict", *(f'"{post}"' for post in POSTS)])
    save("predict", typed, run("predict", *POSTS))
    with tempfile.TemporaryDirectory() as out:
        printed = run("score", "examples/posts.jsonl", "-o", out).replace(out, "scored")
        save("score", "narratrace score examples/posts.jsonl -o scored", printed)


if __name__ == "__main__":
    main()
