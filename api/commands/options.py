"""Options that several commands offer in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from narratrace.training.settings import ColumnSettings

ResultsFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)]

PostColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="POST=YOURS",
        help="Column of your archive that holds a post column (id, account_id, text, created_at, is_repost, "
        "language), as in --map text=body. Common names are recognised without it.",
        show_default=False,
    ),
]

LabelledColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=COLUMN",
        help="Which column holds what, as in --map text=body or --map labels.police_heroes=is_police.",
        show_default=False,
    ),
]

ArtefactFolder = Annotated[
    Path | None,
    typer.Option("--artefact", help="Artefact folder; the built-in one if not given.", show_default=False),
]

BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="onnx-int8, onnx or torch; torch on a GPU and onnx-int8 elsewhere if not given.",
        show_default=False,
    ),
]

Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.", show_default=False)]

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="native (this machine; default), ray (the Ray cluster that it belongs to) or ray://HOST:PORT.",
        show_default=False,
    ),
]


def parse_labelled_columns(maps: Sequence[str] | None, known: ColumnSettings | None = None) -> ColumnSettings:
    """Read the ``--map`` options of labelled posts as settings of columns; what they leave out is as in ``known``."""
    from narratrace.model.settings import apply_override, check_settings
    from narratrace.training.settings import ColumnSettings

    # Without defaults, as a name is no mapping that a narrative's own column could be added to.
    fields: dict[str, Any] = known.model_dump(exclude_defaults=True) if known else {}
    for one in maps or ():
        apply_override(fields, one)
    return check_settings(ColumnSettings, fields, "--map")
