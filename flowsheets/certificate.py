"""Can an optimum be trusted? Replay it with an independent integrator, and check its conditions outside the solver."""

from __future__ import annotations

import time

import numpy as np

from titer.flowsheets.problem import PhaseTerms
from titer.flowsheets.simulation import StoppedRun, parameters_of, run_operations
from titer.flowsheets.start import Started
from titer.numerics.solution import Certificate, PhaseResult, Solution

Array = np.ndarray
DEVIATION = 1e-4  # largest replay deviation, relative to a state's size, that is called good
VIOLATION = 1e-4  # largest violation between grid points, relative to the limit's size
RESIDUAL = 1e-5  # largest scaled residual of the optimality conditions


def certify(started: Started, r: int = 0) -> Certificate:
    """The certificate of run `r` of a solved problem."""
    began = time.perf_counter()
    solution, outcome = started.solutions[r], started.outcome
    run, placements = started.assembled.problem.runs[r], started.assembled.runs[r]
    plant = run.plant.with_values(solution.decided)
    planned = [placement.operation for placement in placements]
    shapes = {phase.name: phase.shapes for phase in solution.phases}
    ends = {p.operation.name: p.transcribed.ends for p in placements}
    message, deviation, violation, worst = "", {}, {}, 0.0
    try:
        replayed = run_operations(
            plant, planned, shapes, solution.duration, tolerance=1e-10, independent=True, stops=ends
        )
        deviation = _deviations(solution, replayed)
        violation, worst = _violations([p.terms for p in placements], replayed, plant)
    except StoppedRun as stop:
        message = f"the replay failed: {stop.message.splitlines()[0]}"
    residuals = (outcome.stationarity, outcome.violation, outcome.complementarity)
    largest = max(deviation.values(), default=0.0)
    if not message and not outcome.status.ok:
        message = outcome.status.value
    elif not message and largest > DEVIATION:
        name = max(deviation, key=lambda k: deviation[k])
        message = f"{name} deviates by {largest:.1e} of its size from the replay; use more elements"
    elif not message and worst > VIOLATION:
        name = max(violation, key=lambda k: violation[k])
        message = f"{name} is violated by {violation[name]:.2g} between grid points; use more elements"
    elif not message and started.reached.binding:
        message = f"the physical domain of {started.reached.binding[0]} binds; state a limit that is meant as a Path"
    elif not message and not max(residuals) <= RESIDUAL:
        message = f"the optimality conditions hold only to {max(residuals):.1e}"
    return Certificate(
        deviation=deviation,
        violation=violation,
        stationarity=residuals[0],
        feasibility=residuals[1],
        complementarity=residuals[2],
        relaxed=(started.reached.relaxation, started.reached.left),
        ok=not message,
        seconds=time.perf_counter() - began,
        message=message,
    )


def _deviations(solution: Solution, replayed: tuple[PhaseResult, ...]) -> dict[str, float]:
    """Largest difference of each state at element ends, relative to its largest magnitude over the recipe."""
    largest: dict[str, float] = {}
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
    terms: list[PhaseTerms],
    replayed: tuple[PhaseResult, ...],
    plant,  # type: ignore[no-untyped-def]
) -> tuple[dict[str, float], float]:
    """Largest violation of each path on the replay, and the largest relative to its limit's size."""
    violation: dict[str, float] = {}
    worst = 0.0
    for phase, result in zip(terms, replayed, strict=True):
        t = result.trajectory
        n = len(t.time)
        p = parameters_of(phase.operation, plant.values, result.held)
        for placed in phase.paths:
            values = np.array(
                placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
            ).ravel()
            beyond = float(np.maximum(placed.lower - values, values - placed.upper).max(initial=0.0))
            name = placed.term.label()
            violation[name] = max(violation.get(name, 0.0), beyond)
            limits = [abs(b) for b in (placed.lower, placed.upper) if np.isfinite(b)]
            size = max([float(np.abs(values).max()), *limits, 1e-12])
            worst = max(worst, beyond / size)
    return violation, worst
