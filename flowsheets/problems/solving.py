"""How is a problem solved to an accuracy that holds? Start, certify, and refine the mesh where it was left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.problems.certificate import VIOLATION, certify_all, merged
from titer.flowsheets.problems.climbing import climb
from titer.flowsheets.problems.crossing import crossings, held_inside
from titer.flowsheets.problems.felt import felt_domains
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import Problem
from titer.flowsheets.problems.refining import refined_grid, split_grid, switching_inputs
from titer.flowsheets.problems.results import read
from titer.flowsheets.problems.start import Started, start
from titer.numerics.dae import Variable
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.explaining.keeping import Keeper
from titer.numerics.explaining.record import record_of
from titer.numerics.solution import Certificate, Solution, StartReport
from titer.numerics.solvers import Fatrop, Ipopt, Status

ACCURACY = 1e-5  # replay deviation to which a mesh that was left open is refined
_REFINEMENTS = 6
_MOST_ELEMENTS = 1000
_TRIES_INSIDE = 3  # solves with more and more domains as limits
_SAME = 1e-5  # of the objective: what two meshes differ by that say the same
_LOST = 1e-3  # relative loss of an objective from mesh to mesh that is worth a word


@dataclass(frozen=True, eq=False)
class Solved:
    """A problem after its last solve, with a solution and a certificate for each run."""

    started: Started
    solutions: tuple[Solution, ...]


def solve(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None = None,
    starts: int | None = None,
    seed: int = 0,
    refine: float | None = None,
) -> Solved:
    """Solve a problem; where its grid leaves the elements open, refine them until a replay agrees to `ACCURACY`.

    `refine`: refine (and coarsen) any grid until a replay agrees to this, and place switches on element ends.

    A failed solve is returned, not raised. Raises SpecificationError for a bad problem, SolveError where none can
    start.
    """
    accuracy = refine or ACCURACY
    if refine is not None:  # a barrier must not blur what the mesh resolves
        solver = replace(solver, tolerance=float(np.clip(1e-2 * refine, 1e-12, solver.tolerance)))
    keeper = Keeper.begin()
    try:
        solved = _solved(problem, solver, start_from, starts, seed, refine, accuracy, keeper)
    except SolveError as error:  # no start: what was simulated is all there is
        if error.solution is None:
            raise
        raise SolveError(*_kept(keeper, str(error), error.solution)) from None
    if solved.started.outcome.status.ok:
        keeper.discard()
        return solved
    path = keeper.write(lambda: record_of(solved.solutions[0]))
    stats = {} if path is None else {"kept": str(path)}
    return Solved(solved.started, tuple(replace(s, stats={**s.stats, **stats}) for s in solved.solutions))


def failure_of(solution: Solution, prefix: str = "") -> str:
    """What an error says of a solve that failed: why, in names, and where everything is kept."""
    kept = solution.stats.get("kept")
    where = f" `titer explain {kept}` reads it from its file." if kept else ""
    return (
        f"{prefix}{solution.explain()}\n"
        f"  The unfinished solution is in error.solution; its start_report says what was tried.{where}"
    )


def _kept(keeper: Keeper, message: str, solution: Solution) -> tuple[str, Solution]:
    """A message with the file that explains it, and the solution that knows of it."""
    path = keeper.write(lambda: record_of(solution))
    if path is None:
        return message, solution
    stats = {**solution.stats, "kept": str(path)}
    return f"{message}\n  `titer explain {path}` reads it from its file.", replace(solution, stats=stats)


def _solved(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None,
    starts: int | None,
    seed: int,
    refine: float | None,
    accuracy: float,
    keeper: Keeper,
) -> Solved:
    """Start, certify, refine."""
    started = start(problem, solver, start_from, starts, seed=seed, keeper=keeper)
    started = _inside(started, solver, start_from, starts, seed, keeper)
    problem = started.assembled.problem
    current = _Pass(problem, started, _certificates(started, accuracy))
    searched = {key: started.solutions[0].stats[key] for key in ("starts", "starts_agree")}
    late = started.ladder.elapsed > getattr(solver, "seconds", np.inf)
    if started.assembled.shot:  # an integrator chooses its steps itself
        return Solved(current.started, _with_certificates(current.started, current.certificates, searched))
    if problem.grid.elements is None and not late and _may_be_too_coarse(started):
        current = _with_more_elements(current, solver, start_from, accuracy, keeper)
    if refine is not None or problem.grid.elements is None:
        current = _refined(current, solver, accuracy, keeper)
        if refine is not None and len(problem.runs) == 1:
            current = _switched(current, solver, accuracy, keeper)
    return Solved(current.started, _with_certificates(current.started, current.certificates, searched))


def _inside(
    started: Started,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None,
    starts: int | None,
    seed: int,
    keeper: Keeper,
) -> Started:
    """The same with limits where whole quantities of shot phases left their domains, and again where others do then.

    Where that is not solved the plan before stays, and its certificate says what it leaves.
    """
    if any(run.underway for run in started.assembled.problem.runs):  # a plant may stand where it should not
        return started
    held: dict[str, Variable] = {}
    for _ in range(_TRIES_INSIDE):
        left = [c for r in range(len(started.solutions)) for c in crossings(started, r) if not c.profile]
        new = {c.state.name: c.state for c in left if c.state.name not in held}
        late = started.ladder.elapsed > getattr(solver, "seconds", np.inf)
        if not new or late or started.outcome.status is Status.INTERRUPTED:
            break
        held |= new
        started.ladder.climbed("physical domains", f"{', '.join(new)} left, so held as a limit")
        inside = held_inside(started.assembled.problem, tuple(new.values()))
        again = start(inside, solver, start_from, starts, started.ladder, seed, keeper)
        if started.outcome.status.ok and not again.outcome.status.ok:
            started.ladder.climbed("physical domains", f"not solved with that limit ({again.outcome.status.value})")
            break
        started = again
    return started


def _may_be_too_coarse(started: Started) -> bool:
    """Whether a solve failed in a way that long elements, which undershoot where a state is used up, can cause."""
    return started.outcome.status in (Status.INFEASIBLE, Status.ITERATIONS, Status.FAILED)


def _with_more_elements(
    current: _Pass,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None,
    accuracy: float,
    keeper: Keeper,
) -> _Pass:
    """The problem on three times the elements, where that is solved."""
    counts = {p.operation.name: 3 * (len(p.transcribed.ends) - 1) for p in current.started.assembled.runs[0]}
    finer = replace(current.problem, grid=replace(current.problem.grid, elements=counts))
    started = start(finer, solver, start_from, 1, current.started.ladder, keeper=keeper)
    return _Pass(finer, started, _certificates(started, accuracy)) if started.outcome.status.ok else current


@dataclass(frozen=True, eq=False)
class _Pass:
    """A problem on one mesh, solved and certified."""

    problem: Problem
    started: Started
    certificates: tuple[Certificate, ...]

    def good(self, accuracy: float) -> bool:
        """Whether, in every run, the replay agrees and all limits hold between grid points."""
        return all(
            c.largest_deviation <= accuracy
            and c.largest_violation <= VIOLATION
            and c.objective_deviation <= 10.0 * accuracy
            for c in self.certificates
        )

    @property
    def held(self) -> bool:
        """Whether a domain binds that the process would leave, or that may hold the decisions."""
        return bool(self.started.reached.binding) and not self.started.settled

    @property
    def worst(self) -> Certificate:
        """The certificate of the run that deviates most."""
        return max(self.certificates, key=lambda c: c.largest_deviation)


def _refined(current: _Pass, solver: Ipopt | Fatrop, accuracy: float, keeper: Keeper) -> _Pass:
    """Meshes refined and coarsened by the errors of their elements until a replay agrees; where none does, the best."""
    target, vain, best = accuracy, 0, current
    for _ in range(_REFINEMENTS):
        elements = sum(len(p.transcribed.ends) - 1 for run in current.started.assembled.runs for p in run)
        held = current.good(accuracy) and current.held
        if (
            not current.started.outcome.status.ok
            or (current.good(accuracy) and not held)
            or vain > 1
            or elements > _MOST_ELEMENTS * len(current.problem.runs)
        ):
            break
        grid = split_grid(current.started) if held else refined_grid(current.started, current.worst, target)
        before = current
        finer = replace(current.problem, grid=grid)
        started = start(finer, solver, current.started.solutions, 1, before.started.ladder, keeper=keeper)
        if not started.outcome.status.ok:
            break
        started = replace(started, settled=_says_the_same(before.started, started))
        current = _Pass(finer, started, _certificates(started, accuracy))
        _remark(before, current)
        if _better(current, best, accuracy):
            best = current
        if not held and current.worst.largest_deviation > 0.5 * before.worst.largest_deviation:
            vain += 1
            target *= 0.1  # the errors of the elements say less than the replay: ask for more
    return best


def _says_the_same(before: Started, after: Started) -> bool:
    """Whether a domain that binds on both meshes holds nothing: the model keeps it, and the objective did not move."""
    if not after.outcome.status.ok or not after.reached.binding or felt_domains(after):
        return False
    was, now = before.outcome.objective, after.outcome.objective
    return abs(now - was) <= _SAME * max(abs(was), abs(now))


def _better(one: _Pass, other: _Pass, accuracy: float) -> bool:
    """Whether a mesh is better than an earlier one: its replay agrees and no domain holds it, or it agrees more."""
    if one.good(accuracy) and other.good(accuracy):
        return not one.held or other.held
    return one.good(accuracy) or (
        not other.good(accuracy) and one.worst.largest_deviation < other.worst.largest_deviation
    )


def _remark(before: _Pass, after: _Pass) -> None:
    """Say where an objective is lost from mesh to mesh: the coarser one promised what does not hold, or another optimum
    was found."""
    was, now = before.started.outcome.objective, after.started.outcome.objective
    if now - was > _LOST * max(abs(was), abs(now)):
        sign = before.problem.sign
        said = f"the objective goes from {sign * was:.6g} to {sign * now:.6g} on this mesh"
        after.started.ladder.climbed("refinement", said)


def _switched(current: _Pass, solver: Ipopt | Fatrop, accuracy: float, keeper: Keeper) -> _Pass:
    """The same with the ends of bang-bang pieces decided, where that is better."""
    if not current.started.outcome.status.ok:
        return current
    free = switching_inputs(current.problem, current.started)
    if free is None:
        return current
    ladder = current.started.ladder
    grid = replace(current.problem.grid, elements=None)
    try:
        started = start(replace(current.problem, free=free, grid=grid), solver, None, 1, ladder, keeper=keeper)
    except (SolveError, SpecificationError):  # another input keeps its pieces, or the arcs do not run
        return current
    moved = _Pass(replace(current.problem, free=free, grid=grid), started, _certificates(started, accuracy))
    moved = _refined(moved, solver, accuracy, keeper)
    before, after = current.started.outcome.objective, moved.started.outcome.objective
    better = after <= before + 1e-9 * max(abs(before), abs(after))
    if not (moved.started.outcome.status.ok and better and moved.good(accuracy)):
        ladder.climbed("switches", "placing them on element ends was no better; the pieces stay as they were")
        return current
    names = sorted(str(name) for name, value in free.items() if getattr(value, "switching", False))
    ladder.climbed("switches", f"placed on element ends in {', '.join(names)}")
    return moved


def with_limits(solved: Solved, limits: Mapping[str, tuple[float, float]]) -> Solved:
    """The same problem with other limits on named terms, solved from its solution; nothing is built again."""
    before = solved.started
    engine = before.engine.limited(limits)
    assembled = replace(before.assembled, nlp=engine.nlp)
    ladder = Ladder()
    reached = climb(engine, before.outcome.w, before.scaling, before.attempt.limits)
    ladder.report(reached.steps)
    stats = {**before.solutions[0].stats, "iterations": reached.outcome.iterations}
    solutions = tuple(read(assembled, r, reached.outcome, ladder.rungs, stats) for r in range(len(before.solutions)))
    started = replace(before, assembled=assembled, engine=engine, reached=reached, solutions=solutions, ladder=ladder)
    return Solved(started, _with_certificates(started, _certificates(started)))


def _certificates(started: Started, accuracy: float = ACCURACY) -> tuple[Certificate, ...]:
    certificates = certify_all(started, accuracy)
    if started.assembled.problem.share_decisions and len(certificates) > 1:
        certificates = (merged(certificates, started.assembled.problem),) * len(certificates)
    worst = max(certificates, key=lambda c: c.largest_deviation)
    said = "holds" if all(c.ok for c in certificates) else next(c.message for c in certificates if not c.ok)
    started.ladder.climbed("certificate", f"{said}; replay deviation {worst.largest_deviation:.1e}")
    return certificates


def _with_certificates(
    started: Started, certificates: tuple[Certificate, ...], searched: Mapping[str, Any] | None = None
) -> tuple[Solution, ...]:
    """The solutions with what is known of them; `searched`: what the starts on the first mesh found."""
    solutions = []
    for solution, certificate in zip(started.solutions, certificates, strict=True):
        stats = {**solution.stats, **(searched or {})}
        stats["seconds_certificate"] = started.ladder.seconds("certificate")
        stats["seconds_total"] = started.ladder.elapsed
        solutions.append(
            replace(
                solution,
                certificate=certificate,
                stats=stats,
                start_report=StartReport(started.ladder.rungs),
                iterate=started,
            )
        )
    return tuple(solutions)
