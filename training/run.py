"""A training run: cross-validation, calibration and thresholds, the final training, the artefact."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.managers import DictProxy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from narratrace.model.artefact import (
    CARD,
    ONNX_FILES,
    TAXONOMY,
    WIDE,
    Artefact,
    Base,
    hash_file,
    save_artefact,
)
from narratrace.model.base import RECORD, BaseRecord
from narratrace.model.errors import InputError, SettingsError
from narratrace.model.export import export_onnx
from narratrace.model.network import load_encoder, load_network, save_network
from narratrace.model.quantise import quantise
from narratrace.model.scores import Logits
from narratrace.model.settings import save_settings
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.augmentation import Augmentation
from narratrace.training.card import write_card
from narratrace.training.decision import fit_decision
from narratrace.training.folds import assign_folds, related_groups
from narratrace.training.frozen import OFFSETS, STATES, LowerStates, changed_variants, compute_states
from narratrace.training.labelled import (
    LabelledPost,
    known_matrix,
    label_matrix,
    read_labelled,
    stance_indices,
)
from narratrace.training.metrics import measure
from narratrace.training.rows import fingerprint
from narratrace.training.settings import TrainingSettings
from narratrace.training.trainer import fine_tune, infer
from narratrace.training.wide import fit_wide

FINAL = "final"
"""Name of the training on all posts."""

ALWAYS = -1
"""In the place of a fold: learnt from in every training."""

LOGITS = "deep.npz"
"""File of a fold's training: the logits of its held-out posts."""

Progress = Callable[[dict[str, tuple[int, int]]], None]
"""Called every now and then with the steps done and to do of every training of the run."""


@dataclass(frozen=True)
class Labelled:
    """The labelled posts of a run: ``measured`` ones count in thresholds and figures, ``synthetic`` ones do not."""

    measured: list[LabelledPost]
    synthetic: list[LabelledPost]
    dev: dict[str, list[LabelledPost]]


def train(
    settings: TrainingSettings, out: Path, *, jobs: int = 1, on_progress: Progress | None = None
) -> tuple[Artefact, dict[str, Any]]:
    """Train an artefact.

    Every training of the run (one per cross-validation fold, and the final one) is kept in ``out`` when it is done;
    the same command continues an interrupted run where it was.

    Parameters
    ----------
    settings
        The run's settings.
    out
        Folder of the run: ``settings.yaml``, the finished trainings, and ``artefact``.
    jobs
        Trainings that run side by side, each on ``settings.threads`` threads.
    on_progress
        Called about once a second while trainings run.

    Returns
    -------
    tuple
        The artefact and its metrics, which stand in its manifest too.

    Raises
    ------
    InputError
        A file of posts cannot be read.
    SettingsError
        ``out`` holds a run with other settings, posts or base.
    """
    taxonomy = Taxonomy.load(settings.taxonomy)
    posts = _read(settings, taxonomy)
    base = _read_base(settings.base)
    folds = _assign_folds(posts, settings)
    _claim(out, settings, taxonomy, folds)
    _train_all(settings, posts, out, jobs, on_progress)

    held_out = _held_out_logits(out, posts, folds, taxonomy, settings)
    decision = fit_decision(*held_out, posts.measured, taxonomy, settings.data.languages, settings.thresholds)

    # The encoder as it was saved, in half precision, is what is measured and exported.
    network = load_network(out / FINAL)
    wide = fit_wide([*posts.measured, *posts.synthetic], taxonomy, settings.wide)
    tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)

    def figures(of: Sequence[LabelledPost], deep: Logits, wide: Logits) -> dict[str, Any]:
        scores = decision.scores(deep, wide)
        return measure(
            taxonomy.narrative_ids,
            scores.narratives,
            decision.thresholds.flag(scores),
            label_matrix(of, taxonomy),
            known_matrix(of, taxonomy),
            scores.stances.argmax(axis=1),
            stance_indices(of),
        )

    learnt_from = {tie for post in (*posts.measured, *posts.synthetic) for tie in post.ties}

    def on_dev(dev: Sequence[LabelledPost]) -> dict[str, Any]:
        texts = [normalise(post.text).text for post in dev]
        tied = sum(not learnt_from.isdisjoint(post.ties) for post in dev)
        return figures(dev, infer(network, tokenizer, texts), wide.run(texts)) | {"tied": tied}

    metrics: dict[str, Any] = {
        "cross_validation": figures(posts.measured, *held_out),
        **{name: on_dev(dev) for name, dev in posts.dev.items()},
    }

    def fill(folder: Path) -> None:
        shutil.copytree(out / FINAL, folder, dirs_exist_ok=True)
        wide.save(folder / WIDE)
        taxonomy.dump(folder / TAXONOMY)
        int8 = folder / ONNX_FILES["onnx-int8"]
        int8.parent.mkdir()
        with tempfile.TemporaryDirectory() as scratch:
            full = folder / ONNX_FILES["onnx"] if settings.full_precision else Path(scratch) / "model.onnx"
            export_onnx(network, full)
            quantise(full, int8)
        write_card(
            folder / CARD,
            taxonomy,
            settings,
            len(posts.measured) + len(posts.synthetic),
            len(posts.synthetic),
            metrics,
        )

    artefact = save_artefact(
        out / "artefact",
        fill,
        narratrace=version("narratrace"),
        base=Base(name=base.name, licence=base.licence, vocabulary=base.vocabulary),
        taxonomy=f"{taxonomy.id}@{taxonomy.version}",
        narratives=taxonomy.narrative_ids,
        stances=STANCES,
        languages=settings.data.languages,
        max_tokens=settings.max_tokens,
        calibration=dict(zip(taxonomy.narrative_ids, decision.calibration, strict=True)),
        stance_calibration=decision.stance_calibration,
        advances=decision.thresholds.advances,
        thresholds=decision.of_f1(taxonomy.narrative_ids),
        promised=decision.promised,
        default_thresholds=settings.thresholds.default,
        metrics=metrics,
    )
    return artefact, metrics


