"""What becomes of a loop when things fail? A controller around a controller, in which samples and steps go wrong."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.action import Action
from titer.control.loops.controller import Controller
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class FailingMemory:
    """The memory of the controller inside, and how many steps it has made."""

    inner: Any
    step: int = 0


@dataclass(frozen=True, eq=False)
class Failing:
    """A controller whose measurements are lost, each with probability `nan_measurements`, and whose solver fails, with
    probability `solver_failures`: `Failing(nmpc, solver_failures=0.05, nan_measurements=0.05)`.

    In a step whose solver fails, `broken(controller)` decides in place of the controller: the same controller with a
    solver that cannot solve. What fails when depends on `seed` and the number of the step alone.
    Raises SpecificationError for a probability outside 0 to 1, and for solver failures without `broken`.
    """

    controller: Controller
    solver_failures: float = 0.0
    nan_measurements: float = 0.0
    seed: int = 0
    broken: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("solver_failures", "nan_measurements"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise SpecificationError(f"Failing: {name} is a probability from 0 to 1, got {value!r}.")
        if self.solver_failures and self.broken is None:
            raise SpecificationError(
                "Failing: solver_failures needs broken=, a function that gives the controller with a solver that fails."
            )
        object.__setattr__(self, "_unable", None if self.broken is None else self.broken(self.controller))

    @property
    def plant(self) -> Flowsheet:
        return self.controller.plant

    @property
    def recipe(self) -> Recipe:
        return self.controller.recipe

    @property
    def every(self) -> float:
        return self.controller.every

    @property
    def manipulated(self) -> tuple[str, ...]:
        return self.controller.manipulated

    @property
    def measured(self) -> tuple[str, ...]:
        return self.controller.measured

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.controller.inputs

    def start(self, sample: Sample) -> FailingMemory:
        """The memory before the first step; the first sample is whole."""
        if self._unable is not None:  # type: ignore[attr-defined]
            self._unable.start(sample)  # type: ignore[attr-defined]  # it builds what it needs before the loop
        return FailingMemory(self.controller.start(sample))

    def step(
        self,
        memory: FailingMemory,
        sample: Sample,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, FailingMemory]:
        """The action of the controller inside, or of the one that cannot solve, for what is left of the sample."""
        fails = self._drawn(memory.step, "solver") < self.solver_failures
        deciding = self._unable if fails else self.controller  # type: ignore[attr-defined]
        left = sample if memory.step == 0 else self._left(memory.step, sample)
        action, inner = deciding.step(memory.inner, left, phase=phase, applied=applied)
        return action, FailingMemory(inner, memory.step + 1)

    def _left(self, step: int, sample: Sample) -> Sample:
        values = {
            name: np.nan if self._drawn(step, str(name)) < self.nan_measurements else value
            for name, value in sample.values.items()
        }
        return replace(sample, values=values)

    def _drawn(self, step: int, what: str) -> float:
        """A number between 0 and 1 that belongs to a step and a purpose."""
        return float(np.random.default_rng([self.seed, step, zlib.crc32(what.encode())]).random())
