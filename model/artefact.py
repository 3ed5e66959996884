"""The artefact: a folder that carries a whole decision (weights, taxonomy, thresholds, calibration, card, hashes).

::

    manifest.json                what is in the folder, with the SHA-256 of every other file
    taxonomy.yaml                the narratives
    README.md                    the card
    encoder/                     a sentence-transformers folder: weights (fp16 safetensors) and tokenizer
    heads.safetensors            the narrative and stance heads
    wide.safetensors             the wide part: a linear model on character n-grams
    onnx/lower-int8.onnx         the encoder's lower layers, and what follows on them, for inference without torch:
    onnx/labels-int8.onnx        the upper layers and the heads
    onnx/embedding-int8.onnx     the embedder

Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from narratrace.model.appearing import appearing
from narratrace.model.errors import ArtefactError
from narratrace.model.strict import StrictModel
from narratrace.model.taxonomy import STANCES, Taxonomy

BUILTIN = Path(__file__).resolve().parent / "builtin" / "hong_kong_2019"
"""The artefact that ships with narratrace."""

ThresholdSet = Literal["f1", "precision"]
"""The sets of thresholds: those of the best F1, and those of a promised precision."""

FinalNetwork = Literal["all", "folds"]
"""The network that ships: of one more training, on all posts, or the mean of the folds' networks."""

FORMAT: Literal[1] = 1
"""Version of the folder's layout; an artefact of another version is refused."""

MANIFEST = "manifest.json"
TAXONOMY = "taxonomy.yaml"
CARD = "README.md"
ENCODER = "encoder"
TOKENIZER = "encoder/tokenizer.json"
HEADS = "heads.safetensors"
WIDE = "wide.safetensors"
LOWER, LABELS, EMBEDDING = "lower", "labels", "embedding"
"""The graphs of an ONNX backend: the network is cut where labels and embeddings part."""

ONNX_FILES = {
    backend: {graph: f"onnx/{graph}{ending}.onnx" for graph in (LOWER, LABELS, EMBEDDING)}
    for backend, ending in (("onnx", ""), ("onnx-int8", "-int8"))
}
"""The graphs of each ONNX backend; the backend ``torch`` needs the encoder folder and the heads."""


def onnx_paths(folder: Path, backend: str) -> dict[str, Path]:
    """Where a folder has, or would have, the graphs of an ONNX backend, by their names."""
    return {graph: folder / file for graph, file in ONNX_FILES[backend].items()}


