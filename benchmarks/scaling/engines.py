"""What narratrace's engines cost beside Daft, which plans queries on this machine or on a Ray cluster.

    python benchmarks/scaling/engines.py [--units 64]

The same units, each some 50 ms of CPU and one small Arrow file, are carried out by narratrace's native engine, by its
Ray engine, and by Daft (a row for each unit, a `@daft.cls` that carries it out) on its native runner and on Ray. Each
part has a process of its own; those on Ray have a cluster of two nodes with one CPU each, inside this machine. What is
not installed is said. Daft and Ray are kept from reporting their use. Linux only.

Columns: wall seconds of the job, without the start of the cluster but with the import of the engine; of these, until
the first unit is told to be finished; CPU seconds of all processes in that time (some that end within 0.3 s escape);
peak of their memory, as shared out (PSS), with the cluster; size of the packages that narratrace itself does not need;
processes that carried units out; whether the files are the native engine's, byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pyarrow as pa
from packaging.requirements import Requirement

from narratrace.inference.engine import Said, open_engine

PARTS = {
    "narratrace, native": [],
    "narratrace, Ray": ["ray"],
    "Daft, native": ["daft"],
    "Daft, Ray": ["daft[ray]"],
}
ROUNDS = 130_000
"""Some 50 ms."""
QUIET = {"DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "DAFT_PROGRESS_BAR": "0"}
SECONDS = 240
"""After which a part is ended."""


class Burn:
    """A work: hashes for some 50 ms and leaves a table."""

    runs_network = False

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, unit: str) -> Iterator[tuple[str, Said]]:
        key = hashlib.pbkdf2_hmac("sha256", unit.encode(), b"", ROUNDS)
        table = pa.table({"row": range(1000), "key": [key] * 1000})
        path = Path(self.folder, f"{unit}.arrow")
        with pa.OSFile(f"{path}.{os.getpid()}", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        Path(f"{path}.{os.getpid()}").replace(path)
        yield unit, {"rows": len(table), "process": os.getpid()}


def by_narratrace(name: str, work: Burn, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
    with open_engine(name) as engine:
        yield from engine.run(work, units)


def by_daft(name: str, work: Burn, units: Sequence[str]) -> Iterator[tuple[str, Said]]:
    import daft

    if name == "ray":
        daft.set_runner_ray(os.environ["RAY_ADDRESS"])
    else:
        daft.set_runner_native()

    class Carry:
        def __call__(self, unit: str) -> str:
            return json.dumps(list(work(unit)))

    carry: Any = daft.cls(max_concurrency=2)(Carry)()
    frame = daft.from_pydict({"unit": list(units)})
    # As narratrace does: each unit goes where there is room, and is told of when it is finished.
    frame = frame.into_partitions(len(units)) if name == "ray" else frame.into_batches(1)
    for row in frame.select(carry(frame["unit"]).alias("said")).iter_rows():
        yield from ((step, said) for step, said in json.loads(row["said"]))


def tell(**message: Any) -> None:
    """Tell the measuring process, and wait until it has read its clocks."""
    print("@", json.dumps(message), flush=True)
    sys.stdin.readline()


def carry_out(part: str, units: Sequence[str], folder: str) -> None:
    """Be one part."""
    by, name = part.lower().split(", ")
    with contextlib.ExitStack() as stack:
        if name == "ray":
            from ray.cluster_utils import Cluster

            os.environ["RAY_TMPDIR"] = stack.enter_context(  # its sockets need a short path
                tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)
            )
            stack.callback(end_below, os.getpid())
            cluster = Cluster()
            stack.callback(cluster.shutdown)
            for _ in range(2):
                for left in (2, 1, 0):  # on a busy machine a node may miss Ray's own deadline of 30 seconds
                    try:
                        cluster.add_node(
                            num_cpus=1,
                            object_store_memory=2**27,
                            include_dashboard=False,
                            include_log_monitor=False,
                            no_monitor=True,
                        )
                        break
                    except Exception:
                        if not left:
                            raise
            os.environ["RAY_ADDRESS"] = cluster.address
        tell(now="begin")
        begin, first, processes = time.monotonic(), 0.0, set()
        for _, said in {"narratrace": by_narratrace, "daft": by_daft}[by](name, Burn(folder), units):
            first = first or time.monotonic() - begin
            processes.add(said["process"])
        tell(now="end", wall=time.monotonic() - begin, first=first, processes=len(processes))


def below(root: int) -> set[int]:
    """A process and those that it started, directly or not."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    found, left = set(), [root]
    while left:
        found.add(process := left.pop())
        left += children[process]
    return found


