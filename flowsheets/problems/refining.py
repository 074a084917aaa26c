"""Where must elements be shorter, and where does an input switch? Meshes that prove themselves against an integrator.

Each element is integrated by itself from its own start; the difference at its end is its error. An element of a method
whose local error is of order q has an error proportional to its width to the power q; widths are chosen so that all
errors are equal and their sum, times what the replay shows of their growth, is half of what is asked for: long
elements where little happens. Source: Russell & Christiansen, SIAM J. Numer. Anal. 15 (1978) 59 (mesh selection by
equidistribution).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.certificate import VIOLATION, nominal_sizes
from titer.flowsheets.problems.problem import Problem
from titer.flowsheets.problems.results import moved_ends
from titer.flowsheets.problems.start import Started
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.shapes import pieces_of
from titer.flowsheets.simulation import parameters_of
from titer.numerics.collocation import Points
from titer.numerics.dae import Array
from titer.numerics.grid import Grid
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import IntegrationError
from titer.numerics.solution import Certificate

_GROWTH = 3.0  # largest factor of elements from mesh to mesh
_SHRINK = 0.4  # smallest
_AT_BOUND = 1e-4  # share of a range within which an input lies on its bound


def refined_grid(started: Started, certificate: Certificate, accuracy: float) -> Grid:
    """The next mesh: element ends per phase, in the nominal positions of the phase."""
    grid = started.assembled.problem.grid
    elements: dict[str, Array] = {}
    for r in range(len(started.assembled.runs)):
        for name, ends in _next_ends(started, r, grid, certificate, accuracy).items():
            if name not in elements or len(ends) > len(elements[name]):  # runs that share a phase share its mesh
                elements[name] = ends
    return replace(grid, elements=elements)


def split_grid(started: Started) -> Grid:
    """The same mesh with the elements halved in which a physical domain holds the decisions: an element that a
    depletion crosses undershoots, and a shorter one less."""
    assembled = started.assembled
    grid = assembled.problem.grid
    elements: dict[str, Array] = {}
    where = [(g.phase, float(tau)) for g in assembled.nlp.labels for tau in g.tau]
    for placements in assembled.runs:
        for placement in placements:
            ends = placement.transcribed.ends
            at = [where[i][1] for i in started.reached.binding if where[i][0] == placement.block.name]
            inside = np.array([tau for tau in at if np.isfinite(tau)])
            k = np.unique(np.clip(np.searchsorted(ends, inside - 1e-12) - 1, 0, len(ends) - 2))
            k = np.unique(np.concatenate([k, k + 1, k - 1])) if len(k) else k  # and their neighbours
            k = k[(k >= 0) & (k < len(ends) - 1)].astype(int)
            finer = np.sort(np.concatenate([ends, 0.5 * (ends[k] + ends[k + 1])]))
            name = placement.operation.name
            if name not in elements or len(finer) > len(elements[name]):
                elements[name] = finer
    return replace(grid, elements=elements)


def _next_ends(started: Started, r: int, grid: Grid, certificate: Certificate, accuracy: float) -> dict[str, Array]:
    placements = started.assembled.runs[r]
    order = 2 * grid.degree + (0 if grid.points is Points.RADAU else 1)
    errors = {p.operation.name: element_errors(started, k, r) for k, p in enumerate(placements)}
    total = sum(float(e.sum()) for e in errors.values())
    growth = float(np.clip(certificate.largest_deviation / max(total, 1e-300), 1.0, 100.0))
    target = 0.5 * accuracy / growth
    roots = {name: np.maximum(e, 1e-3 * target / len(e)) ** (1.0 / order) for name, e in errors.items()}
    whole = sum(float(root.sum()) for root in roots.values())
    wanted = (whole**order / target) ** (1.0 / (order - 1))
    between = certificate.largest_violation > VIOLATION or certificate.objective_deviation > 10.0 * accuracy
    finer = 1.5 if between else 0.0  # limits and integrals between points want shorter elements
    ends_of: dict[str, Array] = {}
    for placement in placements:
        name, ends = placement.operation.name, placement.transcribed.ends
        n = len(ends) - 1
        count = np.clip(wanted * roots[name].sum() / whole, max(_SHRINK, finer) * n, _GROWTH * n)
        ends_of[name] = _spread(ends, roots[name], int(np.ceil(count)))
    return ends_of


def element_errors(started: Started, k: int, r: int = 0) -> Array:
    """The error of each element of phase `k` of run `r`: its end against an integration from its start, relative to
    sizes of states."""
    solution, placement = started.solutions[r], started.assembled.runs[r][k]
    phase, operation = solution.phases[k], placement.operation
    cells = np.concatenate([started.outcome.w, started.assembled.nlp.data])
    ends = moved_ends(started.assembled, placement, cells)(placement.transcribed.ends)
    plant = started.assembled.problem.runs[r].plant.with_values(solution.decided)
    p = parameters_of(operation, plant.values, phase.held)
    dae, t = operation.lowered.dae, phase.trajectory
    nominal = nominal_sizes(started, r)
    floor = np.array([0.01 * nominal.get(name, 0.0) for name in phase.states])
    size = np.maximum(np.maximum(np.abs(t.x).max(axis=1), floor), 1e-300)
    shapes = list(phase.shapes.values())
    pieces = pieces_of(shapes, t.duration, t.duration, ends)
    errors = np.zeros(len(ends) - 1)
    at = np.abs(t.tau[None, :] - ends[:, None]).argmin(axis=1)
    begins = np.concatenate([[0.0], np.cumsum([piece.duration for piece in pieces])]) / t.duration
    for i, (left, right) in enumerate(itertools.pairwise(ends)):
        own = [q for q, a in zip(pieces, begins[:-1], strict=True) if left - 1e-10 <= a < right - 1e-10]
        try:
            run = integrate(dae, t.x[:, at[i]], p, float(t.time[0] + left * t.duration), own, points=1, tolerance=1e-11)
            errors[i] = float((np.abs(run.x[:, -1] - t.x[:, at[i + 1]]) / size).max(initial=0.0))
        except IntegrationError:
            errors[i] = 1.0
    return errors


def switching_inputs(problem: Problem, started: Started) -> dict[str, Any] | None:
    """Decisions with the switches of bang-bang inputs free to move, or None where there are none.

    A piece strictly between two at opposite bounds is taken for a switch; neighbours at one bound become one piece.
    """
    free, found = dict(problem.free), False
    for name, value in problem.free.items():
        active = [
            (placement, phase)
            for placement, phase in zip(started.assembled.runs[0], started.solutions[0].phases, strict=True)
            if name in phase.shapes and _decides(placement.operation, str(name))
        ]
        if not isinstance(value, PiecewiseConstant) or value.switching or len(active) != 1:
            continue
        placement, phase = active[0]
        source = next(s for s, v in _decided(placement.operation) if v == str(name))
        profile, values = phase.shapes[name]
        ends = _arcs(profile.edges, np.asarray(values), source.lower, source.upper)
        if ends is not None:
            free[name] = replace(value, pieces=None, every=None, ends=tuple(ends), switching=True)
            found = True
    return free if found else None


def _decided(operation: Any) -> list[tuple[Decided, str]]:
    pairs = zip(operation.inputs, operation.lowered.dae.inputs, strict=True)
    return [(source, v.name) for source, v in pairs if isinstance(source, Decided)]


def _decides(operation: Any, name: str) -> bool:
    return any(v == name for _, v in _decided(operation))


def _arcs(edges: Array, values: Array, lower: float, upper: float) -> list[float] | None:
    """Ends of arcs at bounds; None where the input does not go from bound to bound."""
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return None
    span = upper - lower
    side = np.where(values <= lower + _AT_BOUND * span, -1, np.where(values >= upper - _AT_BOUND * span, 1, 0))
    arcs: list[tuple[int, float]] = []  # the side of each arc, and its end
    for k, s in enumerate(side):
        if s == 0 and 0 < k < len(side) - 1 and side[k - 1] * side[k + 1] == -1:
            # the switch lies where the mean of the piece says
            bound = upper if side[k + 1] > 0 else lower
            middle = edges[k] + (edges[k + 1] - edges[k]) * abs(values[k] - bound) / span
            arcs[-1] = (arcs[-1][0], middle)
            arcs.append((side[k + 1], edges[k + 1]))
        elif arcs and s != 0 and arcs[-1][0] == s:
            arcs[-1] = (s, edges[k + 1])
        else:
            arcs.append((s, edges[k + 1]))
    if not any(a[0] * b[0] == -1 for a, b in itertools.pairwise(arcs)):
        return None
    return [0.0, *(end for _, end in arcs)]


def _spread(ends: Array, roots: Array, count: int) -> Array:
    """`count` elements with equal shares of the errors' roots; none is wider than five times their mean."""
    widths = np.diff(ends)
    density = np.maximum(roots / widths, 0.25 * roots.sum())
    cumulative = np.concatenate([[0.0], np.cumsum(density * widths)])
    inner = np.interp(np.linspace(0.0, cumulative[-1], count + 1)[1:-1], cumulative, ends)
    return np.concatenate([[0.0], inner, [1.0]])
