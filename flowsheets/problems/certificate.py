"""Can an optimum be trusted? Replay it with an independent integrator, and check its conditions outside the solver."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.climbing import RELAXATION
from titer.flowsheets.problems.crossing import crossings
from titer.flowsheets.problems.felt import felt_domains
from titer.flowsheets.problems.measured import cost_of, integral, values_along
from titer.flowsheets.problems.problem import PhaseTerms, Placed, Problem
from titer.flowsheets.problems.results import moved_ends
from titer.flowsheets.problems.start import Started
from titer.flowsheets.simulation import StoppedRunError, parameters_of, run_operations
from titer.flowsheets.terms import AtTimes
from titer.numerics.solution import Certificate, PhaseResult, Solution

Array = np.ndarray
DEVIATION = 1e-4  # largest replay deviation, relative to a state's size, that is called good
VIOLATION = 1e-4  # largest violation between grid points, relative to the limit's size
OBJECTIVE = 1e-3  # largest relative difference of the objective on the replay
_REPLAYED = 1e-2  # of the tolerance with which a phase is shot, that of its replay
RESIDUAL = 1e-5  # largest scaled residual of the optimality conditions
_OF_STEPS = 1e-4  # the same where all is shot: a line search sees no more than the noise of adaptive steps


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
    stopped, early, objective = "", "", float("nan")
    deviation: dict[str, float] = {}
    violations: dict[str, _Violation] = {}
    coarsest = max(_REPLAYED * p.method.accuracy(len(p.dae.states)) if p.method else 0.0 for p in placements)
    try:
        replayed = run_operations(
            plant,
            planned,
            shapes,
            solution.duration,
            tolerance=float(np.clip(1e-3 * accuracy, 1e-13, max(1e-10, coarsest))),
            independent=True,
            stops=ends,
        )
        deviation = _deviations(solution, replayed, nominal_sizes(started, r))
        terms = [p.terms for p in placements]
        violations = _violations(terms, replayed, plant)
        measured = _measured(started.assembled, placements)
        cost = cost_of(terms, replayed, plant.values) + _data_cost(terms, replayed, plant, measured)
        objective = started.assembled.problem.sign * cost
        early = _early_ends(terms, replayed, plant)
    except StoppedRunError as stop:
        stopped = f"the replay failed: {stop.message.splitlines()[0]}"
    residuals = (outcome.stationarity, outcome.violation, outcome.complementarity)
    left = crossings(started, r)
    crossed = left[0].told(plant.time) if left else ""
    message = stopped or _complaint(started, deviation, violations, residuals, early, crossed)
    return Certificate(
        deviation=deviation,
        violation={name: v.amount for name, v in violations.items()},
        largest_violation=max((v.relative for v in violations.values()), default=0.0),
        stationarity=residuals[0],
        feasibility=residuals[1],
        complementarity=residuals[2],
        relaxed=(started.reached.relaxation, max(started.reached.left, left[0].beyond if left else 0.0)),
        ok=not message,
        seconds=time.perf_counter() - began,
        message=message,
        objective=objective,
    )


def certify_all(started: Started, accuracy: float = 1e-5) -> tuple[Certificate, ...]:
    """The certificates of all runs, with the objective recomputed on their replays compared with the program's."""
    found = [certify(started, r, accuracy) for r in range(len(started.solutions))]
    problem = started.assembled.problem
    mine = problem.sign * started.outcome.objective
    theirs = problem.sign * problem.cost([problem.sign * c.objective for c in found]) + _priors(started)
    size = max(abs(mine), abs(theirs), 1e-2 / started.scaling.objective)
    gap = abs(mine - theirs) / size if np.isfinite(theirs) else float("inf")
    said = f"the objective is {theirs:.6g} on the replay, not {mine:.6g}; use more elements"
    return tuple(
        replace(
            c,
            objective_deviation=gap,
            ok=c.ok and gap <= OBJECTIVE,
            message=c.message or (said if gap > OBJECTIVE else ""),
        )
        for c in found
    )


def _priors(started: Started) -> float:
    """What prior knowledge adds to the objective of a fit."""
    if started.assembled.problem.share_decisions:
        return 0.0
    total = 0.0
    for number in started.assembled.numbers:
        if number.prior is not None:
            every = started.solutions if number.each else started.solutions[:1]
            mean, deviation = number.prior
            total += sum(((s.decided[number.name] - mean) / deviation) ** 2 for s in every)
    return total


