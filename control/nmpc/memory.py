"""What does a controller remember from sample to sample? Where the plant is, what is applied, and the last plan.

Only numbers, texts and arrays: a file of it, and the settings, are all that it takes to go on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.nmpc.timetable import Horizon, Part
from titer.estimation.estimators.memory import Memory as Estimated
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError

_FORMAT = 1
_KEPT = 1000  # events


class Switch(Enum):
    """Who decides. The members are messages."""

    AUTOMATIC = "the controller decides"
    MANUAL = "an operator decides; the controller follows, ready to take over"
    OFF = "nobody is to act on this controller"


class Kind(Enum):
    """What an event is about."""

    SWITCH = "switch"
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
    """The last plan that was solved: of which horizon, begun when, with its decisions and multipliers.

    `age`: samples since.
    """

    horizon: Horizon
    time: float
    w: Array
    rows: Array
    bounds: Array
    data: Array
    age: int = 0


@dataclass(frozen=True, eq=False)
class Memory:
    """What a controller remembers.

    `time`: of the last sample; `fresh`: whether no step was made yet. `phase`, `entered`: the running phase and its
    beginning; `lasted`: durations of those before; `ending`: when the phase ends by the controller's own decision.
    `applied`: inputs in force since `changed`; `waiting`: those before, in force until then where there is a delay.
    `estimate`: all states; `expected`: what they are to be at the next sample; `parameters`: those that are estimated,
    and disturbances of rates. `totals`: integrals so far, of the last plan's states. `planned`: when the phase is
    planned to end. `signals` {name: (last good value, its time)}. `given`: trajectories told since the start.
    `prepared`: what waits for the next sample; it follows from all else, and is not saved.
    """

    time: float
    phase: int
    entered: float
    applied: Mapping[str, float]
    changed: float
    estimate: Mapping[str, float]
    expected: Mapping[str, float] = field(default_factory=dict)
    planned: float | None = None
    fresh: bool = True
    lasted: tuple[float, ...] = ()
    ending: float | None = None
    waiting: Mapping[str, float] = field(default_factory=dict)
    kept: Kept | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)
    estimator: Estimated | None = None
    switch: Switch = Switch.AUTOMATIC
    manual: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    given: Mapping[str, Signal] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    prepared: Any = field(default=None, compare=False, repr=False)

    @property
    def belief(self) -> Any:
        """What the estimator believes; None without one."""
        return None if self.estimator is None else self.estimator.belief

    @property
    def statistics(self) -> dict[str, float]:
        """Counts of steps by how they ended, and shares of steps (per cent) in which inputs were at a limit."""
        steps = max(self.counts.get("steps", 0), 1)
        shares = {f"% {key}": 100.0 * n / steps for key, n in self.counts.items() if key.startswith("at limit")}
        return {**{key: float(n) for key, n in self.counts.items()}, **shares}

    def noted(self, kind: Kind, text: str) -> Memory:
        """The same with another event."""
        return replace(self, events=(*self.events, Event(self.time, kind, text))[-_KEPT:])

    def counted(self, *keys: str) -> Memory:
        """The same with these counts one higher."""
        counts = dict(self.counts)
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
        return replace(self, counts=counts)

    def save(self, path: str | Path) -> Path:
        """Write it to one file of NumPy's .npz, without pickle; `controller.resume(path)` reads it."""
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"facts": np.array(json.dumps(_facts(self)))}
        if self.kept is not None:
            arrays |= {f"kept.{key}": getattr(self.kept, key) for key in ("w", "rows", "bounds", "data")}
        if self.estimator is not None:
            arrays |= {f"estimator.{key}": value for key, value in self.estimator.to_arrays().items()}
        for name, signal in self.given.items():
            arrays[f"given.{name}"] = np.stack([signal.times, signal.left, signal.right])
        written = path.with_name(f".{path.name}")
        with written.open("wb") as file:
            np.savez(file, **arrays)
        written.replace(path)  # a process that dies while it writes leaves the file before
        return path


_PLAIN = ("time", "phase", "entered", "changed", "fresh", "ending", "planned", "lasted")
_NUMBERS = ("applied", "waiting", "estimate", "expected", "parameters", "totals", "manual", "counts")


def _facts(memory: Memory) -> dict[str, Any]:
    facts: dict[str, Any] = {key: getattr(memory, key) for key in _PLAIN}
    facts |= {key: dict(getattr(memory, key)) for key in _NUMBERS}
    facts["format"] = _FORMAT
    facts["switch"] = memory.switch.name
    facts["signals"] = {name: list(pair) for name, pair in memory.signals.items()}
    facts["events"] = [[event.time, event.kind.name, event.text] for event in memory.events]
    if memory.kept is not None:
        kept = memory.kept
        parts = [[p.phase, list(p.lengths), p.open, p.begins, p.ends] for p in kept.horizon.parts]
        facts["kept"] = {"parts": parts, "whole": kept.horizon.whole, "time": kept.time, "age": kept.age}
    return facts


def load_memory(path: str | Path) -> Memory:
    """Read a memory. Raises SpecificationError for anything else."""
    path = Path(path)
    path = path if path.is_file() else path.with_name(f"{path.name}.npz")
    if not path.is_file():
        raise SpecificationError(f"resume: there is no file {path}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        facts = json.loads(str(arrays["facts"]))
        if facts["format"] != _FORMAT:
            raise SpecificationError(f"resume: {path.name} has format {facts['format']}, this version has {_FORMAT}.")
        return _memory(facts, arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise SpecificationError(f"resume: {path.name} is no memory: {type(error).__name__}: {error}") from None


def _memory(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Memory:
    own = {key.removeprefix("estimator."): value for key, value in arrays.items() if key.startswith("estimator.")}
    given = {key.removeprefix("given."): Signal(*value) for key, value in arrays.items() if key.startswith("given.")}
    kept = None
    if "kept" in facts:
        entry = facts["kept"]
        parts = tuple(Part(k, tuple(lengths), *flags) for k, lengths, *flags in entry["parts"])
        numbers = {key: arrays[f"kept.{key}"] for key in ("w", "rows", "bounds", "data")}
        kept = Kept(Horizon(parts, entry["whole"]), entry["time"], **numbers, age=entry["age"])
    plain = {key: facts[key] for key in _PLAIN}
    return Memory(
        **{**plain, "lasted": tuple(plain["lasted"])},
        **{key: facts[key] for key in _NUMBERS},
        kept=kept,
        estimator=Estimated.from_arrays(own) if own else None,
        switch=Switch[facts["switch"]],
        signals={name: (pair[0], pair[1]) for name, pair in facts["signals"].items()},
        given=given,
        events=tuple(Event(time, Kind[kind], text) for time, kind, text in facts["events"]),
    )
