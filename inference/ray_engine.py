"""Ray: carries units out on the machines of a Ray cluster that runs already."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from narratrace.model.errors import InputError, MissingExtraError, NarratraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from narratrace.inference.engine import Said, Work

RETRIES = 5
"""How often a unit is carried out again whose worker, or machine, was lost."""


class RayEngine:
    """Carries units out on a Ray cluster, as many at the same time as it has room for.

    All machines need narratrace in the same version and see the folders of the run under the same paths. Units are Ray
    tasks: Ray finds a machine for each, and another one when a worker or a machine is lost.

    Parameters
    ----------
    address
        ``ray`` for the cluster that this machine belongs to, or that the environment variable ``RAY_ADDRESS`` names;
        ``ray://HOST:PORT`` for one that is reached from outside, through Ray's client server.
    cpus
        CPUs that each unit takes.
    gpu
        Whether units of works that run the network take a GPU as well, if the cluster has any.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    InputError
        If there is no such cluster.
    """

    def __init__(self, address: str = "ray", *, cpus: int = 1, gpu: bool = False) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError("cluster", f"The engine '{address}'") from error
        self._ray = ray
        try:
            ray.init(address if "://" in address else "auto", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(
                f"No Ray cluster answers at '{address}': start one with 'ray start --head', or check the address."
            ) from error
        self._gpus = 1 if gpu and ray.cluster_resources().get("GPU", 0) else 0
        # Ray's client server does not pass on steps one by one.
        self._streams = "://" not in address
        task = _carry_out if self._streams else _carry_out_whole
        returns: Any = "streaming" if self._streams else 1
        self._task = ray.remote(num_cpus=cpus, max_retries=RETRIES, num_returns=returns)(task)

    def __enter__(self) -> Self:
        """Give the engine, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster; what it still does for this run is ended."""
        self._ray.shutdown()

    def run(self, work: Work, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
        """Carry out every unit; yield each step as soon as it is finished, or from outside, each unit.

        Raises
        ------
        NarratraceError
            If a unit raised it, or the cluster could not carry a unit out.
        """
        ray = self._ray
        carried, here, ours = ray.put(work), str(Path.cwd()), version("narratrace")
        kind = type(work).__name__
        gpus = self._gpus if work.runs_network else 0
        left = {
            self._task.options(name=f"{kind} {unit}", num_gpus=gpus).remote(carried, unit, here, ours): unit
            for unit in units
        }
        while left:
            [ready], _ = ray.wait(list(left), num_returns=1, fetch_local=False)
            try:
                steps = [ray.get(next(ready))] if self._streams else ray.get(ready)
            except StopIteration:
                steps = []
            except ray.exceptions.RayTaskError as error:
                raise _told(error, kind, left[ready]) from error
            except ray.exceptions.RayError as error:
                raise _lost(error, kind, left[ready]) from error
            yield from steps
            if not (self._streams and steps):
                del left[ready]


def _carry_out(work: Work, unit: str, folder: str, wanted: str) -> Iterator[tuple[str, Said]]:
    """Do a unit, on some machine of the cluster."""
    found = version("narratrace")
    if found != wanted:
        raise InputError(f"A machine of the cluster has narratrace {found}, not {wanted}: install the same everywhere.")
    try:
        os.chdir(folder)  # paths that the user gave may be relative
    except OSError as error:
        raise InputError(f"A machine of the cluster does not see {folder}: start from a shared folder.") from error
    yield from work(unit)


def _carry_out_whole(work: Work, unit: str, folder: str, wanted: str) -> list[tuple[str, Said]]:
    return list(_carry_out(work, unit, folder, wanted))


def _told(error: Any, kind: str, unit: str) -> NarratraceError:
    """Take what a unit raised out of Ray's wrapping."""
    cause = error.cause
    return cause if isinstance(cause, NarratraceError) else _lost(cause, kind, unit)


def _lost(error: BaseException, kind: str, unit: str) -> NarratraceError:
    said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return InputError(
        f"The cluster could not carry out '{kind} {unit}' ({type(error).__name__}: {said}); the same command goes on "
        "from what is done."
    )
