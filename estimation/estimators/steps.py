"""How does a phase move what is estimated through one step? Radau collocation, with its derivatives.

On a step of length h from s the polynomial through s and the points S_j (j = 1..d) satisfies

    sum_i D_ij S_i = h f(t_j, S_j, Z_j),   0 = g(t_j, S_j, Z_j),      s+ = S_d

J is the Jacobian of these equations E in (S, Z). The implicit function theorem gives ds+/ds = -[J^-1 dE/ds]_d, and
white noise of intensity q in the rate of entry i gives s+ the covariance sum_j q h/b_j [J^-1 e_ij]_d [J^-1 e_ij]_d',
with the weights b_j of the quadrature: both of the method's order, 2d - 1, both stable for stiff models.
Source: Hairer & Wanner, Solving Ordinary Differential Equations II (1996), IV.5; Särkkä & Solin, Applied Stochastic
Differential Equations (2019), section 6.1 for the covariance that is integrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import casadi as ca
import numpy as np

from titer.estimation.estimators.entries import Entries, rate_of
from titer.flowsheets.operation import Operation
from titer.numerics.collocation import collocation
from titer.numerics.dae import Array, Dae
from titer.numerics.errors import TiterError

_DEGREE = 3
_CLOSE = 1e-10  # of the sizes: a Newton step below it is the last


@dataclass(frozen=True, eq=False)
class Places:
    """Where the entries stand in a phase: `active` states, and parameters of the phase that are entries."""

    active: Array  # (states of the phase,): their entries
    parameters: Array  # (of the phase's parameters that are entries,): their position among its parameters
    entries: Array  # of the same: their entries


@dataclass(frozen=True, eq=False)
class Step:
    """One step: (w, rest) -> w, the scaled points, and (w, rest) -> (ds+/ds, noise); `rest`: s, t, h, u at both ends,
    p."""

    solve: ca.Function
    slopes: ca.Function
    sizes: tuple[Array, Array]  # of the entries, of the algebraic variables


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of a phase, for all entries (n) at once; what does not move in the phase stays.

    `followed`: (s, z, data) -> (s, z) after a number of equal steps; `linearized`: the same, with the derivatives of s
    beside it, and the noise per square root of the step, step by step and point by point. Both by their number of
    steps. `data`: t, h, u, its change per step, p.
    """

    dae: Dae
    places: Places
    step: Step
    followed: Mapping[int, ca.Function]
    linearized: Mapping[int, ca.Function]

    @property
    def degree(self) -> int:
        return _DEGREE

    def parameters(self, s: Array, p: Array) -> Array:
        """The phase's parameters, with those that are entries."""
        p = p.copy()
        p[self.places.parameters] = s[self.places.entries]
        return p


def places_of(operation: Operation, entries: Entries) -> Places:
    """Where the entries stand in a phase. A parameter that the phase fixes is none of them there."""
    dae, index = operation.lowered.dae, entries.index
    estimated = (*entries.states, *(name for name in entries.parameters if name not in operation.fixed))
    met = [(k, index[v.name]) for k, v in enumerate(dae.parameters) if v.name in estimated]
    pairs = np.array(met, dtype=int).reshape(len(met), 2)
    return Places(np.array([index[v.name] for v in dae.states], dtype=int), pairs[:, 0], pairs[:, 1])


def steps_of(operation: Operation, entries: Entries, noisy: Sequence[int], sizes: tuple[Array, Array]) -> Steps:
    """The functions of a phase, one step in a call. `noisy`: entries whose rates are disturbed by white noise."""
    dae, places = operation.lowered.dae, places_of(operation, entries)
    n, nz, nu, npar = len(entries.names), *dae.sizes[1:]
    w, rest = ca.SX.sym("w", _DEGREE * (n + nz)), ca.SX.sym("rest", n + 2 + 2 * nu + npar)
    equations = _equations(dae, entries, places, sizes, w, rest)
    options = {"linear_solver": "csparse", "abstol": 1e-15, "abstolStep": _CLOSE, "max_iter": 20}
    solve = ca.rootfinder("step", "newton", {"x": w, "p": rest, "g": equations}, options)
    slopes = _slopes(equations, w, rest, n, nz, _noise(noisy, n, nz, sizes[0]), sizes[0])
    step = Step(solve, slopes, sizes)
    return Steps(dae, places, step, {1: _chain(step, dae, 1, False)}, {1: _chain(step, dae, 1, True)})


