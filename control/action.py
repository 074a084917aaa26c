"""What did a controller decide, and what may stand in a closed loop? Actions, plans, and what all controllers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd


class ActionStatus(Enum):
    """Where an action comes from. The members are messages."""

    OPTIMAL = "a solve that counts"
    RELAXED = "no plan was found that keeps all limits: the one that misses them least is applied"
    ITERATED = "one iteration of a real-time scheme"
    SHIFTED = "the plan before, shifted"
    FALLBACK = "the declared safe action"
    MANUAL = "what the operator gives"
    OFF = "nobody decides: the controller is off"
    BASELINE = "a controller without a plan of its own: PI(D), or a recorded plan"

    @property
    def decided(self) -> bool:
        """Whether the controller decided on what was measured now."""
        return self in (ActionStatus.OPTIMAL, ActionStatus.RELAXED, ActionStatus.ITERATED, ActionStatus.BASELINE)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a controller expects, on the recipe's clock: `values` (names, n) at `times` (n,), inputs among them.

    An input's value at a time holds from there on. `ends`: when each phase still to end is to end; `scenarios`: the
    plans of all scenarios, where there are several.
    """

    names: tuple[str, ...]
    times: Array
    values: Array
    ends: Mapping[str, float] = field(default_factory=dict)
    scenarios: tuple[Plan, ...] = ()

    def __getitem__(self, name: str) -> pd.Series:
        import pandas as pd

        if name not in self.names:
            raise SpecificationError(f"plan: {unknown('name', name, self.names)}")
        return pd.Series(self.values[self.names.index(name)], index=self.times, name=str(name))

    def __repr__(self) -> str:
        span = f"t = {self.times[0]:g} to {self.times[-1]:g}" if len(self.times) else "empty"
        several = f", {len(self.scenarios)} scenarios" if self.scenarios else ""
        return f"Plan({span}, {len(self.names)} names{several})"

    def frame(self) -> pd.DataFrame:
        """A column for each name, over the recipe's time."""
        import pandas as pd

        index = pd.Index(self.times, dtype=float, name="time")
        return pd.DataFrame(self.values.T, index=index, columns=list(self.names))


@dataclass(frozen=True, eq=False)
class Action:
    """What is to be applied from `time` on, until the next one: `values` {control: number}, in the plant's units.

    `age`: samples since the plan it comes from was made; `fallback`: what stands in for a solve, None where a solve
    counts; `ends`: when the running phase is to end, where that is before the next regular sample; `stop`: the
    recipe ends there, or at once where `ends` is None. `reasons`: what an operator should know; `seconds`: of the
    feedback. `plan`: what is expected; `estimate`, `deviations`: what is believed of the plant, {name: number}.
    """

    time: float
    values: Mapping[str, float]
    status: ActionStatus = ActionStatus.OPTIMAL
    age: int = 0
    fallback: str | None = None
    ends: float | None = None
    stop: bool = False
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    plan: Plan | None = None
    estimate: Mapping[str, float] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}: {value:.6g}" for name, value in self.values.items())
        said = "; ".join(text for text in (self.fallback, *self.reasons) if text)
        return f"Action(t = {self.time:.6g}, {{{values}}}, {self.status.name}{', ' if said else ''}{said})"


class Memory(Protocol):
    """What a controller remembers from step to step; with the settings, a file of it is all that it takes to go on."""

    @property
    def time(self) -> float: ...

    @property
    def action(self) -> Action: ...

    def save(self, path: str | Path) -> Path:
        """Write it to one file, `path` with the ending .npz, without pickle."""


class Controller(Protocol):
    """Frozen settings and pure functions; what changes is the memory.

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

    def start(
        self,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        applied: Mapping[str, float] | None = None,
    ) -> Any:
        """The memory after the first sample; `memory.action` is what to do. `applied`: where the controls stand."""

    def step(
        self,
        memory: Any,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, Any]:
        """The action for a sample, and the memory after it; a sample of the memory's time and phase changes nothing.

        A step is due `every` after the one before, and whenever a phase begins: at `action.ends`, or where a condition
        is met; its sample shows the end of the phase before, and what the phase sets comes after it. `previews`: set
        points and known disturbances by name; `phase`: the one that runs now; `applied`: what was really held since the
        last sample, on average, as the plant reads it back.
        """

    def resume(self, path: str | Path) -> Any:
        """The memory that was saved to a file, to go on with."""
