"""Where are the points of a column? Those along it, and those of the beads at each: operators between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse import csr_array, eye_array, kron

from titer.flowsheets.units.columns.beads import BeadSizes
from titer.numerics.spatial.line import Line
from titer.numerics.spatial.sphere import sphere


@dataclass(frozen=True, eq=False)
class Packing:
    """Points along the column, and `shells` of the beads at each (0: none), node by node, of all sizes of beads.

    To the surfaces, one for each node and size, `bulk` (surfaces, nodes) brings the liquid outside and `surface`
    (surfaces, points) that in the pores, both by the relative radius; `gathered` (nodes, surfaces) is what all of them
    take by volume, and `film` (points, surfaces) what arrives in each. `within` (points, points) is diffusion in beads
    of relative radius 1; `mean` and `mean_of_points` (1, ...) are averages.
    """

    line: Line
    shells: int
    bulk: csr_array
    surface: csr_array
    gathered: csr_array
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


def packing(line: Line, shells: int, sizes: BeadSizes) -> Packing:
    """The points and their operators; `shells` of a bead of each size."""
    bead, each = sphere(max(shells, 1)), eye_array(len(line.nodes), format="csr")
    shares, radii = np.array(sizes.shares), np.array(sizes.radii)
    last = np.zeros((1, len(bead.weights)))
    last[0, -1] = 1.0
    weights = np.concatenate([share * bead.weights for share in shares])
    within = block_diag(*(-bead.stiffness / bead.weights[:, None] / z**2 for z in radii))
    return Packing(
        line,
        shells * len(shares),
        bulk=csr_array(kron(each, 1.0 / radii[:, None])),
        surface=csr_array(kron(each, block_diag(*(last / z for z in radii)))),
        gathered=csr_array(kron(each, shares[None, :])),
        film=csr_array(kron(each, block_diag(*([last.T / bead.weights[-1]] * len(shares))))),
        within=csr_array(kron(each, within)),
        mean=csr_array(line.weights[None, :]),
        mean_of_points=csr_array(np.kron(line.weights, weights)[None, :]),
    )
