"""Where does what a sample changes stand in a program? Cells of states, clocks, inputs, targets; and of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.timetable import Horizon
from titer.control.nmpc.tracking import Targets
from titer.flowsheets.declarations import Parameter
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.wiring import before_block
from titer.numerics.dae import Array


@dataclass(frozen=True, eq=False)
class Given:
    """An input that is not decided, in one part of the horizon: where it stands in the data, and from when to when each
    of its values holds, counted from the start of the part; `clock`: when the part begins on the horizon."""

    name: str
    phase: int
    at: Array
    begins: Array
    ends: Array
    clock: float


@dataclass(frozen=True, eq=False)
class Cells:
    """Where a sample's numbers stand in the data of a program (as indices of the data).

    `states` (at, which of all states); `clocks` (at, times on the horizon); `parameters` {name: at}; `before`: of the
    inputs that are applied, in the order of the handles; `given`; `totals` {name: at}; `targets` (at, ...); `rates`
    {state: at}.
    """

    states: tuple[Array, Array]
    clocks: tuple[Array, Array]
    parameters: Mapping[str, Array]
    before: Array
    given: tuple[Given, ...]
    totals: Mapping[str, Array]
    targets: tuple[Targets, ...]
    rates: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read from a solution: `names`, of each scenario and part the positions `tau` (points,) and where in
    (decisions, data, nan) each name stands (names, points); `spans`: cells of the durations of parts."""

    names: tuple[str, ...]
    phases: tuple[str, ...]
    tau: tuple[tuple[Array, ...], ...]
    at: tuple[tuple[Array, ...], ...]
    spans: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Added:
    """Data that were added to a program when it had so many `columns`: `before` in the data, others as cells."""

    before: Array
    targets: Sequence[Targets]
    rates: Mapping[str, Array]
    columns: int


def cells_of(wanted: Wanted, assembled: Assembled, horizon: Horizon, added: Added) -> Cells:
    """Where everything stands."""
    nlp, n = assembled.nlp, assembled.nlp.columns
    order = {name: i for i, name in enumerate(wanted.states)}
    starts: dict[str, list[int]] = {}
    totals: dict[str, list[int]] = {}
    given: list[Given] = []
    clocks: list[tuple[int, float]] = []
    for placements in assembled.runs:
        seen: set[str] = set()
        clock = 0.0
        for k, placement in enumerate(placements):
            block, operation = placement.block, placement.operation
            cells = nlp.cells[block.name]
            _note_starts(placement, cells, seen, starts, totals)
            if k == 0 and before_block(block.name) in nlp.cells:
                states = [v.name for v in operation.lowered.dae.states]
                for name, cell in zip(states, nlp.cells[before_block(block.name)], strict=True):
                    starts.setdefault(name, []).append(int(cell))
            at = int(cells[block.slot("clock").cells[0]])
            if at >= n:
                clocks.append((at, float(nlp.data[at - n])))
            given += _given(placement, horizon.parts[k].phase, cells, clock, n)
            clock += operation.duration.guess
    pairs = [(cell - n, order[name]) for name, places in starts.items() for cell in set(places) if cell >= n]
    at_states, which = np.array(pairs, dtype=int).reshape(-1, 2).T
    return Cells(
        states=(at_states, which),
        clocks=(np.array([c for c, _ in clocks], dtype=int) - n, np.array([time for _, time in clocks])),
        parameters=_parameter_cells(assembled),
        before=np.asarray(added.before, dtype=int),
        given=tuple(given),
        totals={name: np.unique(np.array(places, dtype=int)) - n for name, places in totals.items()},
        targets=tuple(replace(target, cells=target.cells - added.columns) for target in added.targets),
        rates={name: cells - added.columns for name, cells in added.rates.items()},
    )


