"""How is a problem solved to an accuracy that holds? Start, certify, and refine the mesh where it was left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from titer.flowsheets.certificate import VIOLATION, certify
from titer.flowsheets.climbing import climb
from titer.flowsheets.ladder import Ladder
from titer.flowsheets.problem import Problem
from titer.flowsheets.results import read
from titer.flowsheets.start import Started, start
from titer.numerics.grid import Grid
from titer.numerics.solution import Certificate, Solution
from titer.numerics.solvers import Fatrop, Ipopt

ACCURACY = 1e-5  # replay deviation to which a mesh that was left open is refined
_REFINEMENTS = 4


@dataclass(frozen=True, eq=False)
class Solved:
    """A problem after its last solve, with a solution and a certificate for each run."""

    started: Started
    solutions: tuple[Solution, ...]


def solve(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | None = None,
    starts: int | None = None,
    seed: int = 0,
    refine: float | None = None,
) -> Solved:
    """Solve a problem; where its grid leaves the elements open, refine them until a replay agrees to `ACCURACY`.

    A failed solve is returned, not raised. Raises SpecificationError for a bad problem, SolveError where none can
    start.
    """
    started = start(problem, solver, start_from, starts, seed=seed)
    certificates = _certificates(started)
    refinable = problem.grid.elements is None and len(problem.runs) == 1
    for _ in range(_REFINEMENTS if refinable else 0):
        if not started.outcome.status.ok or not _wants_finer(certificates[0]):
            break
        finer = replace(problem, grid=_finer(problem.grid, started, certificates[0]))
        refined = start(finer, solver, started.solutions[0], 1, started.ladder)
        if not refined.outcome.status.ok:
            break
        started, certificates = refined, _certificates(refined)
    return Solved(started, _with_certificates(started, certificates))


def with_limits(solved: Solved, limits: Mapping[str, tuple[float, float]]) -> Solved:
    """The same problem with other limits on named terms, solved from its solution; nothing is built again."""
    before = solved.started
    engine = before.engine.limited(limits)
    assembled = replace(before.assembled, nlp=engine.nlp)
    ladder = Ladder()
    reached = climb(engine, before.outcome.w, before.scaling)
    ladder.report(reached.steps)
    stats = {**before.solutions[0].stats, "iterations": reached.outcome.iterations}
    solutions = tuple(read(assembled, r, reached.outcome, ladder.rungs, stats) for r in range(len(before.solutions)))
    started = replace(before, assembled=assembled, engine=engine, reached=reached, solutions=solutions, ladder=ladder)
    return Solved(started, _with_certificates(started, _certificates(started)))


def _wants_finer(certificate: Certificate) -> bool:
    """Whether more elements would bring the optimum nearer to its replay, or its limits to where they should hold."""
    return certificate.largest_deviation > ACCURACY or certificate.largest_violation > VIOLATION


def _finer(grid: Grid, started: Started, certificate: Certificate) -> Grid:
    """More elements: as many as the order of the method asks for, at least half as many again, at most three times."""
    order = max(1, 2 * grid.degree - 1)
    wanted = max(certificate.largest_deviation / ACCURACY, certificate.largest_violation / VIOLATION)
    factor = min(3.0, max(1.5, (2.0 * wanted) ** (1.0 / order)))
    counts = {p.operation.name: len(p.transcribed.ends) - 1 for p in started.assembled.runs[0]}
    return replace(grid, elements={name: int(factor * n) + 1 for name, n in counts.items()})


def _certificates(started: Started) -> tuple[Certificate, ...]:
    certificates = tuple(certify(started, r) for r in range(len(started.solutions)))
    worst = max(certificates, key=lambda c: c.largest_deviation)
    said = "holds" if all(c.ok for c in certificates) else next(c.message for c in certificates if not c.ok)
    started.ladder.climbed("certificate", f"{said}; replay deviation {worst.largest_deviation:.1e}")
    return certificates


def _with_certificates(started: Started, certificates: tuple[Certificate, ...]) -> tuple[Solution, ...]:
    solutions = []
    for solution, certificate in zip(started.solutions, certificates, strict=True):
        stats = dict(solution.stats)
        stats["seconds_certificate"] = started.ladder.seconds("certificate")
        stats["seconds_total"] = started.ladder.elapsed
        solutions.append(
            replace(
                solution,
                certificate=certificate,
                stats=stats,
                start_report=tuple(started.ladder.rungs),
                iterate=started,
            )
        )
    return tuple(solutions)
