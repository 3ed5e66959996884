"""The trainings of a run, side by side: one for each fold of the cross-validation, and, if asked for, one on all posts.

Each is done in a process of its own and leaves a folder when it is done. One that is stopped leaves a checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from narratrace.model.appearing import appearing
from narratrace.model.errors import NarratraceError, StoppedError
from narratrace.model.network import load_encoder, load_network, lower_layers, save_network
from narratrace.model.taxonomy import Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.augmentation import Augmentation
from narratrace.training.frozen import OFFSETS, STATES, LowerStates, changed_variants, compute_states
from narratrace.training.run_posts import RunPosts, deal, read_posts, split_watched
from narratrace.training.settings import TrainingSettings
from narratrace.training.soup import mean_network
from narratrace.training.trainer import Step, fine_tune, infer

FINAL = "final"
"""Name of the training on all posts, and folder of its network, or of the mean of the folds' networks."""

LOGS = "logs"
"""Folder of a run with one folder for each training: figures of the epochs, TensorBoard's events, checkpoints."""

LOGITS = "deep.npz"
"""File of a fold's training: the logits of its held-out posts."""

Progress = Callable[[dict[str, Step]], None]
"""Called every now and then with how far every training of the run is."""

_SECONDS_BETWEEN_MESSAGES = 0.5


def fold_name(fold: int) -> str:
    """Name of the training that holds a fold out."""
    return f"fold-{fold}"


def train_all(
    settings: TrainingSettings, posts: RunPosts, out: Path, jobs: int, on_progress: Progress = lambda _: None
) -> None:
    """Do all trainings that are not done yet.

    Parameters
    ----------
    settings
        The run's settings; ``base`` is a folder.
    posts
        The run's posts.
    out
        The run's folder.
    jobs
        Trainings side by side.
    on_progress
        Called about once a second.

    Raises
    ------
    StoppedError
        Ctrl-C or TERM came; all trainings left a checkpoint.
    """
    folds = [fold_name(fold) for fold in range(settings.thresholds.folds)]
    names = folds if settings.final == "folds" else [FINAL, *folds]
    missing = [name for name in names if not (out / name).is_dir()]
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    messages, stop = context.Queue(), context.Event()
    with listening() as asked_to_stop:
        if missing and settings.optimiser.frozen_layers and not (out / OFFSETS).is_file():
            _prepare_states(settings, posts, out, jobs, on_progress, asked_to_stop)
        with ProcessPoolExecutor(jobs, context, _connect, (messages, stop)) as pool:
            futures = [pool.submit(_train_one, settings, out, name) for name in missing]
            _follow(futures, messages, stop, on_progress, asked_to_stop)
        stopped = asked_to_stop()
    if stopped:
        raise StoppedError(f"Stopped. Checkpoints are in {out}: the same command goes on from there.")
    if not (out / FINAL).is_dir():
        with appearing(out / FINAL) as folder:
            mean = mean_network([load_network(out / name) for name in folds])
            save_network(mean, settings.base, folder, settings.max_tokens)
    for name in (STATES, OFFSETS):
        (out / name).unlink(missing_ok=True)


@contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C or TERM is only remembered, and told when asked; another one ends the run at once."""
    asked = False
    if threading.current_thread() is not threading.main_thread():  # where no signal can be caught
        yield lambda: asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        restore()


def _follow(
    futures: list[Future[None]],
    messages: Queue[tuple[str, Step]],
    stop: Event,
    on_progress: Progress,
    asked_to_stop: Callable[[], bool],
) -> None:
    """Wait until all trainings are done or stopped, and pass on how far they are."""
    steps: dict[str, Step] = {}
    running = set(futures)
    failure: BaseException | None = None
    while running:
        done, running = wait(running, timeout=1)
        while True:
            try:
                name, step = messages.get_nowait()
            except queue.Empty:
                break
            steps[name] = step
        on_progress(steps)
        for future in done:
            try:
                future.result()
            except StoppedError:
                pass
            except BaseException as error:
                failure = failure or error
        if failure or asked_to_stop():  # or the others would train on, for nobody
            stop.set()
            running = {future for future in running if not future.cancel()}
    if isinstance(failure, BrokenProcessPool):
        raise NarratraceError(
            "A training was ended from outside, perhaps for want of memory: the same command goes on from its "
            "last checkpoint, with fewer --jobs if need be."
        ) from failure
    if failure:
        raise failure


def _prepare_states(
    settings: TrainingSettings,
    posts: RunPosts,
    out: Path,
    jobs: int,
    on_progress: Progress,
    asked_to_stop: Callable[[], bool],
) -> None:
    def on_step(done: int, total: int) -> None:
        if asked_to_stop():
            raise StoppedError("Stopped while the frozen layers were computed: the same command starts with them.")
        on_progress({"frozen layers": Step(done, total)})

    torch.set_num_threads(settings.threads * jobs)
    texts = [normalise(post.text).text for post in posts.learnt]
    variants = changed_variants(texts, Augmentation(settings.augmentation), settings.optimiser.variants, settings.seed)
    compute_states(
        lower_layers(load_encoder(settings.base), settings.optimiser.frozen_layers),
        PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens),
        variants,
        out,
        on_step,
        settings.optimiser.mixed_precision,
    )


_messages: Queue[tuple[str, Step]]
_stop: Event
_busy = threading.Lock()


def _connect(messages: Queue[tuple[str, Step]], stop: Event) -> None:
    """Set up a process that trains: the run's process alone is told to stop, and tells it here."""
    global _messages, _stop  # a pool has no other way to hand over what cannot be pickled
    _messages, _stop = messages, stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_run, daemon=True).start()


def _end_with_run() -> None:
    """End this process when the run's was killed outright, with a checkpoint of what it is training."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _stop.set()
    with _busy:
        os._exit(1)


def _train_one(settings: TrainingSettings, out: Path, name: str) -> None:
    """Do one training of the run, and keep what it gave."""
    (out / LOGS).mkdir(exist_ok=True)
    if _stop.is_set():
        raise StoppedError(f"Stopped before {name} began.")
    # A process of a run that was killed outright may still be writing its last checkpoint.
    with _busy, FileLock(out / LOGS / f"{name}.lock"):
        if not (out / name).is_dir():  # that process may have finished it
            _train(settings, out, name)


def _train(settings: TrainingSettings, out: Path, name: str) -> None:
    taxonomy = Taxonomy.load(settings.taxonomy)
    posts = read_posts(settings, taxonomy)
    folds = deal(posts, settings)
    rows = [row for row, fold in enumerate(folds.tolist()) if fold_name(fold) != name]
    watched = [post for dev in posts.dev.values() for post in dev] if name == FINAL else []
    if settings.early_stopping:
        if settings.early_stopping.dev:
            watched = posts.dev[settings.early_stopping.dev]
        else:
            learnt = [posts.learnt[row] for row in rows]
            kept, held_out = split_watched(learnt, settings.early_stopping.share, settings.seed)
            watched = [learnt[at] for at in held_out]
            rows = [rows[at] for at in kept]
    last = 0.0

    def on_step(step: Step) -> None:
        nonlocal last
        if step.done == step.total or time.monotonic() - last > _SECONDS_BETWEEN_MESSAGES:
            _messages.put((name, step))
            last = time.monotonic()

    network = fine_tune(
        [posts.learnt[row] for row in rows],
        taxonomy,
        settings,
        out / LOGS / name,
        watched=watched,
        states=(LowerStates(out), rows) if settings.optimiser.frozen_layers else None,
        on_step=on_step,
        asked_to_stop=_stop.is_set,
    )
    with appearing(out / name) as folder:
        if name != FINAL:
            measured = zip(posts.measured, folds.tolist(), strict=False)
            texts = [normalise(post.text).text for post, fold in measured if fold_name(fold) == name]
            tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)
            np.savez(folder / LOGITS, **infer(network, tokenizer, texts)._asdict())
        if name == FINAL or settings.final == "folds":
            save_network(network, settings.base, folder, settings.max_tokens)