def chained(steps: Steps, count: int) -> Steps:
    """The same with a number of steps that are taken in one call."""
    if count in steps.followed:
        return steps
    followed, linearized = (_chain(steps.step, steps.dae, count, with_slopes) for with_slopes in (False, True))
    return replace(
        steps,
        followed={**steps.followed, count: followed},
        linearized={**steps.linearized, count: linearized},
    )


def _chain(step: Step, dae: Dae, count: int, with_slopes: bool) -> ca.Function:
    """Equal steps one after another."""
    (n, nz), (nu, npar) = (len(size) for size in step.sizes), dae.sizes[2:]
    start = [ca.MX.sym("s", n), ca.MX.sym("z", nz), ca.MX.sym("data", 2 + 2 * nu + npar)]
    s, z, data = start
    clock, u, change, p = ca.vertsplit(data, np.cumsum([0, 2, nu, nu, npar]).tolist())
    transition = ca.MX(ca.DM.eye(n))
    noise: list[ca.MX] = []
    for k in range(count):
        guess = ca.repmat(ca.vertcat(s / step.sizes[0], z / step.sizes[1]), _DEGREE)
        rest = ca.vertcat(s, clock[0] + k * clock[1], clock[1], u + k * change, u + (k + 1) * change, p)
        w = step.solve(guess, rest)
        end = ca.vertsplit(w, [0, (_DEGREE - 1) * (n + nz), _DEGREE * (n + nz) - nz, _DEGREE * (n + nz)])
        s, z = end[1] * step.sizes[0], end[2] * step.sizes[1]
        if with_slopes:
            by_start, added = step.slopes(w, rest)
            transition, noise = ca.mtimes(by_start, transition), [*(ca.mtimes(by_start, m) for m in noise), added]
    moved = ca.horzcat(s, transition, *noise) if with_slopes else s
    return ca.Function("steps", start, [ca.densify(moved), ca.densify(z)])


def _equations(dae: Dae, entries: Entries, places: Places, sizes: tuple[Array, Array], w: ca.SX, rest: ca.SX) -> ca.SX:
    """The scaled equations of the collocation: for each point those of the rates, then the algebraic ones."""
    n, (nz, nu, npar) = len(entries.names), dae.sizes[1:]
    s, clock, left, right, p = ca.vertsplit(rest, np.cumsum([0, n, 2, nu, nu, npar]).tolist())
    scheme = collocation(_DEGREE)
    points = [ca.vertsplit(point, [0, n, n + nz]) for point in ca.horzsplit(ca.reshape(w, n + nz, _DEGREE))]
    line = [s, *(point[0] * sizes[0] for point in points)]
    rows: list[ca.SX] = []
    for j, point in enumerate(points):
        share = scheme.nodes[j]
        here = (clock[0] + clock[1] * share, line[j + 1], point[1] * sizes[1], left + (right - left) * share, p)
        rate, zero = _moved(dae, entries, places, *here)
        slope = sum(scheme.derivative[i, j] * line[i] for i in range(_DEGREE + 1))
        rows += [(slope - clock[1] * rate) / sizes[0], zero]
    return ca.vertcat(*rows)


def _moved(
    dae: Dae, entries: Entries, places: Places, t: ca.SX, s: ca.SX, z: ca.SX, u: ca.SX, p: ca.SX
) -> tuple[ca.SX, ca.SX]:
    """Rates of all entries, zero of those at rest, and the algebraic equations."""
    rate, zero, _ = dae.function(t, s[places.active.tolist()], z, u, placed(places, s, p))
    index = entries.index
    rates = [ca.SX(0.0)] * len(entries.names)
    for k, i in enumerate(places.active):
        name = entries.states[i]
        rates[i] = rate[k] + (s[index[rate_of(name)]] if name in entries.rates else 0.0)
    return ca.vertcat(*rates), zero