def merged(certificates: Sequence[Certificate], problem: Problem) -> Certificate:
    """One certificate for the scenarios of a problem: the worst of each, and what the worst scenario says."""
    gravest = max(range(len(certificates)), key=lambda r: _gravity(certificates[r]))
    worst_of_all = certificates[gravest]
    of_all = len({c.message for c in certificates}) == 1
    message = worst_of_all.message if of_all else f"in scenario {gravest + 1}, {worst_of_all.message}"

    def worst(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
        names = dict.fromkeys(name for entry in entries for name in entry)
        return {name: max(entry.get(name, 0.0) for entry in entries) for name in names}

    return replace(
        worst_of_all,
        message=message,
        deviation=worst([c.deviation for c in certificates]),
        violation=worst([c.violation for c in certificates]),
        largest_violation=max(c.largest_violation for c in certificates),
        seconds=sum(c.seconds for c in certificates),
        objective=problem.sign * problem.cost([problem.sign * c.objective for c in certificates]),
        ok=all(c.ok for c in certificates),
    )


def _gravity(certificate: Certificate) -> tuple[bool, float, float]:
    return not certificate.ok, certificate.largest_violation, certificate.largest_deviation


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
    early: str,
    crossed: str,
) -> str:
    """What does not hold, the gravest first; empty where all of it does."""
    far = max(deviation, key=lambda k: deviation[k], default="")
    missed = max(violations, key=lambda k: violations[k].relative, default="")
    if not started.outcome.status.ok:
        return started.outcome.status.value
    shot = started.assembled.shot
    mend = "use Shooting(intervals=, tolerance=) with more or finer" if shot else "use more elements"
    if missed and violations[missed].relative > VIOLATION:
        v = violations[missed]
        return f"{missed} is missed by {v.amount:.2g} {v.where}; {mend}"
    if far and deviation[far] > DEVIATION:
        return f"{far} deviates by {deviation[far]:.1e} of its size from the replay; {mend}"
    if early or crossed:
        return early or crossed
    if started.reached.left > 1.01 * RELAXATION:
        return (
            f"a state leaves its physical domain by {started.reached.left:.1e} of its size; use more elements, "
            f"or state a limit that is meant as a Path"
        )
    if felt := felt_domains(started):
        return f"the physical domain of {_bound(started, felt[0])} binds; state a limit that is meant as a Path"
    if started.reached.binding and not started.settled:
        where = _bound(started, started.reached.binding[0])
        return f"{where} binds where elements undershoot, which may hold the decisions; use more elements, or refine="
    if not max(residuals) <= (_OF_STEPS if shot else RESIDUAL):
        return f"the optimality conditions hold only to {max(residuals):.1e}"
    return ""


def _bound(started: Started, i: int) -> str:
    """A domain that holds the decisions: of what, where, and at which bound."""
    attempt, nlp = started.attempt, started.assembled.nlp
    pull = started.outcome.bound_multipliers[i]
    side, bound = ("at most", nlp.upper[i]) if pull > 0.0 else ("at least", nlp.lower[i])
    unit = attempt.unit(str(attempt.column_texts[i]))
    return f"{attempt.column_name(i)} ({side} {f'{bound:.6g} {unit}'.strip()})"


def nominal_sizes(started: Started, r: int = 0) -> dict[str, float]:
    """The magnitude that each state had when the problem was scaled."""
    sizes: dict[str, float] = {}
    for placement in started.assembled.runs[r]:
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
    names = _names(terms)
    totals: dict[int, float] = {}
    last = {id(total.term): phase for phase in terms for total in phase.totals}
    for phase, result in zip(terms, replayed, strict=True):
        t, p = result.trajectory, parameters_of(phase.operation, plant.values, result.held)
        for placed in (path for path in phase.paths if path.chance is None):
            _note(found, names[id(placed.term)], placed, values_along(placed, t, p), t.time, plant.time)
        for placed, at in [(x, 0) for x in phase.at_start] + [(x, -1) for x in phase.at_end]:
            if placed.chance is not None:
                continue
            values = values_along(placed, t, p)
            _note(
                found,
                names[id(placed.term)],
                placed,
                values[[at]],
                t.time[[at]],
                plant.time,
                float(np.abs(values).max()),
            )
        for placed in (total for total in phase.totals if total.chance is None):
            totals[id(placed.term)] = totals.get(id(placed.term), 0.0) + integral(values_along(placed, t, p), t.time)
            if last[id(placed.term)] is phase:
                _note(
                    found, names[id(placed.term)], placed, np.array([totals[id(placed.term)]]), t.time[[-1]], plant.time
                )
    return found


