"""What does a controller remember from sample to sample? Where the plant is, what is applied, and the last plan.

Only numbers, texts and arrays: a file of it, and the settings, are all that it takes to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.control.action import Action
from titer.control.nmpc.timetable import Horizon
from titer.estimation.estimators.memory import Memory as Estimated
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array

if TYPE_CHECKING:
    import pandas as pd

_KEPT = 1000  # events


class Mode(Enum):
    """Who decides. The members are messages."""

    AUTOMATIC = "the controller decides"
    MANUAL = "an operator decides; the controller follows, ready to take over"
    OFF = "nobody decides: what is applied stays"


class Kind(Enum):
    """What an event is about."""

    MODE = "mode"
    SIGNAL = "signal"
    SOLVE = "solve"
    LIMIT = "limit"
    PHASE = "phase"


@dataclass(frozen=True)
class Event:
    """A line of the log that an operator reads."""

    time: float
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"t = {self.time:.6g}  {self.kind.value:<6} {self.text}"


@dataclass(frozen=True, eq=False)
class Kept:
    """The last plan that was solved: of which horizon, begun when, with its decisions, multipliers and data.

    `age`: samples since.
    """

    horizon: Horizon
    time: float
    w: Array
    data: Array
    multipliers: tuple[Array, Array] | None = None
    age: int = 0


@dataclass(frozen=True, eq=False)
class ControlMemory:
    """What a controller remembers; `action` is its last one, and `events` what an operator should have read.

    `time`: of the last sample; `phase`, `entered`: the running phase and its beginning; `lasted`: durations of those
    before; `ending`: when the phase ends by the controller's own decision; `planned`: when it is planned to end;
    `over`: whether the recipe is. `x`: all states as believed; `applied`: inputs in force since `changed`, `waiting`:
    those before, in force until then where there is a delay. `estimated`: parameters, disturbances of rates, biases.
    `totals`: integrals of what is limited in total, as used. `signals` {name: (last good value, its time)}. `given`:
    trajectories that were told. `prepared`: what waits for the next sample; it follows from all else, and is not saved.
    """

    time: float
    phase: int
    entered: float
    x: Array
    applied: Array
    changed: float
    action: Action
    planned: float | None = None
    lasted: tuple[float, ...] = ()
    ending: float | None = None
    over: bool = False
    waiting: Array | None = None
    kept: Kept | None = None
    estimated: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)
    estimator: Estimated | None = None
    mode: Mode = Mode.AUTOMATIC
    manual: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    given: Mapping[str, Signal] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    prepared: Any = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"ControlMemory(t = {self.time:.6g}, {self.mode.name}, {len(self.events)} events, {self.action!r})"

    def noted(self, kind: Kind, text: str) -> ControlMemory:
        """The same with another event."""
        return replace(self, events=(*self.events, Event(self.time, kind, text))[-_KEPT:])

    @property
    def at_limit(self) -> dict[str, float]:
        """The percentage of samples at which each input stood at a bound, or moved as fast as it may."""
        steps = max(self.counts.get("steps", 0), 1)
        prefix = "at limit: "
        return {k.removeprefix(prefix): 100.0 * n / steps for k, n in self.counts.items() if k.startswith(prefix)}

    def ages(self) -> dict[str, float]:
        """How old the last good value of each signal is, in the plant's time; infinite where there was none."""
        return {n: self.time - since if value == value else inf for n, (value, since) in self.signals.items()}

    def log(self) -> pd.DataFrame:
        """The events as a frame: time, kind, text."""
        import pandas as pd

        rows = [(event.time, event.kind.value, event.text) for event in self.events]
        return pd.DataFrame(rows, columns=["time", "kind", "text"])

    def save(self, path: str | Path) -> Path:
        """Write it to one file of NumPy's .npz, without pickle; `ControlMemory.load(path)` reads it."""
        from titer.control.nmpc.filing import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> ControlMemory:
        """Read a memory from a file. Raises SpecificationError for anything else."""
        from titer.control.nmpc.filing import load

        return load(path)
