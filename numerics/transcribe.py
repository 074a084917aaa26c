"""How does a phase become equations at points? By orthogonal collocation on finite elements: one `Block`.

One small function describes an element; a `Batch` repeats it. On an element of width h (a fraction of the
phase of duration T) the states are the polynomial through the element's start and its collocation points, and
there

    sum_i C[i, j] x_i - T h f(t_j, x_j, z_j, u_j, p) = 0,    g(t_j, x_j, z_j, u_j, p) = 0
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.collocation import Collocation, Points, collocation
from titer.numerics.dae import Array
from titer.numerics.layout import Layout, Shared, instants
from titer.numerics.nlp import Batch, Block, Labels
from titer.numerics.segment import Segment


@dataclass(frozen=True, eq=False)
class Transcribed:
    """A block with what is needed to fill it with values and to read it."""

    block: Block
    segment: Segment
    ends: Array  # (elements + 1,) element ends, fractions of the phase
    tau: Array  # (points,) positions at which the ports x and z know the variables


def transcribe(segment: Segment, ends: Array, degree: int = 3, points: Points = Points.RADAU) -> Transcribed:
    """Collocate a segment on elements between `ends` (fractions of the phase, 0 to 1)."""
    scheme = collocation(degree, points)
    layout = Layout(segment, ends, scheme.nodes, points is Points.LEGENDRE)
    batches = (_elements(segment, scheme, layout), *instants(segment, layout))
    block = Block(segment.name, layout.columns(), layout.slots, layout.constants, batches, layout.ports())
    return Transcribed(block, segment, ends, layout.tau)


def _elements(segment: Segment, scheme: Collocation, layout: Layout) -> Batch:
    """The batch of all elements: collocation, algebraic and path rows, and the integrals."""
    dae, d = segment.dae, scheme.degree
    nx, nz, _, _ = dae.sizes
    before, inside = ca.SX.sym("before", nx), ca.SX.sym("inside", nx, d)
    algebraic, after = ca.SX.sym("algebraic", nz, d), ca.SX.sym("after", nx if layout.separate_ends else 0)
    shared = Shared(layout)
    states = ca.horzcat(before, inside)
    slopes = ca.mtimes(states, ca.DM(scheme.derivative))
    step = shared.duration * shared.width
    dynamics: list[ca.SX] = []
    zeros: list[ca.SX] = []
    paths: list[ca.SX] = []
    cost = ca.SX(0.0)
    for j, node in enumerate(scheme.nodes):
        point = (shared.time(node), inside[:, j], algebraic[:, j], shared.inputs(node), shared.parameters)
        rate, zero, _ = dae.function(*point)
        dynamics.append(slopes[:, j] - step * rate)
        zeros.append(zero)
        paths.extend(path.function(*point) for path in segment.paths)
        for integrand in segment.integrands:
            cost += integrand.weight * scheme.weights[j] * step * integrand.function(*point)
    gap = [after - ca.mtimes(states, ca.DM(scheme.end))] if layout.separate_ends else []
    rows = ca.vertcat(ca.SX(0, 1), *dynamics, *gap, *zeros, *paths)
    arguments = ca.vertcat(before, ca.vec(inside), after, ca.vec(algebraic), *shared.arguments)
    n = len(layout.ends) - 1
    index = np.concatenate(
        [
            layout.x_before.T,
            layout.X.reshape(n, d * nx).T,
            layout.node.T if layout.separate_ends else np.zeros((0, n), dtype=int),
            layout.Z.reshape(n, d * nz).T,
            layout.shared_index(),
        ]
    )
    equations = nx * d + nx * layout.separate_ends + nz * d
    lower = np.concatenate([np.zeros(equations), np.tile([p.lower for p in segment.paths], d)])
    upper = np.concatenate([np.zeros(equations), np.tile([p.upper for p in segment.paths], d)])
    names, nodes = _row_names(segment, scheme, layout.separate_ends)
    tau = layout.ends[:-1, None] + np.diff(layout.ends)[:, None] * nodes[None, :]
    labels = Labels.of(names * n, segment.name, tau.ravel())
    function = ca.Function("element", [arguments], [rows, cost])
    weight = 1.0 if segment.integrands else 0.0
    return Batch(function, index, lower, upper, labels, weight, np.arange(n), nx + np.arange(equations))


def _row_names(segment: Segment, scheme: Collocation, separate_ends: bool) -> tuple[list[str], Array]:
    """Names and positions (in an element) of the element's rows."""
    states, equations = segment.dae.states, segment.dae.equations
    names = [f"{v.name} balance" for v in states] * scheme.degree
    nodes = [np.repeat(scheme.nodes, len(states))]
    if separate_ends:
        names += [f"{v.name} continuity" for v in states]
        nodes.append(np.ones(len(states)))
    names += list(equations) * scheme.degree + [p.name for p in segment.paths] * scheme.degree
    nodes += [np.repeat(scheme.nodes, len(equations)), np.repeat(scheme.nodes, len(segment.paths))]
    return names, np.concatenate(nodes)
