"""What is doubtful about a run that went through? Domains that it left, inputs beyond their controls, lost streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from titer.flowsheets.declarations import Control
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Operation
from titer.numerics.dae import Variable, sizes_of
from titer.numerics.solution import PhaseResult

Array = np.ndarray
_LEFT = 1e-6  # of a variable's size, beyond its bound: more than an integrator's error


@dataclass(frozen=True)
class Departure:
    """A variable beyond a bound of its own: below it or above, the value farthest out, since when."""

    name: str
    unit: str
    below: bool
    bound: float
    value: float
    time: float


def departures(variables: Sequence[Variable], rows: Array, time: Array) -> Iterator[Departure]:
    """Which variables leave their bounds along a trajectory: rows (variables, points), time (points,)."""
    bounded = [i for i, v in enumerate(variables) if np.isfinite(v.lower) or np.isfinite(v.upper)]
    variables, rows = [variables[i] for i in bounded], rows[bounded]
    for variable, row, size in zip(variables, rows, sizes_of(variables, rows), strict=True):
        beyond = np.maximum(variable.lower - row, row - variable.upper)
        out = np.flatnonzero(beyond > _LEFT * size)
        if len(out):
            worst = int(np.argmax(beyond))
            below = bool(row[worst] < variable.lower)
            bound = variable.lower if below else variable.upper
            yield Departure(variable.name, variable.unit, below, bound, float(row[worst]), float(time[out[0]]))


def doubts(plant: Flowsheet, planned: Sequence[Operation], phases: Sequence[PhaseResult]) -> list[str]:
    """A line for each variable that leaves its domain, input beyond its control's bounds, and stream that is lost, and
    for what unit operations doubt themselves; the earliest first, which may be the cause of the others."""
    said: dict[str, tuple[float, str]] = {}
    for operation, phase in zip(planned, phases, strict=False):
        dae, t = operation.lowered.dae, phase.trajectory
        where = f"in phase {phase.name!r}"
        for variables, rows in ((dae.states, t.x), (dae.algebraics, t.z)):
            for d in departures(variables, rows, t.time):
                side, bound = ("below", "lower") if d.below else ("above", "upper")
                text = f"{d.name} is {side} its domain's {bound} bound {d.bound:g} since t = {d.time:.4g} {plant.time}"
                said.setdefault(d.name, (d.time, f"{text} {where}, and reaches {f'{d.value:.4g} {d.unit}'.strip()}"))
        for d in departures(_controls(plant, phase), _inputs(plant, phase), t.time):
            bounds = "lower" if d.below else "upper"
            text = f"{d.name} is given beyond its {bounds} bound {d.bound:g} {d.unit}".rstrip()
            said.setdefault(d.name, (d.time, f"{text} since t = {d.time:.4g} {plant.time} {where}: {d.value:.4g}"))
        for source, target, flow in _lost(plant, operation, phase):
            text = f"{source} carries {flow} into {target}, whose unit operation is idle {where}: it is lost"
            said.setdefault(f"{source} {target}", (float(t.time[0]), text))
        for unit in plant.units:
            if unit.name not in operation.phase.idle_names:
                for text in unit.doubts(phase.value):
                    said.setdefault(text, (float(t.time[0]), f"{text} (phase {phase.name!r})"))
    return [text for _, text in sorted(said.values(), key=lambda entry: entry[0])]


def _controls(plant: Flowsheet, phase: PhaseResult) -> list[Variable]:
    """Controls with a trajectory in a phase, with their bounds."""
    known, scalars = phase.table(), plant.scalars
    chosen = [scalars[name] for name in known if name in scalars and scalars[name].kind == Control.kind]
    return [Variable(str(s.name), s.measure.label, s.lower, s.upper, s.start, s.nominal) for s in chosen]


def _inputs(plant: Flowsheet, phase: PhaseResult) -> Array:
    rows = [phase.value(variable.name) for variable in _controls(plant, phase)]
    return np.array(rows).reshape(len(rows), len(phase.trajectory.time))


def _lost(plant: Flowsheet, operation: Operation, phase: PhaseResult) -> Iterator[tuple[str, str, str]]:
    """Streams that flow into a unit operation at rest."""
    idle, known = set(operation.phase.idle_names), phase.table()
    for source, target in plant.connections:
        flow = f"{source}.flow"
        if target.owner.name in idle and source.owner.name not in idle and flow in known:
            largest = float(np.abs(known[flow]).max(initial=0.0))
            if largest > 0.0:
                yield str(source), str(target), f"{largest:.4g} {plant.measures[flow].label}"
