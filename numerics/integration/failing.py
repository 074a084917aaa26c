"""Why did an integration stop? In physical terms: the operation, the state or the equation that it stopped at.

The step that failed is first narrowed down. Then what may be to blame is looked at from the certain to the likely: a
number that is not finite, a derivative that is not, algebraic equations without solution, growth without bound; the
first that applies is the reason. What else is worth knowing follows line by line.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import lru_cache
from io import StringIO
from typing import NamedTuple, Protocol

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae, sizes_of
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics
from titer.numerics.integration.trajectory import Part, Piece
from titer.numerics.nonfinite import NonFinite, crossing, first_nonfinite, nonfinite_derivative


class Point(NamedTuple):
    """An instant: time, states, algebraic variables, inputs."""

    t: float
    x: Array
    z: Array
    u: Array


class Runs(Protocol):
    """What integrates a piece of a model."""

    dae: Dae
    p: Array

    def part(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part: ...


@dataclass(frozen=True, eq=False)
class Stop:
    """An integration that stopped between its last point and `ahead` later.

    `reached`: all points, the last one with the inputs of the step that failed; `drift`: how these change by time.
    """

    run: Runs
    reached: Part
    ahead: float
    drift: Array
    error: RuntimeError

    @property
    def dae(self) -> Dae:
        return self.run.dae

    @property
    def last(self) -> Point:
        t, x, z, u = self.reached
        return Point(float(t[-1]), x[:, -1], z[:, -1], u[:, -1])

    @property
    def sizes(self) -> Array:
        return sizes_of(self.dae.states, self.reached.x)

    def evaluated(self, point: Point) -> tuple[Array, Array]:
        """Rates and residuals of the algebraic equations at a point."""
        rate, zero, _ = self.dae.function(*point, self.run.p)
        return np.array(rate).ravel(), np.array(zero).ravel()

    def advanced(self, step: float) -> Stop:
        """A step into what is ahead is integrated, or else what lies behind it is left out."""
        point = self.last
        piece = Piece(step, point.u, point.u + step * self.drift)
        try:
            with redirect_stderr(StringIO()):  # integrators talk when they fail, and here they are made to
                part = self.run.part(point.t, point.x, point.z, piece, 1)
        except RuntimeError as error:
            return replace(self, ahead=step, error=error)
        end = Part(*(rows[..., -1:] for rows in part))
        return replace(self, reached=self.reached.then(end), ahead=self.ahead - step)


def explain(stop: Stop) -> str:
    """Say where and why an integration stopped; the first line names what is to blame."""
    with np.errstate(all="ignore"):  # what is looked at may be anything
        return _explained(stop)


def _explained(stop: Stop) -> str:
    reason = _undefined(stop, [stop.last]) or _inconsistent(stop, [stop.last])
    where = f"at t = {stop.last.t:.6g}"
    if reason is None:
        stop = _narrowed(stop)
        where = _between(stop.last.t, stop.last.t + stop.ahead)
        ahead = list(_ahead(stop))
        looks = (_undefined, _pole, _inconsistent, _growth, _unexplained)
        reason = next(found for look in looks if (found := look(stop, ahead)) is not None)
    what, advice = reason
    known = [*_fastest(stop), *_outside(stop), *_jump(stop), *_modes(stop), advice]
    lines = [line for line in known if line and line not in what]
    return "\n  ".join([f"{stop.dae.name}: the integration failed {where} {stop.dae.time}: {what}", *lines])


_TRIES = 24  # times that the step that failed is divided
_FAILURES = 8  # after which it is not divided any more,
_PATIENCE = 2.0  # nor after so many seconds
_FEW = 3  # variables that a line names
_MOST_STATES = 200  # for which modes are computed, and derivatives searched
_GROWN = 30.0  # times its earlier size: a state that grew so much, and ever faster, has no bound


def _narrowed(stop: Stop) -> Stop:
    """Advance as far as possible into the step that failed."""
    began = clock.perf_counter()
    rate, _ = stop.evaluated(stop.last)
    fastest = np.abs(rate / stop.sizes).max(initial=0.0)
    step = min(stop.ahead / 8.0, max(0.1 / fastest, 1e-9 * stop.ahead)) if fastest > 0.0 else stop.ahead / 8.0
    failures = 0
    for _ in range(_TRIES):
        before, stop = stop.last.t, stop.advanced(step)
        failed = not stop.last.t > before
        failures += failed
        step = step / 4.0 if failed else min(2.0 * step, stop.ahead / 2.0)
        late = failures == _FAILURES or clock.perf_counter() - began > _PATIENCE
        if late or stop.ahead < 1e-6 * abs(stop.last.t):
            break
    return stop


def _ahead(stop: Stop) -> Iterator[Point]:
    """The last point, and points ahead of it along its rates, as far as these may be trusted."""
    last, (rate, _) = stop.last, stop.evaluated(stop.last)
    yield last
    t, z = stop.reached.time, stop.reached.z
    slope = (z[:, -1] - z[:, -2]) / (t[-1] - t[-2]) if len(t) > 1 and t[-1] > t[-2] else np.zeros(len(z))
    sizes = stop.sizes
    for step in stop.ahead * 8.0 ** np.arange(4):
        x = last.x + np.clip(step * np.nan_to_num(rate), -0.1 * sizes, 0.1 * sizes)
        yield Point(last.t + step, x, last.z + step * slope, last.u + step * stop.drift)


def _undefined(stop: Stop, points: Sequence[Point]) -> tuple[str, str] | None:
    """A number, or else a derivative, that is not finite at one of some points."""
    tried = [*points, Point(*stop.error.point)] if isinstance(stop.error, InconsistentError) else points
    for look in (first_nonfinite, _derivative):
        for point in tried:
            found = look(*_question(stop, point))
            if found is not None:
                return str(found), _remedy(found)
    return None


def _pole(stop: Stop, points: Sequence[Point]) -> tuple[str, str] | None:
    """A divisor that passes through zero: what is divided by it has no bound there."""
    for point in points[1:]:
        found = crossing(*_question(stop, points[0]), _question(stop, point)[1])
        if found is not None:
            return str(found), _remedy(found)
    return None


def _question(stop: Stop, point: Point) -> tuple[ca.Function, list[Array], list[list[str]], list[list[str]], int]:
    """Arguments of the search for what is not finite in a model."""
    dae = stop.dae
    names = [["time"], *([v.name for v in group] for group in (dae.states, dae.algebraics, dae.inputs, dae.parameters))]
    results = [[f"the rate of {v.name}" for v in dae.states], list(dae.equations), [v.name for v in dae.outputs]]
    return dae.function, [np.array([point.t]), point.x, point.z, point.u, stop.run.p], names, results, 2


def _derivative(
    function: ca.Function, arguments: list[Array], names: list[list[str]], results: list[list[str]], named: int
) -> NonFinite | None:
    if len(arguments[1]) + len(arguments[2]) > _MOST_STATES:
        return None
    return nonfinite_derivative(function, arguments, names, results, named, (1, 2))


def _remedy(found: NonFinite) -> str:
    if not found.operation:
        return ""
    if found.values and found.values[0][0] == found.expression:
        return f"Give {found.expression} a finite value."
    if found.overflows:
        return "Check the units and the starts of what it reads."
    return "Write it so that it is defined there, or keep what it reads away from there by another start or input."


def _inconsistent(stop: Stop, points: Sequence[Point]) -> tuple[str, str] | None:
    """Algebraic equations that have no solution, or not one only."""
    point = _unsolvable(stop, points)
    if point is None:
        return None
    dae = stop.dae
    _, value = stop.evaluated(point)
    slope = _slopes(stop, point)[3]
    sizes = np.maximum(sizes_of(dae.algebraics, stop.reached.z), 1e-4 * np.abs(point.z).max(initial=0.0))
    if not (np.isfinite(value).all() and np.isfinite(slope).all()):
        return None
    scaled = slope * sizes
    largest = np.abs(scaled).max(axis=1)
    rows = np.where(largest > 0.0, largest, 1.0)
    left, singular, right = np.linalg.svd(scaled / rows[:, None])
    if singular[-1] <= 1e-10 * singular[0]:
        return _undetermined(stop, left[:, -1], right[-1]), "Replace one of the equations, or reduce the index."
    worst = int(np.argmax(np.abs(value) / rows))
    read = np.flatnonzero(scaled[worst])
    read = read[np.argsort(-np.abs(scaled[worst, read]), kind="stable")]
    near = ", ".join(f"{dae.algebraics[j].name} = {point.z[j]:.4g}" for j in read[:_FEW])
    return (
        f"the algebraic equations have no consistent solution near the guess: "
        f"{dae.equations[worst]} misses by {value[worst]:.3g} at {near} (t = {point.t:.6g})",
        "Check whether it can hold for the states and inputs there; if it can, declare a start nearer to its solution.",
    )


def _unsolvable(stop: Stop, points: Sequence[Point]) -> Point | None:
    """Where the search for algebraic variables ends without success; the farthest point shows it best."""
    for point in reversed(points):
        try:
            consistent_algebraics(stop.dae, point.t, point.x, point.z, point.u, stop.run.p)
        except InconsistentError as error:
            return Point(*error.point)
    return None


def _undetermined(stop: Stop, equations: Array, variables: Array) -> str:
    """What a singular matrix leaves open: equations that depend on each other, variables they do not fix."""
    dae = stop.dae

    def weighty(weights: Array, names: Sequence[str]) -> str:
        order = np.argsort(-np.abs(weights), kind="stable")
        chosen = sorted(i for i in order if abs(weights[i]) > 0.05 * np.abs(weights).max())
        more = [f"{len(chosen) - _FEW} more"] if len(chosen) > _FEW else []
        return _listed([*(names[i] for i in chosen[:_FEW]), *more])

    names = weighty(variables, [v.name for v in dae.algebraics])
    rows = weighty(equations, dae.equations)
    return (
        f"the algebraic equations do not determine the algebraic variables there (is the index 1?): "
        f"{rows} {'leave' if ' and ' in rows else 'leaves'} {names} open"
    )


def _growth(stop: Stop, _: Sequence[Point]) -> tuple[str, str] | None:
    """A state that grows without bound: many times its earlier size, and doubling ever faster."""
    rate = stop.evaluated(stop.last)[0]
    x, elapsed = stop.last.x, stop.last.t - stop.reached.time[0]
    early = stop.reached.x[:, stop.reached.time <= stop.reached.time[0] + 0.5 * elapsed]
    before = np.maximum(sizes_of(stop.dae.states), np.abs(early).max(axis=1, initial=0.0))
    doubling = np.where(x * rate > 0.0, np.log(2.0) * x / rate, np.inf)
    wild = (np.abs(x) > _GROWN * before) & (doubling < 0.01 * elapsed)
    if not wild.any():
        return None
    k = int(np.argmax(np.where(wild, np.abs(x) / before, 0.0)))
    state = stop.dae.states[k]
    return (
        f"{state.name} grows without bound: {_quantity(x[k], state.unit)}, doubling every "
        f"{doubling[k]:.2g} {stop.dae.time}",
        f"Check the sign and the units of the rate of {state.name}, or end the phase before.",
    )


def _unexplained(stop: Stop, points: Sequence[Point]) -> tuple[str, str]:
    """The integrator's own word, and what is most likely behind it."""
    switch = crossing(*_question(stop, points[0]), _question(stop, points[-1])[1], switches=True)
    if switch is not None:
        return f"{_reason(str(stop.error))}; {switch}", "Write a smooth transition, or end the phase at the switch."
    outside = _outside(stop)
    rate, _ = stop.evaluated(stop.last)
    behind = outside[:1]
    if not behind and np.isfinite(rate).all() and rate.any():
        behind = [f"{stop.dae.states[int(np.argmax(np.abs(rate) / stop.sizes))].name} changes fastest there"]
    return "; ".join([_reason(str(stop.error)), *behind]), ""


