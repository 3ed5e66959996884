"""Text normalisation: the one form of a post that the classifier, training and the copypasta stages read.

What is done, in this order:

1. Unicode NFKC, which also folds full-width forms. Of more than 30 combining marks on one character the first 30 stay
   (the limit of the Stream-Safe Text Format, UAX #15); without it NFKC takes quadratic time.
2. Invisible characters (default-ignorable code points: zero-width, bidi controls, soft hyphens, variation selectors)
   and surrogates are dropped, save what joins or selects inside an emoji sequence. Control characters become spaces.
3. HTML entities with their semicolon are decoded until none is left, so ``&amp;lt;`` gives ``<``.
4. Runs of four or more of the same character are shortened to three, save digits: a number stays what it is.
5. URLs are removed, whole, truncated (``https://t.co/ab…``), or of well-known hosts without a scheme.
6. Hashtag marks are removed and the words kept, both ``#word`` and Weibo's ``#topic#``. ``#1`` is no hashtag.
7. Mentions are removed: ``@handle``, the 44-character hashed ids of Twitter's archives, and Chinese names where a colon
   ends them (``@名字:``), together with a retweet or reply mark before them (``RT``, ``//``, ``回复``). In an e-mail
   address nothing is removed, nor in a place (``@旺角``).
8. White space, line ends too, becomes one space and is trimmed.

The rest, case and punctuation too, is kept.

Normalisation is idempotent and takes linear time, because the steps need no more than four rounds:

- Steps 5 to 8 put a space in the place of what they remove. What steps 3 to 7 look for may begin after a space exactly
  when it may begin after what was there, and is not completed by one, so nothing new appears for any step to find;
  nor do they touch NFKC, which treats what is on either side of a space on its own. So only steps 2 to 4, which bring
  characters together, call for another round.
- Step 3 cleans what it decodes as steps 1 and 2 would, save that it composes nothing, and decodes on until no entity is
  left. Step 4 can make only ``&ggg;`` and the like of what is none, with no ASCII character for a value.
- From the second round on, hence, whatever is composed, decoded or shortened is not ASCII and makes no further entity;
  of what is invisible only joiners beside an emoji are found, and no mark composes with an emoji. What the second round
  decodes the third composes and shortens, and the fourth finds nothing.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from html.entities import html5
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NormalisedText", "normalise"]

# Unicode's Default_Ignorable_Code_Point, the interlinear annotation marks, and surrogates.
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# The blocks that emoji come from. They hold other symbols too, which do no harm here.
_EMOJI = re.compile(
    r"[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d"
    r"\u3297\u3299\U0001f000-\U0001faff]"
)
# Zero-width joiner, text and emoji presentation selectors.
_EMOJI_JOINERS = ("\u200d", "\ufe0e", "\ufe0f")
_EMOJI_SEQUENCE = (
    rf"{_EMOJI.pattern}[\ufe0e\ufe0f]?(?:\u200d(?={_EMOJI.pattern}))?"
    r"|(?<=\U0001f3f4)[\U000e0020-\U000e007e]{1,8}\U000e007f"  # the flags of England, Scotland, Wales
    r"|[0-9#*]\ufe0f(?=\u20e3)"  # keycaps
)
_HANDLE = r"[A-Za-z0-9_]"
_URL = (
    r"(?:https?://"
    r"|(?<![A-Za-z0-9])https?(?::/{0,2})?\.{3}"  # cut off within the scheme
    r"|(?<![A-Za-z0-9_.@/-])(?:www\.|(?:t\.co|t\.cn|bit\.ly|youtu\.be|pic\.twitter\.com)/))"
    # Not the punctuation that ends a sentence or clause, which NFKC may have made of a Chinese one.
    r"(?:[A-Za-z0-9\-._~:/?#\[\]@$&*+=%|]*[A-Za-z0-9\-_~/#\]@$&*+=%|])?(?:\.{3})?"
)
_HASHTAG = (
    r"#(?=[\d_]*[^\W\d_])"
    r"(?:([^#\s](?:[^#]{0,38}[^#\s])?)#(?!\ufe0f?\u20e3))?"  # as far as a closing mark, where there is one
)
_MENTION = (
    # A Weibo reply, whose name ends at the colon.
    r"(?://|回[复覆])\s*@[\w-]{1,30}:"
    rf"|(?:(?<!{_HANDLE})(?:[Rr][Tt]\s*)?)"
    r"(?:@(?:"
    r"[A-Za-z0-9+/_-]{30,60}={1,2}:?"  # a hashed id; shorter than 44 once its runs are shortened
    rf"|(?!{_HANDLE})[\w-]{{1,30}}:"
    rf"|{_HANDLE}+:?"
    r"))+"
)


@dataclass(frozen=True)
class NormalisedText:
    """A normalised text that knows where in the original each of its characters came from.

    Attributes
    ----------
    original
        The text as it was given.
    text
        The normalised text.
    """

    original: str
    text: str

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Find what a span of ``text`` was made from.

        Parameters
        ----------
        start, end
            Character offsets in ``text``, end exclusive, ``0 <= start <= end <= len(text)``.

        Returns
        -------
        tuple[int, int]
            The smallest span of ``original``, in characters, that covers all that ``text[start:end]`` was made from,
            and whatever was removed in between. Both offsets never fall as ``start`` and ``end`` rise. An empty span
            gives an empty span.

        Raises
        ------
        ValueError
            If the offsets do not lie in ``text``.

        Examples
        --------
        >>> found = normalise("RT @user: Tom &amp; Jerry")
        >>> found.text
        'Tom & Jerry'
        >>> found.original[slice(*found.span(4, 5))]
        '&amp;'
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"The span {start}:{end} does not lie in a text of {len(self.text)} characters.")
        starts, ends = self._origins
        if start == end:
            # Between two characters: where the one before it ends, so that empty spans rise with the others.
            at = ends[start - 1] if start else (starts[0] if starts else 0)
            return at, at
        return starts[start], ends[end - 1]

    @cached_property
    def _origins(self) -> tuple[list[int], list[int]]:
        # Few texts are ever asked for their spans, so the steps are replayed for those that are.
        starts = list(range(len(self.original)))
        ends = list(range(1, len(self.original) + 1))
        for step, before, _ in _changes(self.original):
            step_starts, step_ends = step.align(before)
            starts, ends = [starts[at] for at in step_starts], [ends[at - 1] for at in step_ends]
        return starts, ends


def normalise(text: str) -> NormalisedText:
    """Normalise a post, as the module's text describes.

    Parameters
    ----------
    text
        Any string, even one with lone surrogates.

    Returns
    -------
    NormalisedText
        The normalised text, and through its ``span`` the way back to ``text``. ``normalise(result.text)`` leaves
        the text as it is.

    Examples
    --------
    >>> normalise("支持#撐警行動！！！！！ https://t.co/AbCdEf1234").text
    '支持 撐警行動!!!'
    """
    normalised = text
    for _, _, after in _changes(text):
        normalised = after
    return NormalisedText(text, normalised)


class _Step(Protocol):
    def apply(self, text: str) -> str: ...

    def align(self, text: str) -> tuple[list[int], list[int]]:
        """Give, for each character of ``apply(text)``, start and end of what it was made from; both never fall."""


def _changes(text: str) -> Iterator[tuple[_Step, str, str]]:
    """Yield each step that changes the text, with the text before and after it, until none would."""
    reopened = True
    while reopened:
        reopened = False
        for step in _STEPS:
            after = step.apply(text)
            if after != text:
                yield step, text, after
                text = after
                reopened = reopened or step in _REOPENING


class _Marks:
    """At most 30 combining marks in a row, as in the Stream-Safe Text Format."""

    _most = 30
    # The blocks that hold all combining marks, and much else: enough to tell that most texts need no counting.
    _suspect = re.compile(
        r"[\u0300-\u1dff\u20d0-\u20f0\u2cef-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\uabed\ufb1e\ufe20-\ufe2f"
        r"\U000101fd-\U0001e94a]{31}"
    )

    def apply(self, text: str) -> str:
        return "".join([text[at] for at in self._kept(text)]) if self._suspect.search(text) else text

    def align(self, text: str) -> tuple[list[int], list[int]]:
        kept = self._kept(text)
        return kept, [at + 1 for at in kept]

    def _kept(self, text: str) -> list[int]:
        kept = []
        marks = 0
        for at, character in enumerate(text):
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks <= self._most:
                kept.append(at)
        return kept


class _Composition:
    """Unicode NFKC."""

    # Most Chinese posts need NFKC for these alone, which this replaces at a third of the cost.
    _full_width = re.compile(r"[\uff01-\uff5e]")

    def apply(self, text: str) -> str:
        return unicodedata.normalize("NFKC", self._full_width.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text))

    def align(self, text: str) -> tuple[list[int], list[int]]:
        starts: list[int] = []
        ends: list[int] = []
        # Pieces that NFKC treats on their own: from one character that joins nothing before it to the next.
        heads = [at for at, character in enumerate(text) if at == 0 or not self._joins(character)]
        for head, following in zip(heads, [*heads[1:], len(text)], strict=True):
            piece = text[head:following]
            composed = unicodedata.normalize("NFKC", piece)
            if composed == piece:
                starts += range(head, following)
                ends += range(head + 1, following + 1)
            else:
                starts += [head] * len(composed)
                ends += [following] * len(composed)
        return starts, ends

    @staticmethod
    def _joins(character: str) -> bool:
        if character.isascii():
            return False
        first = unicodedata.normalize("NFKD", character)[0]
        # Marks, and the Hangul vowels and final consonants.
        return unicodedata.category(first)[0] == "M" or "\u1161" <= first <= "\u1175" or "\u11a8" <= first <= "\u11c2"


class _Replacement:
    """Puts ``before``, what group 1 holds (if there is one) and ``after`` in the place of each match.

    ``hint`` is cheaper than ``pattern`` and matches wherever it does: a first check that most texts do not pass.
    """

    def __init__(self, pattern: str, before: str = "", after: str = "", *, hint: str) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)
        self._hint = re.compile(hint)
        self._before = before
        self._after = after
        self._template = before + r"\1" * bool(self._pattern.groups) + after

    def apply(self, text: str) -> str:
        return self._pattern.sub(self._template, text) if self._hint.search(text) else text

    def align(self, text: str) -> tuple[list[int], list[int]]:
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for match in self._pattern.finditer(text):
            kept_from, kept_to = match.span(1) if self._pattern.groups else (-1, -1)
            if kept_from < 0:
                kept_from = kept_to = match.end()
            starts += range(at, match.start())
            starts += [match.start()] * len(self._before)
            starts += range(kept_from, kept_to)
            starts += [kept_to] * len(self._after)
            ends += range(at + 1, match.start() + 1)
            ends += [kept_from] * len(self._before)
            ends += range(kept_from + 1, kept_to + 1)
            ends += [match.end()] * len(self._after)
            at = match.end()
        starts += range(at, len(text))
        ends += range(at + 1, len(text) + 1)
        return starts, ends


class _Entities:
    """HTML entities, decoded until none is left: what one gives may begin, fill or end another."""

    _entity = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]+|#[xX][0-9A-Fa-f]+);")

    def apply(self, text: str) -> str:
        return self._decode(text)[0] if self._entity.search(text) else text

    def align(self, text: str) -> tuple[list[int], list[int]]:
        return self._decode(text)[1:]

    def _decode(self, text: str) -> tuple[str, list[int], list[int]]:
        out: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        begins: list[int] = []  # where in out an entity may begin
        for at, character in enumerate(text):
            waiting = [(character, at)]
            while waiting:
                character, start = waiting.pop()
                if character == "&":
                    begins.append(len(out))
                elif character == ";" and begins:
                    begin = begins.pop()
                    decoded = self._value("".join(out[begin:]) + ";")
                    if decoded is not None:
                        start = starts[begin]
                        del out[begin:], starts[begin:], ends[begin:]
                        if decoded in _EMOJI_JOINERS and not (out and _EMOJI.match(out[-1])):
                            decoded = ""
                        # One by one, as each may end another entity.
                        waiting += [(each, start) for each in reversed(decoded)]
                        continue
                    begins.clear()  # no entity goes on beyond a semicolon
                out.append(character)
                starts.append(start)
                ends.append(at + 1)
        return "".join(out), starts, ends

    def _value(self, entity: str) -> str | None:
        if not self._entity.fullmatch(entity):
            return None
        if entity[1] == "#":
            # So many digits are beyond Unicode, and too many for int.
            value = html.unescape(entity) if len(entity.lstrip("&#xX0")) <= 8 else "\ufffd"
        elif (named := html5.get(entity[1:])) is not None:
            value = named
        else:
            return None
        if value in _EMOJI_JOINERS:
            return value
        return _CONTROL.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFKC", value)))


class _Spaces:
    """White space becomes one space, and none at either end."""

    _word = re.compile(r"\S+")

    def apply(self, text: str) -> str:
        return " ".join(text.split())

    def align(self, text: str) -> tuple[list[int], list[int]]:
        starts: list[int] = []
        ends: list[int] = []
        for word in self._word.finditer(text):
            if ends:
                starts.append(ends[-1])
                ends.append(word.start())
            starts += range(word.start(), word.end())
            ends += range(word.start() + 1, word.end() + 1)
        return starts, ends


_MARKS = _Marks()
_DROP_INVISIBLE = _Replacement(f"({_EMOJI_SEQUENCE})|{_INVISIBLE.pattern}", hint=_INVISIBLE.pattern)
_ENTITIES = _Entities()
_SHORTEN_RUNS = _Replacement(r"(([^\d])\2\2)\2+", hint=r"(?s:([^\d])\1\1)")
_STEPS: tuple[_Step, ...] = (
    _MARKS,
    _Composition(),
    _MARKS,  # one mark may have become two
    _DROP_INVISIBLE,
    _Replacement(_CONTROL.pattern, " ", hint=_CONTROL.pattern),
    _ENTITIES,
    _SHORTEN_RUNS,
    _Replacement(r"((.\ufe0f)\2\2)\2+", hint="\ufe0f"),  # an emoji with its selector counts as one
    _Replacement(f"(?i:{_URL})", " ", hint=r"[./](?=[./A-Za-z])"),
    _Replacement(_HASHTAG, " ", " ", hint="#"),
    _Replacement(_MENTION, " ", hint="@"),
    _Spaces(),
)
# The steps that can leave work for those before them.
_REOPENING = (_DROP_INVISIBLE, _ENTITIES, _SHORTEN_RUNS)
