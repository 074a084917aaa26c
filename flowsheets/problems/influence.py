"""Does an objective depend on any decision? Decisions are followed through the structure of the equations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Decided, Operation, point_before
from titer.flowsheets.problems.problem import PhaseTerms, Placed, Problem
from titer.numerics.errors import SpecificationError

Array = np.ndarray
_TIME, _STATES, _ALGEBRAICS, _INPUTS, _PARAMETERS = range(5)


def check_objective(problem: Problem, terms: Sequence[Sequence[PhaseTerms]]) -> None:
    """An objective that no decision reaches is a mistake. Raises SpecificationError, saying what it reads."""
    read: set[str] = set()
    if any(_reached(problem, phases, read) for phases in terms):
        return
    free = [str(each) for name in problem.free for each in elements_of(name)]
    decided = ", ".join(free) or "the durations"
    raise SpecificationError(
        f"the objective depends on no decision: it reads {', '.join(sorted(read)) or 'nothing that moves'}, "
        f"which {decided} cannot change.\n"
        f"  Let it read what the decisions act on, or decide something that acts on it."
    )


def check_influence(problem: Problem, terms: Sequence[Sequence[PhaseTerms]]) -> None:
    """Every number that is fitted must move something that was measured. Raises SpecificationError, naming it."""
    for name, value in problem.free.items():
        for each in elements_of(name):
            alone = replace(problem, free={str(each): value})
            if value.prior is None and not any(_reached(alone, phases, set()) for phases in terms):
                raise SpecificationError(
                    f"free: {each} moves nothing that was measured: these data say nothing of it.\n"
                    f"  Leave it out of free, measure what it acts on, or give it a prior: "
                    f"Free(..., prior=(mean, deviation))."
                )


def _reached(problem: Problem, phases: Sequence[PhaseTerms], read: set[str]) -> bool:
    """Whether some term of a run's objective reads what a decision moves; `read` collects what they read."""
    free = {str(each) for name in problem.free for each in elements_of(name)}
    moved = set(free)  # names of states, parameters and inputs that decisions move
    time_moves = False
    for k, phase in enumerate(phases):
        operation, dae = phase.operation, phase.operation.lowered.dae
        moved = _after_resets([p.operation for p in phases], k, moved, time_moves)
        x = np.array([v.name in moved for v in dae.states], dtype=bool)
        p = np.array([v.name in moved for v in dae.parameters], dtype=bool)
        u = np.array([isinstance(s, Decided) for s in operation.inputs], dtype=bool)
        free_duration = operation.duration.free
        first = {_STATES: x, _ALGEBRAICS: _algebraics(phase, x, u, p, time_moves), _INPUTS: u, _PARAMETERS: p}
        if any(_reads(placed, first, time_moves) for placed in phase.at_start if placed.weight):
            return True
        x, z = _closure(phase, x, u, p, time_moves, free_duration)
        flags = {_STATES: x, _ALGEBRAICS: z, _INPUTS: u, _PARAMETERS: p}
        moving_time = time_moves or free_duration
        objective = [t for t in (*phase.at_end, *phase.integrals, *phase.samples) if t.weight]
        names = {_STATES: dae.states, _ALGEBRAICS: dae.algebraics, _INPUTS: dae.inputs, _PARAMETERS: dae.parameters}
        for placed in objective:
            lasts = free_duration and placed in phase.integrals and _is_something(placed)
            if lasts or _reads(placed, flags, moving_time):
                return True
        for placed in (*(t for t in phase.at_start if t.weight), *objective):
            for argument, variables in names.items():
                read |= {variables[j].name for j in _columns(placed, argument)}
        time_moves = moving_time
        moved |= {v.name for v, flag in zip(dae.states, x, strict=True) if flag}
    return False


