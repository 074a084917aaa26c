"""How does a classical controller do? Several PI(D) loops with the interface of the NMPC, as a baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, ActionStatus
from titer.control.loops.checks import check_list, check_sample
from titer.control.loops.clock import Clock, clock_of, next_step
from titer.control.loops.keeping import check_order, read_facts, same_step, write_facts
from titer.control.loops.loop import Loop, Part, advanced, begun
from titer.control.loops.wanted import Wanted, wanted_of
from titer.estimation.estimators.sample import Sample, check_measured
from titer.flowsheets.declarations import Control
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.given import kind_of
from titer.flowsheets.operation import middle
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError, unknown

__all__ = ["PID", "Loop", "PIDMemory"]


@dataclass(frozen=True, eq=False)
class PIDMemory:
    """What the loops remember, the controller's clock, and the last action."""

    clock: Clock
    parts: tuple[Part, ...]
    action: Action

    @property
    def time(self) -> float:
        """Of the last sample."""
        return self.action.time

    def save(self, path: str | Path) -> Path:
        """Write the memory to one file, `path` with the ending .npz."""
        return write_facts(path, self.clock, self.action, {"parts": [list(part) for part in self.parts]})


@dataclass(frozen=True, eq=False)
class PID:
    """Several PI(D) loops on a plant: `PID(plant, recipe, [Loop(...)], every=10.0)`.

    Frozen settings, pure functions, as the NMPC has them. Phases of free duration last as long as their guess, or as
    `durations` {phase: time} says. `inputs`: trajectories of the other controls. Previews of what a loop measures are
    its set points. A measurement that is missing leaves its control where it is. It starts bumpless, integrals where
    they leave the controls as they stand: a set point that is far away then is reached as slowly as the integral moves.
    Raises SpecificationError for a name that does not fit.
    """

    plant: Flowsheet
    recipe: Recipe
    loops: Sequence[Loop]
    every: float
    inputs: Mapping[str, Any] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.every, int | float) and 0.0 < self.every < np.inf):
            raise SpecificationError(f"PID: every must be a positive number, got {self.every!r}.")
        check_list(self.loops, "PID: loops", "Loop(reactor.T, reactor.T_j, 340.0, gain=2.0)")
        object.__setattr__(self, "loops", tuple(self.loops))
        if not self.loops:
            raise SpecificationError("PID: no loop was given.\n  Write PID(plant, recipe, [Loop(...)], every=...).")
        for loop in self.loops:
            check_measured(self.plant, str(loop.measured), "PID")
            if kind_of(self.plant, loop.control) not in (Control.kind, "inlet"):
                known = [n for n, s in self.plant.scalars.items() if s.kind == Control.kind]
                raise SpecificationError(f"PID: {unknown('control', loop.control, known)}")
        names = [loop.control for loop in self.loops]
        if len(set(names)) < len(names):
            raise SpecificationError(f"PID: two loops set the same control: {', '.join(names)}.")

    @property
    def manipulated(self) -> tuple[str, ...]:
        return tuple(str(loop.control) for loop in self.loops)

    @property
    def measured(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(loop.measured) for loop in self.loops))

    def start(
        self,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        applied: Mapping[str, float] | None = None,
    ) -> PIDMemory:
        """The memory after the first sample; integrals start where they leave the controls as they stand."""
        began = time.perf_counter()
        t, y, wanted = self._read(sample, previews)
        stands = [self._stands(loop, applied or {}) for loop in self.loops]
        parts = [begun(loop, r, v, u) for loop, r, v, u in zip(self.loops, wanted, y, stands, strict=True)]
        return self._decided(
            clock_of(self.recipe, self.plant, self.durations), parts, t, 0.0, None, wanted, y, stands, began
        )

    def step(
        self,
        memory: PIDMemory,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, PIDMemory]:
        """The action for a sample, and the memory after it; `applied`: what was really held since the last."""
        began = time.perf_counter()
        t, y, wanted = self._read(sample, previews)
        check_order(self.plant, t, memory.time)
        if same_step(memory.clock, self.recipe, t, memory.time, phase):
            return memory.action, memory
        told = applied or {}
        held = [float(told.get(name, p.set)) for name, p in zip(self.manipulated, memory.parts, strict=True)]
        found = self._decided(memory.clock, memory.parts, t, t - memory.time, phase, wanted, y, held, began)
        return found.action, found

    def resume(self, path: str | Path) -> PIDMemory:
        """The memory that was saved to a file. Raises SpecificationError where it is of other loops."""
        clock, action, facts = read_facts(path, clock_of(self.recipe, self.plant, self.durations))
        parts = tuple(Part(*numbers) for numbers in facts["parts"])
        if tuple(action.values) != self.manipulated:
            raise SpecificationError(
                f"PID: the memory is of loops that set {', '.join(action.values)}; these set "
                f"{', '.join(self.manipulated)}."
            )
        return PIDMemory(clock, parts, action)

    def _decided(
        self, clock: Clock, parts: Sequence[Part], t: float, h: float, phase: str | None, wanted: Sequence[float],
        y: Sequence[float], held: Sequence[float], began: float,
    ) -> PIDMemory:  # fmt: skip
        """All loops at a sample that comes `h` after the last one."""
        moved = tuple(
            advanced(loop, part, h, *numbers, self._bounds(loop))
            for loop, part, numbers in zip(self.loops, parts, zip(wanted, y, held, strict=True), strict=True)
        )
        clock, due = next_step(clock, self.recipe, t, phase, self.every)
        lost = [
            f"{loop.measured} is missing: {loop.control} stays"
            for loop, v in zip(self.loops, y, strict=True)
            if not np.isfinite(v)
        ]
        values = {name: part.set for name, part in zip(self.manipulated, moved, strict=True)}
        action = Action(
            t, values, ActionStatus.BASELINE, fallback="; ".join(lost) or None, ends=due.ends, stop=due.stop,
            seconds=time.perf_counter() - began,
        )  # fmt: skip
        return PIDMemory(clock, moved, action)

    def _read(self, sample: Sample, previews: Mapping[str, Any] | None) -> tuple[float, list[float], list[float]]:
        """The time, and for each loop what is measured, and its set point."""
        check_sample(sample)
        t = sample.clock(self.plant)
        numbers = sample.numbers(self.plant)
        late = {name: value for name, (_, value) in sample.arrived(self.plant).items()}
        names = [str(loop.measured) for loop in self.loops]
        known: Wanted = wanted_of(self.plant, previews, "previews")
        wanted = [
            known[name](t) if name in known else loop.wanted(t) for name, loop in zip(names, self.loops, strict=True)
        ]
        return t, [float(numbers.get(name, late.get(name, np.nan))) for name in names], wanted

    def _bounds(self, loop: Loop) -> tuple[float, float]:
        scalar = self.plant.scalars.get(str(loop.control))
        declared = (-np.inf, np.inf) if scalar is None else (scalar.lower, scalar.upper)
        return (
            declared[0] if loop.lower is None else float(loop.lower),
            declared[1] if loop.upper is None else float(loop.upper),
        )

    def _stands(self, loop: Loop, applied: Mapping[str, float]) -> float:
        """Where a control is before the first sample."""
        scalar = self.plant.scalars.get(str(loop.control))
        lower, upper = self._bounds(loop)
        declared = scalar.start if scalar is not None and np.isfinite(scalar.start) else middle(lower, upper)
        given = applied.get(str(loop.control), declared) if loop.start is None else loop.start
        return float(np.clip(given, lower, upper))
