"""Units: the parts of a grouping that an engine carries out, their ledger and the files between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from narratrace.inference.archives.arrow_files import write_arrow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from narratrace.inference.archives.ledger import Ledger
    from narratrace.inference.engine import Engine, Work


class Units:
    """Carries units out that no earlier run, that was stopped, has done.

    Parameters
    ----------
    engine
        What carries the units out.
    ledger
        Where it is recorded which are done. The files go beside it; all machines of the engine see that folder under
        the same path.
    on_progress
        Called with what is being done and which share of it is done, 0 to 1.

    Attributes
    ----------
    folder
        Where the files go.
    is_grouped
        Whether a grouping has taken its posts: the ledger would take the units of another one for done.
    """

    def __init__(self, engine: Engine, ledger: Ledger, on_progress: Callable[[str, float], None]) -> None:
        self.folder = ledger.path.parent
        self.is_grouped = False
        self._engine = engine
        self._ledger = ledger
        self._tell = on_progress

    def do(self, step: str, work: Work, count: int) -> None:
        """Carry out the units 0, 1, ... of a work."""
        parts = self._ledger.parts(step)
        left = [str(unit) for unit in range(count) if str(unit) not in parts]
        for done, (unit, said) in enumerate(self._engine.run(work, left), count - len(left) + 1):
            self._ledger.add(f"{step} {unit}", said)
            self._tell(step, done / count)


def numbered(folder: Path) -> list[Path]:
    """Files of a folder in the order of their numbers."""
    return sorted(folder.glob("*.arrow"), key=lambda path: int(path.stem))


def write_columns(path: Path, **columns: Any) -> Path:
    """Write a table of one record batch; return the file."""
    batch = pa.record_batch(columns)
    write_arrow(path, batch.schema, [batch])
    return path