def _fastest(stop: Stop) -> list[str]:
    """The state that changes fastest relative to its size."""
    rate, _ = stop.evaluated(stop.last)
    if not np.isfinite(rate).all() or not rate.any():
        return []
    k = int(np.argmax(np.abs(rate) / stop.sizes))
    state = stop.dae.states[k]
    unit = f"{state.unit if state.unit not in ('', '1') else '1'}/{stop.dae.time}"
    return [f"fastest: {state.name}, {rate[k]:.3g} {unit} (its size {_quantity(stop.sizes[k], state.unit)})"]


def _outside(stop: Stop) -> list[str]:
    """States that have left their domain: since when, how far; the farthest first."""
    lines: list[tuple[float, str]] = []
    for k, state in enumerate(stop.dae.states):
        for bound, sign, side in ((state.lower, -1.0, "below its lower"), (state.upper, 1.0, "above its upper")):
            beyond = sign * (stop.reached.x[k] - bound) / stop.sizes[k]
            if not np.isfinite(bound) or not beyond[-1] > 1e-6:
                continue
            inside = np.flatnonzero(beyond <= 1e-6)
            since = stop.reached.time[inside[-1] + 1 if len(inside) else 0]
            value = _quantity(stop.reached.x[k, -1], state.unit)
            text = f"{state.name} is {side} bound {bound:g} since t = {since:.6g} {stop.dae.time} ({value})"
            lines.append((-float(beyond[-1]), text))
    return [text for _, text in sorted(lines)[:_FEW]]


