"""How does a phase become equations by integration? Shooting: the second kind of `Block`.

    x[k+1] - F(x[k], u, p, t, duration) = 0        F: an integrator with its sensitivities

Few rows and columns whatever the size of the model, at the price of an integration per evaluation: for large
distributed units with few decisions. Slots and ports are those of a collocated block: a recipe may mix both. Where
every phase is shot, states follow from the decisions (module `marching`), and are no unknowns of the solver.
Source: Bock & Plitt, IFAC Proceedings 17 (1984) 1603.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, sizes_of, starts
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole
from titer.numerics.integration.differentiated import Quadrature, differentiated
from titer.numerics.layout import Layout, Shared, instants
from titer.numerics.nlp import Batch, Block, Labels
from titer.numerics.segment import Segment
from titer.numerics.transcribe import Transcribed

# States from which a phase is shot where nothing else is asked. Measured for 4 decisions and 20 elements, tanks in
# series: 4 states .6 s against .2 s by collocation, 20 states .2 against 1.3 s, 50 states .3 against 6 s. Paths between
# ends of intervals and many decisions are collocation's, so the line is drawn where it has no chance.
LARGE = 100
_FINE, _USUAL = 1e-10, 1e-6  # tolerances of small and of large models


@dataclass(frozen=True)
class Shooting:
    """Transcribe a phase by integration. `intervals`: how many at least (None: one per control piece).

    `tolerance`: relative, of the integrator, whose derivatives are exact for the steps it takes; None: 1e-10, of models
    with 100 states and more 1e-6. Measured on columns of ion exchangers, 48 and 260 states, against differences at
    1e-10: at 1e-6 derivatives of objective and limits are within 8e-6 of the largest, at 1e-5 within 2e-5, for three
    quarters of the time. Path constraints hold at interval ends; physical domains are looked at afterwards.
    """

    intervals: int | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.intervals is not None and not is_whole(self.intervals, 1):
            raise SpecificationError(
                f"Shooting: intervals must be a whole number of at least 1, got {self.intervals!r}."
            )
        given = self.tolerance
        if given is not None and (not isinstance(given, int | float) or not 0.0 < given < 1e-2):
            raise SpecificationError(f"Shooting: tolerance must lie in (0, 0.01), got {self.tolerance!r}.")

    def accuracy(self, states: int) -> float:
        """The tolerance for a model of so many states."""
        if self.tolerance is not None:
            return float(self.tolerance)
        return _USUAL if states >= LARGE else _FINE


@dataclass(frozen=True)
class Simultaneous:
    """Transcribe a phase by collocation, however large its model is; elements and degree are those of the grid."""


def shoot(segment: Segment, ends: Array, method: Shooting) -> Transcribed:
    """Shoot a segment over the intervals between `ends` (fractions of the phase, 0 to 1)."""
    layout = Layout(segment, ends, np.zeros(0), True)
    batches = [_stretches(segment, layout, method, *group) for group in _grouped(segment, layout, method)]
    at_instants = instants(segment, layout, paths_at_end=False)
    block = Block(
        segment.name, layout.columns(), layout.slots, layout.constants, (*batches, *at_instants), layout.ports()
    )
    return Transcribed(block, segment, ends, layout.tau)


def _grouped(segment: Segment, layout: Layout, method: Shooting) -> list[tuple[Array, Array]]:
    """First intervals of stretches that are integrated in one go, and the ends in them, as fractions: one pair for all
    stretches that look the same. The integrator goes on through ends at which no input bends."""
    ends = layout.ends
    wanted = segment.ends if method.intervals is None else ends
    first = np.unique([int(np.abs(ends - e).argmin()) for e in wanted])
    groups: list[tuple[list[int], Array]] = []
    for a, b in pairwise(first.tolist()):
        share = (ends[a + 1 : b + 1] - ends[a]) / (ends[b] - ends[a])
        for members, known in groups:
            if len(known) == len(share) and np.allclose(known, share, rtol=0.0, atol=1e-12):
                members.append(a)
                break
        else:
            groups.append(([a], share))
    return [(np.array(members), share) for members, share in groups]


def _stretches(segment: Segment, layout: Layout, method: Shooting, first: Array, share: Array) -> Batch:
    """The batch of stretches that begin with the intervals `first`: states at the ends in them against the integrated
    ones, paths there, integrals."""
    dae, m, nx = segment.dae, len(share), len(segment.dae.states)
    before, after = ca.MX.sym("before", nx), ca.MX.sym("after", nx * m)
    opening, closing = Shared(layout, ca.MX), Shared(layout, ca.MX)
    parameters, start = opening.parameters, opening.time(0.0)
    finish = opening if m == 1 else closing
    data = ca.vertcat(start, finish.time(1.0) - start, opening.inputs(0.0), finish.inputs(1.0), parameters)
    sizes = sizes_of(dae.states)
    run = differentiated(
        dae,
        sizes,
        tuple(Quadrature(i.function, i.weight) for i in segment.integrands),
        tuple(share.tolist()),
        method.accuracy(nx),
    )
    result = run(x0=before / sizes, z0=starts(dae.algebraics), p=data)
    reached = ca.vec(ca.repmat(ca.DM(sizes), 1, m) * result["xf"])
    cost = result["qf"][-1] if segment.integrands else ca.MX(0.0)
    rest = [*opening.arguments, *(closing.arguments if m > 1 else [])]

    def paths(x: ca.MX) -> list[ca.MX]:
        rows = []
        for k in range(m):
            at = float(share[k])
            u = opening.inputs(0.0) + (finish.inputs(1.0) - opening.inputs(0.0)) * at
            point = (start + (finish.time(1.0) - start) * at, x[k * nx : (k + 1) * nx], result["zf"][:, k], u)
            rows += [path.function(*point, parameters) for path in segment.paths]
        return rows

    function = ca.Function(
        "interval", [ca.vertcat(before, after, *rest)], [ca.vertcat(after - reached, *paths(after)), cost]
    )
    rows = ca.vertcat(ca.MX(0, 1), *paths(reached))
    step = ca.Function("step", [ca.vertcat(before, *rest)], [reached, rows, cost])
    last = first + m - 1
    shared = layout.shared_index()
    nodes = layout.node[first[None, :] + np.arange(m)[:, None]]  # (m, stretches, nx)
    made = nodes.transpose(0, 2, 1).reshape(m * nx, len(first))
    parts = [layout.x_before[first].T, made, shared[:, first]] + ([shared[:, last]] if m > 1 else [])
    names = [f"{v.name} balance" for v in dae.states] * m + [p.name for p in segment.paths] * m
    place = np.concatenate([np.repeat(np.arange(m), nx), np.repeat(np.arange(m), len(segment.paths))])
    tau = layout.ends[1:][first[:, None] + place[None, :]]
    labels = Labels.of(names * len(first), segment.name, tau.ravel())
    return Batch(
        function,
        np.concatenate(parts),
        np.concatenate([np.zeros(nx * m), np.tile([p.lower for p in segment.paths], m)]),
        np.concatenate([np.zeros(nx * m), np.tile([p.upper for p in segment.paths], m)]),
        labels,
        1.0 if segment.integrands else 0.0,
        first,
        nx + np.arange(nx * m),
        step,
    )