def placed(places: Places, s: ca.SX, p: ca.SX) -> ca.SX:
    """The parameters of a phase, with those that are entries."""
    column = ca.SX(p)
    for k, i in zip(places.parameters.tolist(), places.entries.tolist(), strict=True):
        column[k] = s[i]
    return column


def _noise(noisy: Sequence[int], n: int, nz: int, sizes: Array) -> Array:
    """(equations, d * noisy): what noise of deviation 1 in each rate puts into the equations, per square root of h."""
    weights = collocation(_DEGREE).weights
    columns = np.zeros((_DEGREE * (n + nz), _DEGREE * len(noisy)))
    for j in range(_DEGREE):
        for k, i in enumerate(noisy):
            columns[j * (n + nz) + i, j * len(noisy) + k] = 1.0 / np.sqrt(weights[j]) / sizes[i]
    return columns


def _slopes(equations: ca.SX, w: ca.SX, rest: ca.SX, n: int, nz: int, noise: Array, sizes: Array) -> ca.Function:
    """(w, rest) -> (ds+/ds, noise), by solving with the transposed Jacobian for the last point alone."""
    both = ca.Function("both", [w, rest], [ca.jacobian(equations, w), ca.jacobian(equations, rest[:n])])
    last = np.zeros((w.numel(), n))
    last[np.arange(n) + (_DEGREE - 1) * (n + nz), np.arange(n)] = 1.0
    a, b = ca.MX.sym("w", w.numel()), ca.MX.sym("rest", rest.numel())
    by_points, by_start = both(a, b)
    adjoint = ca.solve(by_points.T, ca.MX(ca.DM(last)), "csparse")
    scaled = ca.mtimes(adjoint, ca.diag(ca.DM(sizes))).T
    transition = -ca.mtimes(scaled, by_start)
    spread = ca.mtimes(scaled, ca.MX(ca.sparsify(ca.DM(noise))))
    return ca.Function("slopes", [a, b], [ca.densify(transition), ca.densify(spread)])


@dataclass(frozen=True, eq=False)
class Reading:
    """Values read at a point of a phase, and beside them their derivatives along the entries: (s, z, t, u, p) ->
    (m, 1 + n); algebraic variables follow the entries by their equations. `present` (m,): what is there."""

    function: ca.Function
    present: Array


def reading_of(operation: Operation, entries: Entries, wanted: Sequence[ca.Function | None]) -> Reading:
    """What functions of a phase's point (None: not there in it) give. Absent ones read 0, as they do not depend."""
    dae, places = operation.lowered.dae, places_of(operation, entries)
    nz, nu, npar = dae.sizes[1:]
    s, z, t = ca.SX.sym("s", len(entries.names)), ca.SX.sym("z", nz), ca.SX.sym("t")
    u, p = ca.SX.sym("u", nu), ca.SX.sym("p", npar)
    point = (t, s[places.active.tolist()], z, u, placed(places, s, p))
    values = ca.vertcat(ca.SX(0, 1), *(ca.SX(0.0) if f is None else f(*point) for f in wanted))
    present = np.array([f is not None for f in wanted], dtype=bool)
    if not nz:
        function = ca.Function("reading", [s, z, t, u, p], [ca.densify(ca.horzcat(values, ca.jacobian(values, s)))])
        return Reading(function, present)
    zero = dae.function(*point)[1]
    parts = [values, *(ca.jacobian(e, a) for e in (values, zero) for a in (s, z))]
    inner = ca.Function("inner", [s, z, t, u, p], parts)
    arguments = [ca.MX.sym(name, inner.numel_in(k)) for k, name in enumerate(("s", "z", "t", "u", "p"))]
    value, direct, through, zero_s, zero_z = inner(*arguments)
    total = direct - ca.mtimes(through, ca.solve(zero_z, zero_s, "csparse"))
    return Reading(ca.Function("reading", arguments, [ca.densify(ca.horzcat(value, total))]), present)


def wanted_of(operation: Operation, names: Sequence[str]) -> list[ca.Function | None]:
    """Functions of a phase's point that give what is named; None for what a unit operation at rest does not have."""
    found: list[ca.Function | None] = []
    for name in names:
        try:
            found.append(operation.lowered.function(operation.lowered.view[name], "measured"))
        except TiterError:
            found.append(None)
    return found
