"""``narratrace group`` on the example campaign, whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from narratrace.commands import app
from narratrace.model.errors import SettingsError

CAMPAIGN = Path(__file__).resolve().parents[2] / "examples" / "campaign.jsonl"


def test_the_example_campaign_gives_its_messages_and_accounts(tmp_path: Path) -> None:
    command = ["group", str(CAMPAIGN), "-o", str(tmp_path), "--csv", "--set", "coordination.shuffles=999"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "8 of 9 groups and 12 of 26 accounts" in done.output
    accounts = pq.read_table(tmp_path / "accounts.parquet")
    close = accounts.filter(pc.less_equal(accounts["q"], 0.05))
    assert close.num_rows == 12
    assert all(account.startswith("bay_") for account in close["account_id"].to_pylist())
    assert set(close["cluster"].to_pylist()) == {0}
    groups = pq.read_table(tmp_path / "groups.parquet")
    close = groups.filter(pc.less_equal(groups["q"], 0.05))
    assert not [text for text in close["text"].to_pylist() if "聯署" in text or "南灣日報" in text]
    assert any(scripts == ["Hans", "Hant"] or scripts == ["Hant", "Hans"] for scripts in close["scripts"].to_pylist())
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "graph.gexf", "graph.graphml", "edges.csv", "summary.json"} <= names
    assert not [name for name in names if "partial" in name]


def test_an_unknown_way_with_reposts_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["group", str(CAMPAIGN), "-o", str(tmp_path), "--reposts", "maybe"])
    assert isinstance(done.exception, SettingsError)
    assert "coordination.reposts" in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("setting", ["coordination.window_minutes=0", "coordination.shuffles=-1"])
def test_settings_out_of_range_are_refused(tmp_path: Path, setting: str) -> None:
    done = CliRunner().invoke(app, ["group", str(CAMPAIGN), "-o", str(tmp_path), "--set", setting])
    assert isinstance(done.exception, SettingsError)
    assert setting.split("=")[0] in str(done.exception)
