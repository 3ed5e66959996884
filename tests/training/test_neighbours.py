"""Posts on one matter are told apart, in their own script and across scripts, and copies are left alone."""

from __future__ import annotations

import numpy as np

from narratrace.training.messages import Messages
from narratrace.training.neighbours import add_neighbours


def near(angle: float) -> list[float]:
    return [np.cos(angle), np.sin(angle), 5.0]  # a large common part, as vectors of an encoder have


TEXTS = {
    "Metro fares rise in May.": near(0.0),
    "The night ferry sails again from June on.": near(0.1),
    "Bus drivers have voted for a strike.": near(0.2),
    "Cooks of the year were honoured.": near(3.0),
    "地铁五月涨价。": near(0.05),
    "渡轮六月恢复夜航。": near(0.3),
    "年度厨师获得表彰。": near(2.9),
    "Metro fares rise in May!!": near(0.01),
}


def messages_of(posts: int) -> Messages:
    messages = Messages()
    places = [messages.place(text) for text in TEXTS]
    messages.posts, messages.pool = places[:posts], places[posts:]
    return messages


def test_the_nearest_posts_of_each_script_count_as_different() -> None:
    messages = messages_of(1)
    add_neighbours(messages, np.array(list(TEXTS.values()), dtype=np.float32), 2)
    found = {messages.texts[other] for one, other in messages.different if messages.texts[one] == next(iter(TEXTS))}
    assert found == {
        "The night ferry sails again from June on.",
        "Bus drivers have voted for a strike.",
        "地铁五月涨价。",
        "渡轮六月恢复夜航。",
    }


def test_a_copy_is_nobodys_negative_and_no_post_its_own() -> None:
    messages = messages_of(len(TEXTS))
    add_neighbours(messages, np.array(list(TEXTS.values()), dtype=np.float32), 20)
    pairs = {(messages.texts[one], messages.texts[other]) for one, other in messages.different}
    assert all(one != other for one, other in pairs)
    assert ("Metro fares rise in May.", "Metro fares rise in May!!") not in pairs
    assert ("Metro fares rise in May.", "Cooks of the year were honoured.") in pairs


def test_without_another_script_there_are_only_neighbours_of_one() -> None:
    messages = Messages()
    messages.posts = [messages.place(text) for text in list(TEXTS)[:4]]
    add_neighbours(messages, np.array(list(TEXTS.values())[:4], dtype=np.float32), 1)
    assert len(messages.different) == 4
