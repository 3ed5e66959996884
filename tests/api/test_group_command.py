"""``narratrace group`` on the example campaign, whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from narratrace.commands import app
from narratrace.inference.copypasta.run import GroupingRunSummary
from narratrace.inference.copypasta.settings import GroupSettings
from narratrace.model.artefact import Artefact
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.settings import load_settings

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


def test_what_makes_ties_doubtful_is_said_on_the_terminal_and_on_the_page(tmp_path: Path) -> None:
    text = "有人付钱给示威者，真相就在这份名单里，大家快看快转发！"
    rows = ["1.04E+18,3/4/2019", "1.04E+18,2019-08-04 10:00", "7,2019-08-04 10:01", "8"]
    archive = tmp_path / "posts.csv"
    archive.write_text("said,who,at\n" + "".join(f"{text},{row}\n" for row in rows), encoding="utf-8")
    mapping = ["--map", "text=said", "--map", "account_id=who", "--map", "created_at=at"]
    done = CliRunner().invoke(app, ["group", str(archive), "-o", str(tmp_path / "out"), *mapping])
    assert done.exit_code == 0, done.output
    assert "Reading 1 file: account_id ← who, text ← said, created_at ← at" in done.output
    doubts = [
        "3 posts have no id",
        "2 posts have an account id that a spreadsheet seems to have rounded",
        "1 posts have a time that cannot be read",
        "1 rows rejected: wrong number of fields",
    ]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not [doubt for doubt in doubts if doubt not in done.output or doubt not in page]


def test_the_artefact_that_embeds_can_be_ones_own(tiny_artefact: Artefact, tmp_path: Path) -> None:
    own = ["--artefact", str(tiny_artefact.path), "--backend", "onnx", "--threads", "1"]
    done = CliRunner().invoke(app, ["group", str(CAMPAIGN), "-o", str(tmp_path), "--semantic", *own])
    assert done.exit_code == 0, done.output
    summary = GroupingRunSummary.model_validate_json((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary.artefact == tiny_artefact.id
    settings = load_settings(GroupSettings, tmp_path / "settings.yaml")
    assert (settings.artefact, settings.backend, settings.threads) == (tiny_artefact.path, "onnx", 1)
    wrong = CliRunner().invoke(
        app, ["group", str(CAMPAIGN), "-o", str(tmp_path / "none"), "--semantic", "--artefact", "x"]
    )
    assert isinstance(wrong.exception, ArtefactError)
    assert not (tmp_path / "none").exists()


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
