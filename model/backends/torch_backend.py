"""PyTorch: full precision, and the reference that the others are checked against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import Artefact
from narratrace.model.errors import MissingExtraError
from narratrace.model.scores import Logits


class TorchBackend:
    """Runs the network itself, on a GPU where there is one.

    Parameters
    ----------
    artefact
        What to run.
    threads
        CPU threads; None leaves torch's own number.
    """

    def __init__(self, artefact: Artefact, threads: int | None = None) -> None:
        try:
            import torch

            from narratrace.model.network import load_network
        except ModuleNotFoundError as error:
            raise MissingExtraError("train", "The backend 'torch'") from error
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = load_network(artefact.path).to(self._device)
        self._parts = self._network.parts()

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Logits:
        """What the heads say of the token ids and attention mask of n posts, both of shape (n, tokens)."""
        with self._torch.inference_mode():
            output = self._network(self._there(input_ids), self._there(attention_mask))
        return Logits(*(part.cpu().numpy() for part in output))

    def embed(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeddings of the token ids and attention mask of n posts, both of shape (n, tokens)."""
        ids, mask = self._there(input_ids), self._there(attention_mask)
        with self._torch.inference_mode():
            embeddings = self._parts.embedding(self._parts.lower(ids, mask), mask)
        return np.asarray(embeddings.cpu().numpy())

    def _there(self, array: NDArray[np.int64]) -> Any:
        return self._torch.from_numpy(array).to(self._device)
