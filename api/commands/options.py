"""Options that several commands offer in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
