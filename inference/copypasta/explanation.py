"""Explanation: why two posts are the same copypasta, or not, with the differences of their texts as published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from rapidfuzz.distance import Indel

_MOST_CHARACTERS = 20_000


class Piece(NamedTuple):
    """A run of characters in a diff.

    Attributes
    ----------
    change
        ``same``, or what to do to the first text to get the second: ``delete``, ``insert`` or ``replace``.
    a, b
        The characters of either text; equal if they are the same, empty where there are none.
    """

    change: Literal["same", "delete", "insert", "replace"]
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two posts are the same copypasta, or not.

    Attributes
    ----------
    stage
        The strictest stage that ties the two texts to each other; None if none does, though both may be similar to the
        representative of one group.
    similarity
        0 to 1, as that stage measures it; as the fuzzy stage does if there is none.
    groups
        Group of either post; -1 for none.
    diff
        Both texts as published, in pieces: those of `a` joined give the first, those of `b` the second. Of texts beyond
        20,000 characters the rest is left out.
    """

    stage: str | None
    similarity: float
    groups: tuple[int, int]
    diff: tuple[Piece, ...]

    def __str__(self) -> str:
        """Tell it in a line, with the differences as ``[first|second]``."""
        text = "".join(piece.a if piece.change == "same" else f"[{piece.a}|{piece.b}]" for piece in self.diff)
        return f"{self.stage or 'not linked'}, similarity {self.similarity:.2f}: {text}"


def compare(a: str, b: str) -> tuple[Piece, ...]:
    """Cut two texts into what they share and what not, so that the shared part is as long as it can be."""
    a, b = a[:_MOST_CHARACTERS], b[:_MOST_CHARACTERS]
    pieces: list[Piece] = []
    for step in Indel.opcodes(a, b):
        part = (a[step.src_start : step.src_end], b[step.dest_start : step.dest_end])
        if step.tag == "equal":
            pieces.append(Piece("same", *part))
        elif pieces and pieces[-1].change != "same":
            part = (pieces[-1].a + part[0], pieces[-1].b + part[1])
            pieces[-1] = Piece("replace" if all(part) else "delete" if part[0] else "insert", *part)
        else:
            pieces.append(Piece("delete" if part[0] else "insert", *part))
    return tuple(pieces)
