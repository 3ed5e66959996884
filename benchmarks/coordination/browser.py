"""Open the report of a hostile archive in a real browser and see whether anything in a post ran.

python benchmarks/coordination/browser.py [path of chromium]
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from narratrace.inference.copypasta.run import group_archive

RUN = "document.documentElement.setAttribute('data-ran','1')"
ATTACKS = [
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f'"><svg onload={RUN}>',
    f'<a href="javascript:{RUN}">x</a><iframe srcdoc="<script>parent.{RUN}</script>">',
    f"{{{{ ''.__class__ }}}}{{% raw %}}<b onfocus={RUN} autofocus tabindex=1>",
]
MESSAGES = [
    "有人付钱给示威者，真相就在这份名单里，大家快看快转发！",
    "昨天的会议记录全部流出，名单上的人一个都跑不掉。",
]


def write_archive(path: Path) -> None:
    start = datetime(2024, 3, 4, tzinfo=UTC)
    posts = [
        {"account_id": f"{account} {attack}", "text": f"{message} {number} {attack}", "labels": [attack], "stance": "A"}
        for number, attack in enumerate(ATTACKS)
        for message in MESSAGES
        for account in ("one", "two", "three")
    ]
    with path.open("w", encoding="utf-8") as file:
        for number, post in enumerate(posts):
            time = (start + timedelta(minutes=number)).isoformat()
            file.write(json.dumps(post | {"id": f"p{number}", "created_at": time}) + "\n")


def open_page(browser: str, page: Path) -> str:
    """Return the page as it stands after its scripts have run."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=15000", "--dump-dom"]
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, check=True)
    return done.stdout


def check(browser: str) -> dict[str, bool]:
    """Tell what was looked at, and whether it holds."""
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "posts.jsonl", Path(folder) / "groups"
        write_archive(archive)
        group_archive([archive], out)
        report = out / "report.html"
        dom = open_page(browser, report)
        checks = {
            "the page's own filter ran": " shown</output>" in dom,
            "its three plots are drawn": dom.count('class="plotly-graph-div js-plotly-plot"') == 3,
            "attacks are shown as text": all(html.escape(attack, quote=False) in dom for attack in ATTACKS),
            "no attack ran": 'data-ran="1"' not in dom,
        }
        # The same page with the texts not escaped: were the browser not to run them there, it would prove nothing.
        page = report.read_text(encoding="utf-8").replace(
            str(html.escape(ATTACKS[0])).replace("&#x27;", "&#39;"), ATTACKS[0]
        )
        report.write_text(page, encoding="utf-8")
        checks["they would run if they were not escaped"] = 'data-ran="1"' in open_page(browser, report)
    return checks


def main() -> None:
    checks = check(sys.argv[1] if len(sys.argv) > 1 else "chromium")
    for what, holds in checks.items():
        print("yes" if holds else "NO ", what)
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
