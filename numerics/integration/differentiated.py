"""Which integrator has derivatives that can be trusted? Of a one-step method those of its own steps, at any tolerance.

The Rosenbrock-Wanner method of CasADi (8 stages, order 5, stiffly accurate, L-stable) chooses its steps from the
nominal solution alone; its forward derivatives are those of the steps it took, its adjoints their exact transposes.
CVODES and IDAS solve the sensitivity equations by themselves: their derivatives miss those of what they computed by
some tolerances, on which a line search stalls.
Source of the idea: Bock, in Ebert, Deuflhard & Jaeger (eds.), Modelling of Chemical Reaction Systems (1981) 102.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae
from titer.numerics.integration.ordering import narrow

_ATTENTIVE = 0.05  # of a run: longest step where time enters the equations


@dataclass(frozen=True)
class Quadrature:
    """Adds weight * integral of function(t, x, z, u, p) to the integral that is carried along."""

    function: ca.Function
    weight: float


def differentiated(
    dae: Dae, sizes: Array, quadratures: tuple[Quadrature, ...], grid: tuple[float, ...], tolerance: float
) -> ca.Function:
    """(x0, z0, p) -> (xf, zf, qf) over a run, with derivatives; states in `sizes`, columns at `grid` (0 to 1).

    p: time at the start, duration, inputs at both ends (straight lines between them), parameters.
    """
    return _built(dae.function, dae.sizes, dae.depends_on_time(), sizes.tobytes(), quadratures, grid, tolerance)


@lru_cache(maxsize=64)
def _built(
    function: ca.Function,
    numbers: tuple[int, int, int, int],
    timed: bool,
    packed: bytes,
    quadratures: tuple[Quadrature, ...],
    grid: tuple[float, ...],
    tolerance: float,
) -> ca.Function:
    nx, nz, nu, npar = numbers
    sizes = np.frombuffer(packed)
    order = narrow(function, nx)
    back = np.argsort(order).tolist()
    tau, x, z = ca.SX.sym("tau"), ca.SX.sym("x", nx), ca.SX.sym("z", nz)
    clock, span = ca.SX.sym("clock"), ca.SX.sym("span")
    left, right, p = ca.SX.sym("left", nu), ca.SX.sym("right", nu), ca.SX.sym("p", npar)
    point = (clock + span * tau, x[back] * sizes, z, left + (right - left) * tau, p)
    rate, zero, _ = function(*point)
    model = {
        "t": tau,
        "x": x,
        "z": z,
        "p": ca.vertcat(clock, span, left, right, p),
        "ode": (span * rate / sizes)[order.tolist()],
        "alg": zero,
    }
    if quadratures:
        model["quad"] = span * sum(q.weight * q.function(*point) for q in quadratures)
    options: dict[str, object] = {
        "abstol": 0.1 * tolerance,
        "reltol": tolerance,
        "max_num_steps": 100000,
        "show_eval_warnings": False,
    }
    if timed:  # what happens at a given time is not announced by the states
        options["max_step_size"] = _ATTENTIVE
    run = ca.integrator("shoot", "rosenbrock", model, 0.0, list(grid), options)
    x0, z0, data = ca.MX.sym("x0", nx), ca.MX.sym("z0", nz), ca.MX.sym("p", run.numel_in("p"))
    result = run(x0=x0[order.tolist()], z0=z0, p=data)
    return ca.Function(
        "shoot",
        [x0, z0, data],
        [result["xf"][back, :], result["zf"], result["qf"]],
        ["x0", "z0", "p"],
        ["xf", "zf", "qf"],
    )
