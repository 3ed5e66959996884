"""The encoder that a run starts from: a base, an artefact's own encoder, any folder, or an id on the hub."""

from __future__ import annotations

from pathlib import Path

from narratrace.model.artefact import BUILTIN, ENCODER, MANIFEST, Artefact
from narratrace.model.base import RECORD, BaseRecord, build_base
from narratrace.model.errors import InputError

BUILTIN_NAME = Path("builtin")
"""Stands for the encoder of the built-in artefact."""


def open_base(source: Path, out: Path) -> tuple[Path, BaseRecord]:
    """Find the base of a run, and make it in the run's folder where there is none yet.

    Parameters
    ----------
    source
        ``builtin``, a folder of ``narratrace base build``, an artefact, any folder of an encoder that transformers
        opens, or an id on the Hugging Face hub.
    out
        The run's folder; an encoder that is no base yet becomes one in its ``base``, with its whole vocabulary.

    Returns
    -------
    tuple
        The folder of the base, and its record.

    Raises
    ------
    InputError
        There is no such encoder, or its record is damaged.
    """
    if source == BUILTIN_NAME or (source / MANIFEST).is_file():
        folder = Artefact.open(BUILTIN if source == BUILTIN_NAME else source).path / ENCODER
    elif (source / RECORD).is_file():
        folder = source
    else:
        if source.is_dir() and not (source / "config.json").is_file():
            raise InputError(f"{source} is no base encoder: make one with: narratrace base build {source}")
        folder = out / "base"
        if not (folder / RECORD).is_file():
            build_base(folder, str(source))
    try:
        return folder, BaseRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no base encoder: make one with: narratrace base build {folder}") from error
