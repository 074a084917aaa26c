"""How do large unit operations trace fast? A row of symbols as one symbol that holds a vector.

On CasADi a `Symbol` may hold a column in place of a scalar: one operation then acts on all points of a column or a
tube, its unit is checked once, and the arithmetic runs in C++. Other readings keep the array of symbols, which
understands the same operators, so equations are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import casadi as ca
import numpy as np
from scipy.sparse import csr_array

from titer.flowsheets.symbols.reading import CASADI
from titer.flowsheets.symbols.symbol import Symbol, SymbolArray, symbol_array


@dataclass(frozen=True, eq=False)
class Blend:
    """A sparse matrix whose entries are symbols: `entries` in the order of `pattern`."""

    pattern: csr_array
    entries: Sequence[Any]


def together(symbols: Any) -> Any:
    """Symbols of one unit (n,) as a vector, for arithmetic and functions; `apart` takes it apart again."""
    array = np.asarray(symbols, dtype=object).view(np.ndarray)
    if any(type(x) is not Symbol or x.reading is not CASADI for x in array):
        return symbol_array(array)
    return Symbol(ca.vertcat(*(x.value for x in array)), symbol_array(array).measure, CASADI)


def apart(vector: Any, count: int) -> SymbolArray:
    """The `count` symbols of a vector; a scalar stands for all of them."""
    if type(vector) is Symbol and vector.reading is CASADI and vector.value.numel() > 1:
        return symbol_array([Symbol(x, vector.measure, CASADI) for x in ca.vertsplit(ca.densify(vector.value))])
    if isinstance(vector, SymbolArray):
        return vector
    return symbol_array([vector] * count)


def blend(matrices: Sequence[csr_array], weights: Sequence[Any]) -> Any:
    """The sum of sparse matrices (m, n), each times a symbol, for `times`; entries that are equal are shared."""
    pattern = csr_array(reduce(add, [abs(m) for m in matrices]))
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    values = np.column_stack([np.asarray(m[rows, pattern.indices]).ravel() for m in matrices])
    short = np.array([[float(f"{x:.12g}") for x in row] for row in values])
    _, first, which = np.unique(short, axis=0, return_index=True, return_inverse=True)
    shared = [reduce(add, [x * w for x, w in zip(values[k].tolist(), weights, strict=True)]) for k in first]
    entries = [shared[k] for k in which.ravel()]
    if any(type(x) is not Symbol or x.reading is not CASADI for x in shared):
        return Blend(pattern, entries)
    sparsity = ca.Sparsity.triplet(*pattern.shape, rows.tolist(), pattern.indices.tolist())
    order = np.lexsort((rows, pattern.indices))  # CasADi stores columns
    column = ca.vertcat(*(entries[k].value for k in order))
    return Symbol(ca.SX(sparsity, column), shared[0].measure, CASADI)


def times(matrix: Any, vector: Any) -> Any:
    """A sparse matrix (m, n), or a blend of some, times a vector; a single column meets a scalar, a single row gives
    one."""
    if type(vector) is Symbol and vector.reading is CASADI:
        if type(matrix) is Symbol:
            return Symbol(ca.mtimes(matrix.value, vector.value), matrix.measure * vector.measure, CASADI)
        return Symbol(ca.mtimes(ca.DM(matrix.tocsc()), vector.value), vector.measure, CASADI)
    known = matrix if isinstance(matrix, Blend) else Blend(matrix, matrix.data.tolist())
    pattern, entries = known.pattern, vector if isinstance(vector, SymbolArray) else [vector]
    rows = []
    for begin, end in zip(pattern.indptr[:-1], pattern.indptr[1:], strict=True):
        terms = [known.entries[k] * entries[pattern.indices[k]] for k in range(begin, end)]
        rows.append(reduce(add, terms) if terms else 0.0 * known.entries[0] * entries[0])
    return rows[0] if len(rows) == 1 else symbol_array(rows)
