"""Backends: the ways to run an artefact's forward pass, all with the same answer up to rounding."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import ONNX_FILES, Artefact, onnx_paths
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.scores import Logits

BACKENDS = (*reversed(ONNX_FILES), "torch")
"""``onnx-int8`` (fast, needs no torch), ``onnx`` (full precision), ``torch`` (full precision, extra [train])."""


class Backend(Protocol):
    """Runs padded token ids of n posts and their attention mask, both of shape (n, tokens), through the network."""

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Logits:
        """What the heads say."""
        ...

    def embed(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Sentence embeddings of unit length, shape (n, the manifest's ``dimension``)."""
        ...


def default_backend() -> str:
    """Name the backend for this machine: ``torch`` where it has a GPU to run on, else ``onnx-int8``."""
    # The driver's device or tool first, so that torch is not imported where there is nothing for it to use.
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")
    if driver and find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return "torch"
    return "onnx-int8"


def open_backend(artefact: Artefact, name: str | None = None, threads: int | None = None) -> Backend:
    """Open a backend of an artefact.

    Parameters
    ----------
    artefact
        What to run.
    name
        One of :data:`BACKENDS`; None takes :func:`default_backend`.
    threads
        CPU threads; None leaves the choice to the engine.

    Raises
    ------
    SettingsError
        There is no backend of that name.
    ArtefactError
        The artefact does not hold its files.
    MissingExtraError
        The backend's engine is not installed.
    """
    name = name or default_backend()
    if name not in BACKENDS:
        raise SettingsError(f"There is no backend '{name}'; choose one of {', '.join(BACKENDS)}.")
    if name not in artefact.backends:
        raise ArtefactError(
            f"The artefact {artefact.path} has no files for the backend '{name}', "
            f"only for {', '.join(artefact.backends)}."
        )
    if name == "torch":
        from narratrace.model.backends.torch_backend import TorchBackend

        return TorchBackend(artefact, threads)
    from narratrace.model.backends.onnx_backend import OnnxBackend

    return OnnxBackend(onnx_paths(artefact.path, name), threads)
