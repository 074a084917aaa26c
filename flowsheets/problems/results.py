"""How does a solved `Nlp` become a `Solution`? Cells are read back by name, phase by phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.lowering import evaluate, labels_of
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.wiring import starts_block
from titer.flowsheets.shapes import pieces_of
from titer.flowsheets.simulation import Source, parameters_of
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import Term
from titer.numerics.integration.consistency import consistent_algebraics
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import IntegrationError, Trajectory, outputs
from titer.numerics.segment import Profile
from titer.numerics.solution import PhaseResult, Rung, Solution, StartReport
from titer.numerics.solvers import Outcome

Array = np.ndarray
_POINTS = 200  # of a shot phase, that are shown
_SEEN = 1e-7  # tolerance with which they are found


def read(
    assembled: Assembled,
    r: int,
    outcome: Outcome,
    rungs: Sequence[Rung],
    stats: Mapping[str, Any],
    clock: float = 0.0,
) -> Solution:
    """The solution of run `r` from the decisions of an outcome. `clock`: when it begins."""
    run = assembled.problem.runs[r]
    cells = np.concatenate([outcome.w, assembled.nlp.data])
    phases = []
    for placement in assembled.runs[r]:
        result = _phase(assembled, placement, cells, clock)
        phases.append(result)
        clock += result.trajectory.duration
    decided = _decided(assembled, r, cells)
    return Solution(
        kind="optimum",
        time=run.plant.time,
        units=labels_of(run.plant, [name for phase in phases for name in phase.algebraics]),
        phases=tuple(phases),
        values={**run.plant.values, **decided},
        status=outcome.status,
        objective=assembled.problem.sign * outcome.objective,
        decided=decided,
        stats=dict(stats),
        start_report=StartReport(rungs),
        message=outcome.message,
        source=Source(run.plant, run.recipe, run.inputs, assembled.problem.free),
        iterate=outcome,
    )


def evaluate_term(started: Any, term: Term) -> tuple[float, str]:
    """The value of a term at the end of a solved problem's first run, or of the term's phase, and its unit."""
    solution = started.solutions[0]
    placement = started.assembled.runs[0][-1]
    for candidate in started.assembled.runs[0]:
        if candidate.operation.name == term.phase:
            placement = candidate
    lowered = placement.operation.lowered
    value = evaluate(term.function, lowered.view, term.label())
    phase = next(p for p in solution.phases if p.name == placement.operation.name)
    t = phase.trajectory
    plant = started.assembled.problem.runs[0].plant.with_values(solution.decided)
    p = parameters_of(placement.operation, plant.values, phase.held)
    number = float(lowered.function(value)(t.time[-1], t.x[:, -1], t.z[:, -1], t.u[:, -1], p))
    return number, value.measure.label if isinstance(value, Symbol) else ""


def _phase(assembled: Assembled, placement: Placement, cells: Array, clock: float) -> PhaseResult:
    block, operation = placement.block, placement.operation
    dae = operation.lowered.dae
    here = cells[assembled.nlp.cells[block.name]]
    duration = float(here[block.slot("duration").cells[0]])
    parameters = here[block.slot("parameters").cells][: len(dae.parameters)]  # without rooms
    moved = moved_ends(assembled, placement, cells)
    shapes: dict[str, tuple[Profile, Array]] = {}
    for variable, profile in zip(dae.inputs, placement.transcribed.segment.profiles, strict=True):
        values = here[block.slot(f"input:{variable.name}").cells]
        shapes[variable.name] = (Profile(moved(profile.edges), profile.left, profile.right), values)
    n = len(dae.states)
    x = here[block.ports["x"]][:n]
    z = np.where(block.ports["z"] >= 0, here[np.maximum(block.ports["z"], 0)], np.nan)
    tau, piece = moved(placement.transcribed.tau), _pieces_behind(placement)
    ends = moved(placement.transcribed.ends)
    tau, x, z, element = _with_jumps(len(ends) - 1, tau, x, z, piece, shapes)
    middle = 0.5 * (ends[element] + ends[element + 1])
    u = np.array([p.at(values, tau, p.piece_of(middle)) for p, values in shapes.values()]).reshape(
        len(shapes), len(tau)
    )
    time = clock + duration * tau
    z = _completed(dae, time, x, z, u, parameters)
    y = outputs(dae, time, x, z, u, parameters)
    trajectory = Trajectory(time, x, z, u, y)
    if placement.method is not None:
        trajectory = _between(placement, trajectory, shapes, ends, parameters)
    held = dict(zip(operation.lowered.held, parameters[len(parameters) - len(operation.lowered.held) :], strict=True))
    return PhaseResult(
        operation.name,
        trajectory,
        states=tuple(v.name for v in dae.states),
        algebraics=tuple(v.name for v in dae.algebraics),
        inputs=tuple(v.name for v in dae.inputs),
        outputs=tuple(v.name for v in dae.outputs),
        held=held,
        shapes=shapes,
    )


def _between(
    placement: Placement,
    known: Trajectory,
    shapes: Mapping[str, tuple[Profile, Array]],
    ends: Array,
    parameters: Array,
) -> Trajectory:
    """A shot phase seen between the ends of its intervals as well; there it is what the program knows."""
    assert placement.method is not None
    dae = placement.operation.lowered.dae
    if not np.isfinite(known.x).all():
        return known
    pieces = pieces_of(list(shapes.values()), known.duration, known.duration, ends)
    tolerance = min(_SEEN, placement.method.accuracy(len(dae.states)))
    begun = (known.x[:, 0], parameters, float(known.time[0]))
    try:
        run = integrate(dae, *begun, pieces, points=_POINTS, tolerance=tolerance)
    except IntegrationError:
        return known
    x = run.x.copy()
    for tau in ends:
        x[:, np.abs(run.tau - tau) < 1e-10] = known.x[:, [int(np.abs(known.tau - tau).argmin())]]
    return replace(run, x=x, y=outputs(dae, run.time, x, run.z, run.u, parameters))


def moved_ends(assembled: Assembled, placement: Placement, cells: Array) -> Callable[[Array], Array]:
    """Where nominal positions in a phase have come to lie, where the ends of its pieces were decided."""
    nominal = placement.transcribed.segment.movable
    if nominal is None:
        return lambda tau: tau
    slot = assembled.nlp.cells[placement.block.name][placement.block.slot("edges").cells]
    return lambda tau: np.interp(tau, nominal, cells[slot])


def _pieces_behind(placement: Placement) -> Array:
    """The element to which each grid point belongs; the start belongs to the first."""
    ends, tau = placement.transcribed.ends, placement.transcribed.tau
    return np.clip(np.searchsorted(ends, tau - 1e-12) - 1, 0, len(ends) - 2)


def _with_jumps(  # type: ignore[no-untyped-def]
    elements: int, tau: Array, x: Array, z: Array, element: Array, shapes
) -> tuple[Array, Array, Array, Array]:
    """Repeat the grid points at which an input jumps, so that both its values are seen."""
    edges = [profile.edges[1:-1][profile.left[1:] != profile.right[:-1]] for profile, _ in shapes.values()]
    jumps = np.unique(np.concatenate([np.zeros(0), *edges]))
    if not len(jumps):
        return tau, x, z, element
    at = np.searchsorted(tau, jumps - 1e-12)
    tau = np.insert(tau, at + 1, tau[at])
    x = np.insert(x, at + 1, x[:, at], axis=1)
    z = np.insert(z, at + 1, np.nan, axis=1)
    element = np.insert(element, at + 1, np.minimum(element[at] + 1, elements - 1))
    return tau, x, z, element


def _completed(dae, time: Array, x: Array, z: Array, u: Array, p: Array) -> Array:  # type: ignore[no-untyped-def]
    """Algebraic variables where the grid does not hold them, from their equations and the nearest known values."""
    if not len(z):
        return z
    z = z.copy()
    unknown = np.flatnonzero(~np.isfinite(z).all(axis=0))
    known = np.flatnonzero(np.isfinite(z).all(axis=0))
    for i in unknown:
        guess = z[:, known[np.abs(known - i).argmin()]] if len(known) else np.zeros(len(z))
        try:
            z[:, i] = consistent_algebraics(dae, time[i], x[:, i], guess, u[:, i], p)
        except RuntimeError:
            z[:, i] = np.nan
    return z


def _decided(assembled: Assembled, r: int, cells: Array) -> dict[str, float]:
    """Free parameters and initial states, as decided."""
    nlp, plant = assembled.nlp, assembled.problem.runs[r].plant
    parameters = [str(s.name) for s in plant.scalars.values() if s.kind == "parameter"]
    values = cells[nlp.cells[assembled.plants[r].name]]
    decided = {}
    for number in assembled.numbers:
        if number.kind == State.kind:
            block = starts_block(r) if starts_block(r) in nlp.cells else starts_block(0)
            at = [n.name for n in assembled.numbers if n.kind == State.kind].index(number.name)
            decided[number.name] = float(cells[nlp.cells[block][at]])
        else:
            decided[number.name] = float(values[parameters.index(number.name)])
    return decided
