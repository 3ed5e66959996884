"""Peers: other tools on the same texts, each as a function of texts and a threshold.

Where a tool gives pairs and no groups, groups are the connected components of its pairs, as its users would write it.
`pip install "narratrace[benchmarks]"` brings them.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from narratrace.inference.copypasta.folding import lexical_form, normalised_form, script_forms
from narratrace.inference.copypasta.stars import components

Group = Callable[[list[str], float], np.ndarray]


@dataclass(frozen=True)
class Peer:
    """A tool with the thresholds to choose from."""

    group: Group
    thresholds: tuple[float, ...]


def folded(texts: list[str]) -> list[str]:
    """Give the texts our normalisation."""
    return [lexical_form(form) for form in script_forms([normalised_form(text) for text in texts])]


def on_folded(group: Group, texts: list[str], threshold: float) -> np.ndarray:
    """Group texts as another function does, after our normalisation."""
    return group(folded(texts), threshold)


def joined(texts: list[str], pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    ends = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    return components(len(texts), ends[:, 0], ends[:, 1])


def grams(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(max(1, len(text) - size + 1))]


def datasketch_minhash(texts: list[str], threshold: float) -> np.ndarray:
    from datasketch import MinHash, MinHashLSH

    sketches = MinHash.bulk([[gram.encode() for gram in grams(text)] for text in texts], num_perm=128, seed=1)
    index = MinHashLSH(threshold=threshold, num_perm=128)
    for row, sketch in enumerate(sketches):
        index.insert(row, sketch)
    return joined(
        texts,
        (
            (row, other)
            for row, sketch in enumerate(sketches)
            for other in index.query(sketch)
            if other > row and sketch.jaccard(sketches[other]) >= threshold
        ),
    )


def rensa_minhash(texts: list[str], threshold: float) -> np.ndarray:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=threshold, num_perm=128, num_bands=32)
    sketches = []
    for row, text in enumerate(texts):
        sketch = RMinHash(num_perm=128, seed=42)
        sketch.update(grams(text))
        index.insert(row, sketch)
        sketches.append(sketch)
    return joined(
        texts,
        (
            (row, other)
            for row, sketch in enumerate(sketches)
            for other in index.query(sketch)
            if other > row and sketch.jaccard(sketches[other]) >= threshold
        ),
    )


def near_dupes(texts: list[str], threshold: float) -> np.ndarray:
    import near_dupes as tool

    groups = tool.find_duplicates(texts, threshold=threshold, n_gram=3).groups
    return joined(texts, ((group[0], other) for group in groups for other in group[1:]))


def tf_idf(texts: list[str], threshold: float) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char", ngram_range=(2, 3)).fit_transform(texts)
    cosine = (vectors @ vectors.T).tocoo()
    kept = (cosine.data >= threshold) & (cosine.row < cosine.col)
    return joined(texts, zip(cosine.row[kept], cosine.col[kept], strict=True))


def coordination_toolkit(texts: list[str], threshold: float) -> np.ndarray:
    """QUT's co-similarity network, one account for each post, all at the same time."""
    from coordination_network_toolkit import compute_networks, graph, preprocess

    with tempfile.TemporaryDirectory() as folder:
        base = str(Path(folder) / "posts.db")
        rows = ((str(row), str(row), str(row), "", "", text, 0, []) for row, text in enumerate(texts))
        preprocess.preprocess_data(base, rows)
        compute_networks.compute_co_similar_tweet(
            base, time_window=60, n_threads=1, similarity_threshold=threshold, min_edge_weight=1
        )
        edges = graph.load_networkx_graph(base, "co_similar_tweet").edges
        sqlite3.connect(base).close()
        return joined(texts, ((int(a), int(b)) for a, b in edges))


def community_detection(vectors: np.ndarray) -> Group:
    """sentence-transformers' fast clustering, of given vectors."""

    def group(texts: list[str], threshold: float) -> np.ndarray:
        from sentence_transformers.util import community_detection as detect

        found = detect(vectors.astype(np.float32), threshold=threshold, min_community_size=2)
        return joined(texts, ((members[0], other) for members in found for other in members[1:]))

    return group


def semhash(vectors: np.ndarray) -> Group:
    """SemHash, of given vectors."""

    def group(texts: list[str], threshold: float) -> np.ndarray:
        from semhash import SemHash

        class Encoder:
            def encode(self, inputs: object, **options: object) -> np.ndarray:
                raise NotImplementedError

        records = [{"text": text, "id": str(row)} for row, text in enumerate(texts)]
        tool = SemHash.from_embeddings(vectors.astype(np.float32), records, model=Encoder(), columns=["text"])
        found = tool.self_deduplicate(threshold=threshold).selected_with_duplicates
        pairs = [(int(kept.record["id"]), int(record["id"])) for kept in found for record, _ in kept.duplicates]
        # It drops exact copies first, which are tied here again.
        first: dict[str, int] = {}
        pairs += [(first.setdefault(text, row), row) for row, text in enumerate(texts)]
        return joined(texts, pairs)

    return group


def d3lta_logic(vectors: np.ndarray) -> Group:
    """D3lta's method (neighbours by embedding, then Levenshtein): what astrodetection 0.3.6 does with given vectors.

    Written out, with its default of 0.85 for the cosine, as the package draws graphs and needs a browser's widgets.
    """
    from rapidfuzz.distance import Levenshtein

    def group(texts: list[str], threshold: float) -> np.ndarray:
        left, right = np.nonzero(np.triu(vectors @ vectors.T >= 0.85, 1))
        return joined(
            texts,
            (
                (a, b)
                for a, b in zip(left.tolist(), right.tolist(), strict=True)
                if Levenshtein.normalized_similarity(texts[a], texts[b]) >= threshold
            ),
        )

    return group


def retsim(texts: list[str]) -> np.ndarray:
    """Vectors of RETSim, which unisim ships."""
    from unisim import TextSim

    return np.asarray(TextSim(batch_size=128, verbose=0).embed(texts), dtype=np.float32)


def e5(folder: Path, texts: list[str]) -> np.ndarray:
    """Vectors of an encoder as it was pretrained; "query: " is what e5 wants before a text."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(folder), device="cpu")
    return np.asarray(encoder.encode([f"query: {text}" for text in texts], normalize_embeddings=True))


LEXICAL_PEERS = {
    "datasketch MinHash": Peer(datasketch_minhash, (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
    "rensa MinHash": Peer(rensa_minhash, (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
    "near-dupes": Peer(near_dupes, (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
    "TF-IDF cosine": Peer(tf_idf, (0.35, 0.4, 0.45, 0.5, 0.55)),
}


def lexical_peers() -> dict[str, Peer]:
    """Peers that need no vectors, each on the texts as they are and after our normalisation."""
    found = {}
    for name, peer in LEXICAL_PEERS.items():
        found[name] = peer
        found[f"{name}, our folding"] = Peer(partial(on_folded, peer.group), peer.thresholds)
    return found


SLOW_PEERS = {"coordination-network-toolkit": Peer(coordination_toolkit, (0.6, 0.7))}


def vector_peers(name: str, vectors: np.ndarray) -> dict[str, Peer]:
    """Peers that group given vectors."""
    cosines = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    return {
        f"community_detection on {name}": Peer(community_detection(vectors), cosines),
        f"SemHash on {name}": Peer(semhash(vectors), cosines),
        f"D3lta's logic on {name}": Peer(d3lta_logic(vectors), (0.5, 0.6, 0.7)),
    }
