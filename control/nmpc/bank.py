"""What is built before a loop begins? The programs of all horizons that it may come to, with their solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from titer.control.nmpc.carrying import Carrier, Places, carrier, places_of_columns, places_of_rows
from titer.control.nmpc.methods import Method, quick, rungs
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program, programs_of
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.solving import Solvers, solvers_of
from titer.control.nmpc.timetable import Horizon
from titer.numerics.dae import Array
from titer.numerics.realtime import SqpEngine
from titer.numerics.solvers import Ipopt

_NEAR = 64  # of an interval: a start need not be nearer than such a part, and there are few ways to carry it


@dataclass(frozen=True, eq=False)
class Entry:
    """A program with its solvers; `engine`: for one iteration, where the method makes single ones."""

    program: Program
    solvers: Solvers
    engine: SqpEngine | None
    columns: Places
    rows: Places


@dataclass(eq=False)
class Bank:
    """Programs by horizon, built once. `built` counts them: it stays as it is while a loop runs."""

    wanted: Wanted
    handles: Sequence[Handle]
    softs: Mapping[str, Soft]
    method: Method
    seconds: float
    built: int = 0
    entries: dict[Horizon, Entry] = field(default_factory=dict)
    carriers: dict[tuple[Horizon, Horizon, float], tuple[Carrier, Carrier]] = field(default_factory=dict)

    def __getitem__(self, horizon: Horizon) -> Entry:
        if horizon not in self.entries:
            self.entries[horizon] = self._entry(horizon)
            self.built += 1
        return self.entries[horizon]

    def prepare(self) -> None:
        """Build all of them, and what leads from each to those that follow."""
        for horizon in self.wanted.table.all():
            self[horizon]

    def _entry(self, horizon: Horizon) -> Entry:
        ipopt = next((rung for rung in rungs(self.method) if isinstance(rung, Ipopt)), Ipopt())
        ipopt = Ipopt(ipopt.tolerance, min(ipopt.seconds, self.seconds), ipopt.iterations, ipopt.options)
        program, elastic = programs_of(self.wanted, horizon, self.handles, self.softs, ipopt)
        settings = quick(self.method)
        engine = None if settings is None else SqpEngine(program.nlp, program.scaling, settings)
        solvers = solvers_of(program, elastic, rungs(self.method))
        return Entry(program, solvers, engine, places_of_columns(program), places_of_rows(program))

    def carried(
        self, source: Horizon, w: Array, target: Horizon, gone: float, multipliers: tuple[Array, Array] | None
    ) -> tuple[Array, tuple[Array, Array] | None]:
        """Decisions and multipliers of one horizon's plan as a start for another that begins `gone` later."""
        one, other = self[source], self[target]
        gone = round(gone / self.wanted.table.every * _NEAR) * self.wanted.table.every / _NEAR
        key = (source, target, gone)
        if key not in self.carriers:
            self.carriers[key] = carrier(one.columns, other.columns, gone), carrier(one.rows, other.rows, gone)
        columns, rows = self.carriers[key]
        start = columns.carried(w, other.program.first)
        if multipliers is None:
            return start, None
        zero = np.zeros(max(len(start), other.program.nlp.rows))
        moved = rows.carried(multipliers[0], zero[: other.program.nlp.rows])
        return start, (moved, columns.carried(multipliers[1], zero[: len(start)]))