def end_below(root: int) -> None:
    """End what a process started."""
    for process in below(root) - {root}:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


class Meter:
    """CPU and memory of a process and those below it."""

    def __init__(self, root: int) -> None:
        self.root, self.over, self.peak = root, threading.Event(), 0
        self.cpu: dict[int, float] = {}
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(0.3):
            self.read()

    def read(self) -> float:
        memory = 0
        for process in below(self.root):
            with contextlib.suppress(OSError, StopIteration):
                folder = Path("/proc", str(process))
                ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
                self.cpu[process] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
                rollup = (folder / "smaps_rollup").read_text().splitlines()
                memory += 1024 * next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        self.peak = max(self.peak, memory)
        return sum(self.cpu.values())


def needed(names: Sequence[str]) -> dict[str, int]:
    """Bytes of the installed packages that some need, themselves included."""
    sizes: dict[str, int] = {}
    seen, left = set(), [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        for extra in ["", *wanted.extras]:
            if (wanted.name.lower(), extra) in seen:
                continue
            seen.add((wanted.name.lower(), extra))
            found = distribution(wanted.name)
            sizes[found.name.lower()] = sum(
                path.stat().st_size for each in found.files or () if (path := Path(str(each.locate()))).is_file()
            )
            asked = map(Requirement, found.requires or ())
            left += [each for each in asked if not each.marker or each.marker.evaluate({"extra": extra})]
    return sizes


def measure(part: str, units: int, folder: Path) -> dict[str, Any]:
    """Run one part; what it told, and what was read beside it."""
    command = [sys.executable, __file__, "--units", str(units), "--part", part, "--folder", str(folder)]
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | QUIET
        )
        assert child.stdin
        assert child.stdout
        meter, told = Meter(child.pid), {}

        def end() -> None:
            end_below(child.pid)
            child.kill()

        timer = threading.Timer(SECONDS, end)
        timer.start()
        for line in child.stdout:
            if line.startswith("@ "):
                message = json.loads(line[2:])
                told[message.pop("now")] = {"cpu": meter.read()} | message
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write("\n")
                    child.stdin.flush()
        meter.over.set()
        meter.thread.join()
        child.wait()
        timer.cancel()
        if "end" not in told:
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"ended after {SECONDS} s"]
            return {"failed": said[-1]}
    return told["end"] | {"cpu": told["end"]["cpu"] - told["begin"]["cpu"], "peak": meter.peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--part", choices=PARTS, help="only this one, beside the native engine")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder:
        carry_out(chosen.part, [f"{unit:04}" for unit in range(chosen.units)], chosen.folder)
        return
    print("| engine | s | first unit s | CPU s | peak MB | adds MB | processes | same files |")
    print("|---|---|---|---|---|---|---|---|")
    base, expected = needed(["narratrace"]), None
    for part in dict.fromkeys([next(iter(PARTS)), chosen.part]) if chosen.part else PARTS:
        try:
            more = {name: size for name, size in needed(PARTS[part]).items() if name not in base}
        except PackageNotFoundError as error:
            print(f"{part}: not installed ({error}).", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(part, chosen.units, Path(folder))
            files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
        if "failed" in found:
            print(f"{part}: failed: {found['failed']}", flush=True)
            continue
        expected = expected or files
        print(
            f"| {part} | {found['wall']:.1f} | {found['first']:.1f} | {found['cpu']:.1f} | {found['peak'] / 1e6:,.0f}"
            f" | {sum(more.values()) / 1e6:,.0f} | {found['processes']} | {'yes' if files == expected else 'NO'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
