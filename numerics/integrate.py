"""How does a model run forward in time? Piece by piece with CVODES or IDAS, to the exact end of a phase.

Inputs jump between pieces; an integrator that steps across a jump is wrong or fails, so each piece is a call
of its own, with consistent algebraic variables at its start. Sizes of the variables enter as data: tolerances
are relative to them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.dae import NEGLIGIBLE, Array, Dae, Variable, sizes_of, starts
from titer.numerics.errors import SolveError


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of time with inputs on straight lines from `left` to `right` (equal: constant)."""

    duration: float
    left: Array
    right: Array


@dataclass(frozen=True, eq=False)
class Event:
    """Ends a phase: `function`(t, x, z, u, p) goes through zero; direction -1 falling, 1 rising, 0 either."""

    function: ca.Function
    direction: int
    text: str


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Values along a phase, shapes (variables, points); the recipe's time stands twice where inputs jump."""

    time: Array
    x: Array
    z: Array
    u: Array
    y: Array
    reached: bool = True  # whether the event that should end the phase was met (True where there is none)

    @property
    def duration(self) -> float:
        return float(self.time[-1] - self.time[0])

    @property
    def tau(self) -> Array:
        """Positions in the phase, 0 to 1."""
        span = self.time[-1] - self.time[0]
        return (self.time - self.time[0]) / (span if span > 0.0 else 1.0)


class IntegrationError(SolveError):
    """The integrator stopped: when, why, and what it reached (`solution`, a `Trajectory` or None)."""

    def __init__(self, message: str, time: float, trajectory: Trajectory | None):
        super().__init__(message, trajectory)
        self.time = time


def integrate(
    dae: Dae,
    x: Array,
    p: Array,
    clock: float,
    pieces: Sequence[Piece],
    event: Event | None = None,
    points: int = 100,
    independent: bool = False,
    tolerance: float = 1e-8,
) -> Trajectory:
    """Integrate over the pieces, or until the event.

    `x` (states,), `p` (parameters,); `clock`: time at the start. `points`: output points in all, at least two
    a piece; where time enters the equations, no step is longer than their spacing. `independent`: IDAS in place of
    CVODES, the integrator of the certificate. Where a variable of which no size is known stays far below the size
    assumed, the run is repeated once with the size that it reached: its tolerance would be no tolerance.
    Raises IntegrationError, which carries the trajectory up to the failure.
    """
    run = _Run(dae, np.asarray(x, dtype=float), np.asarray(p, dtype=float), independent, tolerance)
    trajectory = _through(run, clock, pieces, event, points)
    finer = run.resized(trajectory)
    if finer is None:
        return trajectory
    try:
        return _through(finer, clock, pieces, event, points)
    except IntegrationError:  # what was reached is rounding: there is nothing to resolve
        return trajectory


def _through(run: _Run, clock: float, pieces: Sequence[Piece], event: Event | None, points: int) -> Trajectory:
    """Integrate over the pieces, or until the event, with the sizes that the run knows."""
    dae = run.dae
    each = max(2, int(np.ceil(points / max(len(pieces), 1))))
    watch = None if event is None else _Watch(event, run)
    t, z = float(clock), starts(dae.algebraics)
    x = run.x
    parts: list[_Part] = []
    for piece in pieces:
        if piece.duration <= 0.0:
            continue
        try:
            part = run.part(t, x, z, piece, each)
            cut = None if watch is None else watch.cut(part)
        except RuntimeError as error:  # the event may still come before the failure
            some = run.until_failure(t, x, z, piece, each)
            cut = watch.cut(some) if watch and some else None
            if cut is None:
                parts += [some] if some else []
                raise _failure(run, str(error), t, piece.duration / each, parts) from None
        if cut is not None:
            return _collect(run, [*parts, cut], True)
        parts.append(part)
        t, x, z = t + piece.duration, part.x[:, -1], part.z[:, -1]
        run.grow(part)
    if not parts:  # a phase without duration: its one instant
        parts = [run.instant(t, x, z, pieces[0].left)]
    return _collect(run, parts, event is None)


