"""Which column of a file holds which column of a post."""

from __future__ import annotations

import pytest

from narratrace.inference.archives.mapping import choose_mapping, parse_mapping
from narratrace.model.errors import InputError

TWITTER_IO = [
    "tweetid", "userid", "user_display_name", "user_screen_name", "user_reported_location",
    "user_profile_description", "user_profile_url", "follower_count", "following_count", "account_creation_date",
    "account_language", "tweet_language", "tweet_text", "tweet_time", "tweet_client_name", "in_reply_to_userid",
    "in_reply_to_tweetid", "quoted_tweet_tweetid", "is_retweet", "retweet_userid", "retweet_tweetid", "latitude",
    "longitude", "quote_count", "reply_count", "like_count", "retweet_count", "hashtags", "urls", "user_mentions",
]  # fmt: skip


def columns_of(columns: list[str], wanted: dict[str, str] | None = None) -> dict[str, str]:
    mapping = choose_mapping("posts.csv", columns, wanted or {})
    assert mapping is not None
    return dict(mapping.columns)


def test_the_twitter_information_operations_header_is_known() -> None:
    mapping = choose_mapping("posts.csv", TWITTER_IO, {})
    assert mapping is not None
    assert mapping.layout == "Twitter Information Operations, posts"
    assert mapping.wanted == ("tweetid", "userid", "tweet_text", "tweet_time", "is_retweet", "tweet_language")


def test_the_accounts_file_beside_it_holds_no_posts() -> None:
    accounts = TWITTER_IO[1 : TWITTER_IO.index("tweet_language")]
    assert choose_mapping("users.csv", accounts, {}) is None


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["id", "text"], {"id": "id", "text": "text"}),
        (
            ["Post ID", "authorId", "Message", "Created-At", "is_retweet", "lang"],
            {"id": "Post ID", "account_id": "authorId", "text": "Message", "created_at": "Created-At",
             "is_repost": "is_retweet", "language": "lang"},
        ),
        (
            ["created_at", "id", "id_str", "text", "full_text", "user", "user.id_str", "user.screen_name", "lang"],
            {"id": "id_str", "account_id": "user.id_str", "text": "full_text", "created_at": "created_at",
             "language": "lang"},
        ),
        (["id", "content", "account", "account.id", "account.acct"],
         {"id": "id", "account_id": "account.id", "text": "content"}),
        (["id", "text", "user", "user.id", "username"], {"id": "id", "account_id": "user.id", "text": "text"}),
        (
            ["id", "bid", "user_id", "用户昵称", "微博正文", "发布时间"],
            {"id": "id", "account_id": "user_id", "text": "微博正文", "created_at": "发布时间"},
        ),
    ],
)  # fmt: skip
def test_common_names_are_recognised(columns: list[str], found: dict[str, str]) -> None:
    assert columns_of(columns) == found


def test_the_users_choice_goes_first() -> None:
    assert columns_of(["id", "text", "body"], {"text": "body"}) == {"id": "id", "text": "body"}
    assert columns_of(TWITTER_IO, {"account_id": "user_screen_name"})["account_id"] == "user_screen_name"
    assert columns_of(TWITTER_IO, {"text": "user_profile_description"})["text"] == "user_profile_description"


def test_without_a_text_column_the_columns_are_listed_and_map_is_shown() -> None:
    with pytest.raises(InputError) as error:
        choose_mapping("posts.csv", ["nr", "what they said"], {})
    assert str(error.value) == (
        "posts.csv has no column that is known to hold the text; columns found: nr, what they said. "
        "Name it with --map text=COLUMN, for example --map 'text=what they said'."
    )


def test_a_column_name_cannot_steer_the_terminal() -> None:
    with pytest.raises(InputError) as error:
        choose_mapping("posts.csv", ["nr", "\x1b[2J\x1b]0;title\x07\nnarratrace: all is well"], {})
    assert str(error.value).isprintable()


def test_a_mapped_column_must_be_there() -> None:
    with pytest.raises(InputError, match=r"posts.csv has no column 'boddy' for text; columns found: id, body\."):
        choose_mapping("posts.csv", ["id", "body"], {"text": "boddy"})


def test_map_options() -> None:
    assert parse_mapping(["text=body", "id=a=b"]) == {"text": "body", "id": "a=b"}
    for wrong in ("text", "text=", "body=text", "=body"):
        with pytest.raises(InputError, match="--map"):
            parse_mapping([wrong])