def reading_of(assembled: Assembled) -> Reading:
    """Where states, algebraic variables and inputs stand; right of a jump, an input has the value that follows."""
    nlp = assembled.nlp
    names: dict[str, None] = {}
    for placement in assembled.runs[0]:
        dae = placement.operation.lowered.dae
        names |= dict.fromkeys(v.name for v in (*dae.states, *dae.algebraics, *dae.inputs))
    index = {name: i for i, name in enumerate(names)}
    nothing = nlp.columns + len(nlp.data)
    taus, places, spans, phases = [], [], [], []
    for r, placements in enumerate(assembled.runs):
        taus_of, places_of, spans_of = [], [], []
        for placement in placements:
            block, dae, tau = placement.block, placement.operation.lowered.dae, placement.transcribed.tau
            own = np.append(nlp.cells[block.name], nothing)
            at = np.full((len(names), len(tau)), nothing)
            for variable, row in zip(dae.states, block.ports["x"], strict=False):
                at[index[variable.name]] = own[row]
            for variable, row in zip(dae.algebraics, block.ports["z"], strict=True):
                at[index[variable.name]] = own[row]
            for variable, profile in zip(dae.inputs, placement.transcribed.segment.profiles, strict=False):
                cells = own[block.slot(f"input:{variable.name}").cells]
                at[index[variable.name]] = cells[profile.left[profile.piece_of(tau)]]
            for name, i in index.items():  # held at rest
                if name in placement.operation.lowered.held:
                    slot = own[block.slot("parameters").cells]
                    at[i] = slot[[v.name for v in dae.parameters].index(name)]
            taus_of.append(tau)
            places_of.append(at)
            spans_of.append(int(own[block.slot("duration").cells[0]]))
            if not r:
                phases.append(placement.operation.name)
        taus.append(tuple(taus_of))
        places.append(tuple(places_of))
        spans.append(tuple(spans_of))
    return Reading(tuple(names), tuple(phases), tuple(taus), tuple(places), tuple(spans))


def _note_starts(placement: Placement, cells: Array, seen: set[str], starts: Any, totals: Any) -> None:
    """Cells of states that nothing before has moved, and of integrals that count on."""
    operation, block = placement.operation, placement.block
    parameters = [v.name for v in operation.lowered.dae.parameters]
    slot = cells[block.slot("parameters").cells]
    for name in operation.lowered.held:
        if name not in seen:
            starts.setdefault(name, []).append(int(slot[parameters.index(name)]))
    plain = len(operation.lowered.dae.states)
    for i, (variable, cell) in enumerate(zip(placement.dae.states, cells[block.slot("start").cells], strict=True)):
        if variable.name not in seen and variable.name not in operation.resets:
            (starts if i < plain else totals).setdefault(variable.name, []).append(int(cell))
        seen.add(variable.name)


def _given(placement: Placement, phase: int, cells: Array, clock: float, n: int) -> list[Given]:
    operation, block = placement.operation, placement.block
    found = []
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided) or variable.name in operation.phase.fixed:
            continue
        profile, _ = placement.shapes[variable.name]
        edges = profile.edges * operation.duration.guess
        slot = cells[block.slot(f"input:{variable.name}").cells]
        found.append(Given(variable.name, phase, slot - n, edges[:-1], edges[1:], clock))
    return found


def _parameter_cells(assembled: Assembled) -> dict[str, Array]:
    """Places of each parameter, in the runs whose scenario does not say otherwise."""
    runs, nlp = assembled.problem.runs, assembled.nlp
    found: dict[str, list[int]] = {}
    names = [str(s.name) for s in runs[0].plant.scalars.values() if s.kind == Parameter.kind]
    varied = {name for run in runs for name in names if run.plant.values[name] != runs[0].plant.values[name]}
    for block in assembled.plants:
        for name, cell in zip(names, nlp.cells[block.name], strict=True):
            if name not in varied and cell >= nlp.columns:
                found.setdefault(name, []).append(int(cell) - nlp.columns)
    return {name: np.array(places, dtype=int) for name, places in found.items()}
