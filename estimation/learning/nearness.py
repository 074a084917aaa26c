"""How far from its batches may a correction act? As far as batches lie from each other, for there it was validated."""

from __future__ import annotations

import numpy as np

from titer.flowsheets import Domain

Array = np.ndarray
_POINTS = 60  # that stand for all data in the equations
_WIDTH = 0.5  # of a neighbourhood, in standard deviations of each feature
_SHARE = 0.9  # of the points of batches left out that lie inside the domain of the others


def near_batches(X: Array, batches: Array) -> Domain:
    """The domain of features X (n, features) of batches (n,): neighbourhoods of points along them.

    Its limit is the distance within which nine of ten points of each batch lie from all other batches: errors on
    batches left out were found there. Of a single batch, it is that of its points from each other.
    """
    count = min(_POINTS, len(X))
    names = np.unique(batches)
    if len(names) < 2:
        return Domain.near_data(X, _WIDTH, points=count)
    apart = [
        Domain.near_data(X[batches != name], _WIDTH, limit=1.0, points=count).distances(X[batches == name])
        for name in names
    ]
    every = Domain.near_data(X, _WIDTH, limit=1.0, points=count)
    reached = max(float(np.quantile(np.concatenate(apart), _SHARE)), float(every.distances(X).max()))
    return Domain.near_data(X, _WIDTH, limit=reached, points=count)


__all__ = ["near_batches"]
