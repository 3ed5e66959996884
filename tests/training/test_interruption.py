"""A run that is told to stop, or killed outright, goes on with the same command and gives the same artefact."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from narratrace.model.artefact import Artefact
from narratrace.model.settings import save_settings
from narratrace.training.run import train
from narratrace.training.settings import TrainingSettings

PATIENCE = 400
"""Seconds for two processes to import torch on a busy machine."""


def checkpoints(out: Path) -> set[Path]:
    return {mark.parent for mark in out.glob("logs/*/checkpoint-*/complete")}


@pytest.fixture
def unhurried(tiny_settings: TrainingSettings) -> TrainingSettings:
    """The settings of the tiny artefact, with a checkpoint after every step: only time is different."""
    return tiny_settings.model_copy(update={"checkpoint_minutes": 0.0})


def start(settings: TrainingSettings, out: Path) -> subprocess.Popen[str]:
    """Start the command, and wait until it has written a new checkpoint."""
    save_settings(settings, out.with_suffix(".yaml"))
    before = checkpoints(out)
    command = [sys.executable, "-m", "narratrace", "train", str(out.with_suffix(".yaml")), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    end = time.monotonic() + PATIENCE
    while not checkpoints(out) - before:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.05)
    return process


def test_told_to_stop_then_killed_it_goes_on_and_gives_the_same_artefact(
    unhurried: TrainingSettings, tiny_artefact: Artefact, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(unhurried, out)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("narratrace: Stopped.")
    assert "same command" in said
    assert checkpoints(out)

    process = start(unhurried, out)
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert checkpoints(out)
    assert not (out / "artefact").exists()

    artefact, _ = train(unhurried, out)
    assert artefact.id == tiny_artefact.id
    assert artefact.manifest.files == tiny_artefact.manifest.files
    assert not checkpoints(out)
