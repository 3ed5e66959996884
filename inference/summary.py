"""Summary: what a scoring run found, in numbers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from narratrace.model.taxonomy import STANCE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from narratrace.inference.archives.archive import PostBatch


class NarrativeCount(BaseModel):
    """How often a narrative was found."""

    flagged: int = Field(description="Posts labelled with the narrative.")
    share: float = Field(description="Flagged posts as a share of all scored posts, 0 to 1.")
    abstained: int = Field(description="Posts left for a person to decide: no threshold is promised for them.")


class MappingUse(BaseModel):
    """A column mapping and how many files were read with it."""

    files: int
    layout: str = Field(description="Title of the recognised layout, or empty.")
    columns: dict[str, str] = Field(description="Post column to file column.")


class Summary(BaseModel):
    """What a scoring run found; ``summary.json`` holds it."""

    model_config = ConfigDict(extra="forbid")

    artefact: str = Field(description="Id of the artefact that scored the posts.")
    started_at: datetime
    seconds: float = Field(description="From the first read to the last write.")
    files: list[MappingUse] = Field(description="The files read, by column mapping.")
    skipped: list[str] = Field(description="Files left out, and why.")
    rows_read: int = Field(description="Always posts plus rejected.")
    posts: int = Field(description="Posts scored and written.")
    rejected: int = Field(description="Rows in the rejects file.")
    rejects: dict[str, int] = Field(description="Rejected rows by reason.")
    oddities: dict[str, int] = Field(description="Scored posts of which something was unreadable or missing, by what.")
    truncated: int = Field(description="Posts so long that their end was not read.")
    flagged: int = Field(description="Posts labelled with at least one narrative.")
    abstained: int = Field(description="Posts of which at least one narrative is left for a person to decide.")
    languages: dict[str, int]
    stances: dict[str, int]
    narratives: dict[str, NarrativeCount]

    @property
    def posts_per_second(self) -> float:
        """Scored posts per second of the whole run."""
        return self.posts / self.seconds if self.seconds else 0.0


class Tally:
    """The counts of a run, batch by batch."""

    def __init__(self) -> None:
        self.rows_read = 0
        self.posts = 0
        self._artefact = ""
        self._truncated = 0
        self._flagged = 0
        self._abstained = 0
        self._rejects: Counter[str] = Counter()
        self._oddities: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._stances: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._abstentions: Counter[str] = Counter()
        self._narratives: tuple[str, ...] = ()

    def add_batch(self, batch: PostBatch) -> None:
        """Count what was read."""
        self.rows_read += batch.rows_read
        self._rejects.update(reject.reason for reject in batch.rejects)
        self._oddities += batch.oddities

    def add_scores(self, scores: Mapping[str, np.ndarray]) -> None:
        """Count what was found: the columns that ``Classifier.batch`` gives."""
        self._narratives = tuple(name.removeprefix("score_") for name in scores if name.startswith("score_"))
        if not len(scores["artefact"]):
            return
        self._artefact = str(scores["artefact"][0])
        self.posts += len(scores["artefact"])
        self._truncated += int(np.count_nonzero(scores["truncated"]))
        self._languages.update(map(str, scores["language"]))
        self._stances.update(STANCE_NAMES[stance] for stance in scores["stance"])
        for labels, abstained in zip(scores["labels"], scores["abstained"], strict=True):
            self._flagged += bool(labels)
            self._abstained += bool(abstained)
            self._labels.update(labels)
            self._abstentions.update(abstained)

    def summary(
        self, started_at: datetime, seconds: float, rejected: int, files: list[MappingUse], skipped: list[str]
    ) -> Summary:
        """Return the counts as they stand."""
        return Summary(
            artefact=self._artefact,
            started_at=started_at,
            seconds=round(seconds, 3),
            files=files,
            skipped=skipped,
            rows_read=self.rows_read,
            posts=self.posts,
            rejected=rejected,
            rejects=dict(self._rejects.most_common()),
            oddities=dict(self._oddities.most_common()),
            truncated=self._truncated,
            flagged=self._flagged,
            abstained=self._abstained,
            languages=dict(self._languages.most_common()),
            stances={name: self._stances[name] for name in STANCE_NAMES.values()},
            narratives={
                narrative: NarrativeCount(
                    flagged=self._labels[narrative],
                    share=round(self._labels[narrative] / self.posts, 6) if self.posts else 0.0,
                    abstained=self._abstentions[narrative],
                )
                for narrative in self._narratives
            },
        )
