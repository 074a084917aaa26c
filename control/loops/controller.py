"""What may stand in a closed loop? Anything that is started by a sample, and makes an action of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from titer.control.action import Action
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe


class Controller(Protocol):
    """Frozen settings and two pure functions; what changes is the memory.

    `manipulated`: controls that its actions set; `measured`: what it wants in a sample; `inputs`: trajectories of all
    other controls of the plant; `every`: the time between samples inside a phase, in the plant's unit.
    """

    @property
    def plant(self) -> Flowsheet: ...

    @property
    def recipe(self) -> Recipe: ...

    @property
    def every(self) -> float: ...

    @property
    def manipulated(self) -> tuple[str, ...]: ...

    @property
    def measured(self) -> tuple[str, ...]: ...

    @property
    def inputs(self) -> Mapping[str, Any]: ...

    def start(self, sample: Sample) -> Any:
        """The memory before the first step, from the first sample."""

    def step(
        self, memory: Any, sample: Sample, *, phase: str | None = None, applied: Mapping[str, float] | None = None
    ) -> tuple[Action, Any]:
        """The action for a sample, and the memory after it. The first step gets the sample that `start` got.

        `phase`: that runs now, or begins; `applied`: what was really held since the last sample, as the plant reads it
        back. Steps are due when a phase begins, and at `action.until`.
        """
