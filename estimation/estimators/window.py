"""What happened in a window of samples? The states, and the noise between them, that explain best what was measured.

Unknown are the whitened departure a of the first state from what was known of it, and the whitened noise w_k of each
interval:

    s_0 = arrival + S_0 a,    s_k+1 = F_k(s_k) + N_k w_k
    min |a|^2 + sum |w_k|^2 + sum rho(((y_k - h(s_k)) / R)^2)     with every s_k in its domain

by Gauss-Newton steps with a line search. Whitened, no covariance is inverted: what is known exactly has no unknown, and
the first term keeps every direction determined, seen or not.
Source: Rao, Rawlings & Mayne, IEEE Trans. Autom. Control 48 (2003) 246; Kühl et al., Comput. Chem. Eng. 35 (2011) 71.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.bounded import InfeasibleError, bounded_least_squares
from titer.estimation.estimators.filtering import triangular
from titer.estimation.estimators.memory import Record
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.rejection import Robust, costs
from titer.numerics.dae import Array
from titer.numerics.errors import SolveError

_HALVINGS = 5  # of a step that does not lower the cost
_ENOUGH = 1e-4  # of the decrease that the linearization promises
_ALIGNED = 0.8  # cosine above which two steps have one direction
_SHARES = (0.25, 3.0)  # of a step
_SMALL = 1e-3


@dataclass(frozen=True, eq=False)
class Guess:
    """Where a window is solved from: its first node (n,), and by what each later one (samples - 1, n) departs from
    where the model leads."""

    first: Array
    departures: Array


@dataclass(frozen=True, eq=False)
class Settled:
    """A solved window: `nodes` (samples, n) and their `departures` from the model, the root (n, n) of the covariance of
    the last, how many steps it took, and whether it is at rest."""

    nodes: Array
    departures: Array
    root: Array
    steps: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Window:
    """Records with what is known at the first, and the roots of the unknowns: of the arrival, then of each interval."""

    model: SampledModel
    records: Sequence[Record]
    arrival: Gaussian
    robust: Robust | None
    roots: tuple[Array, ...]

    @property
    def size(self) -> int:
        return sum(root.shape[1] for root in self.roots)


@dataclass(frozen=True, eq=False)
class Path:
    """What unknowns lead to: nodes, their derivatives along the unknowns, weighted residuals with theirs, the cost."""

    unknown: Array
    nodes: Array
    along: Array
    residual: Array
    slope: Array
    weight: Array
    cost: float


def window_of(model: SampledModel, records: Sequence[Record], robust: Robust | None) -> Window:
    """The window of some records; the first carries what is known without them."""
    arrival = records[0].arrival
    roots = [arrival.root, *(record.noise for record in records[1:])]
    return Window(model, records, arrival, robust, tuple(root[:, np.abs(root).max(axis=0) > 0.0] for root in roots))


def settle(window: Window, guess: Guess, most: int, close: float) -> Settled:
    """Solve a window from a guess, in at most `most` steps, up to a step of `close` deviations.

    Raises SolveError where not even the model's own path can be followed.
    """
    path = _first(window, guess)
    converged, steps, share = False, 0, 1.0
    step, triangle = _step(window, path)
    while True:
        converged = bool(np.abs(step).max(initial=0.0) <= close)
        if converged or steps == most:
            break
        steps += 1
        found = _searched(window, path, step, share)
        if found is None:
            break
        path, taken = found
        before = step
        step, triangle = _step(window, path)
        share = _length(path, window, before, step, taken)
    step = step if converged else np.zeros_like(step)
    nodes, unknown = path.nodes + path.along @ step, path.unknown + step
    lower, upper = window.model.entries.lower, window.model.entries.upper
    spread = np.linalg.solve(triangle.T, path.along[-1].T).T
    return Settled(np.clip(nodes, lower, upper), _departures(window, unknown), triangular(spread), steps, converged)


def _first(window: Window, guess: Guess) -> Path:
    """The guessed path as nearly as the unknowns can follow it, else the model's own."""
    own = np.zeros(window.size)
    try:
        path = _path(window, _unknown(window, guess))
    except SolveError:
        return _path(window, own)
    return path if np.isfinite(path.cost) else _path(window, own)


def _unknown(window: Window, guess: Guess) -> Array:
    """The unknowns that lead from a guessed first node along guessed departures from the model."""
    parts = [_solved(window.roots[0], guess.first - window.arrival.mean)]
    parts += [_solved(root, away) for root, away in zip(window.roots[1:], guess.departures, strict=True)]
    return np.concatenate(parts)


