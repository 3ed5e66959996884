"""Texts: the distinct texts of all posts so far, collapsed stage by stage.

A text as published belongs to one normalised form, and that to one script form: the **node** that the later stages
compare. A campaign of 100,000 copies is one node with a weight of 100,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from narratrace.inference.copypasta.folding import lexical_form, normalised_form, script_forms
from narratrace.inference.copypasta.shingles import shingle


class Texts:
    """Distinct texts and their forms.

    Attributes
    ----------
    normalised_of
        Normalised form of each distinct text, by number.
    hash_of
        Hash of each distinct text.
    node_of
        Node of each normalised form.
    lexical
        What the fuzzy stage compares, of each node.
    priority
        Of each node: a hash of its script form.
    shingles
        Of each node.
    """

    def __init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._normalised: dict[str, int] = {}
        self._script: dict[str, int] = {}
        self.normalised_of = np.zeros(0, dtype=np.int64)
        self.hash_of = np.zeros(0, dtype=np.uint64)
        self.node_of = np.zeros(0, dtype=np.int64)
        self.lexical: list[str] = []
        self.priority = np.zeros(0, dtype=np.uint64)
        self.shingles = shingle([])

    def add(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """Add the texts of posts; return the number of each post's distinct text."""
        distinct, places = _distinct(column)
        numbers = np.array([self._exact.get(text, -1) for text in distinct], dtype=np.int64)
        new = np.flatnonzero(numbers < 0)
        numbers[new] = np.arange(len(self._exact), len(self._exact) + len(new))
        self._add_new([distinct[at] for at in new.tolist()])
        return numbers[places]

    def find(self, column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
        """Look texts up without adding them.

        Returns
        -------
        node
            Of each post; -1 where no text so far has its script form.
        unknown
            Lexical forms of the texts without a node.
        place
            In `unknown`, of each post; -1 for those with a node.
        """
        distinct, places = _distinct(column)
        scripts = script_forms([normalised_form(text) for text in distinct])
        node = np.array([self._script.get(script, -1) for script in scripts], dtype=np.int64)
        place = np.full(len(distinct), -1, dtype=np.int64)
        place[node < 0] = np.arange(int((node < 0).sum()))
        unknown = [lexical_form(scripts[at]) for at in np.flatnonzero(node < 0).tolist()]
        return node[places], unknown, place[places]

    def _add_new(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._exact[text] = len(self._exact)
        forms = [normalised_form(text) for text in texts]
        numbers, new_forms = _numbered(forms, self._normalised)
        self.normalised_of = np.append(self.normalised_of, numbers)
        nodes, new_scripts = _numbered(script_forms(new_forms), self._script)
        self.node_of = np.append(self.node_of, nodes)
        lexical = [lexical_form(script) for script in new_scripts]
        self.lexical += lexical
        self.hash_of = np.append(self.hash_of, _hashes(texts))
        self.priority = np.append(self.priority, _hashes(new_scripts))
        self.shingles = self.shingles.plus(shingle(lexical))


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    digests = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
    return np.array(digests, dtype=np.uint64)


def _numbered(forms: Sequence[str], known: dict[str, int]) -> tuple[NDArray[np.int64], list[str]]:
    """Number forms, going on from those known; return the numbers and the forms that are new, in order."""
    before = len(known)
    numbers = [known.setdefault(form, len(known)) for form in forms]
    return np.array(numbers, dtype=np.int64), list(islice(known, before, None))


def _distinct(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    encoded = column.cast(pa.large_string()).combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