class FileRecord(StrictModel):
    """One file of the artefact."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(description="SHA-256 of the content, hexadecimal.")
    size: int = Field(ge=0, description="Size in bytes.")


class Base(StrictModel):
    """The encoder that was fine-tuned."""

    name: str = Field(description="Where the encoder came from, for example intfloat/multilingual-e5-small.")
    licence: str | None = Field(description="Its licence; null: see its own page.")
    vocabulary: int = Field(gt=0, description="Number of pieces of the (trimmed) vocabulary.")


class Calibration(StrictModel):
    """Logistic regression: score = sigmoid(deep * d + wide * w + intercept).

    ``d`` and ``w`` are the logits of the encoder's head and of the wide part. Fitted on out-of-fold logits: Platt
    scaling (Platt 1999, "Probabilistic outputs for support vector machines") of a stack (Wolpert 1992, "Stacked
    generalization").
    """

    deep: float = Field(ge=0, description="Weight of the encoder's logit; not negative, so order is kept.")
    wide: float = Field(ge=0, description="Weight of the wide part's logit.")
    intercept: float = Field(description="Added constant.")


class StanceCalibration(StrictModel):
    """Probabilities of the stances = softmax(deep * d + wide * w), fitted as :class:`Calibration` is."""

    deep: float = Field(ge=0, description="Weight of the encoder's logits.")
    wide: float = Field(ge=0, description="Weight of the wide part's logits.")


class Threshold(StrictModel):
    """From which score a post gets a narrative as a label."""

    default: float | None = Field(ge=0, le=1, description="For every language without its own; null: none is promised.")
    by_language: dict[str, Annotated[float, Field(ge=0, le=1)] | None] = Field(
        default_factory=dict, description="Own thresholds of single languages; null: none is promised."
    )

    def of(self, language: str) -> float | None:
        """Threshold for a language, or None where none is promised."""
        return self.by_language.get(language, self.default)


class Promise(StrictModel):
    """A threshold from which labels have the promised precision, and the held-out posts that it rests on."""

    threshold: float | None = Field(ge=0, le=1, description="null: the held-out posts support none.")
    groups: int = Field(
        ge=0,
        description="Groups of related held-out posts with a label at the threshold; where there is none, as the test "
        "saw them last.",
    )
    precision: float | None = Field(
        ge=0, le=1, description="Mean over these groups of the share of their labels that are right; null: no group."
    )


class PromisedThresholds(StrictModel):
    """Thresholds that each hold a promise, by narrative and language."""

    precision: float = Field(gt=0, lt=1, description="The least precision.")
    confidence: float = Field(gt=0, lt=1, description="Probability with which one threshold keeps it.")
    narratives: dict[str, dict[str, Promise]]

    def of(self, narrative: str, language: str) -> float | None:
        """Threshold of a narrative for a language, or None where none is promised."""
        promise = self.narratives[narrative].get(language)
        return promise.threshold if promise else None

    def raised(self, by: float) -> PromisedThresholds:
        """The same with every threshold raised; what no score would reach is not promised."""

        def raise_one(one: Promise) -> Promise:
            threshold = None if one.threshold is None else round(one.threshold + by, 6)
            return one.model_copy(update={"threshold": threshold if threshold is None or threshold < 1 else None})

        narratives = {
            narrative: {language: raise_one(one) for language, one in languages.items()}
            for narrative, languages in self.narratives.items()
        }
        return self.model_copy(update={"narratives": narratives})


class LearntFrom(StrictModel):
    """The posts that an artefact learnt from, for its card."""

    description: str = Field(description="What they are and who labelled them.")
    posts: int = Field(ge=0, description="How many there are.")
    synthetic: int = Field(ge=0, description="How many of these count in no threshold and no figure.")
    folds: int = Field(ge=2, description="Folds of the cross-validation behind calibration and thresholds.")
    final: FinalNetwork | None = Field(
        default=None,
        description="The network that ships: of one more training, on all posts, or the mean of the folds' networks; "
        "null: not recorded.",
    )
    raised_by: float = Field(
        default=0.0, ge=0, lt=1, description="By how much all thresholds were raised after they were chosen."
    )


class AveragedWith(StrictModel):
    """An earlier artefact whose weights went into the mean that ships."""

    id: str = Field(description="Its id.")
    share: float = Field(gt=0, lt=1, description="Its part of the mean.")


class Manifest(StrictModel):
    """Content of ``manifest.json``."""

    format: Literal[1] = Field(description="Version of the folder's layout.")
    id: str = Field(description="Name of this very artefact: taxonomy, then the start of a hash over everything.")
    created: datetime = Field(description="When it was made, UTC.")
    narratrace: str = Field(description="Version of narratrace that made it.")
    base: Base
    taxonomy: str = Field(description="Id and version of the taxonomy.")
    narratives: tuple[str, ...] = Field(min_length=1, description="Narrative ids in the order of the model's outputs.")
    stances: tuple[str, ...] = Field(description="Stances in the order of the model's outputs.")
    languages: tuple[str, ...] = Field(
        description="Languages that it was trained for; posts in others get scores but no labels."
    )
    max_tokens: int = Field(gt=2, description="Tokens that are read at once; longer posts are read in windows.")
    dimension: int | None = Field(default=None, gt=0, description="Length of a post's embedding; null: not recorded.")
    learnt_from: LearntFrom | None = Field(default=None, description="What it learnt from; null: see its card.")
    averaged_with: AveragedWith | None = Field(
        default=None, description="What its network's weights were averaged with after training; null: nothing."
    )
    calibration: dict[str, Calibration]
    stance_calibration: StanceCalibration
    advances: float = Field(
        ge=0, le=1, description="A post whose probability of the stance 'advances' is below this gets no label at all."
    )
    thresholds: dict[str, Threshold] = Field(description="Those of the best F1.")
    promised: PromisedThresholds | None = Field(default=None, description="Those of a promised precision, if any.")
    default_thresholds: ThresholdSet = Field(
        default="f1", description="The set that decides unless another is asked for."
    )
    metrics: dict[str, Any] = Field(description="What was measured when it was made, and on what.")
    files: dict[str, FileRecord] = Field(description="Every other file, by its path in the folder.")

    @model_validator(mode="after")
    def _check_outputs(self) -> Self:
        """Check that what is said of each output is said of all of them."""
        if self.stances != STANCES:
            raise ValueError(f"the stances must be {', '.join(STANCES)}, in this order")
        named: dict[str, Mapping[str, object]] = {"calibration": self.calibration, "thresholds": self.thresholds}
        if self.promised:
            named["promised"] = self.promised.narratives
        for field, narratives in named.items():
            if narratives.keys() != set(self.narratives):
                raise ValueError(f"the field '{field}' must name each narrative, and no other")
        if self.default_thresholds == "precision" and not self.promised:
            raise ValueError("the field 'default_thresholds' asks for promised thresholds, and there are none")
        return self

    def threshold(self, thresholds: ThresholdSet, narrative: str, language: str) -> float | None:
        """Threshold of a narrative for a language in one of the sets; None where there is none."""
        if language not in self.languages:
            return None
        if thresholds == "f1":
            return self.thresholds[narrative].of(language)
        return self.promised.of(narrative, language) if self.promised else None


class Artefact:
    """A verified artefact folder.

    Attributes
    ----------
    path
        The folder.
    manifest
        Its checked :class:`Manifest`.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path | None = None) -> Artefact:
        """Open a folder and verify every file in it against the manifest.

        Parameters
        ----------
        path
            The artefact folder; None opens the built-in one.

        Raises
        ------
        ArtefactError
            No such folder, no or an unreadable manifest, another format, or a file that is missing, truncated,
            edited or not listed. The message names the file.
        """
        folder = BUILTIN if path is None else Path(path)
        if not folder.is_dir():
            raise ArtefactError(f"There is no artefact folder {folder}.")
        manifest = _read_manifest(folder / MANIFEST)
        _verify(folder, manifest)
        return cls(folder, manifest)

    @property
    def id(self) -> str:
        """Name of this very artefact; every prediction carries it."""
        return self.manifest.id

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The narratives."""
        return Taxonomy.load(self.path / TAXONOMY)

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends that this artefact has the files for."""
        have = [name for name, files in ONNX_FILES.items() if self.manifest.files.keys() >= set(files.values())]
        return (*have, "torch") if HEADS in self.manifest.files else tuple(have)

    def file(self, name: str) -> Path:
        """Path of a file of the artefact; :class:`ArtefactError` where it has none of that name."""
        if name not in self.manifest.files:
            raise ArtefactError(f"The artefact {self.path} holds no {name}.")
        return self.path / name


