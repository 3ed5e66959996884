"""Adding one narrative to an artefact from its definition and a few examples.

Encoder, stance and all other narratives stay as they are: one row is fitted on the frozen encoder's vectors, one column
on the n-grams that the wide part knows already, and a calibration that weighs the two. The row is written into the
graphs, so that nothing else in them changes.

A linear model on the vectors of a frozen encoder is what few examples can carry (the second step of Tunstall et al.
2022, "Efficient few-shot learning without prompts"). They cannot carry a promise of precision: beside them stand
negatives that somebody chose, not the posts that will be scored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support

from narratrace.model.added_output import add_output
from narratrace.model.artefact import (
    CARD,
    MANIFEST,
    ONNX_FILES,
    TAXONOMY,
    TOKENIZER,
    WIDE,
    Artefact,
    Calibration,
    Manifest,
    Promise,
    Threshold,
    onnx_paths,
    save_artefact,
)
from narratrace.model.backends.onnx_backend import OnnxBackend
from narratrace.model.batching import equal_batches, padded_batches
from narratrace.model.errors import ArtefactError, InputError
from narratrace.model.network import load_network
from narratrace.model.scores import ADVANCES, REVIEW_SCORE, Logits, Scores, score
from narratrace.model.settings import check_settings
from narratrace.model.taxonomy import STANCES, Narrative, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.model.wide import Wide, count_ngrams
from narratrace.model.windows import merge_windows
from narratrace.training.calibration import fit_calibration
from narratrace.training.folds import assign_folds, related_groups
from narratrace.training.labelled import LabelledPost, label_matrix
from narratrace.training.wide import tfidf

REPORTS = "extensions.json"
"""File of an artefact: what is known of each narrative that was added to it, oldest first."""

FEWEST = 5
"""Positive examples that are needed."""

BOUND = 1e-3
"""Greatest difference that adding a narrative may make to any other score."""

_FOLDS = 5
_DEEP_INVERSE_PENALTY = 0.01
_WIDE_INVERSE_PENALTY = 10.0
_SEED = 0
_BATCH = 16


@dataclass(frozen=True)
class Extension:
    """What is known of a narrative that was added.

    Attributes
    ----------
    narrative
        Its id.
    positives, negatives
        Posts that it was learnt from.
    precision, recall, f1
        At a score of 0.5, cross-validated on these posts: what the examples have in common can be told from the
        negatives given, no more.
    passed
        Share of the positives that the gate lets pass: the stance was learnt without this narrative, and a post that it
        does not take for one that advances something gets no label.
    checked
        Posts on which the other scores were compared.
    moved
        Greatest difference of any other narrative's or stance's score on them, over all graphs.
    """

    narrative: str
    positives: int
    negatives: int
    precision: float
    recall: float
    f1: float
    passed: float
    checked: int
    moved: float


def extend_taxonomy(taxonomy: Taxonomy, narrative: Narrative) -> Taxonomy:
    """Add a narrative at the end; the version names it, since posts labelled before know nothing of it."""
    fields = taxonomy.model_dump()
    fields["narratives"] = [*fields["narratives"], narrative.model_dump()]
    fields["version"] = f"{taxonomy.version}+{narrative.id}"
    return check_settings(Taxonomy, fields, f"{taxonomy.id} with {narrative.id}")


def taxonomy_posts(taxonomy: Taxonomy) -> list[LabelledPost]:
    """All examples and counter-examples of a taxonomy, as labelled posts."""
    posts = {}
    for narrative in taxonomy.narratives:
        for language, texts in narrative.examples.items():
            posts.update({text: LabelledPost(text, language, "A", (narrative.id,), (text,)) for text in texts})
        for example in narrative.counter_examples:
            posts.setdefault(
                example.text, LabelledPost(example.text, example.language, example.stance, (), (example.text,))
            )
    return list(posts.values())


def extend(
    artefact: Artefact,
    narrative: Narrative,
    examples: Sequence[LabelledPost],
    out: Path,
    checked: Sequence[str] = (),
) -> tuple[Artefact, Extension]:
    """Make an artefact with one more narrative.

    Parameters
    ----------
    artefact
        What to extend; not changed.
    narrative
        The narrative's definition. Its own examples are learnt from, too; the examples of the other narratives and
        all counter-examples are negatives.
    examples
        Labelled posts: positives have the narrative among their labels, all others of which it is known are negatives.
    out
        Folder of the new artefact.
    checked
        More texts on which the other scores are compared before and after.

    Returns
    -------
    tuple
        The new artefact, and what is known of the narrative.

    Raises
    ------
    InputError
        There are fewer than :data:`FEWEST` positives, or all are related.
    SettingsError
        The taxonomy has the narrative already, or the definition lacks examples in one of its languages.
    ArtefactError
        The artefact's graphs cannot take another narrative, or another score moved by more than :data:`BOUND`.
    """
    taxonomy = extend_taxonomy(artefact.taxonomy, narrative)
    column = len(taxonomy.narratives) - 1
    posts = list({post.text: post for post in (*taxonomy_posts(taxonomy), *examples)}.values())
    posts = [post for post in posts if narrative.id not in post.unknown]
    labels = label_matrix(posts, taxonomy)[:, column]
    if labels.sum() < FEWEST:
        raise InputError(
            f"{narrative.id} has {labels.sum()} examples, those of its definition included: give at least {FEWEST}."
        )
    learnt = _learn(artefact, posts, labels)
    texts = [*(post.text for post in posts), *checked]
    before = _scores(artefact.path, artefact.manifest, texts)

    reports: list[Extension] = []

    def fill(folder: Path) -> None:
        shutil.copytree(artefact.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, ".*"))
        taxonomy.dump(folder / TAXONOMY)
        add_output(folder, learnt.row, float(learnt.bias))
        wide = Wide.load(artefact.file(WIDE), len(STANCES))
        wide.with_narrative(learnt.buckets, learnt.wide_row, learnt.wide_bias).save(folder / WIDE)
        after = _scores(folder, artefact.manifest, texts)
        report = _report(artefact, narrative.id, labels, learnt, before, after)
        if report.moved > BOUND:
            raise ArtefactError(
                f"Adding {narrative.id} moved another score by {report.moved:.4f}, more than {BOUND}: train anew."
            )
        reports.append(report)
        file = folder / REPORTS
        earlier = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        file.write_text(json.dumps([*earlier, asdict(report)], indent=1) + "\n", encoding="utf-8")
        with (folder / CARD).open("a", encoding="utf-8") as card:
            card.write(_card_section(narrative, report))

    manifest = artefact.manifest
    fields = manifest.model_dump(exclude={"format", "id", "created", "files"})
    fields["narratives"] = taxonomy.narrative_ids
    fields["taxonomy"] = f"{taxonomy.id}@{taxonomy.version}"
    fields["calibration"] |= {narrative.id: learnt.calibration}
    fields["thresholds"] |= {narrative.id: Threshold(default=None)}
    if manifest.promised:
        nothing = Promise(threshold=None, groups=0, precision=None)
        fields["promised"]["narratives"] |= {narrative.id: dict.fromkeys(manifest.languages, nothing)}
    return save_artefact(out, fill, **fields), reports[0]


class _Learnt(NamedTuple):
    """What is learnt of a narrative."""

    row: NDArray[np.float16]
    """Weights of the encoder's vector, shape (hidden,); in half precision, as artefacts store them."""
    bias: np.float16
    buckets: NDArray[np.int64]
    """N-grams that have a weight."""
    wide_row: NDArray[np.float32]
    wide_bias: float
    calibration: Calibration
    scores: NDArray[np.float64]
    """Cross-validated scores of the posts, shape (posts,)."""