def _read(settings: TrainingSettings, taxonomy: Taxonomy) -> Labelled:
    def read(*sources: str) -> list[LabelledPost]:
        return [post for source in sources for post in read_labelled(source, taxonomy, settings.data.columns)]

    posts = Labelled(
        read(*settings.data.train),
        read(*settings.data.synthetic),
        {name: read(source) for name, source in settings.data.dev.items()},
    )
    if len(posts.measured) < settings.thresholds.folds:
        raise InputError(f"{len(posts.measured)} labelled posts are too few for {settings.thresholds.folds} folds.")
    return posts


def _read_base(folder: Path) -> BaseRecord:
    try:
        return BaseRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no base encoder: make one with: narratrace base build {folder}") from error


def _claim(out: Path, settings: TrainingSettings, taxonomy: Taxonomy, folds: NDArray[np.int64]) -> None:
    """Make the run's folder, or make sure that it holds this very run."""
    # The wide part, thresholds and figures come after the trainings: changing them costs none.
    later: Any = {
        "data": {"description", "dev", "languages"},
        "thresholds": {"smoothing", "false_flags", "precision", "confidence", "default"},
        "wide": True,
        "full_precision": True,
    }
    digests = {"settings": hashlib.sha256(settings.model_dump_json(exclude=later).encode()).hexdigest()}
    digests["taxonomy"] = hashlib.sha256("\n".join(taxonomy.narrative_ids).encode()).hexdigest()
    weights = sorted(settings.base.glob("*.safetensors"))
    digests |= {str(path): hash_file(path) for path in (settings.base / "tokenizer.json", *weights)}
    digests["folds"] = hashlib.sha256(folds.tobytes()).hexdigest()
    digests |= {source: fingerprint(source) for source in (*settings.data.train, *settings.data.synthetic)}
    record = out / "inputs.json"
    if record.is_file():
        before = json.loads(record.read_text())
        changed = sorted(name for name in {*before, *digests} if digests.get(name) != before.get(name))
        if changed:
            raise SettingsError(
                f"{out} holds a run with other {', '.join(changed)}: choose another folder, or remove it to start over."
            )
    out.mkdir(parents=True, exist_ok=True)
    save_settings(settings, out / "settings.yaml")
    record.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def _train_all(settings: TrainingSettings, posts: Labelled, out: Path, jobs: int, on_progress: Progress | None) -> None:
    names = [FINAL, *(_fold_name(fold) for fold in range(settings.thresholds.folds))]
    missing = [name for name in names if not (out / name).is_dir()]
    if missing and settings.optimiser.frozen_layers and not (out / OFFSETS).is_file():
        _prepare_states(settings, posts, out, jobs, on_progress)
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(jobs, mp_context=context) as pool:
        steps = manager.dict(dict.fromkeys(missing, (0, 0)))
        futures = [pool.submit(_train_one, settings, out, name, steps) for name in missing]
        try:
            while futures:
                done, running = wait(futures, timeout=1)
                if on_progress:
                    on_progress(dict(steps))
                for future in done:
                    future.result()
                futures = list(running)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for name in (STATES, OFFSETS):
        (out / name).unlink(missing_ok=True)