def _measured(assembled: Assembled, placements: Sequence[Placement]) -> dict[int, Array]:
    """Times, measured values and deviations of each term over data in a phase, as they stand in the program."""
    found = {}
    for placement in placements:
        cells = assembled.nlp.cells[placement.block.name]
        for sampled in placement.samples:
            found[id(sampled.placed)] = assembled.nlp.data[cells[sampled.data] - assembled.nlp.columns]
    return found


def _data_cost(
    terms: Sequence[PhaseTerms], replayed: Sequence[PhaseResult], plant: Flowsheet, measured: Mapping[int, Array]
) -> float:
    """What the data of a run cost on its replay."""
    total = 0.0
    for phase, result in zip(terms, replayed, strict=True):
        t, p = result.trajectory, parameters_of(phase.operation, plant.values, result.held)
        for placed in phase.samples:
            total += placed.weight * _squares(placed, measured[id(placed)], values_along(placed, t, p), t.time)
    return total


def _squares(placed: Placed, data: Array, values: Array, time: Array) -> float:
    """What the data (times, measured, deviations) of a phase cost; where an input jumps, its value before the jump
    counts."""
    times, measured, deviations = data
    at = np.clip(np.searchsorted(time, times - 1e-9 * (time[-1] - time[0])), 0, len(time) - 1)
    squares = ((values[at] - measured) / deviations) ** 2
    term = placed.term
    assert isinstance(term, AtTimes)
    return float(squares.sum() if term.loss is None else sum(float(term.loss.cost(s)) for s in squares))


def _early_ends(terms: Sequence[PhaseTerms], replayed: Sequence[PhaseResult], plant: Flowsheet) -> str:
    """A phase whose `until` was met before its end, or in the other direction: the program knows only that it holds
    there."""
    for phase, result in zip(terms, replayed, strict=True):
        event = phase.operation.event
        if event is None:
            continue
        t, p = result.trajectory, parameters_of(phase.operation, plant.values, result.held)
        n = len(t.time)
        rows = event.function.map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
        values = np.array(rows).ravel()
        sign = event.direction or -np.sign(values[0]) or 1.0
        met = np.flatnonzero(sign * values[: n - 1] > 1e-5 * np.abs(values).max())
        if len(met):
            return f"{event.text} is met already at t = {t.time[met[0]]:.6g} {plant.time}, before the phase ends"
    return ""


def _note(
    found: dict[str, _Violation], name: str, placed: Placed, values: Array, times: Array, unit: str, size: float = 0.0
) -> None:
    """Note a violation, relative to the largest of the limit, of the values and of `size`."""
    limits = [abs(b) for b in (placed.lower, placed.upper) if np.isfinite(b)]
    if not limits:
        return
    beyond = np.maximum(placed.lower - values, values - placed.upper)
    k = int(np.argmax(beyond))
    amount = max(float(beyond[k]), 0.0)
    size = max(size, float(np.abs(values).max()), *limits, 1e-12)
    amount_in = "" if placed.measure.label == "1" else placed.measure.label
    where = f"{amount_in} at t = {times[k]:.4g} {unit}".strip()
    if name not in found or amount / size > found[name].relative:
        found[name] = _Violation(amount, amount / size, where)


def _names(terms: Sequence[PhaseTerms]) -> dict[int, str]:
    """A name for each term with limits; of several with one label the later ones are numbered."""
    names: dict[int, str] = {}
    for phase in terms:
        for placed in (*phase.paths, *phase.at_start, *phase.at_end, *phase.totals):
            label = placed.term.label()
            if id(placed.term) not in names:
                count = sum(name.split(" (")[0] == label for name in names.values())
                names[id(placed.term)] = label if not count else f"{label} ({count + 1})"
    return names
