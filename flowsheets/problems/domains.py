"""How far may a physical domain be left before the model breaks there? Not as far as a pole beside it.

A saturation S / (K + S) has its pole at S = -K: a domain S >= 0 that is relaxed beyond it lets a solver step to the
other side, where the rate has the other sign and is as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import casadi as ca
import numpy as np

from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import Dae
from titer.numerics.solution import PhaseResult

Array = np.ndarray
_WIDEST = 1e-2  # of a size: no domain is relaxed further
_HALVINGS = 21  # down to 1e-8: with steps of two some probe always falls near a pole
_STEEPER = 4.0  # times the slope at the bound, or before it, from which the model is said to be another one there
_MANY = 50  # variables, above which one instant is probed in place of three


def room(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]], sizes: Array) -> Array:
    """By how much each column (of a size) may leave the lower bound of its domain, infinite where nothing happens."""
    found = np.full(assembled.nlp.columns, np.inf)
    for run, placements, results in zip(assembled.problem.runs, assembled.runs, nominal, strict=True):
        for placement, result in zip(placements, results, strict=True):
            dae = placement.operation.lowered.dae
            columns = _columns(assembled, placement)
            scales = np.array([sizes[at].max(initial=0.0) or 1.0 for at in columns])
            points = _points(placement, result, run.plant.values)
            for at, limit in zip(columns, _depths(dae, points, scales), strict=True):
                found[at] = np.minimum(found[at], limit)  # a phase ends where the next one starts
    return found


def _columns(assembled: Assembled, placement: Placement) -> list[Array]:
    """The columns of each state and algebraic variable of a phase."""
    cells, ports = assembled.nlp.cells[placement.block.name], placement.block.ports
    dae = placement.operation.lowered.dae
    rows = [*ports["x"][: len(dae.states)], *ports["z"][: len(dae.algebraics)]]
    columns = (cells[row[row >= 0]] for row in rows)
    return [at[at < assembled.nlp.columns] for at in columns]


def _points(placement: Placement, result: PhaseResult, values) -> Array:  # type: ignore[no-untyped-def]
    """Some instants of the nominal trajectory, (t, x, z, u, p) each, as columns."""
    t = result.trajectory
    last = len(t.time) - 1
    at = [last // 2] if len(t.x) + len(t.z) > _MANY else sorted({0, last // 2, last})
    p = np.repeat(parameters_of(placement.operation, values, result.held)[:, None], len(at), axis=1)
    return np.concatenate([t.time[None, at], t.x[:, at], t.z[:, at], t.u[:, at], p])


def _depths(dae: Dae, points: Array, sizes: Array) -> Array:
    """How far each state and algebraic may fall below its lower bound, before the slopes in it are others."""
    variables = (*dae.states, *dae.algebraics)
    limits = np.full(len(variables), np.inf)
    depths = np.concatenate([[0.0], _WIDEST * 0.5 ** np.arange(_HALVINGS)[::-1]])
    slopes, column = _slopes(dae.function, dae.sizes)
    usual = np.abs(np.array(slopes.map(points.shape[1])(points)))
    usual = np.nan_to_num(usual, posinf=0.0).max(axis=1, initial=0.0)  # along the trajectory: at a bound it may be 0
    for i, variable in enumerate(variables):
        entries = np.flatnonzero(column == i)
        if not np.isfinite(variable.lower) or not len(entries):
            continue
        probes = np.repeat(points, len(depths), axis=1)  # all depths at one instant, then at the next
        probes[1 + i] = np.tile(variable.lower - depths * sizes[i], points.shape[1])
        values = np.abs(np.array(slopes.map(probes.shape[1])(probes))[entries])
        values = values.reshape(len(entries), points.shape[1], len(depths))
        slope = np.maximum(values[..., :1], usual[entries][:, None, None])
        allowed = _STEEPER * slope + 1e-12 * np.nan_to_num(values, posinf=0.0).max()
        broken = np.flatnonzero(~(values <= allowed).all(axis=(0, 1)))
        if len(broken):
            limits[i] = depths[max(int(broken[0]) - 1, 0)] * sizes[i]
    return limits


@lru_cache(maxsize=64)
def _slopes(function: ca.Function, numbers: tuple[int, int, int, int]) -> tuple[ca.Function, Array]:
    """Point -> derivatives of rates and algebraic equations in states and algebraics, and in which each one is."""
    nx, nz, nu, npar = numbers
    v = ca.SX.sym("v", 1 + nx + nz + nu + npar)
    edges = np.cumsum([0, 1, nx, nz, nu, npar]).tolist()
    rate, zero, _ = function(*(v[a:b] for a, b in pairwise(edges)))
    jacobian = ca.jacobian(ca.vertcat(rate, zero), v[1 : 1 + nx + nz])
    entries = ca.vertcat(ca.SX(0, 1), *jacobian.nonzeros())
    return ca.Function("slopes", [v], [entries]), np.array(jacobian.sparsity().get_triplet()[1], dtype=int)
