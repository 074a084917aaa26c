"""How does a model run forward in time? Piece by piece with CVODES or IDAS, to the exact end of a phase.

Inputs jump between pieces; an integrator that steps across a jump is wrong or fails, so each piece is a call
of its own, with consistent algebraic variables at its start. Sizes of the variables enter as data: tolerances
are relative to them. States stay on the invariants of a model whose index was reduced (module `manifold`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import lru_cache
from io import StringIO
from itertools import pairwise

import casadi as ca
import numpy as np

from titer.numerics.dae import NEGLIGIBLE, Array, Dae, Variable, parted, sizes_of, starts
from titer.numerics.integration.consistency import algebraic_equations, newton_step, projected
from titer.numerics.integration.failing import Stop, explain
from titer.numerics.integration.manifold import on_invariants
from titer.numerics.integration.ordering import narrow
from titer.numerics.integration.trajectory import IntegrationError, Part, Piece, Trajectory, outputs
from titer.numerics.integration.watch import Event, Watch
from titer.numerics.interrupts import Interrupts


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
    z: Array | None = None,
) -> Trajectory:
    """Integrate over the pieces, or until the event.

    `x` (states,), `p` (parameters,); `clock`: time at the start. `points`: output points in all, at least two
    a piece; where time enters the equations, no step is longer than their spacing. `independent`: IDAS in place of
    CVODES, the integrator of the certificate. `z` (algebraics,): where algebraic variables are looked for, else at
    their declared starts. Where a variable of which no size is known stays far below the size
    assumed, the run is repeated once with the size that it reached: its tolerance would be no tolerance.
    Raises IntegrationError, which carries the trajectory up to the failure, and KeyboardInterrupt for Ctrl-C.
    """
    run = _Run(dae, np.asarray(x, dtype=float), np.asarray(p, dtype=float), independent, tolerance, z)
    with Interrupts() as interrupts, redirect_stderr(StringIO()):  # integrators talk of what is said better here
        try:
            trajectory = _through(run, clock, pieces, event, points)
        except IntegrationError:
            if interrupts.seen:  # the integrator took Ctrl-C for a failure of the model
                raise KeyboardInterrupt from None
            raise
        finer = run.resized(trajectory)
        if finer is None:
            return trajectory
        try:
            return _through(finer, clock, pieces, event, points)
        except IntegrationError:  # what was reached is rounding: there is nothing to resolve
            if interrupts.seen:
                raise KeyboardInterrupt from None
            return trajectory


def _through(run: _Run, clock: float, pieces: Sequence[Piece], event: Event | None, points: int) -> Trajectory:
    """Integrate over the pieces, or until the event, with the sizes that the run knows."""
    each = max(2, int(np.ceil(points / max(len(pieces), 1))))
    watch = None if event is None else Watch(event, run)
    t, x, z = float(clock), run.x, run.z
    parts: list[Part] = []
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
                start = Part(np.array([t]), x[:, None], z[:, None], piece.left[:, None])
                raise _failure(run, error, parts, some, start, piece, piece.duration / each) from None
        if cut is not None:
            return _collect(run, [*parts, cut], True)
        parts.append(part)
        t, x, z = t + piece.duration, part.x[:, -1], part.z[:, -1]
        run.grow(part)
    if not parts:  # a phase without duration: its one instant
        parts = [run.instant(t, x, z, pieces[0].left)]
    return _collect(run, parts, event is None)


_FAR = 1e-3  # a variable that stays below this fraction of its assumed size was given a wrong one


class _Run:
    """A model with its parameters and an integrator; knows how large the variables are."""

    def __init__(self, dae: Dae, x: Array, p: Array, independent: bool, tolerance: float, z: Array | None):
        self.dae, self.x, self.p, self.tolerance = dae, x, p, tolerance
        self.z = starts(dae.algebraics) if z is None else np.asarray(z, dtype=float)
        self.plugin = "idas" if independent or dae.algebraics else "cvodes"
        self.sizes = np.maximum(sizes_of(dae.states), np.abs(x))
        self.z_sizes = np.zeros(0)  # of algebraics, and factors of their equations: known once consistent
        self.factors = np.zeros(0)
        self.timed = dae.depends_on_time()
        self._resize: Callable[[Array], Array] = lambda sizes: sizes  # of algebraics, once they are known

    def part(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part:
        """The piece from (t, x), algebraics guessed, at `points` equal steps. Raises RuntimeError."""
        if self.dae.invariants is None:
            return self.stretch(t, x, z, piece, points)
        return on_invariants(self, t, x, z, piece, points)

    def stretch(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part:
        """The piece in one call of the integrator. Raises RuntimeError."""
        first = self.instant(t, x, z, piece.left)
        x = first.x[:, 0]
        if len(self.z_sizes) < len(z):
            self.z_sizes = self._resize(sizes_of(self.dae.algebraics, first.z))
            self.factors = _equation_factors(self.dae, first, self.p, self.z_sizes)
        run, order = _integrator(self.dae.function, self.dae.sizes, self.plugin, points, self.tolerance, self.timed)
        sizes = (self.sizes, self.z_sizes, self.factors)
        data = [[t, piece.duration], piece.left, piece.right, self.p, *sizes]
        result = run(x0=(x / self.sizes)[order], z0=first.z[:, 0] / self.z_sizes, p=np.concatenate(data))
        xs = np.empty((len(x), points))
        xs[order] = np.array(result["xf"])
        xs *= self.sizes[:, None]
        zs = np.array(result["zf"]).reshape(len(self.z_sizes), points) * self.z_sizes[:, None]
        if not (np.isfinite(xs).all() and np.isfinite(zs).all()):
            raise RuntimeError("a value is not finite")
        share = np.linspace(0.0, 1.0, points + 1)
        us = piece.left[:, None] + (piece.right - piece.left)[:, None] * share
        times = t + piece.duration * share
        zs = _on_equations(self.dae, times[1:], xs, zs, us[:, 1:], self.p)
        return Part(times, np.column_stack([x, xs]), np.column_stack([first.z, zs]), us)

    def instant(self, t: float, x: Array, z: Array, u: Array) -> Part:
        """One point: states on the invariants, consistent algebraics. Raises RuntimeError."""
        x, z = projected(self.dae, t, x, z, u, self.p, self.sizes)
        return Part(np.array([t]), x[:, None], z[:, None], np.asarray(u, dtype=float)[:, None])

    def grow(self, part: Part) -> None:
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

    def until_failure(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part | None:
        """As much of a piece that fails as can be had, step by step."""
        so_far: Part | None = None
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


@lru_cache(maxsize=64)
def _integrator(
    function: ca.Function, numbers: tuple[int, int, int, int], plugin: str, points: int, tolerance: float, timed: bool
) -> tuple[ca.Function, Array]:
    """An integrator over tau from 0 to 1, and the order in which it takes the states."""
    nx, nz, nu, npar = numbers
    order = narrow(function, nx)
    back = np.argsort(order).tolist()
    tau, x, z = ca.SX.sym("tau"), ca.SX.sym("x", nx), ca.SX.sym("z", nz)
    data = ca.SX.sym("data", 2 + 2 * nu + npar + nx + 2 * nz)
    clock, duration, left, right, p, sizes, z_sizes, factors = parted(data, [1, 1, nu, nu, npar, nx, nz, nz])
    point = (clock + duration * tau, x[back] * sizes, z * z_sizes, left + (right - left) * tau, p)
    rate, zero, _ = function(*point)
    rates = (duration * rate)[order.tolist()] / sizes[order.tolist()]
    model = {"t": tau, "x": x, "z": z, "p": data, "ode": rates, "alg": factors * zero}
    options = {
        "abstol": tolerance * 1e-1,
        "reltol": tolerance,
        "max_num_steps": 20000,
        # qr fails where derivatives underflow (a substrate long gone), csparse pivots too weakly for algebraic rows.
        "linear_solver": "qr" if nz else "csparse",
        "show_eval_warnings": False,
        "disable_internal_warnings": True,
    }
    if plugin == "idas":
        # Algebraics are solved for at each step. Counted in the error test as well, those that amplify what the states
        # are free to be off by keep IDAS at order 1: a hundred times the steps, and less right.
        options |= {"calc_ic": True, "suppress_algebraic": True}
    if timed:  # what happens at a given time is not announced by the states: a step may not pass over it
        options |= {"max_step_size": 1.0 / points}
    grid = np.linspace(0.0, 1.0, points + 1)[1:].tolist()
    return ca.integrator("run", plugin, model, 0.0, grid, options), order


def _equation_factors(dae: Dae, point: Part, p: Array, sizes: Array) -> Array:
    """Factors of the algebraic equations that make their largest derivatives, in sizes, about 1."""
    if not dae.algebraics:
        return np.zeros(0)
    rest = np.concatenate([point.time, point.x[:, 0], point.u[:, 0], p])
    slope = np.array(algebraic_equations(dae.function, dae.sizes)(point.z[:, 0], rest)[1])
    largest = np.abs(slope * sizes).max(axis=1)
    return 1.0 / np.where(largest > 0.0, largest, 1.0)


def _on_equations(dae: Dae, t: Array, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Algebraics (algebraics, points) put on their equations, which they miss a little between IDAS's own steps."""
    if not len(z):
        return z
    rest = np.vstack([t[None, :], x, u, np.repeat(p[:, None], len(t), axis=1)])
    solved = np.array(newton_step(dae.function, dae.sizes).map(len(t))(z, rest))
    return np.where(np.isfinite(solved), solved, z)


def _collect(run: _Run, parts: Sequence[Part], reached: bool) -> Trajectory:
    all_points = Part(*(np.concatenate(group, axis=-1) for group in zip(*parts, strict=True)))
    return Trajectory(*all_points, outputs(run.dae, *all_points, run.p), reached)


def _failure(
    run: _Run, error: RuntimeError, parts: Sequence[Part], some: Part | None, start: Part, piece: Piece, step: float
) -> IntegrationError:
    """What is known of a piece that failed `step` after its `start` or after `some` points of it."""
    through = [*parts, *([some] if some else [])]
    reached = Part(*(np.concatenate(g, axis=-1) for g in zip(*parts, start, *([some] if some else []), strict=True)))
    stop = Stop(run, reached, step, (piece.right - piece.left) / piece.duration, error)
    trajectory = _collect(run, through, False) if through else None
    return IntegrationError(lambda: explain(stop), float(reached.time[-1]), trajectory)
