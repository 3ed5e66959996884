"""Fitting the wide part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.wide import BUCKETS, Ngrams, Wide, count_ngrams
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices
from narratrace.training.settings import WideSettings

_CERTAIN = 10.0
"""Logit of what all of the posts, or none, are."""


def fit_wide(posts: Sequence[LabelledPost], taxonomy: Taxonomy, settings: WideSettings) -> Wide:
    """Fit one balanced logistic regression per narrative and one per stance, on TF-IDF weighted n-grams.

    Each learns from the posts of which the answer is known.
    """
    ngrams = count_ngrams([normalise(post.text).text for post in posts])
    frequency = np.bincount(ngrams.buckets, minlength=BUCKETS)
    idf = np.where(frequency >= settings.min_posts, np.log((1 + len(posts)) / (1 + frequency)) + 1, 0)
    idf = idf.astype(np.float32)
    matrix, used = tfidf(ngrams, idf)
    stances = stance_indices(posts)
    targets = [*label_matrix(posts, taxonomy).T, *(stances == stance for stance in range(len(STANCES)))]
    answered = [*known_matrix(posts, taxonomy).T, *[stances >= 0] * len(STANCES)]
    weights = np.zeros((BUCKETS, len(targets)), dtype=np.float32)
    bias = np.zeros(len(targets), dtype=np.float32)
    for column, (target, rows) in enumerate(zip(targets, answered, strict=True)):
        truth = target[rows]
        if truth.all() or not truth.any():
            bias[column] = _CERTAIN if truth.any() else -_CERTAIN
            continue
        balance = "balanced" if column < len(taxonomy.narratives) else None
        model = LogisticRegression(C=settings.inverse_penalty, class_weight=balance, solver="liblinear")
        model.fit(matrix[rows], truth)
        weights[used, column], bias[column] = model.coef_[0], model.intercept_[0]
    return Wide(idf, weights, bias, len(STANCES))


def tfidf(ngrams: Ngrams, idf: NDArray[np.float32]) -> tuple[csr_array, NDArray[np.int64]]:
    """Weigh the n-grams of n posts, each post to unit length.

    Returns
    -------
    tuple
        The matrix of shape (n, buckets in use), since a solver's time grows with its columns, and each column's bucket.
    """
    used, columns = np.unique(ngrams.buckets, return_inverse=True)
    values = ngrams.weights * idf[ngrams.buckets]
    shape = (len(ngrams.starts) - 1, len(used))
    return normalize(csr_array((values, columns.astype(np.int32), ngrams.starts.astype(np.int32)), shape)), used