def _learn(artefact: Artefact, posts: Sequence[LabelledPost], labels: NDArray[np.bool_]) -> _Learnt:
    texts = [normalise(post.text).text for post in posts]
    vectors = _vectors(artefact, texts)
    ngrams, buckets = tfidf(count_ngrams(texts), Wide.load(artefact.file(WIDE), len(STANCES)).idf)
    # Out of fold, as a new post would be read: what scores are calibrated on.
    groups = related_groups(posts)
    unrelated = len(np.unique(groups[labels]))
    if unrelated < 2:  # a fold without them would have nothing to learn the narrative from
        raise InputError(
            "All examples of the new narrative are related (copies, or of one account or group), so that its scores "
            "cannot be tried on posts it did not learn from: give some of others."
        )
    folds = assign_folds(posts, min(_FOLDS, unrelated), _SEED, groups)
    deep, wide = np.zeros((2, len(posts), 1), dtype=np.float32)
    for fold in set(folds.tolist()):
        rows, others = folds == fold, folds != fold
        for into, matrix, penalty in ((deep, vectors, _DEEP_INVERSE_PENALTY), (wide, ngrams, _WIDE_INVERSE_PENALTY)):
            into[rows, 0] = _fit(matrix[others], labels[others], penalty).decision_function(matrix[rows])
    nothing = np.zeros((len(posts), len(STANCES)), dtype=np.float32)
    known = np.ones((len(posts), 1), dtype=bool)
    (calibration,) = fit_calibration(Logits(deep, nothing), Logits(wide, nothing), labels[:, None], known)
    held_out = calibration.deep * deep[:, 0] + calibration.wide * wide[:, 0] + calibration.intercept
    on_vectors, on_ngrams = _fit(vectors, labels, _DEEP_INVERSE_PENALTY), _fit(ngrams, labels, _WIDE_INVERSE_PENALTY)
    return _Learnt(
        row=on_vectors.coef_[0].astype(np.float16),
        bias=np.float16(on_vectors.intercept_[0]),
        buckets=buckets,
        wide_row=on_ngrams.coef_[0].astype(np.float32),
        wide_bias=float(on_ngrams.intercept_[0]),
        calibration=calibration,
        scores=1 / (1 + np.exp(-held_out.astype(np.float64))),
    )


