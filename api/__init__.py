"""narratrace: which disinformation narratives a post advances, and whether it reports or counters them.

Examples
--------
>>> from narratrace import Classifier
>>> classifier = Classifier.load()
>>> classifier.predict("What a lovely sunset over Victoria Harbour tonight").labels
()
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from narratrace.inference.classifier import Classifier, Prediction
    from narratrace.inference.copypasta.grouper import CopypastaGrouper
    from narratrace.inference.copypasta.run import group_archive
    from narratrace.inference.posts import Post
    from narratrace.inference.scoring import score_archive
    from narratrace.model.artefact import Artefact
    from narratrace.model.errors import ArtefactError, InputError, MissingExtraError, NarratraceError, SettingsError
    from narratrace.model.taxonomy import Narrative, Taxonomy

__version__ = version("narratrace")

_HOMES = {
    "Artefact": "model.artefact",
    "ArtefactError": "model.errors",
    "Classifier": "inference.classifier",
    "CopypastaGrouper": "inference.copypasta.grouper",
    "InputError": "model.errors",
    "MissingExtraError": "model.errors",
    "Narrative": "model.taxonomy",
    "NarratraceError": "model.errors",
    "Post": "inference.posts",
    "Prediction": "inference.classifier",
    "SettingsError": "model.errors",
    "Taxonomy": "model.taxonomy",
    "group_archive": "inference.copypasta.run",
    "score_archive": "inference.scoring",
}

__all__ = [
    "Artefact",
    "ArtefactError",
    "Classifier",
    "CopypastaGrouper",
    "InputError",
    "MissingExtraError",
    "Narrative",
    "NarratraceError",
    "Post",
    "Prediction",
    "SettingsError",
    "Taxonomy",
    "__version__",
    "group_archive",
    "score_archive",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used, so that ``import narratrace`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'narratrace' has no attribute '{name}'")
    return getattr(import_module(f"narratrace.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