def save_artefact(out: Path, fill: Callable[[Path], None], **fields: Any) -> Artefact:
    """Make an artefact folder in one step: it appears complete under its name, or not at all.

    Parameters
    ----------
    out
        The folder to make; an artefact that is already there is replaced, any other folder is left alone.
    fill
        Called with an empty folder; writes every file except the manifest into it.
    **fields
        Fields of :class:`Manifest` other than ``format``, ``id``, ``created`` and ``files``.

    Raises
    ------
    ArtefactError
        ``out`` exists and is no artefact.
    """
    if out.exists() and not (out / MANIFEST).is_file() and (out.is_file() or any(out.iterdir())):
        raise ArtefactError(f"{out} exists and is not an artefact: choose another folder or remove it.")
    with appearing(out) as folder:
        fill(folder)
        files = {name: _record(folder / name) for name in _names(folder)}
        draft = Manifest(format=FORMAT, id="-", created=datetime.now(UTC).replace(microsecond=0), files=files, **fields)
        manifest = draft.model_dump(mode="json")
        manifest["id"] = _identify(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Artefact.open(out)


def _read_manifest(path: Path) -> Manifest:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtefactError(f"Cannot read {path}: is this folder a narratrace artefact?") from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ArtefactError(
            f"{path} is damaged or of another version of narratrace: {field}: {first['msg']}."
        ) from error
    if manifest.id != _identify(json.loads(text)):
        raise ArtefactError(f"{path} was changed: its id {manifest.id} does not fit its content.")
    return manifest


def _identify(manifest: dict[str, Any]) -> str:
    """Name an artefact by all that decides a prediction, not by when it was made: the same training, the same id.

    Takes the manifest as it stands in the file, so that a later version of narratrace finds the same id.
    """
    decisive = {field: value for field, value in manifest.items() if field not in ("id", "created")}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"{manifest['taxonomy'].partition('@')[0]}-{digest[:12]}"


def _verify(folder: Path, manifest: Manifest) -> None:
    for name, record in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtefactError(f"{folder / MANIFEST} lists {name}, which is not inside the artefact.")
        if not path.is_file():
            raise ArtefactError(f"The artefact's file {path} is missing.")
        size = path.stat().st_size
        if size != record.size:
            raise ArtefactError(f"The artefact's file {path} has {size} bytes where its manifest says {record.size}.")
        if hash_file(path) != record.sha256:
            raise ArtefactError(f"The artefact's file {path} was changed: its SHA-256 is not the manifest's.")
    foreign = sorted(set(_names(folder)) - set(manifest.files) - {MANIFEST})
    if foreign:
        raise ArtefactError(f"The file {folder / foreign[0]} does not belong to the artefact: remove it.")


def _names(folder: Path) -> list[str]:
    """Files below a folder as POSIX paths; hidden ones (.DS_Store) are nobody's and are never read."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if not any(part.startswith(".") for part in path.parts))


def _record(path: Path) -> FileRecord:
    return FileRecord(sha256=hash_file(path), size=path.stat().st_size)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
