"""Mapping: which column of a file holds which column of a post."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from narratrace.inference.posts import POST_COLUMNS, PostColumn
from narratrace.model.errors import InputError
from narratrace.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Names by which archives call each Post column, the best first; compared without case, spaces, "_" and "-".
KNOWN_NAMES: dict[PostColumn, tuple[str, ...]] = {
    "id": ("tweetid", "id_str", "post_id", "tweet_id", "status_id", "message_id", "mid", "id", "_id"),
    "account_id": (
        "account_id", "userid", "user_id", "author_id", "user.id_str", "user.id", "author.id", "account.id", "account",
        "author", "username", "screen_name", "user_screen_name", "user", "用户id", "用户昵称",
    ),
    "text": (
        "full_text", "tweet_text", "text", "body", "content", "message", "post_text", "微博正文", "正文", "内容",
    ),
    "created_at": (
        "created_at", "tweet_time", "time", "timestamp", "date", "datetime", "published_at", "created_utc", "发布时间",
    ),
    "is_repost": ("is_repost", "is_retweet", "repost", "retweet"),
    "language": ("language", "lang", "tweet_language"),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """A layout that is known by its header.

    Attributes
    ----------
    title
        What it is called when the mapping is shown.
    header
        Columns that must all be there.
    columns
        The file's column for each Post column; empty where the file holds no posts.
    """

    title: str
    header: frozenset[str]
    columns: dict[PostColumn, str]


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "Twitter Information Operations, posts",
        frozenset({"tweetid", "userid", "tweet_text", "tweet_time", "is_retweet", "tweet_language"}),
        {
            "id": "tweetid",
            "account_id": "userid",
            "text": "tweet_text",
            "created_at": "tweet_time",
            "is_repost": "is_retweet",
            "language": "tweet_language",
        },
    ),
    Layout(
        "Twitter Information Operations, accounts",
        frozenset({"userid", "user_screen_name", "account_creation_date", "account_language"}),
        {},
    ),
)
"""Checked in this order: the posts' header holds the accounts' header too."""


@dataclass(frozen=True)
class ColumnMapping:
    """The column of a file that fills each Post column.

    Attributes
    ----------
    layout
        Title of the recognised layout; empty where names or the user decided.
    columns
        Post column to file column; Post columns that the file lacks are absent.
    """

    layout: str
    columns: tuple[tuple[PostColumn, str], ...]

    @property
    def wanted(self) -> tuple[str | None, ...]:
        """The file column of each Post column, in the order of `POST_COLUMNS`."""
        columns = dict(self.columns)
        return tuple(columns.get(name) for name in POST_COLUMNS)


def parse_mapping(pairs: Sequence[str]) -> dict[PostColumn, str]:
    """Read ``--map`` options, ``POST_COLUMN=FILE_COLUMN`` each.

    Raises
    ------
    InputError
        If one is not of that form, or names no Post column.
    """
    mapping: dict[PostColumn, str] = {}
    for pair in pairs:
        given, _, column = pair.partition("=")
        name = next((name for name in POST_COLUMNS if name == given), None)
        if name is None or not column:
            raise InputError(
                f"--map {pair} is not understood; write POST_COLUMN=YOUR_COLUMN, as in --map text=body, "
                f"where POST_COLUMN is one of {', '.join(POST_COLUMNS)}."
            )
        mapping[name] = column
    return mapping


def choose_mapping(name: str, columns: Sequence[str], wanted: Mapping[PostColumn, str]) -> ColumnMapping | None:
    """Choose the column of a file for each Post column.

    Parameters
    ----------
    name
        The file as it is shown in error messages.
    columns
        The columns that it has.
    wanted
        The user's choices, Post column to file column; they go before everything that is recognised.

    Returns
    -------
    ColumnMapping or None
        None if the file is known to hold no posts.

    Raises
    ------
    InputError
        If a column that the user named is not there, or no column holds the text.
    """
    for post_column, column in wanted.items():
        if column not in columns:
            raise InputError(f"{name} has no column {column!r} for {post_column}; {_columns_found(columns)}.")
    if "text" not in wanted:
        for layout in LAYOUTS:
            if layout.header <= set(columns):
                return _mapping(layout.title, layout.columns | dict(wanted)) if layout.columns else None
    known = {_plain(column): column for column in reversed(columns)}
    found = {
        post_column: next(known[plain] for plain in map(_plain, names) if plain in known)
        for post_column, names in KNOWN_NAMES.items()
        if any(_plain(known_name) in known for known_name in names)
    }
    chosen = found | dict(wanted)
    if "text" not in chosen:
        example = printable(columns[-1]) if columns else "body"
        shown = f"'text={example}'" if re.search(r"[^\w.=-]", example) else f"text={example}"
        raise InputError(
            f"{name} has no column that is known to hold the text; {_columns_found(columns)}. "
            f"Name it with --map text=COLUMN, for example --map {shown}."
        )
    return _mapping("", chosen)


def _mapping(title: str, chosen: dict[PostColumn, str]) -> ColumnMapping:
    return ColumnMapping(title, tuple((name, chosen[name]) for name in POST_COLUMNS if name in chosen))


def _columns_found(columns: Sequence[str]) -> str:
    shown = ", ".join(map(printable, columns[:40])) + (" ..." if len(columns) > 40 else "")
    return f"columns found: {shown or 'none'}"


def _plain(column: str) -> str:
    return re.sub(r"[\s_-]", "", column).casefold()
