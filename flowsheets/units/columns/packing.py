"""Where are the points of a column? Those along it, and those of a bead at each: operators between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array, kron

from titer.numerics.spatial.line import Line
from titer.numerics.spatial.sphere import sphere


@dataclass(frozen=True, eq=False)
class Packing:
    """Points along the column, and `shells` of a bead at each (0: none), node by node.

    `surface` (nodes, points) picks the surfaces of beads and `film` (points, nodes) gives what arrives there to them;
    `within` (points, points) is diffusion in beads of radius 1; `mean` and `mean_of_points` (1, ...) are averages.
    """

    line: Line
    shells: int
    surface: csr_array
    film: csr_array
    within: csr_array
    mean: csr_array
    mean_of_points: csr_array

    @property
    def nodes(self) -> int:
        return len(self.line.nodes)

    @property
    def points(self) -> int:
        return self.nodes * max(self.shells, 1)


def packing(line: Line, shells: int) -> Packing:
    """The points and their operators."""
    bead, each = sphere(max(shells, 1)), eye_array(len(line.nodes), format="csr")
    last = np.zeros((1, len(bead.weights)))
    last[0, -1] = 1.0
    within = diags_array(-1.0 / bead.weights) @ bead.stiffness
    return Packing(
        line,
        shells,
        surface=csr_array(kron(each, last)),
        film=csr_array(kron(each, last.T / bead.weights[-1])),
        within=csr_array(kron(each, within)),
        mean=csr_array(line.weights[None, :]),
        mean_of_points=csr_array(np.kron(line.weights, bead.weights)[None, :]),
    )