def consistent_algebraics(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Algebraic variables that satisfy their equations at a point, from the guess `z`. Raises RuntimeError.

    Newton's method, damped by the natural monotonicity test, so that it does not depend on how equations are
    scaled. Source: Deuflhard, Newton Methods for Nonlinear Problems (Springer 2004), section 3.3.
    """
    if not dae.algebraics:
        return z
    equations = _algebraic_equations(dae.function, dae.sizes)
    rest = np.concatenate([[t], x, u, p])
    floor = 1e-4 * sizes_of(dae.algebraics)
    for _ in range(100):
        value, slope = (np.array(v) for v in equations(z, rest))
        if not (np.isfinite(value).all() and np.isfinite(slope).all()):
            break
        size = np.maximum(np.abs(z), floor)
        try:
            step = -np.linalg.solve(slope, value).ravel()
        except np.linalg.LinAlgError:
            raise RuntimeError(
                "the algebraic equations do not determine the algebraic variables there (is the index 1?)"
            ) from None
        length = np.abs(step / size).max()
        if length <= 1e-8:  # convergence is quadratic: after this step nothing is left
            return z + step
        share = 1.0
        while share > 1e-8:
            value = np.array(equations(z + share * step, rest)[0])
            left = np.abs(np.linalg.solve(slope, value).ravel() / size).max() if np.isfinite(value).all() else np.inf
            if left <= (1.0 - share / 4.0) * length:
                break
            share /= 2.0
        z = z + share * step
    raise RuntimeError("the algebraic equations have no consistent solution near the guess")


def outputs(dae: Dae, time: Array, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Named outputs (outputs, points) along a trajectory."""
    if not dae.outputs:
        return np.zeros((0, len(time)))
    return _along(dae.function, _Part(time, x, z, u), p)[2]


_FAR = 1e-3  # a variable that stays below this fraction of its assumed size was given a wrong one


class _Part(NamedTuple):
    """Points of a piece: times (points,), states, algebraics and inputs (variables, points)."""

    time: Array
    x: Array
    z: Array
    u: Array

    def before(self, k: int) -> _Part:
        """The points before point k."""
        return _Part(self.time[:k], self.x[:, :k], self.z[:, :k], self.u[:, :k])

    def then(self, other: _Part) -> _Part:
        return _Part(*(np.concatenate(pair, axis=-1) for pair in zip(self, other, strict=True)))


class _Run:
    """A model with its parameters and an integrator; knows how large the variables are."""

    def __init__(self, dae: Dae, x: Array, p: Array, independent: bool, tolerance: float):
        self.dae, self.x, self.p, self.tolerance = dae, x, p, tolerance
        self.plugin = "idas" if independent or dae.algebraics else "cvodes"
        self.sizes = np.maximum(sizes_of(dae.states), np.abs(x))
        self.z_sizes = np.zeros(0)  # of algebraics, and factors of their equations: known once consistent
        self.factors = np.zeros(0)
        self.timed = dae.depends_on_time()
        self._resize: Callable[[Array], Array] = lambda sizes: sizes  # of algebraics, once they are known

    def part(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> _Part:
        """The piece from (t, x), algebraics guessed, at `points` equal steps. Raises RuntimeError."""
        first = self.instant(t, x, z, piece.left)
        if len(self.z_sizes) < len(z):
            self.z_sizes = self._resize(sizes_of(self.dae.algebraics, first.z))
            self.factors = _equation_factors(self.dae, first, self.p, self.z_sizes)
        run = _integrator(self.dae.function, self.dae.sizes, self.plugin, points, self.tolerance, self.timed)
        sizes = (self.sizes, self.z_sizes, self.factors)
        data = [[t, piece.duration], piece.left, piece.right, self.p, *sizes]
        result = run(x0=x / self.sizes, z0=first.z[:, 0] / self.z_sizes, p=np.concatenate(data))
        xs = np.array(result["xf"]) * self.sizes[:, None]
        zs = np.array(result["zf"]).reshape(len(self.z_sizes), points) * self.z_sizes[:, None]
        if not (np.isfinite(xs).all() and np.isfinite(zs).all()):
            raise RuntimeError("a value is not finite")
        share = np.linspace(0.0, 1.0, points + 1)
        us = piece.left[:, None] + (piece.right - piece.left)[:, None] * share
        times = t + piece.duration * share
        return _Part(times, np.column_stack([x, xs]), np.column_stack([first.z, zs]), us)

    def instant(self, t: float, x: Array, z: Array, u: Array) -> _Part:
        """One point, with consistent algebraics. Raises RuntimeError."""
        z = consistent_algebraics(self.dae, t, x, z, u, self.p)
        return _Part(np.array([t]), x[:, None], z[:, None], np.asarray(u, dtype=float)[:, None])

    def grow(self, part: _Part) -> None:
        """Take note of the sizes that the variables reached."""
        self.sizes = np.maximum(self.sizes, np.abs(part.x).max(axis=1, initial=0.0))
        self.z_sizes = np.maximum(self.z_sizes, np.abs(part.z).max(axis=1, initial=0.0))

    def resized(self, reached: Trajectory) -> _Run | None:
        """The same run with the sizes that variables reached far below those assumed; None where all were fair."""
        x, z = (np.abs(rows).max(axis=1, initial=0.0) for rows in (reached.x, reached.z))
        small, small_z = _far_below(self.dae.states, x, self.sizes), _far_below(self.dae.algebraics, z, self.z_sizes)
        if not (small.any() or small_z.any()):
            return None
        other = copy.copy(self)
        other.sizes = np.where(small, x, self.sizes)
        other.z_sizes, other.factors = np.zeros(0), np.zeros(0)
        other._resize = lambda sizes: np.where(small_z, z, sizes)
        return other

    def until_failure(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> _Part | None:
        """As much of a piece that fails as can be had, step by step."""
        so_far: _Part | None = None
        ends = piece.left + np.linspace(0.0, 1.0, points + 1)[:, None] * (piece.right - piece.left)
        h = piece.duration / points
        for left, right in pairwise(ends):
            try:
                step = self.part(t, x, z, Piece(h, left, right), 1)
            except RuntimeError:
                break
            so_far = so_far.before(-1).then(step) if so_far else step
            t, x, z = t + h, step.x[:, -1], step.z[:, -1]
        return so_far


def _far_below(variables: Sequence[Variable], reached: Array, sizes: Array) -> Array:
    """Which variables stayed far below a size that nothing but a convention gave them."""
    if len(sizes) < len(variables):  # never integrated
        return np.zeros(len(variables), dtype=bool)
    unknown = np.array([not np.isfinite(v.nominal) and not abs(v.start) > NEGLIGIBLE for v in variables], dtype=bool)
    return unknown & (reached > NEGLIGIBLE) & (reached < _FAR * sizes)


class _Watch:
    """Looks for an event part by part. `sign` times its function is negative before it."""

    def __init__(self, event: Event, run: _Run):
        self.event, self.run = event, run
        self.sign: float | None = None

    def cut(self, part: _Part) -> _Part | None:
        """The part cut at the event, None where it is not met. The root is found by re-integrating to it."""
        values = _along(self.event.function, part, self.run.p)[0].ravel()
        begin = 0
        if self.sign is None:
            begin = self._find_sign(values, part.time[0])
        if self.sign is None:
            return None
        over = begin + np.flatnonzero(self.sign * values[begin:] >= 0.0)
        if not len(over):
            return None
        k = int(over[0])
        if k == 0:  # met by the jump of an input
            return part.before(1)
        return part.before(k).then(self._root(part, k))

    def _find_sign(self, values: Array, time: float) -> int:
        """Fix the sign; returns the first point at which the event can be told from its start."""
        if self.event.direction:
            self.sign = float(self.event.direction)
            if self.sign * values[0] >= 0.0:
                raise IntegrationError(
                    f"{self.event.text} holds already at the start of its phase (t = {time:.6g}).\n"
                    "  Start the phase where it does not hold yet, or end the phase otherwise.",
                    float(time),
                    None,
                )
            return 0
        away = np.flatnonzero(values)  # starting on zero, it must leave it first
        if not len(away):
            return 0
        self.sign = -float(np.sign(values[away[0]]))
        return int(away[0])

    def _root(self, part: _Part, k: int) -> _Part:
        from scipy.optimize import brentq

        assert self.sign is not None
        sign, base, step = self.sign, part.time[k - 1], part.time[k] - part.time[k - 1]
        left, slope = part.u[:, k - 1], (part.u[:, k] - part.u[:, k - 1]) / step

        def at(h: float) -> _Part:
            if h <= 0.0:
                return part.before(k)
            piece = Piece(h, left, left + slope * h)
            return self.run.part(base, part.x[:, k - 1], part.z[:, k - 1], piece, 1)

        def gap(h: float) -> float:
            end = at(h)
            return sign * float(self.event.function(end.time[-1], end.x[:, -1], end.z[:, -1], end.u[:, -1], self.run.p))

        h = step  # the output point itself, where re-integration falls short of it by a rounding error
        if gap(step) > 0.0:
            h = brentq(gap, 0.0, step, xtol=1e-13 * max(step, abs(base)), rtol=1e-14)
        end = at(h)
        return _Part(end.time[-1:], end.x[:, -1:], end.z[:, -1:], end.u[:, -1:])


@lru_cache(maxsize=64)
def _integrator(
    function: ca.Function, numbers: tuple[int, int, int, int], plugin: str, points: int, tolerance: float, timed: bool
) -> ca.Function:
    nx, nz, nu, npar = numbers
    tau, x, z = ca.SX.sym("tau"), ca.SX.sym("x", nx), ca.SX.sym("z", nz)
    data = ca.SX.sym("data", 2 + 2 * nu + npar + nx + 2 * nz)
    clock, duration, left, right, p, sizes, z_sizes, factors = _split(data, [1, 1, nu, nu, npar, nx, nz, nz])
    point = (clock + duration * tau, x * sizes, z * z_sizes, left + (right - left) * tau, p)
    rate, zero, _ = function(*point)
    model = {"t": tau, "x": x, "z": z, "p": data, "ode": duration * rate / sizes, "alg": factors * zero}
    options = {
        "abstol": tolerance * 1e-1,
        "reltol": tolerance,
        "max_num_steps": 20000,
        "show_eval_warnings": False,
        "disable_internal_warnings": True,
    }
    if plugin == "idas":
        options |= {"calc_ic": True}
    if timed:  # what happens at a given time is not announced by the states: a step may not pass over it
        options |= {"max_step_size": 1.0 / points}
    grid = np.linspace(0.0, 1.0, points + 1)[1:].tolist()
    return ca.integrator("run", plugin, model, 0.0, grid, options)


@lru_cache(maxsize=64)
def _algebraic_equations(function: ca.Function, numbers: tuple[int, int, int, int]) -> ca.Function:
    """(z, (t, x, u, p)) -> (equations, their derivatives in z)."""
    nx, nz, nu, npar = numbers
    z, rest = ca.SX.sym("z", nz), ca.SX.sym("rest", 1 + nx + nu + npar)
    t, x, u, p = _split(rest, [1, nx, nu, npar])
    zero = function(t, x, z, u, p)[1]
    return ca.Function("algebraic", [z, rest], [zero, ca.jacobian(zero, z)])


def _equation_factors(dae: Dae, point: _Part, p: Array, sizes: Array) -> Array:
    """Factors of the algebraic equations that make their largest derivatives, in sizes, about 1."""
    if not dae.algebraics:
        return np.zeros(0)
    rest = np.concatenate([point.time, point.x[:, 0], point.u[:, 0], p])
    slope = np.array(_algebraic_equations(dae.function, dae.sizes)(point.z[:, 0], rest)[1])
    largest = np.abs(slope * sizes).max(axis=1)
    return 1.0 / np.where(largest > 0.0, largest, 1.0)


def _split(vector: ca.SX, sizes: Sequence[int]) -> list[ca.SX]:
    edges = np.cumsum([0, *sizes]).tolist()
    return [vector[a:b] for a, b in pairwise(edges)]


def _along(function: ca.Function, part: _Part, p: Array) -> list[Array]:
    """Values of a function(t, x, z, u, p) at all points."""
    n = len(part.time)
    values = function.map(n)(part.time[None, :], *part[1:], np.repeat(p[:, None], n, axis=1))
    return [np.array(v) for v in (values if isinstance(values, tuple) else (values,))]


def _collect(run: _Run, parts: Sequence[_Part], reached: bool) -> Trajectory:
    all_points = _Part(*(np.concatenate(group, axis=-1) for group in zip(*parts, strict=True)))
    return Trajectory(*all_points, outputs(run.dae, *all_points, run.p), reached)


def _failure(run: _Run, error: str, t: float, step: float, parts: Sequence[_Part]) -> IntegrationError:
    trajectory = _collect(run, parts, False) if parts else None
    t = float(trajectory.time[-1]) if trajectory else t
    where = f"between t = {t:.6g} and {t + step:.6g} {run.dae.time}"
    return IntegrationError(f"{run.dae.name}: the integration failed {where}: {_reason(error)}", t, trajectory)


_NOT_FINITE = "(a logarithm or root of a negative number, a division by zero, growth without bound)"


def _reason(text: str) -> str:
    """The integrator's own word for what happened, without its file names."""
    for word, meaning in {
        "CONV_FAIL": "its corrector does not converge (a singular point, a rate that stops being finite)",
        "ERR_FAIL": "its error test fails at the smallest step (a singularity, or a discontinuity)",
        "TOO_MUCH_WORK": "it needs too many steps (very stiff, or a solution that blows up)",
        "RHSFUNC": f"a rate is not finite {_NOT_FINITE}",
        "RES_FAIL": f"a residual is not finite {_NOT_FINITE}",
        "REP_RES_ERR": f"a residual is not finite {_NOT_FINITE}",
        "LSETUP": "its Jacobian cannot be factorized",
        "NO_RECOVERY": "no consistent start was found",
        "not finite": f"a value is not finite {_NOT_FINITE}",
    }.items():
        if word in text:
            return meaning
    return text.strip().splitlines()[-1]
