"""What is built before a loop begins? The programs of all horizons that it may come to, with their solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from titer.control.nmpc.carrying import (
    Carrier,
    Places,
    carrier,
    clock_of,
    places_of_columns,
    places_of_rows,
)
from titer.control.nmpc.modes import Converged, Mode
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program, program_of
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.solving import Solvers, solvers_of
from titer.control.nmpc.timetable import Horizon
from titer.numerics.dae import Array
from titer.numerics.realtime.sequential import Stepper
from titer.numerics.solvers import Ipopt


@dataclass(frozen=True, eq=False)
class Entry:
    """A program with its solvers; `stepper`: for one iteration, where the mode has one."""

    program: Program
    solvers: Solvers
    stepper: Stepper | None
    columns: Places
    rows: Places


@dataclass(eq=False)
class Bank:
    """Programs by horizon, built once. `built` counts them: it stays as it is while a loop runs."""

    wanted: Wanted
    handles: Sequence[Handle]
    softs: Mapping[str, Soft]
    mode: Mode
    ipopt: Ipopt
    built: int = 0
    entries: dict[Horizon, Entry] = field(default_factory=dict)
    carriers: dict[tuple, tuple[Carrier, Carrier]] = field(default_factory=dict)

    def __getitem__(self, horizon: Horizon) -> Entry:
        if horizon not in self.entries:
            self.entries[horizon] = self._entry(horizon)
            self.built += 1
        return self.entries[horizon]

    def prepare(self) -> None:
        """Build all of them."""
        for horizon in self.wanted.table.all():
            self[horizon]

    def _entry(self, horizon: Horizon) -> Entry:
        program = program_of(self.wanted, horizon, self.handles, self.softs, self.ipopt)
        stepper = None
        if not isinstance(self.mode, Converged):
            held = program.slacks.columns[program.slacks.hard]
            stepper = self.mode.method.stepper(program.engine, program.scaling, program.first, held, moving(program))
        solvers = solvers_of(program, self.mode.methods)
        return Entry(program, solvers, stepper, places_of_columns(program), places_of_rows(program))

    def carried(
        self, source: Horizon, w: Array, target: Horizon, gone: float, multipliers: tuple[Array, Array]
    ) -> tuple[Array, tuple[Array, Array]]:
        """Decisions and multipliers of one horizon's plan as a start for another that begins `gone` later."""
        one, other = self[source], self[target]
        key = (source, target, round(gone, 9))
        found = self.carriers.get(key)
        if found is None:
            decided = bool(one.program.durations)
            found = _between(one, other, w if decided else None, gone)
            if not decided:
                self.carriers[key] = found
        columns, rows = found
        n = other.program.nlp.rows
        start = columns.carried(w, other.program.first)
        for phase, column in other.program.durations.items():
            if phase in one.program.durations and phase == target.parts[0].phase:
                start[column] = _rest(one, w, phase, gone, target)
        return start, (rows.carried(multipliers[0], np.zeros(n)), columns.carried(multipliers[1], np.zeros(len(start))))


def _rest(one: Entry, w: Array, phase: int, gone: float, target: Horizon) -> float:
    """What is left to decide of the running phase's duration, once `gone` and whole intervals are taken off."""
    whole = sum(part.duration for part in one.program.horizon.parts if part.phase == phase and not part.open)
    taken = sum(part.duration for part in target.parts if part.phase == phase and not part.open)
    return float(max(whole + w[one.program.durations[phase]] - gone - taken, 1e-3 * target.parts[0].lengths[0]))


def _between(one: Entry, other: Entry, w: Array | None, gone: float) -> tuple[Carrier, Carrier]:
    there, here = clock_of(one.program, w), clock_of(other.program, None)
    columns = carrier(one.columns, one.columns.times(there), other.columns, other.columns.times(here) + gone)
    rows = carrier(one.rows, one.rows.times(there), other.rows, other.rows.times(here) + gone)
    return columns, rows


def moving(program: Program) -> Array:
    """Data that a sample moves: where the plant stands, and what is applied."""
    cells = program.cells
    groups = [*cells.starts.values(), *cells.totals.values(), np.array(list(cells.before.values()), dtype=int)]
    return np.unique(np.concatenate([np.zeros(0, dtype=int), *groups]))
