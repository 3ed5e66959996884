"""Trimming the vocabulary of an encoder to the pieces that its languages use.

Most weights of a small multilingual encoder are the embeddings of pieces of words it will never meet: of the 250,002
pieces of XLM-R, Chinese and English posts use a fifth. Leaving the others out changes nothing for a text all of whose
pieces stay: a Unigram tokenizer picks the segmentation with the highest total score, the scores stay as they are, and a
segmentation that won against all others still wins against fewer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from narratrace.model.errors import ArtefactError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

WORD_START = "▁"
"""The mark that SentencePiece puts in place of the space before a word."""

_BATCH = 1000
"""How many texts are tokenised at a time."""


def count_texts_per_piece(tokenizer: Tokenizer, texts: Iterable[Sequence[str]]) -> NDArray[np.int64]:
    """Count, for every piece, the texts that use it.

    Parameters
    ----------
    tokenizer : Tokenizer
        The full tokenizer, without truncation.
    texts : iterable of sequences of str
        Each text with its variants (its conversions to other scripts, say), which together count once, so that a
        slogan repeated within one text does not outweigh words that many texts use.

    Returns
    -------
    NDArray[np.int64], shape (pieces,)
        ``counts[i]`` texts use the piece of id ``i``.
    """
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    batch: list[Sequence[str]] = []
    for variants in texts:
        batch.append(variants)
        if len(batch) == _BATCH:
            _add_counts(counts, tokenizer, batch)
            batch = []
    _add_counts(counts, tokenizer, batch)
    return counts


def _add_counts(counts: NDArray[np.int64], tokenizer: Tokenizer, batch: Sequence[Sequence[str]]) -> None:
    encodings = iter(tokenizer.encode_batch_fast([text for variants in batch for text in variants]))
    for variants in batch:
        used: set[int] = set()
        for _ in variants:
            used.update(next(encodings).ids)
        counts[list(used)] += 1


def choose_pieces(tokenizer: Tokenizer, counts: NDArray[np.int64], min_count: int = 1) -> NDArray[np.int64]:
    """Choose the pieces that stay.

    These are the special tokens, every single character with and without the word mark (so that no character that the
    full tokenizer knows becomes unknown), every piece that at least `min_count` texts use, and a piece of the lowest
    score (from which the tokenizer derives the score of an unknown character).

    Parameters
    ----------
    tokenizer : Tokenizer
        The full Unigram tokenizer.
    counts : NDArray[np.int64], shape (pieces,)
        From `count_texts_per_piece`.
    min_count : int
        At least so many texts have to use a piece for it to stay.

    Returns
    -------
    NDArray[np.int64], shape (kept pieces,)
        Ids in the full tokenizer, ascending; the new id of a piece is its position here.

    Raises
    ------
    ArtefactError
        If the tokenizer is not a Unigram tokenizer, whose pieces depend on one another.
    """
    state = _unigram_state(tokenizer)
    vocabulary = state["model"]["vocab"]
    kept = {added["id"] for added in state["added_tokens"]} | {state["model"]["unk_id"]}
    kept.update(id_ for id_, (piece, _) in enumerate(vocabulary) if len(piece.removeprefix(WORD_START)) <= 1)
    kept.update(np.flatnonzero(counts >= min_count).tolist())
    kept.add(min(range(len(vocabulary)), key=lambda id_: vocabulary[id_][1]))
    return np.array(sorted(kept), dtype=np.int64)


def is_covered(tokenizer: Tokenizer, kept: NDArray[np.int64], texts: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which texts are made of kept pieces alone, so that trimming changes nothing for them.

    Parameters
    ----------
    tokenizer : Tokenizer
        The full tokenizer, without truncation.
    kept : NDArray[np.int64], shape (kept pieces,)
        From `choose_pieces`.
    texts : sequence of str
        The texts to judge.

    Returns
    -------
    NDArray[np.bool_], shape (texts,)
        True where all pieces stay.
    """
    stays = np.zeros(tokenizer.get_vocab_size(), dtype=bool)
    stays[kept] = True
    covered = np.empty(len(texts), dtype=bool)
    for start in range(0, len(texts), _BATCH):
        encodings = tokenizer.encode_batch_fast(texts[start : start + _BATCH])
        covered[start : start + len(encodings)] = [stays[encoding.ids].all() for encoding in encodings]
    return covered


def trim_tokenizer(tokenizer: Tokenizer, kept: NDArray[np.int64]) -> Tokenizer:
    """Return the tokenizer with the kept pieces alone, renumbered in their order.

    Ascending `kept` leaves XLM-R's special tokens where libraries expect them: ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2,
    ``<unk>`` 3 and ``<mask>`` last.

    Parameters
    ----------
    tokenizer : Tokenizer
        The full Unigram tokenizer; it is not changed.
    kept : NDArray[np.int64], shape (kept pieces,)
        From `choose_pieces`.

    Raises
    ------
    ArtefactError
        If the tokenizer is not a Unigram tokenizer.
    """
    state = _unigram_state(tokenizer)
    new_id = {old: new for new, old in enumerate(kept.tolist())}
    model = state["model"]
    # A special token may be known to the tokenizer but not be a piece of its model, and then stays after the pieces.
    model["vocab"] = [model["vocab"][old] for old in kept.tolist() if old < len(model["vocab"])]
    model["unk_id"] = new_id[model["unk_id"]]
    for added in state["added_tokens"]:
        added["id"] = new_id[added["id"]]
    _renumber_template(state["post_processor"], new_id)
    if state["padding"] is not None:
        state["padding"]["pad_id"] = new_id[state["padding"]["pad_id"]]
    return Tokenizer.from_str(json.dumps(state, ensure_ascii=False))


def trim_encoder(encoder: PreTrainedModel, kept: NDArray[np.int64]) -> None:
    """Leave the word embeddings of the kept pieces alone in an encoder, in place.

    Parameters
    ----------
    encoder : PreTrainedModel
        A transformers model whose input embeddings have one row for each piece of the full tokenizer, or more.
    kept : NDArray[np.int64], shape (kept pieces,)
        From `choose_pieces`.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("base", "Trimming a vocabulary") from error
    full = encoder.get_input_embeddings()
    pad = encoder.config.pad_token_id
    positions = np.flatnonzero(kept == pad) if pad is not None else np.empty(0, dtype=np.int64)
    new_pad = int(positions[0]) if len(positions) else None
    rows = full.weight.detach()[torch.from_numpy(kept)].clone()
    trimmed = torch.nn.Embedding(*rows.shape, padding_idx=new_pad, dtype=rows.dtype, device=rows.device, _weight=rows)
    encoder.set_input_embeddings(trimmed)
    encoder.config.vocab_size = len(kept)
    encoder.config.pad_token_id = new_pad


def _unigram_state(tokenizer: Tokenizer) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(tokenizer.to_str())
    if state["model"]["type"] != "Unigram":
        raise ArtefactError(
            f"Only Unigram vocabularies can be trimmed, and this tokenizer is {state['model']['type']}: "
            "keep it whole by naming no corpus."
        )
    return state


def _renumber_template(processor: dict[str, Any] | None, new_id: dict[int, int]) -> None:
    """Renumber the special tokens that the post-processor puts around a text, in place."""
    for special in (processor or {}).get("special_tokens", {}).values():
        special["ids"] = [new_id[old] for old in special["ids"]]
