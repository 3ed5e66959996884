"""Copypasta: which posts are the same message, copied, dodged, edited, reworded or translated.

``intake`` takes posts of many kinds. ``folding`` and ``texts`` collapse copies for the exact, normalised and script
stages. ``shingles`` and ``candidates`` find pairs for the fuzzy stage, ``neighbours`` for the semantic ones; ``fuzzy``
(by ``similarity``) and ``semantic`` verify them. ``stars`` makes groups around representatives, ``numbering`` gives
them numbers that stay, ``groups`` makes tables of them, ``innocent`` marks what has an innocent explanation, and
``explanation`` says why two posts are linked. ``grouper`` is the estimator that holds it all, by the ``settings``.

``run`` takes it to an archive, in ``units`` that an engine carries out: ``spread`` for the fuzzy stage, ``embedding``.
"""
