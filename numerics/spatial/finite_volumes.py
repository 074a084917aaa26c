"""How do finite volumes discretize a line? Cell means and WENO faces: hardly an oscillation at any Peclet number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

from titer.numerics.errors import SpecificationError
from titer.numerics.spatial.checks import check_count
from titer.numerics.spatial.line import Algebra, Flow, Line

_EPSILON = 1e-10  # added to smoothness indicators, in squares of the values' unit


@dataclass(frozen=True)
class FiniteVolumes:
    """Equal cells with weighted essentially non-oscillatory faces of order 3 or 5, upwind.

    Where the solution is smooth, the error of cell means falls as h^2 with the dispersion's central differences, with
    a small constant. Source: Jiang and Shu, J. Comput. Phys. 126 (1996) 202; von Lieres and Andersson, Comput. Chem.
    Eng. 34 (2010) 1180 for columns.
    """

    cells: int = 128
    order: int = 3

    def __post_init__(self) -> None:
        check_count(self, "cells", 5)
        if self.order not in (3, 5):
            raise SpecificationError(f"FiniteVolumes: order must be 3 or 5, got {self.order!r}.\n  Write order=3.")

    @property
    def intervals(self) -> int:
        return self.cells

    def line(self) -> Line:
        n, h = self.cells, 1.0 / self.cells
        spread = diags_array([np.ones(n - 1), -2.0 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tolil()
        spread[0, 0] = spread[n - 1, n - 1] = -1.0
        less = diags_array([np.ones(n), -np.ones(n - 1)], offsets=[0, -1])
        first, last = np.zeros((n, 1)), np.zeros((1, n))
        first[0, 0], last[0, -1] = 1.0 / h, 1.0
        faces = tuple(_shifted(n, k) for k in range(-(self.order // 2), self.order // 2 + 1))
        ghosts = tuple(_ghost(n, k) for k in range(-(self.order // 2), 0))
        return Cells(
            nodes=(np.arange(n) + 0.5) * h,
            weights=np.full(n, h),
            convection=csr_array(-less / h),
            dispersion=csr_array(spread / h**2),
            inlet=csr_array(first),
            outlet=csr_array(last),
            shifts=faces,
            ghosts=ghosts,
        )


@dataclass(frozen=True, eq=False)
class Cells(Line):
    """A line of cells: `convection` acts on the values at the right faces, which are reconstructed from `shifts`.

    Beyond the outlet the values are mirrored; before the inlet stands the cell that Danckwerts' condition gives.
    """

    shifts: tuple[csr_array, ...] = ()
    ghosts: tuple[csr_array, ...] = ()

    def flow(self, a: Any, d: Any, on: Algebra) -> Flow:
        h, n = self.weights[0], len(self.weights)
        across, first = 2.0 * d / h, csr_array(([1.0], ([0], [0])), shape=(1, n))  # 2 d/h: dispersed by a difference
        parts = ((self.dispersion, d), (self.convection, a), (self.inlet, a))
        spread, moved, inlet = (on.blend((matrix,), (x,)) for matrix, x in parts)

        def rates(c: Any, c_in: Any) -> tuple[Any, Any]:
            before = (2.0 * a * c_in + (across - a) * on.times(first, c)) / (a + across)
            near = [on.times(shift, c) for shift in self.shifts]
            for k, ghost in enumerate(self.ghosts):
                near[k] = near[k] + on.times(ghost, before)
            face = (_third_order if len(near) == 3 else _fifth_order)(*near)
            return on.times(moved, face) + on.times(inlet, c_in) + on.times(spread, c), on.times(self.outlet, face)

        return rates


def _shifted(n: int, k: int) -> csr_array:
    """Picks the value k cells downstream, mirrored at the outlet; nothing before the inlet."""
    rows = np.arange(n)
    at = np.where(rows + k < n, rows + k, 2 * n - 1 - rows - k)
    kept = at >= 0
    return csr_array((np.ones(kept.sum()), (rows[kept], at[kept])), shape=(n, n))


def _ghost(n: int, k: int) -> csr_array:
    """Puts the value before the inlet where k cells downstream would lie there."""
    rows = np.arange(-k)
    return csr_array((np.ones(-k), (rows, np.zeros(-k, dtype=int))), shape=(n, 1))


def _third_order(c0: Any, c1: Any, c2: Any) -> Any:
    """The value at the right face of the middle cell, from three cell means."""
    weights = [linear / (_EPSILON + gap**2) ** 2 for linear, gap in ((1.0 / 3.0, c1 - c0), (2.0 / 3.0, c2 - c1))]
    values = (1.5 * c1 - 0.5 * c0, 0.5 * (c1 + c2))
    return _weighted(weights, values)


def _fifth_order(c0: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
    """The value at the right face of the middle cell, from five cell means."""
    bends = (c0 - 2.0 * c1 + c2, c1 - 2.0 * c2 + c3, c2 - 2.0 * c3 + c4)
    slopes = (c0 - 4.0 * c1 + 3.0 * c2, c1 - c3, 3.0 * c2 - 4.0 * c3 + c4)
    rough = [13.0 / 12.0 * bend**2 + 0.25 * slope**2 for bend, slope in zip(bends, slopes, strict=True)]
    weights = [linear / (_EPSILON + r) ** 2 for linear, r in zip((0.1, 0.6, 0.3), rough, strict=True)]
    values = (
        (2.0 * c0 - 7.0 * c1 + 11.0 * c2) / 6.0,
        (-c1 + 5.0 * c2 + 2.0 * c3) / 6.0,
        (2.0 * c2 + 5.0 * c3 - c4) / 6.0,
    )
    return _weighted(weights, values)


def _weighted(weights: Any, values: Any) -> Any:
    total = sum(w * value for w, value in zip(weights[1:], values[1:], strict=True)) + weights[0] * values[0]
    return total / (sum(weights[1:]) + weights[0])
