"""A training run: cross-validation, calibration and thresholds, the network that ships, the artefact."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import (
    CARD,
    FORMAT,
    TAXONOMY,
    WIDE,
    Artefact,
    AveragedWith,
    Base,
    LearntFrom,
    Manifest,
    hash_file,
    onnx_paths,
    save_artefact,
)
from narratrace.model.errors import SettingsError
from narratrace.model.export import export_onnx
from narratrace.model.language import identify
from narratrace.model.network import load_encoder, load_network, lower_layers, save_heads, save_network
from narratrace.model.quantise import quantise_parts, sample_batches
from narratrace.model.scores import Logits
from narratrace.model.settings import save_settings
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.bases import open_base
from narratrace.training.card import render_card
from narratrace.training.curves import write_curves
from narratrace.training.decision import Decision, fit_decision
from narratrace.training.embedding import add_embedder, new_embedder
from narratrace.training.environment import describe_environment
from narratrace.training.folds import are_related, related_groups
from narratrace.training.labelled import LabelledPost
from narratrace.training.messages import read_messages
from narratrace.training.metrics import Answers, Truth, measure, measure_languages
from narratrace.training.rows import fingerprint
from narratrace.training.run_posts import RunPosts, deal, read_posts
from narratrace.training.settings import TrainingSettings
from narratrace.training.soup import open_soup, stir_in
from narratrace.training.trainer import infer
from narratrace.training.trainings import FINAL, LOGITS, LOGS, Progress, fold_name, train_all
from narratrace.training.wide import fit_wide

EMBEDDING = "embedding"
"""Folder of what the sentence embedding learnt from, and of its projection."""

INPUTS = "inputs.json"
"""File of what a run is of: hashes of its settings, base and posts."""

MEASURED_ON = "measured_on"
"""Part of that file for the dev sets, which may change from one call to the next."""

SOUP = "soup"
"""Folder of the final network, averaged with an earlier artefact's."""


