"""Settings of the grouping: `configs/copypasta/default.yaml` holds the defaults, with comments."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from narratrace import configs
from narratrace.inference.coordination.settings import CoordinationSettings
from narratrace.model.settings import Settings, load_settings

DEFAULT_SETTINGS = Path(configs.__file__).parent / "copypasta" / "default.yaml"


class FuzzySettings(Settings):
    """When two texts are edits or parts of one another."""

    min_edit_similarity: float = Field(ge=0, le=1, description="1 - Levenshtein distance / longer length, at least.")
    min_mean: float = Field(ge=0, le=1, description="Mean of edit similarity and containment, at least.")
    min_mean_in_letters: float = Field(
        ge=0, le=1, description="The same, for texts that are not in Chinese characters."
    )
    min_containment: float = Field(ge=0, le=1, description="Shared shingles / shingles of the shorter, at least.")
    min_shared: float = Field(ge=0, description="Shared information, at least; half of it will do for edits.")
    min_length_ratio: float = Field(ge=0, le=1, description="Length of the shorter / length of the longer, at least.")


class SemanticSettings(Settings):
    """When two texts say the same in other words or another language."""

    enabled: bool = Field(description="Whether `narratrace group` looks for reworded and translated posts.")
    min_information: float = Field(ge=0, description="How much either text must say, in pairs of Chinese characters.")
    min_cosine: float = Field(ge=-1, le=1, description="Cosine of the embeddings, at least, whatever the texts share.")
    min_score: float = Field(description="Cosine plus lexical_weight times what texts of one script share, at least.")
    min_score_in_letters: float = Field(description="The same, for texts that are not in Chinese characters.")
    lexical_weight: float = Field(ge=0, description="Weight of the mean of edit similarity and containment.")
    max_free_shared: float = Field(ge=0, le=1, description="Texts of one script that share less are in other words.")
    min_free_cosine: float = Field(ge=-1, le=1, description="Cosine of texts in other words, at least.")
    min_translation_cosine: float = Field(ge=-1, le=1, description="Cosine across scripts, at least.")


class CopypastaSettings(Settings):
    """When two posts are the same copypasta."""

    min_information: float = Field(
        ge=0, description="How much a text must say to be grouped, in distinct pairs of Chinese characters."
    )
    fuzzy: FuzzySettings
    semantic: SemanticSettings


class GroupSettings(CopypastaSettings):
    """How `narratrace group` works: when posts are the same, and when accounts are tied."""

    csv: bool = Field(description="Whether the tables are written as CSV too, for spreadsheets.")
    artefact: Path | None = Field(
        default=None, description="Folder of the artefact that embeds posts; null is the one that narratrace ships."
    )
    backend: str | None = Field(
        default=None,
        description="What computes the embeddings: onnx-int8, onnx or torch; null is torch on a GPU, else onnx-int8.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of the embedding; null takes one for each core."
    )
    engine: str = Field(
        default="native",
        description="What looks for fuzzy copies: native (this machine), ray (the Ray cluster that it belongs to) or "
        "ray://HOST:PORT.",
    )
    coordination: CoordinationSettings


@cache
def default_settings() -> GroupSettings:
    """Read the settings that narratrace ships."""
    return load_settings(GroupSettings, DEFAULT_SETTINGS)
