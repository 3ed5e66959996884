"""Summary: what a scoring run found, in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from narratrace.model.taxonomy import STANCE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from narratrace.inference.engine import Said


class NarrativeCount(BaseModel):
    """How often a narrative was found."""

    flagged: int = Field(description="Posts labelled with the narrative.")
    share: float = Field(description="Flagged posts as a share of all scored posts, 0 to 1.")
    abstained: int = Field(description="Posts to review: no label, but a person should look.")


class MappingUse(BaseModel):
    """A column mapping and how many files were read with it."""

    files: int
    layout: str = Field(description="Title of the recognised layout, or empty.")
    columns: dict[str, str] = Field(description="Post column to file column.")


class Summary(BaseModel):
    """What a scoring run found; ``summary.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

    artefact: str = Field(description="Id of the artefact that scored the posts.")
    seconds: float = Field(
        default=0.0, exclude=True, description="How long the run took, since it last went on; not in the file."
    )
    files: list[MappingUse] = Field(description="The files read, by column mapping.")
    skipped: list[str] = Field(description="Files left out, and why.")
    rows_read: int = Field(description="Always posts plus rejected.")
    posts: int = Field(description="Posts scored and written.")
    rejected: int = Field(description="Rows in the rejects file.")
    texts: int = Field(description="Distinct texts among the posts: each was scored once.")
    rejects: dict[str, int] = Field(description="Rejected rows by reason.")
    oddities: dict[str, int] = Field(description="Scored posts of which something was unreadable or missing, by what.")
    truncated: int = Field(description="Posts so long that their end was not read.")
    flagged: int = Field(description="Posts labelled with at least one narrative.")
    abstained: int = Field(description="Posts of which at least one narrative is to review.")
    languages: dict[str, int]
    stances: dict[str, int]
    narratives: dict[str, NarrativeCount]

    @property
    def saved(self) -> float:
        """Share of the posts that took no scoring, as their text was scored for another, 0 to 1."""
        return 1 - self.texts / self.posts if self.posts else 0.0

    @property
    def posts_per_second(self) -> float:
        """Scored posts per second of the whole run."""
        return self.posts / self.seconds if self.seconds else 0.0


def summarise(
    done: Mapping[str, Said], artefact: str, narratives: Sequence[str], files: list[MappingUse], skipped: list[str]
) -> Summary:
    """Add up what the finished parts of a run said of themselves, by the names in its ledger."""
    totals: Counter[str] = Counter()
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for part, said in done.items():
        step = part.partition(" ")[0]
        for name, value in said.items():
            if isinstance(value, dict):
                counts[name].update(value)
            elif isinstance(value, int):
                totals[f"{step} {name}"] += value
    posts = totals["Writing count"]
    return Summary(
        artefact=artefact,
        files=files,
        skipped=skipped,
        rows_read=totals["Reading rows_read"],
        posts=posts,
        rejected=counts["rejects"].total(),
        texts=totals["Scoring count"],
        rejects=_sorted(counts["rejects"]),
        oddities=_sorted(counts["oddities"]),
        truncated=totals["Writing truncated"],
        flagged=totals["Writing flagged"],
        abstained=totals["Writing abstained"],
        languages=_sorted(counts["languages"]),
        stances={name: counts["stances"][stance] for stance, name in STANCE_NAMES.items()},
        narratives={
            narrative: NarrativeCount(
                flagged=counts["labels"][narrative],
                share=round(counts["labels"][narrative] / posts, 6) if posts else 0.0,
                abstained=counts["abstentions"][narrative],
            )
            for narrative in narratives
        },
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first; where two are equally frequent, by name, so that it does not matter which was first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
