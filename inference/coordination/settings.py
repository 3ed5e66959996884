"""Settings of the coordination part of a grouping run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from narratrace.model.settings import Settings

Reposts = Literal["include", "exclude", "apart"]
Innocent = Literal["include", "apart"]


class CoordinationSettings(Settings):
    """Which accounts count as tied, and how their times are tested."""

    reposts: Reposts = Field(
        description="Whether reposts count as copies (include), not at all (exclude), or tie accounts in a layer of "
        "their own (apart)."
    )
    innocent: Innocent = Field(
        default="apart",  # settings files of earlier runs do not name it
        description="Whether groups with an innocent explanation tie nobody and are not tested (apart), or count as "
        "others do (include).",
    )
    window_minutes: float = Field(gt=0, le=1440, description="Copies within so many minutes of each other are close.")
    min_groups: int = Field(ge=1, description="Accounts that share so many groups are tied repeatedly.")
    neighbours: int = Field(ge=1, description="In a group, an account is paired with so many that came right after it.")
    shuffles: int = Field(
        ge=0, le=100_000, description="How often times are shuffled for the p-values; 0 tests nothing."
    )
    seed: int = Field(ge=0, description="Of the random numbers.")
    max_q: float = Field(gt=0, lt=1, description="A q of at most this is named in the report.")
    graph_ties: int = Field(ge=1, description="Ties in the graph files and the page, the heaviest.")
    page_groups: int = Field(ge=1, description="Groups that the page shows in full.")
    page_accounts: int = Field(ge=2, le=5000, description="Accounts in the page's graph, those with the heaviest ties.")
