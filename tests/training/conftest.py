"""Settings that tests of the sentence embedding share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from narratrace.model.settings import check_settings
from narratrace.training.settings import EmbeddingSettings


@pytest.fixture(scope="session")
def embedding_settings(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingSettings:
    families = tmp_path_factory.mktemp("families") / "families.jsonl"
    rows = [
        {"family": "a", "kind": "seed", "text": "The bridge was closed at night."},
        {"family": "a", "kind": "translation", "text": "那座桥夜里关闭了。"},
        {"family": "a", "kind": "distractor", "text": "The bridge was opened at night."},
        {"family": "b", "kind": "seed", "text": "Free rice for all who come to the square."},
        {"family": "b", "kind": "translation", "text": "来广场的人都可以免费领米。"},
    ]
    families.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    fields: dict[str, Any] = {
        "own_layers": 1,
        "dimension": 16,
        "families": [{"source": str(families)}],
        "rewritten": False,
        "epochs": 3,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "temperature": 0.1,
    }
    return check_settings(EmbeddingSettings, fields, "test")
