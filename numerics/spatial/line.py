"""What is a discretized line to a model? Nodes, weights, and what convection and dispersion make of values on them.

On z in (0, 1), with rate constants a = u/L of convection and d = D/L^2 of dispersion,

    c_t = -a c_z + d c_zz,   a c_in = a c(0) - d c_z(0),   c_z(1) = 0        (Danckwerts 1953)

becomes c' = a (convection c + inlet c_in) + d dispersion c on the nodes, or the same with fluxes through faces that
depend on c in another way than linearly. The weighted sum of the rates is exactly a (c_in - leaving).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

Array = np.ndarray


class Algebra(Protocol):
    """Sparse matrices on whatever values a model is read with."""

    def times(self, matrix: Any, vector: Any) -> Any:
        """A matrix times a vector."""
        ...

    def blend(self, matrices: Sequence[csr_array], weights: Sequence[Any]) -> Any:
        """The weighted sum of matrices."""
        ...


# (values on the nodes, value at the inlet) -> (their rates (n,), value that leaves)
Flow = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True, eq=False)
class Line:
    """Nodes (n,) on (0, 1), quadrature `weights` (n,) that add up to 1, and sparse operators.

    `convection` and `dispersion` (n, n), `inlet` (n, 1), `outlet` (1, n): the value that leaves.
    """

    nodes: Array
    weights: Array
    convection: csr_array
    dispersion: csr_array
    inlet: csr_array
    outlet: csr_array

    def flow(self, a: Any, d: Any, on: Algebra) -> Flow:
        """What flow and dispersion at these rate constants make of values on the nodes and at the inlet."""
        inside, inlet = on.blend((self.convection, self.dispersion), (a, d)), on.blend((self.inlet,), (a,))
        return lambda c, c_in: (on.times(inside, c) + on.times(inlet, c_in), on.times(self.outlet, c))


class Method(Protocol):
    """A way to make points of a line: frozen data with the number of points, and the function that places them."""

    @property
    def intervals(self) -> int:
        """How many spaces between points; the Peclet number over it says whether the points are enough."""
        ...

    def line(self) -> Line: ...
