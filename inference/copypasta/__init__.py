"""Copypasta: which posts are the same message, copied, dodged, edited, rewritten or translated.

``intake`` takes posts of many kinds; ``folding`` and ``texts`` collapse copies for the exact, normalised and script
stages; ``fuzzy`` verifies (``similarity``) what ``shingles`` and ``candidates`` find; ``stars`` makes groups around
representatives, ``groups`` tables of them; ``grouper`` is the estimator that holds it all, and ``run`` takes it to an
archive.
"""
