"""The grouper: finds which posts are the same copypasta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from narratrace.inference.copypasta.explanation import Explanation, compare
from narratrace.inference.copypasta.folding import lexical_form, normalised_form, script_forms
from narratrace.inference.copypasta.fuzzy import FuzzyStage, link_similarity
from narratrace.inference.copypasta.groups import STAGES, Membership, make_tables
from narratrace.inference.copypasta.intake import Posts, to_table
from narratrace.inference.copypasta.numbering import choose_representatives, number_groups
from narratrace.inference.copypasta.semantic import Embed, SemanticStage, is_translation, link_cosine
from narratrace.inference.copypasta.settings import CopypastaSettings, default_settings
from narratrace.inference.copypasta.shingles import distinct, shingle
from narratrace.inference.copypasta.similarity import containment, edit_similarity
from narratrace.inference.copypasta.stars import Pairs, components, find_stars
from narratrace.inference.copypasta.texts import Texts
from narratrace.inference.posts import POST_SCHEMA
from narratrace.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from narratrace.inference.copypasta.groups import Tables
    from narratrace.inference.copypasta.neighbours import Vectors
    from narratrace.inference.copypasta.settings import FuzzySettings

_PREDICTED_AT_ONCE = 2**14
"""Texts whose candidates are looked up together, which takes some 26 kB each."""

_SCRIPT, _FUZZY, _SEMANTIC, _TRANSLATION = map(STAGES.index, ("script", "fuzzy", "semantic", "translation"))


class GroupingSummary(BaseModel):
    """What a grouping found, in numbers."""

    posts: int = Field(description="All posts.")
    grouped: int = Field(description="Posts in a group.")
    short: int = Field(description="Posts that say too little to be grouped.")
    texts: int = Field(description="Distinct texts as published.")
    groups: int = Field(description="Groups of two posts or more.")
    groups_of_accounts: int = Field(description="Groups with posts of two accounts or more.")
    innocent: dict[str, int] = Field(description="Groups with an innocent explanation, by what it is.")
    largest: int = Field(description="Posts of the largest group.")
    stages: dict[str, int] = Field(description="Links by stage.")


class CopypastaGrouper:
    """Finds which posts are the same copypasta.

    A cascade of stages, each wider than the one before: exact, normalised, script and fuzzy, and with embeddings
    semantic and translation. The copies that one stage finds go on to the next as one text with a weight, so a campaign
    of 100,000 copies costs what one post costs. A post joins a group by its similarity to the group's representative,
    its most copied text.

    Parameters
    ----------
    settings
        When two posts are the same; the defaults if None.
    embed
        What embeds texts for the semantic and translation stages, as `Classifier.embed`. Without it they take place
        only for posts that are given with their embeddings.
    fuzzy
        What makes the fuzzy stage; `narratrace.inference.copypasta.spread` has another one.

    Attributes
    ----------
    labels_
        Group of each post, in the order they were given, shape (posts,), int64; -1 for none.
    groups_
        Arrow table, a row for each group of two posts or more, by group: ``group``, number of ``posts``, of distinct
        ``texts`` as published and of ``accounts``; ``first_seen`` and ``last_seen``; ``cohesion``, the mean similarity
        of its distinct texts to the representative (0 to 1); ``stages`` that its links needed; ``innocent``, an
        innocent explanation or null; ``representative``, ``representative_row`` and its ``text``.
    links_
        Arrow table, a row for each post of a group but its representative: ``row``, ``post``, ``group``,
        ``representative`` (post id), ``stage``, ``similarity`` (0 to 1).
    posts_
        Arrow table, a row for each post: ``row``, the columns of `narratrace.inference.posts.POST_SCHEMA`, ``group``,
        ``stage`` and ``similarity`` of its link (for a representative null and 1), ``note`` (``short``: says too little
        to be grouped, or null).
    comparisons_
        Pairs of texts compared so far.

    Examples
    --------
    >>> posts = ["香港警察執法嚴明，保護市民！", "香港警察执法严明 保护市民 https://t.co/x1", "今日去咗行山影相。"]
    >>> grouper = CopypastaGrouper().fit(posts)
    >>> grouper.labels_.tolist()
    [0, 0, -1]
    >>> grouper.links_["stage"].to_pylist()
    ['script']
    """

    labels_: NDArray[np.int64]
    _posts: pa.Table
    _texts: Texts
    _text_of: NDArray[np.int64]
    _fuzzy: FuzzyStage
    _pairs: Pairs
    groups_: pa.Table
    links_: pa.Table
    posts_: pa.Table

    def __init__(
        self,
        settings: CopypastaSettings | None = None,
        *,
        embed: Embed | None = None,
        fuzzy: Callable[[FuzzySettings], FuzzyStage] = FuzzyStage,
    ) -> None:
        self.settings = settings or default_settings()
        self.embed = embed
        self.fuzzy = fuzzy
        self._start()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the grouper was made with, as scikit-learn asks for it; `deep` changes nothing."""
        return {"settings": self.settings, "embed": self.embed, "fuzzy": self.fuzzy}

    def set_params(self, **params: Any) -> Self:
        """Change what the grouper was made with; it counts from the next `fit` on.

        Raises
        ------
        InputError
            If there is no such parameter.
        """
        for name, value in params.items():
            if name not in self.get_params():
                raise InputError(f"CopypastaGrouper has no parameter {name}, only {', '.join(self.get_params())}.")
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        """Return a grouper made with the same, without posts; what embeds is shared, as a network cannot be copied."""
        return type(self)(**self.get_params())

    def fit(self, posts: Posts, embeddings: Vectors | None = None) -> Self:
        """Group posts, forgetting those of before.

        Parameters
        ----------
        posts
            Texts, `Post` records, or a pandas, Polars or Arrow table with the column ``text`` and, as far as they are
            known, the other columns of `POST_SCHEMA`.
        embeddings
            Vectors of unit length, shape (posts, dimension), where `embed` should not be asked.

        Raises
        ------
        InputError
            If the posts cannot be read as such, or the embeddings are not as many.
        """
        table = to_table(posts)
        self._start()
        return self._add(table, embeddings)

    def partial_fit(self, posts: Posts, embeddings: Vectors | None = None) -> Self:
        """Add posts to those of before.

        A group keeps its id as long as it has most of its posts. Where two groups turn out to be one, the id of the
        larger stays; no id is used twice. Where it fails, the posts are not added.

        Raises
        ------
        InputError
            As `fit`.
        """
        return self._add(to_table(posts, self._posts.num_rows), embeddings)

    def _add(self, table: pa.Table, embeddings: Vectors | None) -> Self:
        if embeddings is not None:
            embeddings = self._semantic.check(np.asarray(embeddings, dtype=np.float32), table.num_rows)
        before = self._posts, self._text_of
        try:
            self._add_posts(table, embeddings)
        except BaseException:
            self._posts, self._text_of = before
            raise
        return self

    def _add_posts(self, table: pa.Table, embeddings: Vectors | None) -> None:
        self._posts = pa.concat_tables([self._posts, table])
        texts = self._texts
        new = texts.add(table["text"])
        self._text_of = np.append(self._text_of, new)
        node = texts.node_of[texts.normalised_of[self._text_of]]
        weight = np.bincount(node, minlength=len(texts.lexical))
        touched = distinct(texts.node_of[texts.normalised_of[new]])
        is_short = texts.shingles.information < self._settings.min_information
        self._pairs = self._pairs.plus(self._fuzzy.add(texts.lexical, texts.shingles, texts.priority, is_short))
        self._find_stars(weight, touched)
        self._find_rewritten(node, weight, embeddings)
        self._settle(node, weight)
        self._label(node, is_short)

    def predict(self, posts: Posts) -> NDArray[np.int64]:
        """Tell which known group each post belongs to, without adding it.

        Returns
        -------
        array
            Shape (posts,), int64; -1 where no group is similar enough.
        """
        column = to_table(posts)["text"]
        texts = self._texts
        node, unknown, place = texts.find(column)
        group_of_star = np.full(len(texts.lexical) + 1, -1, dtype=np.int64)
        group_of_star[: len(self._node_label)] = self._node_label
        label = group_of_star[node]
        if unknown:
            first_post = np.unique(place, return_index=True)[1][-len(unknown) :]
            parts = range(0, len(unknown), _PREDICTED_AT_ONCE)
            found = np.concatenate(
                [
                    self._nearest(unknown[part:end], column.take(pa.array(first_post[part:end])))
                    for part, end in ((part, part + _PREDICTED_AT_ONCE) for part in parts)
                ]
            )
            label = np.where(place >= 0, found[place], label)
        return label

    def fit_predict(self, posts: Posts, embeddings: Vectors | None = None) -> NDArray[np.int64]:
        """Group posts as `fit` does, and return their labels."""
        return self.fit(posts, embeddings).labels_

    def why(self, a: int | str, b: int | str) -> Explanation:
        """Tell what ties two posts to each other.

        Parameters
        ----------
        a, b
            Row (int) or id (str) of each post; of posts with the same id, the first.

        Raises
        ------
        InputError
            If there is no such post.
        """
        rows = (self._row(a), self._row(b))
        texts = tuple(self._posts["text"][row].as_py() for row in rows)
        groups = tuple(int(self.labels_[row]) for row in rows)
        stage, similarity = self._compare(rows, *texts)
        return Explanation(stage, similarity, (groups[0], groups[1]), compare(*texts))

    def summary(self) -> GroupingSummary:
        """Return what was found, in numbers."""
        groups, stages = self.groups_, self.links_["stage"].value_counts().to_pylist()
        innocent = groups["innocent"].drop_null().value_counts().to_pylist()
        posts = groups["posts"].to_numpy()
        return GroupingSummary(
            posts=len(self.labels_),
            grouped=int((self.labels_ >= 0).sum()),
            short=self.posts_.num_rows - self.posts_["note"].null_count,
            texts=len(self._texts.normalised_of),
            groups=groups.num_rows,
            groups_of_accounts=int((groups["accounts"].to_numpy() > 1).sum()),
            innocent={each["values"]: each["counts"] for each in innocent},
            largest=int(posts.max(initial=0)),
            stages={stage: sum(each["counts"] for each in stages if each["values"] == stage) for stage in STAGES},
        )

    @property
    def comparisons_(self) -> int:
        """Pairs of texts compared so far."""
        return self._fuzzy.comparisons

    def _start(self) -> None:
        self._posts = POST_SCHEMA.empty_table()
        self._texts = Texts()
        self._text_of = np.zeros(0, dtype=np.int64)
        # A text that is too short to be grouped cannot stand for others either.
        least = max(self.settings.min_information, self.settings.semantic.min_information)
        semantic = self.settings.semantic.model_copy(update={"min_information": least})
        self._settings, self._embed = self.settings.model_copy(update={"semantic": semantic}), self.embed
        self._fuzzy = self.fuzzy(self._settings.fuzzy)
        self._pairs = Pairs.none()
        self._semantic = SemanticStage(self._settings.semantic)
        self._star = np.zeros(0, dtype=np.int64)
        self._similarity = np.zeros(0, dtype=np.float32)
        self._home = np.zeros(0, dtype=np.int64)
        self._centre = np.zeros(0, dtype=np.int64)
        self._tie = np.zeros(0, dtype=np.float32)
        self._tie_stage = np.zeros(0, dtype=np.int64)
        self._next_group = 0
        self.labels_ = np.zeros(0, dtype=np.int64)
        self._label(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))

    def _find_stars(self, weight: NDArray[np.int64], touched: NDArray[np.int64]) -> None:
        """Choose representatives anew in the components that have a touched node."""
        n = len(weight)
        pairs, texts = self._pairs, self._texts
        component = components(n, pairs.a, pairs.b)
        is_touched = np.zeros(n, dtype=bool)
        is_touched[component[touched]] = True
        is_touched = is_touched[component]
        star, similarity = find_stars(
            n,
            pairs.where(is_touched[pairs.a]),
            weight,
            texts.priority,
            self._verify_fuzzy,
        )
        kept = np.flatnonzero(~is_touched[: len(self._star)])
        star[kept], similarity[kept] = self._star[kept], self._similarity[kept]
        self._star, self._similarity = star, similarity

    def _find_rewritten(self, node: NDArray[np.int64], weight: NDArray[np.int64], embeddings: Vectors | None) -> None:
        """Join the stars that say the same in other words: each has a home, its own or another star's."""
        texts, n = self._texts, len(weight)
        if embeddings is not None:
            # Every new text gets its vector, as any may stand for others later on.
            old = len(node) - len(embeddings)
            wanted = self._semantic.missing(np.setdiff1d(node[old:], node[:old]), texts)
            self._semantic.add(wanted, embeddings[self._typical(node, wanted) - old], texts)
        elif self._embed is not None:
            wanted = self._semantic.missing(np.unique(self._star), texts)
            if len(wanted):  # what embeds need not know how long the vectors of no texts are
                self._semantic.add(wanted, self._embed(self._published(node, wanted)), texts)
        star_weight = np.bincount(self._star, weight, minlength=n).astype(np.int64)
        self._home, _ = find_stars(
            n,
            self._semantic.pairs(self._star, texts),
            star_weight,
            texts.priority,
            lambda a, b: self._semantic.verify(a, b, texts),
        )

    def _settle(self, node: NDArray[np.int64], weight: NDArray[np.int64]) -> None:
        """Give each text the representative that it is similar to itself.

        That is its star, or the home of its star. A text of a star with another home that is not similar to that home
        stays behind, with those of the star that it is similar to.
        """
        texts, semantic, n = self._texts, self._semantic, len(weight)
        self._centre, self._tie = self._star.copy(), self._similarity.copy()
        self._tie_stage = np.full(n, _FUZZY, dtype=np.int64)
        moved = np.flatnonzero(self._home[self._star] != self._star)
        home = self._home[self._star[moved]]
        similarity = self._verify_fuzzy(home, moved)
        rest = np.flatnonzero(similarity == 0)
        if self._embed is not None:
            wanted = semantic.unheld(moved[rest], texts)
            if len(wanted):
                semantic.hold(wanted, self._embed(self._published(node, wanted)))
        similarity[rest] = semantic.verify(home[rest], moved[rest], texts)
        translated = is_translation(texts.shingles, moved[rest], home[rest])
        self._tie_stage[moved[rest]] = np.where(translated, _TRANSLATION, _SEMANTIC)
        self._centre[moved], self._tie[moved] = home, similarity
        left = moved[similarity == 0]
        self._tie_stage[left] = _FUZZY
        self._centre[left], self._tie[left] = self._stars_of(left, weight)

    def _stars_of(
        self, left: NDArray[np.int64], weight: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Choose representatives among texts whose star has left them."""
        star, priority = self._star[left], self._texts.priority
        ordered = left[np.lexsort((priority[left], -weight[left], star))]
        is_first = np.append(True, self._star[ordered][1:] != self._star[ordered][:-1])[: len(left)]
        # Texts that were tied by their star alone are candidates of the heaviest.
        others, heaviest = ordered[~is_first], ordered[is_first][np.cumsum(is_first) - 1][~is_first]
        similarity = self._verify_fuzzy(heaviest, others)
        pairs, is_left = self._pairs, np.zeros(len(weight), dtype=np.bool_)
        is_left[left] = True
        kept = is_left[pairs.a] & is_left[pairs.b] & (self._star[pairs.a] == self._star[pairs.b])
        pairs = pairs.where(kept).plus(Pairs(heaviest, others, similarity).where(similarity > 0))
        centre, tie = find_stars(len(weight), pairs, weight, priority, self._verify_fuzzy)
        return centre[left], tie[left]

    def _published(self, node: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[str]:
        """Return the typical text as published of some nodes."""
        texts: list[str] = self._posts["text"].take(pa.array(self._typical(node, wanted))).to_pylist()
        return texts

    def _typical(self, node: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Choose a post of each of some nodes: one with its most copied text, whatever the order of posts.

        A node's texts are alike but for script, case and disguise, and yet have embeddings of their own.
        """
        copies, first_post = np.unique(self._text_of, return_counts=True, return_index=True)[:0:-1]
        of_node = node[first_post]
        order = np.lexsort((self._texts.hash_of[self._text_of[first_post]], -copies, of_node))
        is_first = np.append(True, of_node[order][1:] != of_node[order][:-1])[: len(order)]
        chosen = order[is_first]
        rows: NDArray[np.int64] = first_post[chosen[np.searchsorted(of_node[chosen], wanted)]]
        return rows

    def _verify_fuzzy(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._fuzzy.verify(self._texts.lexical, self._texts.shingles, a, b)

    def _label(self, node: NDArray[np.int64], is_short: NDArray[np.bool_]) -> None:
        """Number the groups and write the tables."""
        star = self._centre[node]
        self._posts_of_star = np.bincount(star, minlength=len(self._centre))
        in_group = (self._posts_of_star[star] > 1) & ~is_short[node]
        label, self._next_group = number_groups(np.where(in_group, star, -1), self.labels_, self._next_group)
        rows = np.flatnonzero(in_group & (node == star))
        at = choose_representatives(rows, star, self._text_of, self._posts["created_at"])[star]
        normalised = self._texts.normalised_of[self._text_of]
        stage = np.select(
            [~in_group | (at == np.arange(len(node))), self._text_of == self._text_of[at], normalised == normalised[at],
             node == node[at]],
            [-1, 0, 1, _SCRIPT],
            self._tie_stage[node],
        )  # fmt: skip
        similarity = np.where(stage > _SCRIPT, self._tie[node], np.float32(1))
        found = Membership(label, np.where(in_group, at, -1), stage, similarity, is_short[node])
        self._node_label = np.full(len(self._centre), -1, dtype=np.int64)
        self._node_label[node] = label
        self.labels_ = label
        tables: Tables = make_tables(self._posts, self._text_of, found)
        self.groups_, self.links_, self.posts_ = tables

    def _nearest(self, lexical: list[str], published: pa.ChunkedArray) -> NDArray[np.int64]:
        """Group of the nearest representative for each lexical form, and a text that has it; -1 for none."""
        asked = shingle(lexical)
        query, node = self._fuzzy.candidates(asked)
        kept = (self._node_label[node] >= 0) & (asked.information[query] >= self._settings.min_information)
        pairs = distinct((query[kept] << 32) | self._centre[node[kept]])
        query, star = pairs >> 32, pairs & 0xFFFFFFFF
        stars, place = np.unique(star, return_inverse=True)
        texts = [self._texts.lexical[each] for each in stars.tolist()] + lexical
        similarity = link_similarity(texts, shingle(texts), place, query + len(stars), self._settings.fuzzy)
        label = np.full(len(lexical), -1, dtype=np.int64)
        order = np.lexsort((~self._texts.priority[star], self._posts_of_star[star], similarity))
        order = order[similarity[order] > 0]
        label[query[order]] = self._node_label[star[order]]  # the most similar comes last and stays
        if self._embed is not None:
            rest = np.flatnonzero((label < 0) & (asked.information >= self._settings.semantic.min_information))
            if len(rest):
                vectors = self._embed(published.take(pa.array(rest)).to_pylist())
                texts = [lexical[each] for each in rest.tolist()]
                is_asked = (self._centre == np.arange(len(self._centre))) & (self._node_label >= 0)
                near, _ = self._semantic.nearest(vectors, texts, asked.take(rest), self._texts, is_asked)
                label[rest[near >= 0]] = self._node_label[near[near >= 0]]
        return label

    def _row(self, post: int | str) -> int:
        if isinstance(post, str):
            row: int = pa.compute.index(self._posts["id"], post).as_py()
            if row < 0:
                raise InputError(f"There is no post with the id {post}.")
            return row
        if not -len(self.labels_) <= post < len(self.labels_):
            raise InputError(f"There is no post {post}; there are {len(self.labels_)}.")
        return post

    def _compare(self, posts: tuple[int, int], a: str, b: str) -> tuple[str | None, float]:
        if a == b:
            return "exact", 1.0
        normalised = [normalised_form(a), normalised_form(b)]
        scripts = script_forms(normalised)
        if all(normalised) and len(set(normalised)) == 1:
            return "normalised", 1.0
        if all(scripts) and len(set(scripts)) == 1:
            return "script", 1.0
        lexical = [lexical_form(script) for script in scripts]
        if not all(lexical):
            return None, 0.0
        shingles = shingle(lexical)
        rows: tuple[Any, Any] = (np.array([0]), np.array([1]))
        similarity = float(link_similarity(lexical, shingles, *rows, self._settings.fuzzy)[0])
        if similarity and (shingles.information >= self._settings.min_information).all():
            return "fuzzy", similarity
        nodes = self._texts.node_of[self._texts.normalised_of[self._text_of[list(posts)]]]
        vectors = self._semantic.vectors(nodes)
        if vectors is None and self._embed is not None:
            vectors = self._embed([a, b])
        if vectors is not None:
            cosine = link_cosine(vectors[:1], vectors[1:], lexical, shingles, *rows, self._settings.semantic)
            if cosine[0]:
                return STAGES[_TRANSLATION if is_translation(shingles, *rows)[0] else _SEMANTIC], float(cosine[0])
        return None, float((edit_similarity(lexical, *rows)[0] + containment(shingles, *rows)[0]) / 2)
