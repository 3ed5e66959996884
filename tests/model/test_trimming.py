"""Trimming a vocabulary changes nothing for texts that the kept pieces cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from narratrace.model.errors import ArtefactError
from narratrace.model.trimming import (
    choose_pieces,
    count_texts_per_piece,
    is_covered,
    trim_encoder,
    trim_tokenizer,
)

# By language: sentences with their words marked off, which make the full vocabulary. The first two of each are the
# corpus to trim by.
WORDS = {
    "zh-Hans": ["警察/保护/市民/的/安全", "香港/的/街道/恢复/平静", "天气/预报/明天/下雨", "他们/在/图书馆/看书"],
    "zh-Hant": ["警察/保護/市民/的/安全", "香港/的/街道/恢復/平靜", "天氣/預報/明天/下雨", "他們/在/圖書館/看書"],
    "yue": ["啲/警察/喺度/做緊/嘢", "我哋/唔使/驚/佢哋", "聽日/落雨/記得/帶遮", "佢/喺/圖書館/睇書"],
    "en": [
        "the/ police/ protect/ the/ people",
        "the/ street/ is/ calm/ again",
        "rain/ is/ likely",
        "they/ read/ books",
    ],
}
# Other sentences, most of them of the corpus's words.
HELD_OUT = {
    "zh-Hans": ["香港警察保护市民", "街道平静安全", "他们在香港看书"],
    "zh-Hant": ["香港警察保護市民", "街道平靜安全", "他們在香港看書"],
    "yue": ["警察喺度", "我哋唔使做緊嘢", "佢帶遮"],
    "en": ["the people protect the street", "again calm police", "they protect books"],
}
ALL = [sentence.replace("/", "") for sentences in WORDS.values() for sentence in sentences]
CORPUS = [sentence.replace("/", "") for sentences in WORDS.values() for sentence in sentences[:2]]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def _full_tokenizer(*, mask_is_a_piece: bool) -> Tokenizer:
    """Make a Unigram tokenizer laid out as XLM-R's, of the words above and their characters."""
    words = {
        word.replace(" ", "▁") for sentences in WORDS.values() for line in sentences for word in f" {line}".split("/")
    }
    words |= {word.removeprefix("▁") for word in words}
    characters = {character for word in words for character in word} - words
    vocabulary = [(piece, 0.0) for piece in SPECIAL]
    # Words win over their characters, and no two segmentations have the same score.
    vocabulary += [(word, -4 - rank / 1000) for rank, word in enumerate(sorted(words))]
    vocabulary += [(character, -9 - rank / 1000) for rank, character in enumerate(sorted(characters))]
    if mask_is_a_piece:
        vocabulary.append(("<mask>", 0.0))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    return tokenizer


@pytest.fixture(scope="module", params=[True, False], ids=["mask in the model", "mask beside the model"])
def full(request: pytest.FixtureRequest) -> Tokenizer:
    return _full_tokenizer(mask_is_a_piece=request.param)


@pytest.fixture(scope="module")
def kept(full: Tokenizer) -> np.ndarray:
    counts = count_texts_per_piece(full, ([text] for text in CORPUS))
    return choose_pieces(full, counts)


@pytest.fixture(scope="module")
def trimmed(full: Tokenizer, kept: np.ndarray) -> Tokenizer:
    return trim_tokenizer(full, kept)


