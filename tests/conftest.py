"""A tiny real artefact: a random encoder, trained in the test session by the real training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import settings

from narratrace.inference.classifier import Classifier
from narratrace.model.artefact import Artefact
from narratrace.model.base import RECORD, BaseRecord
from narratrace.model.settings import check_settings
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.training.settings import TrainingSettings

# How long an example takes says how busy the machine is: the first one loads dictionaries.
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return Taxonomy.load("hong_kong_2019")


@pytest.fixture(scope="session")
def labelled(taxonomy: Taxonomy) -> list[dict[str, object]]:
    """The taxonomy's own example posts as labelled posts."""
    posts: list[dict[str, object]] = []
    for narrative in taxonomy.narratives:
        for language, texts in narrative.examples.items():
            posts += [{"text": t, "lang": language, "stance": "A", "labels": [narrative.id]} for t in texts]
        for example in narrative.counter_examples:
            if example.stance != "A":
                posts.append({"text": example.text, "lang": example.language, "stance": example.stance, "labels": []})
    distinct = {str(post["text"]): post for post in posts}
    return list(distinct.values())


@pytest.fixture(scope="session")
def artefact_fields(taxonomy: Taxonomy) -> dict[str, Any]:
    """What a manifest says beside its files, for artefacts whose files are nobody's weights."""
    return {
        "narratrace": "0",
        "base": {"name": "none", "licence": None, "vocabulary": 1},
        "taxonomy": f"{taxonomy.id}@{taxonomy.version}",
        "narratives": taxonomy.narrative_ids,
        "stances": STANCES,
        "languages": ["zh-Hans", "en"],
        "max_tokens": 8,
        "calibration": {
            narrative: {"deep": 1.0, "wide": 0.5, "intercept": -1.0} for narrative in taxonomy.narrative_ids
        },
        "stance_calibration": {"deep": 0.75, "wide": 0.5},
        "advances": 0.5,
        "thresholds": {narrative: {"default": 0.5} for narrative in taxonomy.narrative_ids},
        "metrics": {},
    }


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, labelled: list[dict[str, object]]) -> Path:
    """A base encoder of two random layers with a vocabulary of its own."""
    import torch  # here and below where needed, so that tests without an encoder start at once
    import transformers

    folder = tmp_path_factory.mktemp("base")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = tokenizers.trainers.UnigramTrainer(vocab_size=2000, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator([str(post["text"]) for post in labelled], trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    torch.manual_seed(0)
    encoder = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=130,
            pad_token_id=1,
        ),
        add_pooling_layer=False,
    )
    encoder.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=128,
    ).save_pretrained(folder)
    record = BaseRecord(
        name="tiny",
        source="folder",
        licence="Apache-2.0",
        vocabulary=tokenizer.get_vocab_size(),
        dimension=64,
        max_tokens=128,
    )
    (folder / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_settings(
    tmp_path_factory: pytest.TempPathFactory, labelled: list[dict[str, object]], tiny_base: Path
) -> TrainingSettings:
    """Settings that make the tiny encoder learn its posts by heart."""
    data = tmp_path_factory.mktemp("data") / "train.jsonl"
    data.write_text("".join(json.dumps(post, ensure_ascii=False) + "\n" for post in labelled), encoding="utf-8")
    never = dict.fromkeys(("strip_punctuation", "strip_digits", "lower_case"), 0.0)
    fields = {
        "taxonomy": "hong_kong_2019",
        "base": str(tiny_base),
        "max_tokens": 96,
        "seed": 1,
        "threads": 1,
        "data": {
            "description": "the taxonomy's own examples",
            "train": [str(data)],
            "dev": {"same": str(data)},
            "languages": ["zh-Hans", "zh-Hant", "yue", "en"],
        },
        "augmentation": never,
        "optimiser": {
            "epochs": 10,
            "batch_size": 16,
            "learning_rate": 3e-3,
            "head_learning_rate": 1e-2,
            "layer_decay": 1.0,
            "train_embeddings": True,
            "warmup": 0.1,
            "weight_decay": 0.0,
            "average": 0.0,
        },
        "loss": {
            "stance": 1.0,
            "positive_weight_power": 0.0,
            "positive_weight_limit": 1.0,
            "dropout": 0.0,
            "hidden_dropout": 0.0,
        },
        "full_precision": True,
        "wide": {"min_posts": 1, "inverse_penalty": 10.0},
        "thresholds": {"folds": 2, "smoothing": 20, "false_flags": {"R": 1.0, "C": 1.0, "N": 1.0}},
    }
    return check_settings(TrainingSettings, fields, "test")


@pytest.fixture(scope="session")
def tiny_artefact(tmp_path_factory: pytest.TempPathFactory, tiny_settings: TrainingSettings) -> Artefact:
    """An artefact that the real training made of the tiny encoder; its parent is the folder of the run."""
    from narratrace.training.run import train

    # One job: importing torch in a second process takes longer than the trainings themselves.
    artefact, _ = train(tiny_settings, tmp_path_factory.mktemp("run") / "run", jobs=1)
    return artefact


@pytest.fixture(scope="session")
def tiny_classifier(tiny_artefact: Artefact) -> Classifier:
    return Classifier(tiny_artefact, threads=1)