def train(
    settings: TrainingSettings,
    out: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    on_progress: Progress = lambda _: None,
) -> tuple[Artefact, dict[str, Any]]:
    """Train an artefact.

    Every training of the run (one per cross-validation fold and, with ``final: all``, one on all posts) is kept in
    ``out`` when it is done, and one that is cut off leaves checkpoints: the same call continues an interrupted run
    where it was, and gives the artefact that it would have given.

    Parameters
    ----------
    settings
        The run's settings.
    out
        Folder of the run: ``settings.yaml``, ``inputs.json`` (hashes of what is learnt from and measured
        on), ``environment.json``, ``logs`` (every training's epochs), ``training.html`` (their curves), the finished
        trainings, ``artefact``.
    jobs
        Trainings that run side by side, each on ``settings.threads`` threads.
    resume
        Refuse to begin: ``out`` must hold a run to go on with.
    on_progress
        Called about once a second while trainings run.

    Returns
    -------
    tuple
        The artefact and its metrics, which stand in its manifest too.

    Raises
    ------
    ArtefactError
        The artefact of ``soup`` or of ``embedding.begin_with`` cannot be opened.
    InputError
        A file of posts cannot be read.
    SettingsError
        ``out`` holds a run with other settings, posts or base, or none at all where it is to be resumed, or ``soup`` or
        ``embedding.begin_with`` names an artefact of another make.
    StoppedError
        The run was asked to stop, by Ctrl-C or TERM.
    """
    if resume and not (out / INPUTS).is_file():
        raise SettingsError(f"{out} holds no run to go on with: correct the folder, or begin a run without --resume.")
    taxonomy = Taxonomy.load(settings.taxonomy)
    posts = read_posts(settings, taxonomy)
    folds = deal(posts, settings)
    base_folder, base = open_base(settings.base, out)
    soup = settings.soup
    earlier = open_soup(soup.artefact, base_folder, taxonomy.narrative_ids) if soup else None
    # Or a mistake in what is used later would be found when all else is done.
    if settings.optimiser.frozen_layers:
        lower_layers(load_encoder(base_folder), settings.optimiser.frozen_layers)
    if settings.embedding:
        new_embedder(load_encoder(base_folder), settings.embedding)
        read_messages(settings.embedding, settings.data, settings.seed)
    _claim(out, settings, base_folder, taxonomy, folds)
    settings = settings.model_copy(update={"base": base_folder})
    train_all(settings, posts, out, jobs, on_progress)
    write_curves(out / LOGS, out / "training.html")

    held_out = held_out_logits(out, posts, folds, taxonomy, settings)
    decision = fit_decision(*held_out, posts.measured, taxonomy, settings.data.languages, settings.thresholds)

    shipped = out / FINAL
    if soup:
        network = stir_in(load_network(shipped), soup.artefact, soup.share)
        shipped = out / SOUP
        save_network(network, settings.base, shipped, settings.max_tokens)
    # What is measured on the folds' networks keeps the thresholds that were chosen for them.
    raised = decision.raised(settings.thresholds.raise_by)
    # The encoder as it was saved, in half precision, is what is measured and exported.
    network = load_network(shipped)
    wide = fit_wide(posts.learnt, taxonomy, settings.wide)
    tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)

    add_embedder(
        network,
        settings,
        shipped,
        out / EMBEDDING,
        threads=jobs * settings.threads,
        on_progress=on_progress,
    )

    def figures(row: str, of: Sequence[LabelledPost], deep: Logits, wide: Logits, by: Decision) -> dict[str, Any]:
        scores = by.scores(deep, wide)
        # As in use: a post in a language that the artefact does not answer for gets no label.
        answered = np.array([identify(normalise(post.text).text) in settings.data.languages for post in of], dtype=bool)
        flags = by.thresholds.flag(scores) & answered[:, None]
        answers, truth = Answers.of(scores, flags), Truth.of(of, taxonomy)
        languages = [post.language for post in of]
        at = answers, truth, related_groups(of)
        return {
            "rows": {row: measure(taxonomy.narrative_ids, *at)},
            "languages": measure_languages(taxonomy.narrative_ids, languages, *at),
        }

    def on_dev(dev: Sequence[LabelledPost]) -> dict[str, Any]:
        texts = [normalise(post.text).text for post in dev]
        tied = int(are_related(dev, posts.learnt).sum())
        logits = infer(network, tokenizer, texts), wide.run(texts)
        return figures("narratrace, torch", dev, *logits, raised) | {"tied": tied}

    sets: dict[str, Any] = {
        "cross_validation": figures("the folds' networks", posts.measured, *held_out, decision),
        **{name: on_dev(dev) for name, dev in posts.dev.items()},
    }
    metrics = {
        name: measured | {"tied": found.get("tied", 0)}
        for name, found in sets.items()
        for measured in found["rows"].values()
    }
    fields: dict[str, Any] = {
        "narratrace": version("narratrace"),
        "base": Base(name=base.name, licence=base.licence, vocabulary=base.vocabulary),
        "taxonomy": f"{taxonomy.id}@{taxonomy.version}",
        "narratives": taxonomy.narrative_ids,
        "stances": STANCES,
        "languages": settings.data.languages,
        "max_tokens": settings.max_tokens,
        "dimension": network.dimension,
        "learnt_from": LearntFrom(
            description=settings.data.description,
            posts=len(posts.learnt),
            synthetic=len(posts.synthetic),
            folds=settings.thresholds.folds,
            final=settings.final,
            raised_by=settings.thresholds.raise_by,
        ),
        "averaged_with": AveragedWith(id=earlier.id, share=soup.share) if soup and earlier else None,
        "calibration": dict(zip(taxonomy.narrative_ids, decision.calibration, strict=True)),
        "stance_calibration": decision.stance_calibration,
        "advances": decision.thresholds.advances,
        "thresholds": raised.of_f1(taxonomy.narrative_ids),
        "promised": raised.promised,
        "default_thresholds": settings.thresholds.default,
        "metrics": metrics,
    }

    def fill(folder: Path) -> None:
        shutil.copytree(shipped, folder, dirs_exist_ok=True)
        save_heads(network, folder)
        wide.save(folder / WIDE)
        taxonomy.dump(folder / TAXONOMY)
        with tempfile.TemporaryDirectory() as scratch:
            full = onnx_paths(folder if settings.full_precision else Path(scratch), "onnx")
            export_onnx(network, full)
            sample = sample_batches(posts.measured_texts, tokenizer)
            quantise_parts(full, onnx_paths(folder, "onnx-int8"), sample)
        draft = Manifest(format=FORMAT, id="-", created=datetime.now(UTC), files={}, **fields)
        card = render_card(draft, taxonomy, sets, environment=describe_environment())
        (folder / CARD).write_text(card, encoding="utf-8")

    artefact = save_artefact(out / "artefact", fill, **fields)
    return artefact, metrics


