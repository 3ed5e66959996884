"""Posts to token ids: the same steps in training and in inference, without torch or transformers.

The encoder reads Chinese in Simplified script, whatever it was written in: one message in both scripts gives the same
ids as far as OpenCC converts it, and there is half as much to learn from few posts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from narratrace.model.script import convert_script
from narratrace.model.text import normalise

WINDOWS = 16
"""A post longer than the model reads at once is read in up to this many windows; the rest is cut."""

OVERLAP = 1 / 4
"""Share of a window that the next one reads again, so that no sentence is torn for both."""

CHARACTERS_PER_TOKEN = 8
"""A post is cut at this many characters per token that can be read, so that a megabyte costs no more than an article.

Chinese and English posts have 1 to 5 characters per token; only runs of unknown characters or blanks reach more.
"""


@dataclass(frozen=True, slots=True)
class TokenisedPosts:
    """Posts as the model reads them.

    Attributes
    ----------
    texts
        The normalised posts.
    ids
        Token ids of every window of every post, in order, start and end token included.
    windows
        Number of windows of each post, at least 1.
    truncated
        Whether the post was longer than all windows together.
    """

    texts: list[str]
    ids: list[list[int]]
    windows: list[int]
    truncated: list[bool]


class PostTokenizer:
    """Normalises and tokenises posts, long ones in overlapping windows.

    Parameters
    ----------
    path
        A ``tokenizer.json``.
    max_tokens
        Tokens of a window, start and end token included.

    Attributes
    ----------
    pad_id
        Id of the padding token.
    """

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, stride=int((max_tokens - 2) * OVERLAP))
        self._characters = WINDOWS * max_tokens * CHARACTERS_PER_TOKEN
        # XLM-R's name, then BERT's.
        ids = [self._tokenizer.token_to_id(name) for name in ("<pad>", "[PAD]")]
        self.pad_id: int = next((token for token in ids if token is not None), 0)

    def __call__(self, posts: Sequence[str]) -> TokenisedPosts:
        """Normalise and tokenise raw posts."""
        texts = [normalise(post[: self._characters]).text for post in posts]
        ids: list[list[int]] = []
        windows, truncated = [], []
        for post, first in zip(posts, self._encode(texts), strict=True):
            read = [first, *first.overflowing][:WINDOWS]
            ids += [window.ids for window in read]
            windows.append(len(read))
            truncated.append(len(first.overflowing) >= WINDOWS or len(post) > self._characters)
        return TokenisedPosts(texts, ids, windows, truncated)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of the first window of texts that are normalised already."""
        return [encoding.ids for encoding in self._encode(texts)]

    def _encode(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        return self._tokenizer.encode_batch_fast([convert_script(text, "t2s") for text in texts])


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
