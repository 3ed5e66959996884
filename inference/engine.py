"""Engine: what carries the parts of a big job out, on this machine or on many.

A job is cut into units that know nothing of each other: a *work* is called with the name of a unit, reads and writes
files, and yields what it did, step by step. An engine decides where each unit is carried out.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from narratrace.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Said = dict[str, Any]
"""What a work says of a finished step; JSON can hold it."""


class Work(Protocol):
    """What is to be done with each unit; can be pickled, so that another process can do it.

    Doing a unit again gives the same files, byte for byte. One of many steps may leave out those whose files are there.
    """

    runs_network: ClassVar[bool]
    """Whether a GPU would help it."""

    def __call__(self, unit: str) -> Iterable[tuple[str, Said]]:
        """Carry a unit out; yield the name of each step as it is finished, with what is to be known of it."""
        ...


class Engine(Protocol):
    """Carries units out."""

    def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
        """Carry out every unit, in any order; yield what each says, each unit's steps in their order."""
        ...


class NativeEngine:
    """Carries units out here, one after another: nothing to install and nothing to start."""

    def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
        """Carry out every unit; yield each step as soon as it is finished."""
        for unit in units:
            yield from work(unit)


@contextmanager
def open_engine(name: str, *, cpus: int = 1, gpu: bool = False) -> Iterator[Engine]:
    """Open an engine by its name; it is closed at the end.

    Parameters
    ----------
    name
        ``native``; ``ray`` for the Ray cluster that this machine belongs to, or ``ray://HOST:PORT``.
    cpus
        What each unit takes of a cluster.
    gpu
        Whether units that run the network take a GPU of it each, if it has any.

    Raises
    ------
    SettingsError
        If there is no such engine.
    """
    if name == "native":
        yield NativeEngine()
    elif name == "ray" or name.startswith("ray://"):
        from narratrace.inference.ray_engine import RayEngine

        with RayEngine(name, cpus=cpus, gpu=gpu) as engine:
            yield engine
    else:
        raise SettingsError(f"'{name}' is no engine: give native, ray or ray://HOST:PORT.")
