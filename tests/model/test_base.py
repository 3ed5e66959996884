"""A base encoder opens in every library that reads it, and trimmed ones give the embeddings of whole ones."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import huggingface_hub.constants
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from narratrace.commands.base import app
from narratrace.model.base import RECORD, BaseRecord, build_base
from narratrace.model.corpus import Corpus
from narratrace.model.errors import ArtefactError, InputError

if TYPE_CHECKING:
    from pathlib import Path

POSTS = ["警察保护市民", "街道恢复平静", "the police protect the people", "啲警察喺度做緊嘢"]
OTHERS = ["明天下雨", "rain is likely", "他們在圖書館看書"]
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
ROLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def _save_source(folder: Path, model: models.Model) -> Path:
    """Save a tiny random encoder with a tokenizer in the form of a Hugging Face checkpoint."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size() + 3,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            pad_token_id=1,
        )
    ).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, cls_token="<s>", sep_token="</s>", mask_token="<mask>", **ROLES
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    characters = sorted({character for text in POSTS + OTHERS for character in text.replace(" ", "▁")} | {"▁"})
    words = sorted({word for text in POSTS + OTHERS for word in f" {text}".replace(" ", " ▁").split()})
    vocabulary = [(piece, 0.0) for piece in SPECIAL]
    vocabulary += [(piece, -1 - rank / 1000) for rank, piece in enumerate([*words, *characters])]
    return _save_source(tmp_path_factory.mktemp("source") / "tiny-e5", models.Unigram(vocabulary, unk_id=3))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "posts.jsonl"
    # Twenty texts of the same words, as some of any are held out.
    rows = [f"{post} {again}" for post in POSTS for again in POSTS]
    path.write_text("".join(json.dumps({"body": row}) + "\n" for row in [*rows, *POSTS]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trimmed(source: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trimmed") / "base"
    build_base(out, str(source), [Corpus(corpus, "body")])
    return out


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_trimming_leaves_embeddings_of_covered_texts_as_they_are(source: Path, trimmed: Path, tmp_path: Path) -> None:
    build_base(tmp_path / "whole", str(source))
    whole, small = (SentenceTransformer(str(folder), device="cpu") for folder in (tmp_path / "whole", trimmed))
    texts = [*POSTS, f"{POSTS[0]} {POSTS[2]}", ""]
    assert whole.encode(texts).tolist() == small.encode(texts).tolist()
    assert len(small.tokenizer) < len(whole.tokenizer)


def test_every_library_reads_the_same_from_the_folder(trimmed: Path) -> None:
    sentence_encoder = SentenceTransformer(str(trimmed), device="cpu")
    encoder, fast = AutoModel.from_pretrained(trimmed).eval(), AutoTokenizer.from_pretrained(trimmed)
    tokenizer = Tokenizer.from_file(str(trimmed / "tokenizer.json"))
    assert tokenizer.encode(POSTS[0]).ids == fast(POSTS[0])["input_ids"]
    assert tokenizer.get_vocab_size() == encoder.config.vocab_size
    batch = fast(POSTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))
    torch.testing.assert_close(torch.from_numpy(sentence_encoder.encode(POSTS)), mean)
    assert sentence_encoder.max_seq_length == 64


def test_the_record_tells_where_the_encoder_came_from(source: Path, trimmed: Path) -> None:
    record = BaseRecord.model_validate_json((trimmed / RECORD).read_text(encoding="utf-8"))
    assert (record.name, record.source, record.licence) == ("tiny-e5", "folder", None)
    assert record.vocabulary == Tokenizer.from_file(str(trimmed / "tokenizer.json")).get_vocab_size()
    assert (record.dimension, record.max_tokens) == (16, 64)
    trimming = record.trimming
    assert trimming is not None
    assert trimming.pieces_before == Tokenizer.from_file(str(source / "tokenizer.json")).get_vocab_size()
    assert trimming.texts + sum(held_out.texts for held_out in trimming.held_out.values()) == 20
    assert all(held_out.covered == held_out.texts for held_out in trimming.held_out.values())


def test_weights_are_full_precision_and_all_files_are_readable(trimmed: Path) -> None:
    assert AutoModel.from_pretrained(trimmed).dtype == torch.float32
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in trimmed.rglob("*"))


def test_the_same_input_gives_the_same_bytes_and_replaces_a_base(
    source: Path, corpus: Path, trimmed: Path, tmp_path: Path
) -> None:
    build_base(tmp_path / "base", str(source))
    build_base(tmp_path / "base", str(source), [Corpus(corpus, "body")])
    assert _hashes(tmp_path / "base") == _hashes(trimmed)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_foreign_folder_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match="is not a base encoder"):
        build_base(tmp_path, str(source))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_vocabulary_that_cannot_be_trimmed_can_be_kept_whole(corpus: Path, tmp_path: Path) -> None:
    pieces = {piece: id_ for id_, piece in enumerate([*SPECIAL, "▁police"])}
    source = _save_source(tmp_path / "wordpiece", models.WordPiece(pieces, unk_token="<unk>"))
    with pytest.raises(ArtefactError, match="Only Unigram"):
        build_base(tmp_path / "base", str(source), [Corpus(corpus, "body")])
    assert not (tmp_path / "base").exists()
    assert build_base(tmp_path / "base", str(source)).trimming is None


def test_corpora_without_text_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(InputError, match="hold no text"):
        build_base(tmp_path / "base", str(source), [Corpus(tmp_path / "empty.txt")])


def test_a_folder_without_an_encoder_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        build_base(tmp_path / "base", str(tmp_path))
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    with pytest.raises(InputError, match="transformers cannot open"):
        build_base(tmp_path / "base", str(tmp_path))


def test_a_source_that_is_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="hub, where nobody/nothing should be, cannot be reached"):
        build_base(tmp_path / "base", "nobody/nothing")
    with pytest.raises(InputError, match="neither a folder nor an encoder"):
        build_base(tmp_path / "base", "no/such/folder")


def test_the_command_builds_and_shows_what_trimming_costs(source: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = ["build", str(tmp_path / "base"), "--source", str(source), "--corpus", f"{corpus}:body"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "tiny-e5" in result.stdout
    assert "100.0%" in result.stdout
    assert (tmp_path / "base" / RECORD).is_file()


def test_the_help_teaches_by_example() -> None:
    result = CliRunner().invoke(app, ["build", "--help"], env={"COLUMNS": "200"})
    assert "narratrace base build runs/base --corpus posts.parquet" in result.stdout