def _after_resets(planned: Sequence[Operation], k: int, moved: set[str], time_moves: bool) -> set[str]:
    """What decisions reach when phase k begins: a state that is set to a number is not, one that is set to something
    they reach is."""
    before = point_before(planned, k)
    dae, now = before.lowered.dae, set(moved)
    decided = {v.name for v, s in zip(dae.inputs, before.inputs, strict=True) if isinstance(s, Decided)}
    for name, value in planned[k].resets.items():
        if isinstance(value, float):
            now.discard(name)
            continue
        reached = time_moves and value.jac_sparsity(0, _TIME).nnz() > 0
        for argument, group in ((_STATES, dae.states), (_INPUTS, dae.inputs), (_PARAMETERS, dae.parameters)):
            columns = set(value.jac_sparsity(0, argument).get_col())
            reached = reached or any(group[j].name in moved | decided for j in columns)
        if reached:
            now.add(name)
    return now


def _is_something(placed: Placed) -> bool:
    """Whether an integrand is other than zero: then it matters how long it is integrated."""
    function = placed.function
    if any(function.jac_sparsity(0, i).nnz() for i in range(5)):
        return True
    point = [np.zeros(function.numel_in(i)) for i in range(5)]
    return float(function(*point)) != 0.0


def _algebraics(phase: PhaseTerms, x: Array, u: Array, p: Array, time_moves: bool) -> Array:
    """Algebraics that decisions reach at the first instant of a phase."""
    zeros = [_pattern(phase.operation.lowered.dae.function, 1, i) for i in range(5)]
    z = np.zeros(zeros[_ALGEBRAICS].shape[1], dtype=bool)
    while True:
        touched = np.zeros(zeros[0].shape[0], dtype=bool)
        for pattern, flags in zip(zeros, (np.array([time_moves]), x, z, u, p), strict=True):
            touched |= pattern @ flags
        further = z | (zeros[_ALGEBRAICS].T @ touched)
        if np.array_equal(further, z):
            return z
        z = further


def _closure(
    phase: PhaseTerms, x: Array, u: Array, p: Array, time_moves: bool, free_duration: bool
) -> tuple[Array, Array]:
    """States and algebraics that decisions reach in a phase: through rates, equations, and how long it lasts."""
    function = phase.operation.lowered.dae.function
    rates = [_pattern(function, 0, i) for i in range(5)]
    zeros = [_pattern(function, 1, i) for i in range(5)]
    z = np.zeros(zeros[_ALGEBRAICS].shape[1], dtype=bool)
    clock = np.array([time_moves or free_duration])
    if free_duration:  # how long a phase lasts moves every state that has a rate
        x = x | np.any(np.concatenate(list(rates), axis=1), axis=1)
    while True:
        inputs = (clock, x, z, u, p)
        touched = np.zeros(zeros[0].shape[0], dtype=bool)
        for pattern, flags in zip(zeros, inputs, strict=True):
            touched |= pattern @ flags
        z_new = z | (zeros[_ALGEBRAICS].T @ touched)
        x_new = x.copy()
        for pattern, flags in zip(rates, (clock, x, z_new, u, p), strict=True):
            x_new |= pattern @ flags
        if np.array_equal(x_new, x) and np.array_equal(z_new, z):
            return x, z
        x, z = x_new, z_new


def _reads(placed: Placed, flags: Mapping[int, Array], time_moves: bool) -> bool:
    if time_moves and len(_columns(placed, _TIME)):
        return True
    return any(bool(flags[argument][_columns(placed, argument)].any()) for argument in flags)


def _columns(placed: Placed, argument: int) -> Array:
    return np.unique(np.array(placed.function.jac_sparsity(0, argument).get_col(), dtype=int))


def _pattern(function, output: int, argument: int) -> Array:  # type: ignore[no-untyped-def]
    sparsity = function.jac_sparsity(output, argument)
    dense = np.zeros(sparsity.shape, dtype=bool)
    rows, columns = sparsity.get_triplet()
    dense[np.array(rows, dtype=int), np.array(columns, dtype=int)] = True
    return dense
