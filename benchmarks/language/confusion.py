"""Print how the language tag agrees with the tags of labelled posts.

Usage: python benchmarks/language/confusion.py DATA...

Each DATA is a JSONL file with the fields text and lang; ``mix`` is read as ``mixed``.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from narratrace.model.language import LANGUAGES, identify
from narratrace.model.text import normalise


def main(paths: list[str]) -> None:
    if not paths:
        sys.exit(__doc__)
    rows = [json.loads(line) for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines()]
    expected = ["mixed" if row["lang"] == "mix" else row["lang"] for row in rows]
    texts = [normalise(row["text"]).text for row in rows]
    identify("香港")  # reads the dictionaries
    start = time.process_time()
    found = [identify(text) for text in texts]
    seconds = time.process_time() - start

    counts = Counter(zip(expected, found, strict=True))
    print("true \\ told".ljust(12) + "".join(language.rjust(9) for language in LANGUAGES) + "   recall")
    for row in sorted(set(expected), key=LANGUAGES.index):
        cells = [counts[row, language] for language in LANGUAGES]
        recall = counts[row, row] / sum(cells)
        print(row.ljust(12) + "".join(str(cell).rjust(9) for cell in cells) + f"{recall:9.3f}")
    right = sum(counts[language, language] for language in LANGUAGES)
    print(f"{right} of {len(rows)} posts right ({right / len(rows):.3f}), {seconds / len(rows) * 1e6:.1f} µs a post")


if __name__ == "__main__":
    main(sys.argv[1:])
