"""What is examined? A plant under a recipe with everything resolved, and what it does when it is simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.diagnosis.alone import Alone
from titer.flowsheets.diagnosis.placed import Seen, seen_in
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.simulation import parameters_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.terms import Sum, Term
from titer.numerics.solution import PhaseResult

Array = np.ndarray
Point = tuple[float, Array, Array, Array, Array]  # t, x, z, u, p


@dataclass(frozen=True, eq=False)
class Asked:
    """What `diagnose` was asked: a plant, how it is operated, what is decided, required and wanted."""

    plant: Flowsheet
    recipe: Recipe
    inputs: Mapping[str, Any]
    free: Mapping[str, Any]
    constraints: tuple[Term, ...] = ()
    objective: Sum | None = None
    sign: float = 1.0  # -1 where the objective is minimized
    more_is_decided: bool = False  # but was refused


@dataclass(frozen=True, eq=False)
class Examined:
    """A plant under a recipe, its phases resolved and simulated as far as they run.

    `plant`: with decided numbers at their guesses. `run`: the phases of the simulated start, the last one perhaps in
    part; `stopped`: why it ended early. `alone`: unit operations by themselves, those that can be traced.
    """

    asked: Asked
    plant: Flowsheet
    planned: tuple[Operation, ...]
    alone: tuple[Alone, ...]
    run: tuple[PhaseResult, ...] = ()
    stopped: str = ""

    @property
    def free_names(self) -> frozenset[str]:
        """Names of everything that is decided, but for durations."""
        return frozenset(str(each) for name in self.asked.free for each in elements_of(name))

    @property
    def decides(self) -> bool:
        """Whether anything is decided."""
        refused = self.asked.more_is_decided
        return refused or bool(self.asked.free) or any(o.duration.free and o.event is None for o in self.planned)

    @cached_property
    def limits(self) -> tuple[Seen, ...]:
        """What is required, phase by phase."""
        return tuple(s for term in self.asked.constraints for s in seen_in(term, self.planned))

    @cached_property
    def wanted(self) -> tuple[Seen, ...]:
        """The terms of the objective, phase by phase."""
        terms = () if self.asked.objective is None else tuple(t for w, t in self.asked.objective.terms if w)
        return tuple(s for term in terms for s in seen_in(term, self.planned))

    def complete(self, k: int) -> bool:
        """Whether the simulated start ran through phase k."""
        return k < len(self.run) - bool(self.stopped)

    def parameters(self, k: int) -> Array:
        """Values of the parameters of phase k, held states among them where it was simulated."""
        operation = self.planned[k]
        held = dict(self.run[k].held) if k < len(self.run) else {n: self._start(n) for n in operation.lowered.held}
        return parameters_of(operation, self.plant.values, held)

    def _start(self, name: str) -> float:
        start = self.plant.scalars[name].start
        return start if np.isfinite(start) else 0.0

    def points(self, k: int, most: int = 5) -> Iterator[Point]:
        """Points along phase k of the simulated start, its first and last among them; none where it did not run."""
        if k >= len(self.run):
            return
        trajectory, p = self.run[k].trajectory, self.parameters(k)
        last = len(trajectory.time) - 1
        for i in np.unique(np.linspace(0, last, min(most, last + 1)).astype(int)).tolist():
            yield trajectory.time[i], trajectory.x[:, i], trajectory.z[:, i], trajectory.u[:, i], p

    def first(self, k: int) -> Point | None:
        """The first point of phase k of the simulated start."""
        return next(self.points(k, 1), None)

    def largest(self, name: str) -> float:
        """The largest magnitude of a variable along the simulated start; NaN where it does not appear."""
        rows = [np.abs(phase.table()[name]) for phase in self.run if name in phase.table()]
        return max((float(row.max()) for row in rows), default=np.nan)

    def parameter_names(self) -> list[str]:
        return [name for name, scalar in self.plant.scalars.items() if scalar.kind == Parameter.kind]

    def decided_inputs(self, k: int) -> frozenset[str]:
        """Inputs of phase k that are decided."""
        operation = self.planned[k]
        pairs = zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
        return frozenset(variable.name for variable, source in pairs if isinstance(source, Decided))


def measured(number: float, measure: Measure) -> str:
    """A number with its unit, as one writes it."""
    return f"{number:.4g} {measure.label}" if measure.names else f"{number:.4g}"


def listed(names: Any, most: int = 6) -> str:
    """Names in a row, the first few of many."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
