"""Can an optimum be trusted? Replay it with an independent integrator, and check its conditions outside the solver."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problem import PhaseTerms, Placed
from titer.flowsheets.results import moved_ends
from titer.flowsheets.simulation import StoppedRunError, parameters_of, run_operations
from titer.flowsheets.start import Started
from titer.numerics.integrate import Trajectory
from titer.numerics.solution import Certificate, PhaseResult, Solution

Array = np.ndarray
DEVIATION = 1e-4  # largest replay deviation, relative to a state's size, that is called good
VIOLATION = 1e-4  # largest violation between grid points, relative to the limit's size
RESIDUAL = 1e-5  # largest scaled residual of the optimality conditions


def certify(started: Started, r: int = 0, accuracy: float = 1e-5) -> Certificate:
    """The certificate of run `r` of a solved problem. `accuracy`: the replay deviation that is looked for."""
    began = time.perf_counter()
    solution, outcome = started.solutions[r], started.outcome
    run, placements = started.assembled.problem.runs[r], started.assembled.runs[r]
    plant = run.plant.with_values(solution.decided)
    planned = [placement.operation for placement in placements]
    shapes = {phase.name: phase.shapes for phase in solution.phases}
    cells = np.concatenate([outcome.w, started.assembled.nlp.data])
    ends = {p.operation.name: moved_ends(started.assembled, p, cells)(p.transcribed.ends) for p in placements}
    stopped, deviation, violations = "", {}, {}
    try:
        replayed = run_operations(
            plant,
            planned,
            shapes,
            solution.duration,
            tolerance=float(np.clip(1e-3 * accuracy, 1e-13, 1e-10)),
            independent=True,
            stops=ends,
        )
        deviation = _deviations(solution, replayed, nominal_sizes(started))
        violations = _violations([p.terms for p in placements], replayed, plant)
    except StoppedRunError as stop:
        stopped = f"the replay failed: {stop.message.splitlines()[0]}"
    residuals = (outcome.stationarity, outcome.violation, outcome.complementarity)
    message = stopped or _complaint(started, deviation, violations, residuals)
    return Certificate(
        deviation=deviation,
        violation={name: v.amount for name, v in violations.items()},
        largest_violation=max((v.relative for v in violations.values()), default=0.0),
        stationarity=residuals[0],
        feasibility=residuals[1],
        complementarity=residuals[2],
        relaxed=(started.reached.relaxation, started.reached.left),
        ok=not message,
        seconds=time.perf_counter() - began,
        message=message,
    )


class _Violation(NamedTuple):
    """By how much a limit is missed on the replay, in its unit and relative to its size, and where."""

    amount: float
    relative: float
    where: str


def _complaint(
    started: Started,
    deviation: Mapping[str, float],
    violations: Mapping[str, _Violation],
    residuals: tuple[float, float, float],
) -> str:
    """What does not hold, the gravest first; empty where all of it does."""
    far = max(deviation, key=lambda k: deviation[k], default="")
    missed = max(violations, key=lambda k: violations[k].relative, default="")
    if not started.outcome.status.ok:
        return started.outcome.status.value
    if missed and violations[missed].relative > VIOLATION:
        v = violations[missed]
        return f"{missed} is missed by {v.amount:.2g} {v.where}; use more elements"
    if far and deviation[far] > DEVIATION:
        return f"{far} deviates by {deviation[far]:.1e} of its size from the replay; use more elements"
    if started.reached.binding:
        return f"the physical domain of {started.reached.binding[0]} binds; state a limit that is meant as a Path"
    if not max(residuals) <= RESIDUAL:
        return f"the optimality conditions hold only to {max(residuals):.1e}"
    return ""


def nominal_sizes(started: Started) -> dict[str, float]:
    """The magnitude that each state had when the problem was scaled."""
    sizes: dict[str, float] = {}
    for placement in started.assembled.runs[0]:
        cells = started.assembled.nlp.cells[placement.block.name][placement.block.port("end").cells]
        for variable, cell in zip(placement.dae.states, cells, strict=False):
            if cell < started.assembled.nlp.columns:
                sizes[variable.name] = float(started.scaling.columns[cell])
    return sizes


def _deviations(
    solution: Solution, replayed: tuple[PhaseResult, ...], nominal: Mapping[str, float]
) -> dict[str, float]:
    """Largest difference of each state at element ends, relative to its largest magnitude over the recipe.

    A state that stays below a hundredth of its nominal size is held against that: nothing is asked of zeros.
    """
    largest: dict[str, float] = {name: 0.01 * size for name, size in nominal.items()}
    gaps: dict[str, float] = {}
    for phase, other in zip(solution.phases, replayed, strict=True):
        at, there = _common(phase.trajectory.tau, other.trajectory.tau)
        for i, name in enumerate(phase.states):
            mine, theirs = phase.trajectory.x[i], other.trajectory.x[i]
            largest[name] = max(largest.get(name, 0.0), float(np.abs(theirs).max()), float(np.abs(mine).max()))
            gaps[name] = max(gaps.get(name, 0.0), float(np.abs(mine[at] - theirs[there]).max(initial=0.0)))
    return {name: gap / (largest[name] or 1.0) for name, gap in gaps.items()}


def _common(a: Array, b: Array) -> tuple[Array, Array]:
    """Indices of positions that stand in both."""
    nearest = np.clip(np.searchsorted(b, a - 1e-10), 0, len(b) - 1)
    same = np.flatnonzero(np.abs(b[nearest] - a) < 1e-9)
    return same, nearest[same]


def _violations(
    terms: Sequence[PhaseTerms], replayed: Sequence[PhaseResult], plant: Flowsheet
) -> dict[str, _Violation]:
    """By how much each limit is missed on the replay."""
    found: dict[str, _Violation] = {}
    totals: dict[int, float] = {}
    last = {id(total.term): phase for phase in terms for total in phase.totals}
    for phase, result in zip(terms, replayed, strict=True):
        t, p = result.trajectory, parameters_of(phase.operation, plant.values, result.held)
        for placed in phase.paths:
            _note(found, placed, _values(placed, t, p), t.time, plant.time)
        for placed, at in [(x, 0) for x in phase.at_start] + [(x, -1) for x in phase.at_end]:
            values = _values(placed, t, p)
            _note(found, placed, values[[at]], t.time[[at]], plant.time, float(np.abs(values).max()))
        for placed in phase.totals:
            from scipy.integrate import simpson  # slow to import, and seldom wanted

            distinct = np.append(np.diff(t.time) > 0.0, True)
            added = simpson(_values(placed, t, p)[distinct], x=t.time[distinct])
            totals[id(placed.term)] = totals.get(id(placed.term), 0.0) + float(added)
            if last[id(placed.term)] is phase:
                _note(found, placed, np.array([totals[id(placed.term)]]), t.time[[-1]], plant.time)
    return found


def _values(placed: Placed, t: Trajectory, p: Array) -> Array:
    n = len(t.time)
    rows = placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
    return np.array(rows).ravel()


def _note(
    found: dict[str, _Violation], placed: Placed, values: Array, times: Array, unit: str, size: float = 0.0
) -> None:
    """Note a violation, relative to the largest of the limit, of the values and of `size`."""
    limits = [abs(b) for b in (placed.lower, placed.upper) if np.isfinite(b)]
    if not limits:
        return
    beyond = np.maximum(placed.lower - values, values - placed.upper)
    k = int(np.argmax(beyond))
    amount = max(float(beyond[k]), 0.0)
    size = max(size, float(np.abs(values).max()), *limits, 1e-12)
    name, label = placed.term.label(), placed.measure.label
    where = f"{label} at t = {times[k]:.4g} {unit}".strip()
    if name not in found or amount > found[name].amount:
        found[name] = _Violation(amount, amount / size, where)
