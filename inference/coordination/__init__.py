"""Coordination: the accounts that copypasta groups tie together, and how close in time their copies came.

``copies`` turns posts into numbers, ``ties`` pairs accounts that posted the same texts, ``bursts`` compares the times
of copies with a null model, ``groups`` and ``accounts`` make the tables, ``graph`` the graph and its files, ``report``
the page, and ``coordination`` puts all of it together.

All of it says what accounts posted and when. None of it says who they are.
"""
