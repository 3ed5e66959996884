"""PyTorch: full precision, and the reference that the others are checked against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import Artefact
from narratrace.model.backends import ForwardPass
from narratrace.model.errors import MissingExtraError


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

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> ForwardPass:
        """Run the token ids and attention mask of n posts, both of shape (n, tokens)."""
        with self._torch.inference_mode():
            output = self._network(*(self._torch.from_numpy(a).to(self._device) for a in (input_ids, attention_mask)))
        return ForwardPass(*(part.cpu().numpy() for part in output))
