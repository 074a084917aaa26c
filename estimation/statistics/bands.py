"""How far can predictions be trusted along time? Bands by linear propagation of the covariance of a fit.

With J(t) = dy(t)/dtheta along the fitted trajectory and C the covariance of the numbers, the standard error of a
prediction is sqrt(J C J'), and that of a new measurement sqrt(J C J' + deviation^2). The sensitivities are those of the
collocation equations; between their points they are the polynomials of the elements, as the trajectory is.
Source: Seber & Wild, Nonlinear Regression (1989), section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import casadi as ca
import numpy as np

from titer.estimation.statistics.covariance import Information
from titer.estimation.work import Work
from titer.flowsheets.lowering import evaluate
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.placing import Placement, widened
from titer.numerics.errors import NotActiveError, SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.fit import Fit

Array = np.ndarray
Times = int | Sequence[float] | Array | None
_SINGULAR = 1e-14  # ratio of eigenvalues of the scaled information below which a direction is not determined
_REACHED = 1e-6  # share of a prediction's sensitivity in such directions that is rounding


def bands(
    fit: Fit, level: float = 0.95, points: Times = None, names: Sequence[str] | str | None = None
) -> pd.DataFrame:
    """Bands at `level`: experiment (from 1), name, time, predicted, standard error, lower, upper, new lower, new upper.

    `lower` to `upper` holds the true value, `new lower` to `new upper` a new measurement (NaN where the experiment has
    no noise for the name). `points`: None for the grid's, how many evenly spaced, or the times. `names`: measured ones
    of each experiment, or any of the plant. Infinite where undetermined numbers move a prediction. Raises
    SpecificationError for unknown names, levels and times, LinAlgError where the equations do not determine the states.
    """
    import pandas as pd

    width = fit.quantile(level)
    seen = fit.information
    k = len(seen.numbers)
    follow = fit.work.reduced(seen.numbers).follow[:, :k]
    frames = []
    for r in range(len(fit.experiments)):
        for name in _chosen(fit, names, r):
            time, predicted, slopes = _along(fit.work, r, name, points, follow)
            error = np.sqrt(_variances(fit, slopes))
            new = np.sqrt(error**2 + _deviations(seen, r, name, time) ** 2)
            columns = {
                "experiment": r + 1,
                "name": name,
                "time": time,
                "predicted": predicted,
                "standard error": error,
                "lower": predicted - width * error,
                "upper": predicted + width * error,
                "new lower": predicted - width * new,
                "new upper": predicted + width * new,
            }
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _chosen(fit: Fit, names: Sequence[str] | str | None, r: int) -> list[str]:
    if names is None:
        return list(dict.fromkeys(s.name for s in fit.information.samples if s.experiment == r))
    given = [names] if isinstance(names, str) else names
    flat = [str(each) for name in given for each in elements_of(name)]
    for name in flat:
        if name not in fit.plant.measures:
            raise SpecificationError(f"bands: {unknown('name', name, fit.plant.measures)}")
    return flat


def _variances(fit: Fit, slopes: Array) -> Array:
    """Variances (n,) of predictions with sensitivities (n, k); infinite where these reach what is not determined."""
    seen = fit.information
    if np.isfinite(seen.covariance).all():
        return np.maximum(np.einsum("ij,jk,ik->i", slopes, seen.covariance, slopes), 0.0)
    priors = [fit.free[n.name].prior for n in seen.numbers]
    matrix = seen.gauss_newton + np.diag([0.0 if prior is None else prior[1] ** -2 for prior in priors])
    size = np.sqrt(np.diag(matrix))
    size[size == 0.0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    weak = values <= _SINGULAR * values.max()
    along = (slopes / size) @ vectors
    variance = (along[:, ~weak] ** 2 / values[~weak]).sum(axis=1)
    lost = np.abs(along[:, weak]).max(axis=1) > _REACHED * np.abs(along).max()
    return np.where(lost, np.inf, variance)


def _deviations(seen: Information, r: int, name: str, time: Array) -> Array:
    """Standard deviations of the noise at times: those of the samples, lines between them."""
    own = [s for s in seen.samples if s.experiment == r and s.name == name]
    if not own:
        return np.full(len(time), np.nan)
    times, deviations = np.concatenate([s.times for s in own]), np.concatenate([s.deviations for s in own])
    order = np.argsort(times, kind="stable")
    return np.interp(time, times[order], deviations[order])


def _along(work: Work, r: int, name: str, points: Times, follow: Array) -> tuple[Array, Array, Array]:
    """Times (n,), values (n,) and sensitivities (n, k) of a name in experiment `r`."""
    pieces: list[_Piece] = []
    begin = 0.0
    for placement, phase in zip(work.solved.started.assembled.runs[r], work.solved.solutions[r].phases, strict=True):
        pieces += _pieces(work, placement, name, follow, (begin, phase.trajectory.duration))
        begin += phase.trajectory.duration
    if not pieces:
        raise SpecificationError(f"bands: {name} is active in no phase of experiment {r + 1}.")
    if points is None:
        kept = [(piece.time[piece.shown :], piece.values[piece.shown :]) for piece in pieces]
    else:
        kept = list(_interpolated(pieces, _times(work, r, points)))
    if not kept:  # none of the times lies where it is active
        return np.zeros(0), np.zeros(0), np.zeros((0, follow.shape[1]))
    time, values = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return time, values[:, 0], values[:, 1:]


def _times(work: Work, r: int, points: Times) -> Array:
    """The times that are wanted. Raises SpecificationError."""
    phases = work.solved.solutions[r].phases
    first, last = float(phases[0].trajectory.time[0]), float(phases[-1].trajectory.time[-1])
    if is_whole(points, 2):
        return np.linspace(first, last, int(points))  # type: ignore[arg-type]
    times = np.zeros(0) if isinstance(points, int | float | str) else np.unique(np.asarray(points, dtype=float))
    if times.ndim != 1 or not len(times):
        raise SpecificationError(f"bands: points is a count of at least 2, or a list of times, got {points!r}.")
    outside = times[~((times >= first) & (times <= last))]
    if len(outside):
        raise SpecificationError(
            f"bands: the time {outside[0]:g} lies outside experiment {r + 1}, which runs from {first:g} to {last:g}."
        )
    return times


class _Piece(NamedTuple):
    """An element: times (m,), values and sensitivities (m, 1 + k), the first row to show, and the element's ends."""

    time: Array
    values: Array
    shown: int
    first: float
    last: float


