"""The few files that make a transformers folder one that sentence-transformers loads."""

from __future__ import annotations

import json
from pathlib import Path


def write_modules(folder: Path, dimension: int, max_tokens: int) -> None:
    """Add mean pooling and scaling to unit length to an encoder's folder.

    Written by hand, in the oldest form that every release reads, rather than in that of the release at hand.

    Parameters
    ----------
    folder
        A folder that transformers saved an encoder and its tokenizer in.
    dimension
        Length of the encoder's vectors.
    max_tokens
        Where sentence-transformers cuts a text.
    """
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    pooling = {"word_embedding_dimension": dimension, "pooling_mode_mean_tokens": True}
    settings = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": max_tokens, "do_lower_case": False},
        "1_Pooling/config.json": pooling,
        "2_Normalize/config.json": {},
    }
    for name, content in settings.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
