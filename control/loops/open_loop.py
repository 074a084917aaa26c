"""What if nobody looks at the plant? A plan is carried out as it was made, with the interface of a controller."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, ActionStatus
from titer.control.loops.checks import check_sample
from titer.control.loops.clock import Clock, clock_of, next_step
from titer.control.loops.keeping import check_order, read_facts, same_step, write_facts
from titer.control.loops.tracks import mean, of_shape
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal
from titer.flowsheets.simulation import Source
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import Solution


@dataclass(frozen=True, eq=False)
class OpenLoopMemory:
    """Where in the recipe the plan is, and the last action."""

    clock: Clock
    action: Action

    @property
    def time(self) -> float:
        """Of the last sample."""
        return self.action.time

    def save(self, path: str | Path) -> Path:
        """Write the memory to one file, `path` with the ending .npz."""
        return write_facts(path, self.clock, self.action, {})


@dataclass(frozen=True, eq=False)
class OpenLoop:
    """A controller that carries out a plan: `OpenLoop(optimize(...))`, and asks for no measurement.

    Each action is the plan's mean until the next step, in the phase that runs, from its beginning on: exact where
    pieces are whole multiples of `every` (default: the shortest piece). Phases last as planned. `plant`, `recipe`: for
    a plan that was loaded from a file. Raises SpecificationError for a plan that decided no control.
    """

    plan: Solution
    every: float = 0.0
    plant: Flowsheet = field(default=None)  # type: ignore[assignment]  # the plan's
    recipe: Recipe = field(default=None)  # type: ignore[assignment]
    inputs: Mapping[str, Any] = field(init=False)
    manipulated: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        source = self.plan.source if isinstance(self.plan, Solution) else None
        if not isinstance(source, Source) or not source.free:
            raise SpecificationError(
                f"OpenLoop: expected the plan that optimize(...) made, got {self.plan!r}.\n"
                f"  A plan that was loaded does not know which controls it decided: make it again."
            )
        for key, value in (("plant", source.plant), ("recipe", source.recipe)):
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        object.__setattr__(self, "inputs", dict(source.inputs))
        decided = {str(each) for name in source.free for each in getattr(name, "elements", (name,))}
        names = [
            name for name in self.plan.names if name in decided and any(name in p.inputs for p in self.plan.phases)
        ]
        if not names:
            raise SpecificationError("OpenLoop: the plan decided no control; there is nothing to carry out.")
        object.__setattr__(self, "manipulated", tuple(names))
        if not self.every:
            object.__setattr__(self, "every", self._shortest())
        if not 0.0 < self.every < np.inf:
            raise SpecificationError(f"OpenLoop: every must be a positive number, got {self.every!r}.")

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs of the plan: its trajectories, not the solver's last point."""
        return {**self.__dict__, "plan": _travelling(self.plan)}

    @property
    def measured(self) -> tuple[str, ...]:
        return ()

    def start(
        self,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        applied: Mapping[str, float] | None = None,
    ) -> OpenLoopMemory:
        """The memory after the first sample, of which only the time counts."""
        began = time.perf_counter()
        check_sample(sample)
        clock = clock_of(self.recipe, self.plant, self.plan.duration)
        return self._decided(clock, sample.clock(self.plant), None, dict(applied or {}), began)

    def step(
        self,
        memory: OpenLoopMemory,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, OpenLoopMemory]:
        """What was planned for now, and the memory after it."""
        check_sample(sample)
        began, t = time.perf_counter(), sample.clock(self.plant)
        check_order(self.plant, t, memory.time)
        if same_step(memory.clock, self.recipe, t, memory.time, phase):
            return memory.action, memory
        found = self._decided(memory.clock, t, phase, memory.action.values, began)
        return found.action, found

    def resume(self, path: str | Path) -> OpenLoopMemory:
        """The memory that was saved to a file. Raises SpecificationError."""
        clock, action, _ = read_facts(path, clock_of(self.recipe, self.plant, self.plan.duration))
        return OpenLoopMemory(clock, action)

    def _decided(
        self, clock: Clock, t: float, phase: str | None, last: Mapping[str, float], began: float
    ) -> OpenLoopMemory:
        clock, due = next_step(clock, self.recipe, t, phase, self.every)
        own, since = self._tracks.get(due.phase, {}), t - clock.began[-1]
        end = t - clock.began[-1] + self.every if due.ends is None else due.ends - clock.began[-1]
        values = {
            name: mean(own[name], since, max(end, since + 1e-9 * self.every)) if name in own else last.get(name, np.nan)
            for name in self.manipulated
        }
        action = Action(
            t, values, ActionStatus.BASELINE, ends=due.ends, stop=due.stop, seconds=time.perf_counter() - began
        )
        return OpenLoopMemory(clock, action)

    @cached_property
    def _tracks(self) -> dict[str, dict[str, Signal]]:
        """Trajectories by phase and control, from the beginning of the phase on."""
        return {
            phase.name: {
                name: of_shape(phase.shapes[name], 0.0, phase.trajectory.duration)
                for name in self.manipulated
                if name in phase.shapes
            }
            for phase in self.plan.phases
        }

    def _shortest(self) -> float:
        """The shortest piece of any control."""
        widths = [
            float(np.diff(phase.shapes[name][0].edges).min()) * phase.trajectory.duration
            for phase in self.plan.phases
            for name in self.manipulated
            if name in phase.shapes and phase.trajectory.duration > 0.0
        ]
        return min(widths, default=0.0)


def _travelling(plan: Solution) -> Solution:
    """The plan without what cannot be sent to another process."""
    return replace(plan, iterate=None, scenarios=tuple(_travelling(each) for each in plan.scenarios))