def _pieces(work: Work, placement: Placement, name: str, follow: Array, when: tuple[float, float]) -> Iterator[_Piece]:
    """What is known of a name, element by element; nothing in a phase in which it is not active."""
    lowered = placement.operation.lowered
    try:
        symbol = evaluate(lambda v: v[name], lowered.view, name)
    except NotActiveError:
        return
    model = widened(lowered.function(symbol, "seen"), placement.dae)
    cells = np.concatenate([work.outcome.w, work.data])
    where = work.solved.started.assembled.nlp.cells[placement.block.name]
    ends, tau = placement.transcribed.ends, placement.transcribed.tau
    clock, duration = when
    nodes = (len(tau) - 1) // (len(ends) - 1)
    index = np.arange(len(ends) - 1)[:, None] * nodes + np.arange(nodes + 1)[None, :]  # (elements, start and nodes)
    middle = np.repeat(0.5 * (ends[:-1] + ends[1:]), nodes + 1)
    time = (clock + duration * tau[index.ravel()])[:, None]
    values = _evaluated(model, placement, cells, where, follow, (index.ravel(), middle, time[:, 0]))
    stacked = np.concatenate([time, values], axis=1).reshape(*index.shape, -1)
    # algebraic variables at an element's start are those of the element before: no part of its polynomial
    skipped = 1 if nodes > 1 and model.jac_sparsity(0, 2).nnz() else 0
    for i, element in enumerate(stacked):
        begin = element[0, 0]
        known = element[skipped * (i > 0) :]
        known = known[np.isfinite(known).all(axis=1)]
        if len(known):
            shown = int(i > 0 and known[0, 0] == begin)
            yield _Piece(known[:, 0], known[:, 1:], shown, *(clock + duration * ends[i : i + 2]))


def _evaluated(
    model: ca.Function, placement: Placement, cells: Array, where: Array, follow: Array, at: tuple[Array, Array, Array]
) -> Array:
    """Value and sensitivities (n, 1 + k) at grid points, with the inputs of given pieces; NaN where the grid does not
    know what is read."""
    index, middle, time = at
    block, dae, n = placement.block, placement.dae, follow.shape[0]
    tau = placement.transcribed.tau[index]
    z, reads_z = block.ports["z"][:, index], bool(model.jac_sparsity(0, 2).nnz())
    rows = {
        "x": where[block.ports["x"][:, index]],
        "z": np.where(z >= 0, where[np.maximum(z, 0)], 0),
        "p": np.repeat(where[block.slot("parameters").cells][:, None], len(tau), axis=1),
    }
    u = _inputs(placement, cells, where, tau, middle)
    arguments = (time[None, :], cells[rows["x"]], cells[rows["z"]], u, cells[rows["p"]])
    v = ca.SX.sym("v", dae.point_size)
    point = dae.split(v)
    symbol = model(*point)
    parts = [ca.densify(ca.jacobian(symbol, point[i])) for i in (1, 2, 4)]
    function = ca.Function("seen", [v], [ca.horzcat(symbol, *parts)])
    result = np.array(function.map(len(tau))(ca.DM(np.concatenate(arguments)))).reshape(len(tau), -1)
    slopes = np.zeros((len(tau), follow.shape[1]))
    moved = np.concatenate([rows["x"], rows["z"], rows["p"]])
    for j, columns in enumerate(moved):
        own = columns < n
        slopes[own] += result[own, 1 + j, None] * follow[columns[own]]
    result = np.concatenate([result[:, :1], slopes], axis=1)
    if reads_z:
        result[(z < 0).any(axis=0)] = np.nan
    return result


def _inputs(placement: Placement, cells: Array, where: Array, tau: Array, middle: Array) -> Array:
    rows = []
    for variable, shape in zip(placement.dae.inputs, placement.transcribed.segment.profiles, strict=True):
        values = cells[where[placement.block.slot(f"input:{variable.name}").cells]]
        rows.append(shape.at(values, tau, shape.piece_of(middle)))
    return np.array(rows).reshape(len(rows), len(tau))


def _interpolated(pieces: list[_Piece], times: Array) -> Iterator[tuple[Array, Array]]:
    """Values at times, by the polynomial of the element in which each lies; at the end of one, by that one."""
    from scipy.interpolate import BarycentricInterpolator

    done = np.zeros(len(times), dtype=bool)
    for piece in pieces:
        slack = 1e-9 * (piece.last - piece.first)
        here = ~done & (times >= piece.first - slack) & (times <= piece.last + slack)
        done |= here
        if here.any():
            yield times[here], BarycentricInterpolator(piece.time, piece.values, axis=0)(times[here])
