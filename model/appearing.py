"""Folders that appear whole: complete under their name, or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Make a folder in one step: what the block writes is at ``out`` when it ends without an error, and only then.

    Parameters
    ----------
    out
        Its name; what is there is replaced, and is still there where that fails.

    Yields
    ------
    Path
        An empty folder to write into.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    # A file of the old folder that something still holds open is a leftover, and no error of the new one.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "new"
        folder.mkdir()
        yield folder
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that only their owner can read
        old = Path(scratch) / "old"
        if out.exists():
            out.replace(old)
        try:
            folder.replace(out)
        except OSError:
            if old.exists():
                old.replace(out)
            raise
