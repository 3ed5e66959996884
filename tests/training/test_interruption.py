"""A run that is told to stop, or killed outright, goes on with the same command and gives the same artefact."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from narratrace.model.artefact import Artefact
from narratrace.model.errors import NarratraceError, StoppedError
from narratrace.model.settings import save_settings
from narratrace.training.run import train
from narratrace.training.settings import TrainingSettings

PATIENCE = 900
"""Seconds for processes to import torch on a very busy machine."""


@pytest.fixture
def unhurried(tiny_settings: TrainingSettings) -> TrainingSettings:
    """The settings of the tiny artefact, with a checkpoint after every step: only time is different."""
    return tiny_settings.model_copy(update={"checkpoint_minutes": 0.0})


def checkpoints(out: Path) -> set[Path]:
    return {mark.parent for mark in out.glob("logs/*/checkpoint-*/complete")}


def wait_for_checkpoint(out: Path, goes_on: Callable[[], bool]) -> None:
    """Wait for a checkpoint that is not there yet."""
    before = checkpoints(out)
    end = time.monotonic() + PATIENCE
    while not checkpoints(out) - before and goes_on() and time.monotonic() < end:
        time.sleep(0.05)


def test_a_training_that_is_killed_ends_the_run_at_once(unhurried: TrainingSettings, tmp_path: Path) -> None:
    long = unhurried.model_copy(update={"optimiser": unhurried.optimiser.model_copy(update={"epochs": 10_000})})
    out = tmp_path / "run"
    over = threading.Event()

    def kill_one() -> None:
        wait_for_checkpoint(out, lambda: not over.is_set())
        for process in multiprocessing.active_children()[:1]:
            process.kill()

    threading.Thread(target=kill_one, daemon=True).start()
    try:
        with pytest.raises(NarratraceError, match="ended from outside"):
            train(long, out, jobs=2)
    finally:
        over.set()
    assert not multiprocessing.active_children()
    assert not list(out.glob("fold-*"))


def test_told_to_stop_then_killed_it_goes_on_and_gives_the_same_artefact(
    unhurried: TrainingSettings, tiny_artefact: Artefact, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    over = threading.Event()

    def tell_to_stop() -> None:
        wait_for_checkpoint(out, lambda: not over.is_set())
        if checkpoints(out):
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell_to_stop, daemon=True).start()
    try:
        with pytest.raises(StoppedError, match="same command"):
            train(unhurried, out)
    finally:
        over.set()
    assert checkpoints(out)
    assert not (out / "artefact").exists()

    save_settings(unhurried, tmp_path / "settings.yaml")
    command = [sys.executable, "-m", "narratrace", "train", str(tmp_path / "settings.yaml"), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for_checkpoint(out, lambda: process.poll() is None)
    process.kill()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, said
    assert checkpoints(out)
    assert not (out / "artefact").exists()

    artefact, _ = train(unhurried, out)
    assert artefact.id == tiny_artefact.id
    assert artefact.manifest.files == tiny_artefact.manifest.files
    assert not checkpoints(out)
