"""What does a decision move? Names are followed through rates, equations, resets and durations, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import casadi as ca
import numpy as np

from titer.flowsheets.diagnosis.placed import TIME, names_read
from titer.flowsheets.operation import Operation, point_before
from titer.numerics.dae import Dae

Array = np.ndarray


def moved(planned: Sequence[Operation], sources: frozenset[str], durations: bool = False) -> list[frozenset[str]]:
    """Names that `sources` move, phase by phase; `durations`: free durations move states and time as well."""
    now, phases = set(sources), []
    for k, operation in enumerate(planned):
        now = _after_resets(planned, k, now, sources)
        lasts = durations and operation.duration.free
        now = set(_closure(operation.lowered.dae, frozenset(now | ({TIME} if lasts else set())), lasts))
        if operation.event is not None and _reads(operation.event.function, operation.lowered.dae) & now:
            now |= _closure(operation.lowered.dae, frozenset(now | {TIME}), True)  # it moves the end of the phase
        phases.append(frozenset(now))
    return phases


def moved_at_first(operation: Operation, sources: frozenset[str]) -> frozenset[str]:
    """Names that `sources` move at the very first instant of the first phase: its actions have, no rate has acted."""
    dae = operation.lowered.dae
    now, equations = _after_resets([operation], 0, set(sources), sources), (*_rows(dae, 1), *_held(dae))
    while True:
        before = len(now)
        for read, determined in equations:
            if read & now:
                now |= determined
        if len(now) == before:
            return frozenset(now)


def _after_resets(planned: Sequence[Operation], k: int, now: set[str], sources: frozenset[str]) -> set[str]:
    """What is moved when phase k begins: a state that is set to a number is not, unless it is a source itself."""
    kept = set(now)
    for name, value in planned[k].resets.items():
        if isinstance(value, float):
            kept -= {name} - sources
        elif _reads(value, point_before(planned, k).lowered.dae) & now:
            kept |= {name}
        else:
            kept -= {name} - sources
    return kept


def _closure(dae: Dae, sources: frozenset[str], lasts: bool) -> frozenset[str]:
    now = set(sources) | (changing(dae) if lasts else set())
    rates, equations = _rows(dae, 0), (*_rows(dae, 1), *_held(dae))
    while True:
        before = len(now)
        for read, determined in equations:
            if read & now:
                now |= determined
        for variable, (read, _) in zip(dae.states, rates, strict=True):
            if read & now:
                now.add(variable.name)
        if len(now) == before:
            return frozenset(now)


@lru_cache(maxsize=64)
def _rows(dae: Dae, output: int) -> list[tuple[frozenset[str], frozenset[str]]]:
    """For each rate (output 0) or equation (1): the names it reads, and the algebraics among them."""
    count = dae.function.numel_out(output)
    read: list[set[str]] = [set() for _ in range(count)]
    unknown: list[set[str]] = [set() for _ in range(count)]
    groups = ((TIME,), *(tuple(v.name for v in g) for g in (dae.states, dae.algebraics, dae.inputs, dae.parameters)))
    for argument, names in enumerate(groups):
        rows, columns = dae.function.jac_sparsity(output, argument).get_triplet()
        for i, j in zip(rows, columns, strict=True):
            read[i].add(names[j])
            if argument == 2:
                unknown[i].add(names[j])
    return [(frozenset(r), frozenset(z)) for r, z in zip(read, unknown, strict=True)]


def _held(dae: Dae) -> list[tuple[frozenset[str], frozenset[str]]]:
    """What the invariants of a reduced model read, and the states among it, which projection moves."""
    if dae.invariants is None:
        return []
    states = frozenset(v.name for v in dae.states)
    read = names_read(dae.invariants, 0, dae)
    return [(read, read & states)]


def changing(dae: Dae) -> set[str]:
    """States whose rate is other than a constant zero."""
    probe = [np.zeros(n) for n in (1, *dae.sizes)]
    constant = np.array(dae.function(*probe)[0]).ravel()
    pairs = zip(dae.states, _rows(dae, 0), constant, strict=True)
    return {variable.name for variable, (read, _), value in pairs if read or value != 0.0}


def _reads(function: ca.Function, dae: Dae) -> frozenset[str]:
    return names_read(function, 0, dae)