def _jump(stop: Stop) -> list[str]:
    """The last jump of inputs."""
    jumps = np.flatnonzero((np.diff(stop.reached.time) == 0.0) & (np.diff(stop.reached.u, axis=1) != 0.0).any(axis=0))
    if not len(jumps):
        return []
    before, after = stop.reached.u[:, jumps[-1]], stop.reached.u[:, jumps[-1] + 1]
    what = [
        f"{v.name} from {a:.4g} to {_quantity(b, v.unit)}"
        for v, a, b in zip(stop.dae.inputs, before, after, strict=True)
        if a != b
    ]
    return [f"last jump of an input, at t = {stop.reached.time[jumps[-1]]:.6g} {stop.dae.time}: {_listed(what[:_FEW])}"]


def _modes(stop: Stop) -> list[str]:
    """Time constants of the linearized model: how stiff it is, and whether a mode grows."""
    nx, nz, _, _ = stop.dae.sizes
    if not 0 < nx + nz <= _MOST_STATES:
        return []
    fx, fz, gx, gz = _slopes(stop, stop.last)
    try:
        poles = np.linalg.eigvals(fx - fz @ np.linalg.solve(gz, gx)).real
    except np.linalg.LinAlgError:  # singular, or not finite
        return []
    unit, words = stop.dae.time, []
    span = stop.last.t - float(stop.reached.time[0]) + stop.ahead
    if poles.max() * span > 1.0:
        words.append(f"an unstable mode grows with a time constant of {1.0 / poles.max():.2g} {unit}")
    if poles.min() * span < -1e3:
        words.append(f"the fastest mode decays with a time constant of {-1.0 / poles.min():.2g} {unit}")
    return ["; ".join(words)] if words else []


