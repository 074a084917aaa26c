"""What becomes of a loop when things fail? A controller around a controller, in which samples and steps go wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, Controller
from titer.control.nmpc.controller import NMPC
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class Failing:
    """A controller whose solver fails with the probability `solver`, and whose measurements are lost, each with the
    probability `nan`: `Failing(nmpc, solver=0.05, nan=0.05)`.

    In a step whose solver fails, `unable` decides in its place, on the same memory (default: `nmpc.disabled()`, the
    same controller none of whose solves counts). The first sample is whole. What
    fails when depends on `seed`, the time and the name alone; `monte_carlo` gives each case a seed of its own.
    Raises SpecificationError for a probability outside 0 to 1, and for a solver that fails without `unable`.
    """

    controller: Controller
    solver: float = 0.0
    nan: float = 0.0
    seed: int = 0
    unable: Controller | None = None

    def __post_init__(self) -> None:
        for name in ("solver", "nan"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0.0 <= value <= 1.0:
                raise SpecificationError(f"Failing: {name} is a probability from 0 to 1, got {value!r}.")
        if self.solver and self.unable is None and isinstance(self.controller, NMPC):
            object.__setattr__(self, "unable", self.controller.disabled())
        if self.solver and self.unable is None:
            raise SpecificationError(
                "Failing: solver needs unable=, the same controller with a solver that cannot solve."
            )

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

    def start(
        self,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        applied: Mapping[str, float] | None = None,
    ) -> Any:
        """The memory after the first sample, which is whole."""
        return self.controller.start(sample, previews, applied=applied)

    def step(
        self,
        memory: Any,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, Any]:
        """The action of the controller inside, or of the one that cannot solve, for what is left of the sample."""
        fails = self.unable is not None and self._drawn(sample, "solver") < self.solver
        deciding = self.unable if fails and self.unable is not None else self.controller
        values = {
            name: np.nan if self._drawn(sample, str(name)) < self.nan else value
            for name, value in sample.values.items()
        }
        return deciding.step(memory, replace(sample, values=values), previews, phase=phase, applied=applied)

    def resume(self, path: str | Path) -> Any:
        """The memory that was saved to a file."""
        return self.controller.resume(path)

    def _drawn(self, sample: Sample, what: str) -> float:
        """A number between 0 and 1 that belongs to a time and a purpose."""
        when = zlib.crc32(struct.pack("<d", sample.clock(self.plant)))
        return float(np.random.default_rng([self.seed, when, zlib.crc32(what.encode())]).random())