@pytest.fixture(scope="module")
def encoders(full: Tokenizer, kept: np.ndarray) -> tuple[BertModel, BertModel]:
    """Return a small random encoder, with a few rows more than pieces as e5 has, and a trimmed copy of it."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=full.get_vocab_size() + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    whole, copy = BertModel(config).eval(), BertModel(BertConfig.from_dict(config.to_dict())).eval()
    copy.load_state_dict(whole.state_dict())
    trim_encoder(copy, kept)
    return whole, copy


def test_the_vocabulary_gets_smaller(full: Tokenizer, trimmed: Tokenizer) -> None:
    assert trimmed.get_vocab_size() < full.get_vocab_size()


def test_special_tokens_stay_where_libraries_expect_them(trimmed: Tokenizer) -> None:
    ids = [trimmed.token_to_id(token) for token in (*SPECIAL, "<mask>")]
    assert ids == [0, 1, 2, 3, trimmed.get_vocab_size() - 1]
    encoding = trimmed.encode("香港<mask>警察", "people")
    assert encoding.tokens[0] == "<s>"
    assert encoding.tokens[-1] == "</s>"
    assert "<mask>" in encoding.tokens
    assert encoding.ids == [trimmed.token_to_id(token) for token in encoding.tokens]


def test_ids_are_the_positions_of_the_kept_pieces(full: Tokenizer, trimmed: Tokenizer, kept: np.ndarray) -> None:
    assert [trimmed.id_to_token(new) for new in range(len(kept))] == [full.id_to_token(old) for old in kept.tolist()]
    assert trimmed.get_vocab_size() == len(kept)


@pytest.mark.parametrize("language", HELD_OUT)
def test_covered_held_out_texts_keep_pieces_and_embeddings(
    language: str, full: Tokenizer, trimmed: Tokenizer, kept: np.ndarray, encoders: tuple[BertModel, BertModel]
) -> None:
    covered = is_covered(full, kept, HELD_OUT[language])
    texts = [text for text, whole in zip(HELD_OUT[language], covered, strict=True) if whole]
    assert texts, "no held-out text is covered, so nothing was tested"
    embeddings = []
    for tokenizer, encoder in ((full, encoders[0]), (trimmed, encoders[1])):
        padded = Tokenizer.from_str(tokenizer.to_str())
        padded.enable_padding(pad_id=1, pad_token="<pad>")
        batch = padded.encode_batch(texts)
        with torch.inference_mode():
            embeddings.append(
                encoder(
                    torch.tensor([encoding.ids for encoding in batch]),
                    attention_mask=torch.tensor([encoding.attention_mask for encoding in batch]),
                ).last_hidden_state
            )
    assert [full.encode(text).tokens for text in texts] == [trimmed.encode(text).tokens for text in texts]
    assert torch.equal(*embeddings)


def test_coverage_is_judged_per_text(full: Tokenizer, kept: np.ndarray) -> None:
    assert is_covered(full, kept, ["香港警察", "天气预报", ""]).tolist() == [True, False, True]
    assert is_covered(full, kept, []).tolist() == []


@given(text=st.text(st.sampled_from(sorted(set("".join(ALL) + "龘ABＡ，\n"))), max_size=30))
def test_any_text_keeps_its_pieces_where_covered_and_never_gains_an_unknown(
    text: str, full: Tokenizer, trimmed: Tokenizer, kept: np.ndarray
) -> None:
    before, after = full.encode(text), trimmed.encode(text)
    if is_covered(full, kept, [text])[0]:
        assert before.tokens == after.tokens
    assert before.ids.count(3) == after.ids.count(3)
    assert "".join(before.tokens) == "".join(after.tokens)


def test_a_text_counts_once_with_its_variants(full: Tokenizer) -> None:
    counts = count_texts_per_piece(full, [["警察", "警察", "警察警察"], ["警察"], []])
    assert counts[full.token_to_id("<s>")] == 2
    assert counts.max() == 2


def test_min_count_drops_rare_pieces_but_no_character(full: Tokenizer) -> None:
    counts = count_texts_per_piece(full, ([text] for text in ALL))
    sizes = [len(choose_pieces(full, counts, min_count)) for min_count in (1, 2, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
    fewest = trim_tokenizer(full, choose_pieces(full, counts, 100))
    assert all(fewest.token_to_id(character) is not None for character in set("".join(ALL)) - {" "})


def test_padding_settings_follow_the_pad_token(full: Tokenizer, kept: np.ndarray) -> None:
    padded = Tokenizer.from_str(full.to_str())
    padded.enable_padding(pad_id=full.token_to_id("<mask>"), pad_token="<mask>")
    trimmed = trim_tokenizer(padded, kept)
    assert trimmed.encode_batch(["警", "香港警察保护市民"])[0].ids[-1] == trimmed.token_to_id("<mask>")


def test_the_encoder_forgets_the_rows_that_left(encoders: tuple[BertModel, BertModel], kept: np.ndarray) -> None:
    whole, copy = encoders
    rows = copy.get_input_embeddings().weight
    assert torch.equal(rows, whole.get_input_embeddings().weight[torch.from_numpy(kept)])
    assert copy.config.vocab_size == len(kept)
    assert copy.get_input_embeddings().padding_idx == copy.config.pad_token_id == 1


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    wordpiece = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(ArtefactError, match="Only Unigram vocabularies can be trimmed"):
        choose_pieces(wordpiece, np.zeros(2, dtype=np.int64))
