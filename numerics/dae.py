"""What is a dynamic model to a numerical method? Names, sizes and one function.

A `Dae` is the waist of titer: everything above lowers to it, everything below sees nothing else.

    x' = f(t, x, z, u, p)        rates of the states
    0  = g(t, x, z, u, p)        as many equations as algebraic variables (index 1)
    y  = h(t, x, z, u, p)        named outputs
    0  = c(t, x, z, u, p)        invariants, where the index was reduced: true at a consistent start, and ever after
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import casadi as ca
import numpy as np

Array = np.ndarray
NEGLIGIBLE = 1e-30  # a magnitude below this is a zero, and says nothing of a size


@dataclass(frozen=True)
class Variable:
    """A scalar of a model: its qualified name, unit, physical domain, starting value and size."""

    name: str
    unit: str = ""
    lower: float = -np.inf
    upper: float = np.inf
    start: float = np.nan
    nominal: float = np.nan


@dataclass(frozen=True, eq=False)
class Dae:
    """A semi-explicit DAE of index 1 with named variables.

    `function` maps (t, x, z, u, p) to (rate, zero, output); vectors are columns in the order of the tuples.
    `invariants` maps the same to what stays zero along a solution, None where there is nothing of the kind.
    """

    name: str
    time: str
    function: ca.Function
    states: tuple[Variable, ...]
    algebraics: tuple[Variable, ...] = ()
    inputs: tuple[Variable, ...] = ()
    parameters: tuple[Variable, ...] = ()
    outputs: tuple[Variable, ...] = ()
    equations: tuple[str, ...] = ()  # names of the algebraic equations, in order
    invariants: ca.Function | None = None
    invariant_names: tuple[str, ...] = ()
    sizes: tuple[int, int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        groups = (self.states, self.algebraics, self.inputs, self.parameters)
        object.__setattr__(self, "sizes", tuple(len(group) for group in groups))
        expected = (1, *self.sizes)
        came = tuple(self.function.numel_in(i) for i in range(self.function.n_in()))
        if came != expected:
            raise ValueError(f"Dae {self.name}: the function takes sizes {came}, expected {expected}")

    @property
    def point_size(self) -> int:
        """Length of a point vector (t, x, z, u, p)."""
        return 1 + sum(self.sizes)

    def split(self, point: ca.SX | ca.MX | Sequence) -> list:
        """Cut a point vector into t, x, z, u, p."""
        return parted(point, (1, *self.sizes))

    def depends_on_time(self, *more: ca.Function) -> bool:
        """Whether time itself enters the equations (or any of `more`, functions of the same point)."""
        return any(
            function.jac_sparsity(i, 0).nnz() > 0
            for function in (self.function, *more)
            for i in range(function.n_out())
            if not (function is self.function and i == 2)
        )


def parted(vector: ca.SX | ca.MX | Sequence, sizes: Sequence[int]) -> list:
    """Cut a vector into parts of the given sizes."""
    edges = np.cumsum([0, *sizes]).tolist()
    return [vector[a:b] for a, b in pairwise(edges)]


def starts(variables: Sequence[Variable]) -> Array:
    """Starting values, zero (moved into the domain) where none is declared."""
    values = np.array([v.start for v in variables], dtype=float)
    lower = np.array([v.lower for v in variables], dtype=float)
    upper = np.array([v.upper for v in variables], dtype=float)
    return np.where(np.isfinite(values), values, np.clip(0.0, lower, upper))


def sizes_of(variables: Sequence[Variable], seen: Array | None = None) -> Array:
    """Typical magnitudes: the declared nominal; else the larger of start and simulated values; else a bound.

    `seen` (len(variables), points) holds simulated values. Where all are zero (below 1e-30) or absent,
    the size is 1.
    """
    sizes = np.ones(len(variables))
    for i, v in enumerate(variables):
        candidates = [abs(v.start)] if np.isfinite(v.start) else []
        if seen is not None:
            candidates.append(float(np.abs(seen[i][np.isfinite(seen[i])]).max(initial=0.0)))
        largest = max(candidates, default=0.0)
        if np.isfinite(v.nominal):
            largest = abs(v.nominal)
        elif largest < NEGLIGIBLE:
            bounds = [abs(b) for b in (v.lower, v.upper) if np.isfinite(b) and b != 0.0]
            largest = min(bounds, default=1.0)
        sizes[i] = largest if largest > 0.0 else 1.0
    return sizes
