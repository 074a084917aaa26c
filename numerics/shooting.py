"""How does a phase become equations by integration? Multiple shooting: the second kind of `Block`.

    x[k+1] - F(x[k], u, p, t, duration) = 0        F: CVODES or IDAS, with its sensitivities

Few rows and columns whatever the size of the model, at the price of an integration per evaluation: for large
distributed units with few decisions. Slots and ports are those of a collocated block: a recipe may mix both.
Source: Bock & Plitt, IFAC Proceedings 17 (1984) 1603.
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, sizes_of, starts
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole
from titer.numerics.layout import Layout, Shared, instants
from titer.numerics.nlp import Batch, Block, Labels
from titer.numerics.segment import Segment
from titer.numerics.transcribe import Transcribed


@dataclass(frozen=True)
class Shooting:
    """Transcribe a phase by integration. `intervals`: how many at least (None: one per control piece).

    `tolerance`: relative, of the integrator and its sensitivities. Path constraints hold at interval ends.
    """

    intervals: int | None = None
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        if self.intervals is not None and not is_whole(self.intervals, 1):
            raise SpecificationError(
                f"Shooting: intervals must be a whole number of at least 1, got {self.intervals!r}."
            )
        if not isinstance(self.tolerance, int | float) or not 0.0 < self.tolerance < 1e-2:
            raise SpecificationError(f"Shooting: tolerance must lie in (0, 0.01), got {self.tolerance!r}.")


def shoot(segment: Segment, ends: Array, method: Shooting) -> Transcribed:
    """Shoot a segment over the intervals between `ends` (fractions of the phase, 0 to 1)."""
    layout = Layout(segment, ends, np.zeros(0), True)
    batches = (_intervals(segment, layout, method), *instants(segment, layout, paths_at_end=False))
    block = Block(segment.name, layout.columns(), layout.slots, layout.constants, batches, layout.ports())
    return Transcribed(block, segment, ends, layout.tau)


def _intervals(segment: Segment, layout: Layout, method: Shooting) -> Batch:
    """The batch of all intervals: states at the end against the integrated ones, paths there, integrals."""
    nx = len(segment.dae.states)
    n = len(layout.ends) - 1
    before, after = ca.MX.sym("before", nx), ca.MX.sym("after", nx)
    shared = Shared(layout, ca.MX)
    data = ca.vertcat(
        shared.time(0.0),
        shared.duration * shared.width,
        shared.inputs(0.0),
        shared.inputs(1.0),
        shared.parameters,
    )
    sizes = sizes_of(segment.dae.states)
    run = _integrator(segment, method, sizes)
    result = run(x0=before / sizes, z0=starts(segment.dae.algebraics), p=data)
    gap = after - sizes * result["xf"]
    cost = result["qf"] if segment.integrands else ca.MX(0.0)
    arguments = ca.vertcat(before, after, *shared.arguments)
    end = (shared.time(1.0), after, result["zf"], shared.inputs(1.0), shared.parameters)
    paths = [path.function(*end) for path in segment.paths]
    function = ca.Function("interval", [arguments], [ca.vertcat(gap, *paths), cost])
    index = np.concatenate([layout.x_before.T, layout.node.T, layout.shared_index()])
    names = [f"{v.name} balance" for v in segment.dae.states] + [p.name for p in segment.paths]
    labels = Labels.of(names * n, segment.name, np.repeat(layout.ends[1:], len(names)))
    lower = np.concatenate([np.zeros(nx), [p.lower for p in segment.paths]])
    upper = np.concatenate([np.zeros(nx), [p.upper for p in segment.paths]])
    weight = 1.0 if segment.integrands else 0.0
    return Batch(function, index, lower, upper, labels, weight, np.arange(n))


def _integrator(segment: Segment, method: Shooting, sizes: Array) -> ca.Function:
    dae = segment.dae
    nx, nz, nu, npar = dae.sizes
    tau, x, z = ca.SX.sym("tau"), ca.SX.sym("x", nx), ca.SX.sym("z", nz)
    clock, step = ca.SX.sym("clock"), ca.SX.sym("step")
    left, right, p = ca.SX.sym("left", nu), ca.SX.sym("right", nu), ca.SX.sym("p", npar)
    point = (clock + step * tau, x * sizes, z, left + (right - left) * tau, p)
    rate, zero, _ = dae.function(*point)
    model = {
        "t": tau,
        "x": x,
        "z": z,
        "p": ca.vertcat(clock, step, left, right, p),
        "ode": step * rate / sizes,
        "alg": zero,
    }
    if segment.integrands:
        model["quad"] = step * sum(i.weight * i.function(*point) for i in segment.integrands)
    options = {
        "abstol": 0.1 * method.tolerance,
        "reltol": method.tolerance,
        "max_num_steps": 50000,
        "nonlin_conv_coeff": 0.03,
        "quad_err_con": bool(segment.integrands),
        "fsens_err_con": True,
        "steps_per_checkpoint": 1000,  # adjoints read the forward steps themselves: smooth, and a third faster
        "interpolation_type": "polynomial",
        "show_eval_warnings": False,
    }
    if nz:
        options |= {"calc_ic": True}
        del options["nonlin_conv_coeff"]
    return ca.integrator("shoot", "idas" if nz else "cvodes", model, 0.0, 1.0, options)
