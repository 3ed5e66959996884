"""Posts to token ids: the same steps in training and in inference, without torch or transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from narratrace.model.text import normalise

CHARACTERS_PER_TOKEN = 32
"""A post is cut at this many characters per allowed token before it is tokenised, so that a megabyte costs nothing.

Chinese and English posts have 1 to 5 characters per token; only runs of unknown characters or blanks reach more.
"""


@dataclass(frozen=True, slots=True)
class TokenisedPosts:
    """Token ids of posts.

    Attributes
    ----------
    ids
        One list of token ids per post, start and end token included.
    truncated
        Whether the post was longer than the model reads.
    """

    ids: list[list[int]]
    truncated: list[bool]


class PostTokenizer:
    """Normalises, tokenises and cuts posts.

    Parameters
    ----------
    path
        A ``tokenizer.json``.
    max_tokens
        Longer posts are cut to this many tokens, the end token kept.

    Attributes
    ----------
    pad_id, mask_id
        Ids of the padding and the mask token, as XLM-R or BERT name them.
    """

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._characters = max_tokens * CHARACTERS_PER_TOKEN
        self.pad_id = self._special("<pad>", "[PAD]")
        self.mask_id = self._special("<mask>", "[MASK]")

    def _special(self, *names: str) -> int:
        ids = [self._tokenizer.token_to_id(name) for name in names]
        return next((token for token in ids if token is not None), 0)

    def __call__(self, posts: Sequence[str]) -> TokenisedPosts:
        """Tokenise raw posts."""
        return self.tokenise([normalise(post[: self._characters + 1]).text for post in posts], posts)

    def tokenise(self, texts: Sequence[str], posts: Sequence[str]) -> TokenisedPosts:
        """Tokenise texts that are normalised already; ``posts`` are what they were made from."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return TokenisedPosts(
            [encoding.ids for encoding in encodings],
            [
                bool(encoding.overflowing) or len(post) > self._characters
                for encoding, post in zip(encodings, posts, strict=True)
            ],
        )


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stack token ids of different lengths.

    Returns
    -------
    tuple
        Token ids padded at the end and the attention mask (1 for tokens, 0 for padding), both of shape
        (posts, longest).
    """
    longest = max(map(len, ids), default=0)
    stacked = np.full((len(ids), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.int64)
    for row, tokens in enumerate(ids):
        stacked[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return stacked, mask