def held_out_logits(
    out: Path, posts: RunPosts, folds: NDArray[np.int64], taxonomy: Taxonomy, settings: TrainingSettings
) -> tuple[Logits, Logits]:
    """Logits of each measured post by the encoder and the wide part that did not learn from its fold.

    The encoder's are read from the folds' trainings; the wide part is fitted here, once for each fold.

    Parameters
    ----------
    out
        Folder of a run whose trainings are done.
    posts
        The run's posts.
    folds
        Their folds, as :func:`~narratrace.training.run_posts.deal` gives them.
    taxonomy
        The narratives.
    settings
        The run's settings.

    Returns
    -------
    tuple
        Of the encoder and of the wide part, one row for each of ``posts.measured``.
    """
    measured = folds[: len(posts.measured)]
    shapes = [(len(measured), len(taxonomy.narratives)), (len(measured), len(STANCES))]
    deep, wide = (Logits(*(np.zeros(shape, dtype=np.float32) for shape in shapes)) for _ in range(2))
    for fold in range(settings.thresholds.folds):
        rows = np.flatnonzero(measured == fold)
        learnt = [post for post, other in zip(posts.learnt, folds, strict=True) if other != fold]
        texts = [posts.measured_texts[row] for row in rows]
        with np.load(out / fold_name(fold) / LOGITS) as saved:
            found = Logits(saved["narratives"], saved["stances"])
        for into, logits in ((deep, found), (wide, fit_wide(learnt, taxonomy, settings.wide).run(texts))):
            into.narratives[rows], into.stances[rows] = logits
    return deep, wide


def _claim(out: Path, settings: TrainingSettings, base: Path, taxonomy: Taxonomy, folds: NDArray[np.int64]) -> None:
    """Make the run's folder, or make sure that it holds this very run."""
    # Soup, wide part, embedding, thresholds and figures come later: changing them costs no training. Defaults are
    # left out, so that a setting that a later version adds does not make an older run another one.
    later: Any = {
        "data": {"description", "dev", "languages"},
        "thresholds": {"smoothing", "raise_by", "false_flags", "precision", "confidence", "default"},
        "soup": True,
        "wide": True,
        "embedding": True,
        "full_precision": True,
        "checkpoint_minutes": True,
    }
    decisive = settings.model_dump_json(exclude=later, exclude_defaults=True)
    digests = {"settings": hashlib.sha256(decisive.encode()).hexdigest()}
    digests["taxonomy"] = hashlib.sha256("\n".join(taxonomy.narrative_ids).encode()).hexdigest()
    digests["folds"] = hashlib.sha256(folds.tobytes()).hexdigest()
    digests |= {str(path): hash_file(path) for path in (base / "tokenizer.json", *sorted(base.glob("*.safetensors")))}
    sources = [*settings.data.train, *settings.data.synthetic]
    if settings.early_stopping and settings.early_stopping.dev:
        sources.append(settings.data.dev[settings.early_stopping.dev])
    digests |= {source: fingerprint(source) for source in sources}
    record = out / INPUTS
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        before.pop(MEASURED_ON, None)  # the figures of a finished run may be taken on others
        changed = sorted(name for name in {*before, *digests} if digests.get(name) != before.get(name))
        if changed:
            raise SettingsError(
                f"{out} holds a run with other {', '.join(changed)}: choose another folder, or remove it to start over."
            )
    out.mkdir(parents=True, exist_ok=True)
    save_settings(settings, out / "settings.yaml")
    measured_on = {source: fingerprint(source) for source in settings.data.dev.values()}
    record.write_text(json.dumps(digests | {MEASURED_ON: measured_on}, indent=1) + "\n", encoding="utf-8")
    environment = json.dumps(describe_environment(), indent=1)
    (out / "environment.json").write_text(environment + "\n", encoding="utf-8")
