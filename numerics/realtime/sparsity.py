"""Where do raw numbers stand in a sparse matrix? A pattern made once; its entries are sums of raw numbers."""

from __future__ import annotations

import numpy as np

from titer.numerics.nlp import Array

_ONE_THREAD_VECTOR = 9_000
_ONE_THREAD = 250_000  # multiplications up to which OpenBLAS does not wake its threads: waking costs more


class Pattern:
    """A matrix of a shape whose entry (rows[k], columns[k]) gains the raw number source[k]; sorted by columns."""

    def __init__(self, rows: Array, columns: Array, source: Array, shape: tuple[int, int]):
        self.shape = shape
        distinct, self._inverse = np.unique(columns * shape[0] + rows, return_inverse=True)
        self.rows, self.columns = distinct % shape[0], distinct // shape[0]
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(self.columns, minlength=shape[1]))])
        self._source = source
        self._alone = len(distinct) == len(source)
        if self._alone:  # nothing adds up: a gather
            self._source = np.empty(len(source), dtype=int)
            self._source[self._inverse] = source

    @property
    def count(self) -> int:
        return len(self.rows)

    def entries(self, raw: Array) -> Array:
        """The entries, column by column, from the raw numbers."""
        if self._alone:
            return raw[self._source]
        return np.bincount(self._inverse, raw[self._source], minlength=self.count)

    def times(self, entries: Array, vector: Array) -> Array:
        """The matrix times a vector."""
        return np.bincount(self.rows, entries * vector[self.columns], minlength=self.shape[0])

    def pulled(self, entries: Array, vector: Array) -> Array:
        """The transposed matrix times a vector."""
        return np.bincount(self.columns, entries * vector[self.rows], minlength=self.shape[1])


def times(matrix: Array, vector: Array) -> Array:
    """A dense matrix times a vector, in pieces that BLAS leaves to one thread."""
    rows = max(1, _ONE_THREAD_VECTOR // max(1, matrix.shape[1]))
    if rows >= len(matrix):
        return matrix @ vector
    return np.concatenate([matrix[k : k + rows] @ vector for k in range(0, len(matrix), rows)])


def product(left: Array, right: Array) -> Array:
    """A dense product in pieces that BLAS leaves to one thread."""
    inner = max(1, _ONE_THREAD // max(1, left.shape[0] * right.shape[1]))
    total = left[:, :inner] @ right[:inner]
    for k in range(inner, left.shape[1], inner):
        total += left[:, k : k + inner] @ right[k : k + inner]
    return total


def block_places(rows: Array, columns: Array, mask: Array, first: int) -> tuple[Array, Array, Array]:
    """(rows, columns, source) of entries of dense blocks (count, m, n) that stand in raw numbers from `first` on.

    `rows` (count, m) and `columns` (count, n) say where; a column of -1 is none. `mask` (m, n): what may be other than
    zero.
    """
    count, m, n = len(rows), rows.shape[1], columns.shape[1]
    i = np.broadcast_to(rows[:, :, None], (count, m, n))
    j = np.broadcast_to(columns[:, None, :], (count, m, n))
    wanted = (mask[None] & (j >= 0) & (i >= 0)).ravel()
    source = np.flatnonzero(wanted)
    return i.ravel()[source], j.ravel()[source], first + source


def joined(parts: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Places one after another."""
    none = np.zeros(0, dtype=int)
    rows, columns, source = zip(*parts, strict=True) if parts else ((), (), ())
    return np.concatenate([none, *rows]), np.concatenate([none, *columns]), np.concatenate([none, *source])