def _slopes(stop: Stop, point: Point) -> tuple[Array, Array, Array, Array]:
    """Derivatives of rates in states and algebraics, of algebraic equations in states and algebraics."""
    nx, nz, _, _ = stop.dae.sizes
    matrix = np.array(_slope_function(stop.dae.function)(*point, stop.run.p)).reshape(nx + nz, nx + nz)
    return matrix[:nx, :nx], matrix[:nx, nx:], matrix[nx:, :nx], matrix[nx:, nx:]


@lru_cache(maxsize=16)
def _slope_function(function: ca.Function) -> ca.Function:
    a = [ca.SX.sym(f"a{i}", function.numel_in(i)) for i in range(5)]
    rate, zero, _ = function.call(a, True, False)
    slope = ca.jacobian(ca.vertcat(rate, zero), ca.vertcat(a[1], a[2]))
    return ca.Function("slope", a, [ca.densify(slope)])


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
    return (text.strip().splitlines() or ["the integrator gave no reason"])[-1]


def _between(a: float, b: float) -> str:
    """An interval with as many digits as tell its ends apart."""
    digits = next((n for n in range(6, 16) if f"{a:.{n}g}" != f"{b:.{n}g}"), 16)
    return f"between t = {a:.{digits}g} and {b:.{digits}g}"


def _quantity(value: float, unit: str) -> str:
    return f"{value:.3g}" if unit in ("", "1") else f"{value:.3g} {unit}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
