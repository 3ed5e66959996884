"""The base of everything that is read from a file: checked, and never changed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Frozen, and an unknown field is an error rather than a silent nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