def _prepare_states(
    settings: TrainingSettings, posts: Labelled, out: Path, jobs: int, on_progress: Progress | None
) -> None:
    torch.set_num_threads(settings.threads * jobs)
    texts = [normalise(post.text).text for post in (*posts.measured, *posts.synthetic)]
    variants = changed_variants(texts, Augmentation(settings.augmentation), settings.optimiser.variants, settings.seed)
    compute_states(
        load_encoder(settings.base),
        settings.optimiser.frozen_layers,
        PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens),
        variants,
        out,
        (lambda done, total: on_progress({"frozen layers": (done, total)})) if on_progress else None,
    )


def _train_one(settings: TrainingSettings, out: Path, name: str, steps: DictProxy[str, Any]) -> None:
    """Do one training of the run, in a process of its own, and keep what it gave."""
    taxonomy = Taxonomy.load(settings.taxonomy)
    posts = _read(settings, taxonomy)
    everything = [*posts.measured, *posts.synthetic]
    rows = list(range(len(everything)))
    if name != FINAL:
        folds = _assign_folds(posts, settings)
        rows = [row for row, fold in enumerate(folds) if _fold_name(fold) != name]
    last = time.monotonic()

    def on_step(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > 1:
            steps[name] = (done, total)
            last = time.monotonic()

    states = (LowerStates(out), rows) if settings.optimiser.frozen_layers else None
    network = fine_tune([everything[row] for row in rows], taxonomy, settings, on_step, states)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        if name == FINAL:
            save_network(network, settings.base, folder, settings.max_tokens)
        else:
            held_out = [post for post, fold in zip(posts.measured, folds, strict=False) if _fold_name(fold) == name]
            texts = [normalise(post.text).text for post in held_out]
            tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)
            np.savez(folder / LOGITS, **infer(network, tokenizer, texts)._asdict())
        shutil.move(folder, out / name)


def _assign_folds(posts: Labelled, settings: TrainingSettings) -> NDArray[np.int64]:
    """Fold of each post, measured ones first; :data:`ALWAYS` where every training learns from it.

    A synthetic post that no measured one is related to gives nothing away of any held-out post, so that holding it out
    would only make the trainings of the folds unlike the final one.
    """
    everything = [*posts.measured, *posts.synthetic]
    groups = related_groups(everything)
    folds = assign_folds(everything, settings.thresholds.folds, settings.seed, groups)
    folds[~np.isin(groups, groups[: len(posts.measured)])] = ALWAYS
    return folds


def _fold_name(fold: int) -> str:
    return f"fold-{fold}"


def _held_out_logits(
    out: Path, posts: Labelled, folds: NDArray[np.int64], taxonomy: Taxonomy, settings: TrainingSettings
) -> tuple[Logits, Logits]:
    """Logits of each measured post by the encoder and the wide part that did not learn from its fold."""
    everything = [*posts.measured, *posts.synthetic]
    measured = folds[: len(posts.measured)]
    shapes = [(len(measured), len(taxonomy.narratives)), (len(measured), len(STANCES))]
    deep, wide = (Logits(*(np.zeros(shape, dtype=np.float32) for shape in shapes)) for _ in range(2))
    for fold in range(settings.thresholds.folds):
        rows = np.flatnonzero(measured == fold)
        learnt = [post for post, other in zip(everything, folds, strict=True) if other != fold]
        texts = [normalise(posts.measured[row].text).text for row in rows]
        with np.load(out / _fold_name(fold) / LOGITS) as saved:
            found = Logits(saved["narratives"], saved["stances"])
        for into, logits in ((deep, found), (wide, fit_wide(learnt, taxonomy, settings.wide).run(texts))):
            into.narratives[rows], into.stances[rows] = logits
    return deep, wide