def _solved(root: Array, away: Array) -> Array:
    return np.linalg.lstsq(root, away, rcond=1e-12)[0]


def _parts(window: Window, unknown: Array) -> list[Array]:
    """The unknowns of the arrival, then those of each interval."""
    return np.split(unknown, np.cumsum([root.shape[1] for root in window.roots])[:-1])


def _departures(window: Window, unknown: Array) -> Array:
    """(samples - 1, n): by what each node but the first departs from where the model leads."""
    parts = _parts(window, unknown)
    found = [root @ part for root, part in zip(window.roots[1:], parts[1:], strict=True)]
    return np.array(found).reshape(len(found), len(window.arrival.mean))


def _path(window: Window, unknown: Array) -> Path:
    """Follow the model through the window. Raises SolveError."""
    model, records = window.model, window.records
    parts = _parts(window, unknown)
    s = window.arrival.mean + window.roots[0] @ parts[0]
    along = np.zeros((len(s), window.size))
    along[:, : len(parts[0])] = window.roots[0]
    nodes, slopes, residuals, rows = [s], [along], [], []
    at = len(parts[0])
    for k, record in enumerate(records):
        if k:
            step = model.linearized(s, record.applied, records[k - 1].time, record.time)
            s, along = step.mean + window.roots[k] @ parts[k], step.transition @ along
            along[:, at : at + len(parts[k])] += window.roots[k]
            at += len(parts[k])
            nodes.append(s)
            slopes.append(along)
        if record.used.any():
            values, slope = model.outputs(s, record.applied, record.time)
            noise = (model.deviations.noise * record.factors)[record.used]
            residuals.append((record.values - values)[record.used] / noise)
            rows.append(-(slope[record.used] @ along) / noise[:, None])
    residual = np.concatenate([np.zeros(0), *residuals])
    cost, weight = costs(window.robust, residual)
    return Path(
        unknown, np.array(nodes), np.array(slopes), residual, np.vstack([np.zeros((0, window.size)), *rows]), weight,
        float(unknown @ unknown + cost.sum()),
    )  # fmt: skip


def _step(window: Window, path: Path) -> tuple[Array, Array]:
    """The Gauss-Newton step within the domains, and the triangle of its least squares problem."""
    share = np.sqrt(path.weight)[:, None]
    a = np.vstack([np.eye(window.size), share * path.slope])
    b = -np.concatenate([path.unknown, share[:, 0] * path.residual])
    lower, upper = window.model.entries.lower, window.model.entries.upper
    rows = np.concatenate([path.along, -path.along]).reshape(-1, window.size)
    limits = np.concatenate([lower - path.nodes, path.nodes - upper]).ravel()
    try:
        return bounded_least_squares(a, b, rows, limits)
    except InfeasibleError:
        return bounded_least_squares(a, b, rows[:0], limits[:0])


def _length(path: Path, window: Window, before: Array, step: Array, taken: float) -> float:
    """How much of a step to take: 1, but where steps go on in one direction, or to and fro, what would end them.

    Gauss-Newton steps contract the error by a factor of their own where residuals are large; two steps tell it. A step
    is lengthened only as far as the domains allow.
    """
    along, sizes = float(before @ step), float(np.linalg.norm(before) * np.linalg.norm(step))
    if not abs(along) > _ALIGNED * sizes:
        return 1.0
    share = float(np.clip(taken / max(1.0 - along / float(before @ before), _SMALL), *_SHARES))
    if share <= 1.0:
        return share
    lower, upper = window.model.entries.lower, window.model.entries.upper
    ahead = path.nodes + share * (path.along @ step)
    return share if ((ahead >= lower) & (ahead <= upper)).all() else 1.0


def _searched(window: Window, path: Path, step: Array, share: float) -> tuple[Path, float] | None:
    """The path after a share of a step, halved until it lowers the cost, and the share; None where it does not.

    A path outside its domains has no claim to its cost: a step that brings it back is taken whole.
    """
    lower, upper = window.model.entries.lower, window.model.entries.upper
    outside = bool((np.clip(path.nodes, lower, upper) != path.nodes).any())
    promised = 2.0 * float(path.unknown @ step + (path.weight * path.residual) @ (path.slope @ step))
    for _ in range(_HALVINGS + 1):
        try:
            onward = _path(window, path.unknown + share * step)
        except SolveError:
            share *= 0.5
            continue
        if np.isfinite(onward.cost) and (outside or onward.cost <= path.cost + _ENOUGH * share * promised + 1e-12):
            return onward, share
        share *= 0.5
    return None
