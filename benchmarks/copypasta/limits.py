"""Limits: a command in a process of its own that may take so much time and memory, and no more."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Sequence

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""CPU seconds compare only where no tool waits busily for its threads."""


class NotDoneError(Exception):
    """A command that was not carried out: why, in a few words."""


def run_within(command: Sequence[str], seconds: float, gigabytes: float | None = None) -> str:
    """Run a command with its children, and return what it prints.

    Raises
    ------
    NotDoneError
        If it takes longer, wants more memory, lacks a package, or fails.
    """

    def limit() -> None:
        if gigabytes:
            size = int(gigabytes * 1e9)
            resource.setrlimit(resource.RLIMIT_DATA, (size, size))

    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
        preexec_fn=limit,
    )
    try:
        printed, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NotDoneError(f"not done in {seconds:,.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        if "MemoryError" in errors or "memory allocation" in errors:
            last = f"wants more than {gigabytes:.0f} GB" if gigabytes else "out of memory"
        elif last.startswith("ModuleNotFoundError"):
            last = f"not installed ({last.partition(': ')[2]})"
        raise NotDoneError(last[:120])
    return printed
