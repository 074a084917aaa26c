"""Is a physical domain that binds a limit of the process, or only of its polynomials?

Where the model itself never leaves a domain (a substrate whose uptake ends as it does: at the bound its rate points
inside, whatever is decided; Nagumo 1942), a bound that holds collocation points acts on undershoots of the elements
alone; whether it holds the decisions as well shows on a finer mesh. Where the rate points outside, or would at another
decision (a vessel that is full from the start, and is not fed for that), the domain is a limit that the process would
cross. So it is where a phase begins with a jump: a volume that is drawn at once knows no rate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problems.start import Started
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import Dae
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics

Array = np.ndarray
_OUTWARD = 1e-9  # of a size per duration: less is rounding


def felt_domains(started: Started) -> tuple[int, ...]:
    """Columns whose domains bind and would be left by the process itself, the strongest first."""
    labels = [(g.phase, str(text)) for g in started.assembled.nlp.labels for text in g.texts]
    runs = {p.block.name: r for r, placements in enumerate(started.assembled.runs) for p in placements}
    kept: dict[tuple[int, str, bool], bool] = {}
    jumped, found = _jumped(started), []
    for i in started.reached.binding:
        phase, name = labels[i]
        upper = bool(started.outcome.bound_multipliers[i] > 0.0)
        if phase not in runs or i in jumped:
            found.append(i)
            continue
        key = (runs[phase], name, upper)
        if key not in kept:
            kept[key] = _kept(started, *key)
        if not kept[key]:
            found.append(i)
    return tuple(found)


def _jumped(started: Started) -> set[int]:
    """Columns of states at the beginning of a phase that sets them to a function of others, or of decisions."""
    cells = started.assembled.nlp.cells
    return {
        int(column)
        for placement in (p for placements in started.assembled.runs for p in placements)
        for state, column in zip(
            placement.operation.lowered.dae.states,
            cells[placement.block.name][placement.block.slot("start").cells],
            strict=False,  # carried integrals follow
        )
        if not isinstance(placement.operation.resets.get(state.name, 0.0), float)
    }


def _kept(started: Started, r: int, name: str, upper: bool) -> bool:
    """Whether a state's rate points inside its domain at the bound, at every other value that the run goes through and
    whatever is decided, input by input and parameter by parameter."""
    run, solution = started.assembled.problem.runs[r], started.solutions[r]
    values = run.plant.with_values(solution.decided).values
    numbers = {n.name: (n.lower, n.upper) for n in started.assembled.numbers if n.kind == Parameter.kind}
    seen = False
    for placement, phase in zip(started.assembled.runs[r], solution.phases, strict=True):
        operation, t = placement.operation, phase.trajectory
        dae = operation.lowered.dae
        names = [v.name for v in dae.states]
        if name not in names:
            continue
        i, seen = names.index(name), True
        x = np.array(t.x)
        x[i] = dae.states[i].upper if upper else dae.states[i].lower
        p = np.repeat(parameters_of(operation, values, phase.held)[:, None], len(t.time), axis=1)
        least = _OUTWARD * max(float(np.abs(t.x[i]).max(initial=0.0)), 1e-12) / max(t.duration, 1e-12)
        for k, (inputs, parameters) in enumerate(_decisions(operation, np.array(t.u), p, numbers)):
            rates = _rates(dae, i, t.time, x, np.array(t.z), inputs, parameters)
            if np.any(rates > least if upper else rates < -least) or (k == 0 and not np.isfinite(rates).all()):
                return False
    return seen


def _rates(dae: Dae, i: int, time: Array, x: Array, z: Array, u: Array, p: Array) -> Array:
    """The rate of state i (points,) at other values than the run's: algebraic variables, where it reads any, follow."""
    if i in dae.function.jac_sparsity(0, 2).row():
        z = np.column_stack([_algebraics(dae, *point) for point in zip(time, x.T, z.T, u.T, p.T, strict=True)])
    return np.array(dae.function.map(len(time))(time[None, :], x, z, u, p)[0])[i]


def _algebraics(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Algebraic variables at a point; where its equations have no solution, not a number."""
    try:
        return consistent_algebraics(dae, t, x, z, u, p)
    except InconsistentError:
        return np.full(len(z), np.nan)


def _decisions(
    operation: Operation, u: Array, p: Array, numbers: dict[str, tuple[float, float]]
) -> Iterator[tuple[Array, Array]]:
    """Inputs (inputs, points) and parameters (parameters, points): the plan's, then each decision at its bounds."""
    yield u, p
    for j, source in enumerate(operation.inputs):
        if isinstance(source, Decided):
            for bound in (source.lower, source.upper):
                yield _with(u, j, bound), p
    for j, variable in enumerate(operation.lowered.dae.parameters):
        if variable.name in numbers and variable.name not in operation.fixed:
            for bound in numbers[variable.name]:
                yield u, _with(p, j, bound)


def _with(rows: Array, j: int, bound: float) -> Array:
    """The same with a row at a bound; where there is none, well beyond what it is."""
    changed = rows.copy()
    changed[j] = bound if np.isfinite(bound) else rows[j] + np.sign(bound) * (1.0 + np.abs(rows[j]).max(initial=0.0))
    return changed
