"""The classifier: which narratives a post advances, and its stance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args, overload

import numpy as np
from numpy.typing import NDArray

from narratrace.model.artefact import TOKENIZER, WIDE, Artefact, ThresholdSet
from narratrace.model.backends import default_backend, open_backend
from narratrace.model.batching import padded_batches, token_batches
from narratrace.model.errors import ArtefactError, SettingsError
from narratrace.model.language import identify
from narratrace.model.scores import Logits, decide, score
from narratrace.model.taxonomy import STANCES
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.model.wide import Wide
from narratrace.model.windows import merge_embeddings, merge_windows

T = TypeVar("T")

BATCH_TOKENS = 512
"""Tokens, padding included, that go through the network at once: more do not fit a CPU's cache and are slower."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the artefact says of one post.

    A label says what the text advances: not that it is false, and not who wrote it.

    Attributes
    ----------
    labels
        Narratives whose score reaches the artefact's threshold, in the taxonomy's order; none where the stance is not
        "advances" with the probability that the artefact asks for.
    abstained
        Narratives for a person to review: they would count by the thresholds of the best F1, but the artefact has no
        threshold for them in this language, or they do not reach the one that it promises a precision for.
    stance
        The most probable stance: A advances, R reports, C counters, N none of these themes.
    scores
        Calibrated probability of every narrative, 0 to 1.
    stances
        Probability of every stance, 0 to 1, adding up to 1.
    language
        Tag of the text's language, one of :data:`narratrace.model.language.LANGUAGES`; noisy on short posts.
    windows
        How many overlapping windows the post was read in: 1 unless it is longer than the model reads at once. A
        narrative's score is that of the window that advances it most; the stance is the windows' mean.
    truncated
        Whether the post was longer even than all windows; the rest did not count.
    artefact
        Id of the artefact.
    """

    labels: tuple[str, ...]
    abstained: tuple[str, ...]
    stance: str
    scores: dict[str, float]
    stances: dict[str, float]
    language: str
    windows: int
    truncated: bool
    artefact: str


class Classifier:
    """Labels posts with the narratives they advance.

    Make one with :meth:`load`. Instances may be shared by threads.

    Examples
    --------
    >>> classifier = Classifier.load()
    >>> classifier.predict("Happy birthday to my little sister!").labels
    ()
    """

    def __init__(
        self,
        artefact: Artefact,
        backend: str | None = None,
        threads: int | None = None,
        thresholds: ThresholdSet | None = None,
    ) -> None:
        self.artefact = artefact
        self.thresholds = thresholds or artefact.manifest.default_thresholds
        if self.thresholds not in get_args(ThresholdSet):
            raise SettingsError(
                f"There are no thresholds '{thresholds}'; choose {' or '.join(get_args(ThresholdSet))}."
            )
        if self.thresholds == "precision" and artefact.manifest.promised is None:
            raise ArtefactError(f"The artefact {artefact.id} promises no precision: use its thresholds f1.")
        self.backend = backend or default_backend()
        self._backend = open_backend(artefact, self.backend, threads)
        self._how: dict[str, Any] = {"backend": backend, "threads": threads, "thresholds": thresholds}
        self._tokenizer = PostTokenizer(artefact.file(TOKENIZER), artefact.manifest.max_tokens)
        self._wide = Wide.load(artefact.file(WIDE), len(STANCES))

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        backend: str | None = None,
        threads: int | None = None,
        thresholds: ThresholdSet | None = None,
    ) -> Classifier:
        """Load an artefact.

        Parameters
        ----------
        path
            The artefact folder; None loads the built-in one.
        backend
            ``onnx-int8`` (8-bit weights, fast on a CPU, without torch), ``onnx`` or ``torch`` (both in full precision).
            None takes ``torch`` where it has a GPU to run on, else ``onnx-int8``.
        threads
            CPU threads; None leaves the choice to the backend.
        thresholds
            ``f1``: labels from the scores of the best F1 on. ``precision``: only labels whose precision the artefact
            promises; what F1 would add is left to a person. None takes the artefact's own choice.

        Raises
        ------
        ArtefactError
            The folder is no artefact, is damaged, has no files for the backend, or promises no precision.
        """
        return cls(Artefact.open(path), backend, threads, thresholds)

    @overload
    def predict(self, posts: str) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is a Sequence[str], too
    @overload
    def predict(self, posts: Sequence[str]) -> list[Prediction]: ...
    def predict(self, posts: str | Sequence[str]) -> Prediction | list[Prediction]:
        """Say what one post, or each of several, advances.

        Parameters
        ----------
        posts
            One text, or a sequence of texts.

        Returns
        -------
        Prediction or list of Prediction
            One for one text; for a sequence a list in the same order, empty for an empty one.

        Raises
        ------
        TypeError
            A post is not a string.
        """
        if isinstance(posts, str):
            return self.predict([posts])[0]
        texts = np.empty(len(posts), dtype=object)
        texts[:] = posts
        columns = self.batch({"text": texts})
        narratives = self.artefact.manifest.narratives
        return [
            Prediction(
                labels=tuple(columns["labels"][row]),
                abstained=tuple(columns["abstained"][row]),
                stance=str(columns["stance"][row]),
                scores={name: float(columns[f"score_{name}"][row]) for name in narratives},
                stances={stance: float(columns[f"stance_{stance}"][row]) for stance in STANCES},
                language=str(columns["language"][row]),
                windows=int(columns["windows"][row]),
                truncated=bool(columns["truncated"][row]),
                artefact=self.artefact.id,
            )
            for row in range(len(posts))
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to load the classifier again, in a process that it is sent to."""
        return partial(type(self).load, self.artefact.path.resolve(), **self._how), ()

    def batch(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Score a table of posts, column by column: the call for archives and distributed engines.

        Parameters
        ----------
        columns
            The column ``text`` holds n strings; others are not read.

        Returns
        -------
        dict of str to array
            Arrays of n rows: ``language``, ``stance``, ``stance_A`` to ``stance_N``, ``labels``, ``abstained``,
            ``windows``, ``truncated``, ``score_<narrative>`` in the taxonomy's order, ``artefact``. The fields of
            :class:`Prediction` say what they mean.
        """
        posts = list(columns["text"])
        _check_posts(posts)
        # Archives repeat themselves: a text that is there many times is scored once.
        places: dict[str, int] = {}
        rows = np.array([places.setdefault(post, len(places)) for post in posts], dtype=np.int64)
        columns = {name: values[rows] for name, values in self._score(list(places)).items()}
        return columns | {name: _objects([list(one) for one in columns[name]]) for name in ("labels", "abstained")}

    def embed(self, posts: Sequence[str]) -> NDArray[np.float32]:
        """Embed posts: those that say the same lie close together.

        Parameters
        ----------
        posts
            Texts.

        Returns
        -------
        array
            Vectors of unit length, shape (posts, the manifest's ``dimension``); the dot product of two is their cosine.

        Raises
        ------
        TypeError
            A post is not a string, or one text is given in place of a sequence.
        """
        if isinstance(posts, str):  # a sequence of strings, too, each of one character
            raise TypeError("embed takes a sequence of posts: put one text into a list.")
        _check_posts(posts)
        tokenised = self._tokenizer(posts)
        parts, places = self._run(self._backend.embed, tokenised.ids)
        return merge_embeddings(np.concatenate(parts)[places], tokenised.windows)

    def _score(self, posts: list[str]) -> dict[str, NDArray[Any]]:
        manifest = self.artefact.manifest
        tokenised = self._tokenizer(posts)
        parts, places = self._run(self._backend.run, tokenised.ids)
        logits = Logits(*(part[places] for part in Logits.concatenate(parts)))
        scores = score(merge_windows(logits, tokenised.windows), self._wide.run(tokenised.texts), manifest)
        languages = [identify(text) for text in tokenised.texts]
        labels, abstained = decide(scores, languages, manifest, self.thresholds)
        return {
            "language": np.array(languages, dtype=object),
            "stance": np.array([STANCES[best] for best in scores.stances.argmax(axis=1)], dtype=object),
            **{f"stance_{stance}": scores.stances[:, column] for column, stance in enumerate(STANCES)},
            "labels": _objects(labels),
            "abstained": _objects(abstained),
            "windows": np.array(tokenised.windows, dtype=np.int16),
            "truncated": np.array(tokenised.truncated, dtype=bool),
            **{
                f"score_{narrative}": scores.narratives[:, column]
                for column, narrative in enumerate(manifest.narratives)
            },
            "artefact": np.full(len(posts), self.artefact.id, dtype=object),
        }

    def _run(self, run: Callable[..., T], ids: Sequence[Sequence[int]]) -> tuple[list[T], NDArray[np.int64]]:
        """What the network makes of batches of windows, and where each window is in them."""
        rows, parts = [], []
        for batch in padded_batches(ids, token_batches(ids, BATCH_TOKENS), self._tokenizer.pad_id):
            rows += batch.rows
            parts.append(run(batch.ids, batch.mask))
        # One row gives the widths where there is none; its answer is not kept.
        parts = parts or [run(*pad([[0, 0]], self._tokenizer.pad_id))]
        return parts, np.argsort(np.array(rows, dtype=np.int64))


def _check_posts(posts: Iterable[object]) -> None:
    for row, post in enumerate(posts):
        if not isinstance(post, str):
            raise TypeError(f"Post {row} is of type {type(post).__name__}; a post is a string.")


def _objects(lists: list[list[str]]) -> NDArray[np.object_]:
    array = np.empty(len(lists), dtype=object)
    array[:] = lists
    return array