def _fit(matrix: Any, labels: NDArray[np.bool_], inverse_penalty: float) -> LogisticRegression:
    model = LogisticRegression(C=inverse_penalty, class_weight="balanced", solver="liblinear", random_state=_SEED)
    return model.fit(matrix, labels)


@torch.inference_mode()
def _vectors(artefact: Artefact, texts: Sequence[str]) -> NDArray[np.float32]:
    """What the heads read of normalised texts, shape (texts, hidden): the pooled vector, standardised."""
    network = load_network(artefact.path)
    tokenizer = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)
    ids = tokenizer.encode(texts)
    parts = []
    for _, stacked, mask in padded_batches(ids, equal_batches(range(len(ids)), _BATCH), tokenizer.pad_id):
        pooled = network.pool(torch.from_numpy(stacked), torch.from_numpy(mask))
        parts.append(((pooled - network.centre) / network.spread).numpy())
    return np.concatenate(parts)


def _scores(folder: Path, manifest: Manifest, texts: Sequence[str]) -> list[Scores]:
    """Scores of a manifest's narratives and of the stances, by every graph of an artefact's folder."""
    tokenizer = PostTokenizer(folder / TOKENIZER, manifest.max_tokens)
    read = tokenizer(texts)
    wide = Wide.load(folder / WIDE, len(STANCES)).run(read.texts)
    count = len(manifest.narratives)
    found = []
    for paths in (onnx_paths(folder, backend) for backend in ONNX_FILES):
        if not all(path.is_file() for path in paths.values()):
            continue
        backend = OnnxBackend(paths, threads=1)
        parts = [
            backend.run(stacked, mask)
            for _, stacked, mask in padded_batches(
                read.ids, equal_batches(range(len(read.ids)), _BATCH), tokenizer.pad_id
            )
        ]
        deep = merge_windows(Logits.concatenate(parts), read.windows)
        deep = Logits(deep.narratives[:, :count], deep.stances)
        found.append(score(deep, Logits(wide.narratives[:, :count], wide.stances), manifest))
    return found


def _report(
    artefact: Artefact,
    narrative: str,
    labels: NDArray[np.bool_],
    learnt: _Learnt,
    before: Sequence[Scores],
    after: Sequence[Scores],
) -> Extension:
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, learnt.scores >= REVIEW_SCORE, average="binary", zero_division=0.0
    )
    advancing = before[0].stances[: len(labels), ADVANCES] >= artefact.manifest.advances
    return Extension(
        narrative=narrative,
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
        precision=round(float(precision), 4),
        recall=round(float(recall), 4),
        f1=round(float(f1), 4),
        passed=round(float(advancing[labels].mean()), 4),
        checked=len(before[0].stances),
        moved=max(
            float(np.abs(one - other).max())
            for old, new in zip(before, after, strict=True)
            for one, other in zip(old, new, strict=True)
        ),
    )


def _card_section(narrative: Narrative, report: Extension) -> str:
    return f"""
## Added later: {narrative.title}

`{narrative.id}` was added from {report.positives} examples without training the encoder. {narrative.definition}

- It has **no threshold**: a post with a score of {REVIEW_SCORE} or more is left to a person (`abstained`).
- Cross-validated on its {report.positives} positive and {report.negatives} negative examples at that score: precision
  {report.precision:.2f}, recall {report.recall:.2f}, F1 {report.f1:.2f}. The negatives were chosen by people; among
  real posts, precision is lower.
- The stance was learnt without it: {report.passed:.0%} of its examples pass the gate.
- On {report.checked} posts, the other scores moved by at most {report.moved:.1e}.
"""
