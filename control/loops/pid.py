"""How does a classical controller do? Several PI(D) loops with the interface of the NMPC, as a baseline.

Each loop, in the form of Astrom & Hagglund, Advanced PID Control (2006), chapters 3 and 6:

    u = bias + K (b r - y) + I + D                        clipped to limits and to the largest rate, this is what is set
    dI/dt = K / T_i (r - y) + (held - u) / T_t            integral, with back-calculation from what was really held
    T_d / N dD/dt + D = -K T_d dy/dt                      derivative of the filtered measurement

sampled by backward differences. The integral starts where u begins at the present position, and where something else
than the loop moved the control (an operator, a stuck actuator) it goes on from there: bumpless.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, ActionStatus
from titer.control.loops.clock import Clock, clock_of, next_step
from titer.estimation.estimators.sample import Sample, check_measured
from titer.flowsheets.declarations import Control
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.given import kind_of
from titer.flowsheets.operation import middle
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError, unknown

_ARRAYS = ("integral", "derivative", "measured", "asked", "set", "previous")
_FILTER = 10.0  # the derivative is filtered over a tenth of its time


@dataclass(frozen=True, eq=False)
class Loop:
    """One loop: `Loop(reactor.T, reactor.T_j, setpoint=340.0, gain=2.0, integral=300.0)`.

    `measured` is led to `setpoint` (a number, or a function of the recipe's time) by `control`. `gain`: K, in the
    control's unit by the measurement's, negative where the control must fall; `integral`: T_i, `derivative`: T_d, in
    the flowsheet's time; `weight`: b, of the set point in the proportional part. `lower`, `upper`: limits (default:
    declared bounds); `rate`: the largest change per time; `tracking`: T_t (default: T_i, or sqrt(T_i T_d)). `start`:
    the control before the first sample (default: its declared start).
    """

    measured: str
    control: str
    setpoint: float | Callable[[float], float]
    gain: float
    integral: float = np.inf
    derivative: float = 0.0
    weight: float = 1.0
    lower: float | None = None
    upper: float | None = None
    rate: float = np.inf
    tracking: float | None = None
    start: float | None = None

    def __post_init__(self) -> None:
        what = f"Loop of {self.control}"
        if not (np.isfinite(self.gain) and self.gain):
            raise SpecificationError(f"{what}: gain must be a finite number other than 0, got {self.gain!r}.")
        if not (self.integral > 0.0 and 0.0 <= self.derivative < np.inf and self.rate > 0.0):
            raise SpecificationError(
                f"{what}: expected integral > 0, derivative >= 0 and rate > 0, "
                f"got {self.integral!r}, {self.derivative!r} and {self.rate!r}."
            )
        if self.tracking is not None and not self.tracking > 0.0:
            raise SpecificationError(f"{what}: tracking must be positive, got {self.tracking!r}.")

    def wanted(self, t: float) -> float:
        """The set point at a time."""
        return float(self.setpoint(t) if callable(self.setpoint) else self.setpoint)

    @property
    def tracking_time(self) -> float:
        if self.tracking is not None:
            return self.tracking
        if np.isfinite(self.integral) and self.derivative > 0.0:
            return float(np.sqrt(self.integral * self.derivative))
        return self.integral


@dataclass(frozen=True, eq=False)
class PIDMemory:
    """What loops remember, (loops,) each: the integral, the derivative, the last measurement, what u was asked to be,
    what was set, and what before that; with the time and the controller's clock."""

    time: float
    clock: Clock
    integral: np.ndarray
    derivative: np.ndarray
    measured: np.ndarray
    asked: np.ndarray
    set: np.ndarray
    previous: np.ndarray

    def save(self, path: str | Path) -> Path:
        """Write the memory to a file, `path` with the ending .npz."""
        path = _file(path)
        arrays = {key: getattr(self, key) for key in _ARRAYS}
        facts = {"time": self.time, "began": list(self.clock.began), "phase": self.clock.phase}
        np.savez(path, facts=np.array(json.dumps(facts)), **arrays)
        return path


@dataclass(frozen=True, eq=False)
class PID:
    """Several PI(D) loops on a plant: `PID(plant, recipe, [Loop(...)], every=10.0)`.

    Frozen settings, pure functions, as the NMPC has them. Phases of free duration last as long as their guess, or as
    `durations` {phase: time} says. `inputs`: trajectories of the other controls. A measurement that is missing leaves
    its control where it is. Raises SpecificationError for a name that does not fit.
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

    def start(self, sample: Sample) -> PIDMemory:
        """The memory before the first step: integrals that leave the controls where they stand."""
        t, y = sample.clock(self.plant), self._measurements(sample)
        u = np.array([self._start(loop) for loop in self.loops])
        wanted = np.array([loop.wanted(t) for loop in self.loops])
        integral = u - _proportional(self.loops, wanted, np.where(np.isfinite(y), y, wanted))
        n = len(self.loops)
        return PIDMemory(t, clock_of(self.recipe, self.plant, self.durations), integral, np.zeros(n), y, u, u, u)

    def step(
        self,
        memory: PIDMemory,
        sample: Sample,
        *,
        phase: str | None = None,
        applied: Mapping[str, float] | None = None,
    ) -> tuple[Action, PIDMemory]:
        """The action for a sample, and the memory after it; `applied`: what was really held since the last."""
        began = time.perf_counter()
        t, y = sample.clock(self.plant), self._measurements(sample)
        if t < memory.time:
            raise SpecificationError(
                f"Sample: time runs backwards: the sample is at t = {t:g} {self.plant.time}, the last one was at "
                f"{memory.time:g}.\n  Samples come in order."
            )
        held = np.array([(applied or {}).get(str(loop.control), memory.set[i]) for i, loop in enumerate(self.loops)])
        integral, derivative, asked, given = (np.zeros(len(self.loops)) for _ in range(4))
        for i, loop in enumerate(self.loops):
            integral[i], derivative[i], asked[i], given[i] = self._one(loop, memory, i, t, float(y[i]), float(held[i]))
        clock, due = next_step(memory.clock, self.recipe, t, phase, self.every)
        lost = tuple(
            f"{loop.measured} is missing: {loop.control} stays"
            for loop, v in zip(self.loops, y, strict=True)
            if not np.isfinite(v)
        )
        bounds = [self._bounds(loop) for loop in self.loops]
        action = Action(
            time=t, phase=due.phase, values=dict(zip(self.manipulated, given.tolist(), strict=True)), until=due.until,
            ends=due.ends, phase_ends=due.phase_ends, finished=due.finished,
            status=ActionStatus.HELD if lost else ActionStatus.SOLVED, fallback=bool(lost), reasons=lost,
            seconds=time.perf_counter() - began,
            limits=tuple(str(loop.control) for loop, v, b in zip(self.loops, given, bounds, strict=True) if v in b),
        )  # fmt: skip
        known = np.where(np.isfinite(y), y, memory.measured)
        return action, PIDMemory(t, clock, integral, derivative, known, asked, given, memory.set)

    def resume(self, path: str | Path) -> PIDMemory:
        """The memory that was saved to a file. Raises SpecificationError where it is of other loops."""
        with np.load(_file(path), allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            arrays = {key: stored[key] for key in _ARRAYS}
        if len(arrays["set"]) != len(self.loops):
            raise SpecificationError(
                f"PID: the file holds the memory of {len(arrays['set'])} loops, here are {len(self.loops)}."
            )
        clock = clock_of(self.recipe, self.plant, self.durations)
        clock = replace(clock, began=tuple(facts["began"]), phase=facts["phase"])
        return PIDMemory(facts["time"], clock, **arrays)

    def _one(
        self, loop: Loop, memory: PIDMemory, i: int, t: float, y: float, held: float
    ) -> tuple[float, float, float, float]:
        """One loop at a sample: its integral, derivative, what is asked of the control, and what is set."""
        before, derivative, last = float(memory.integral[i]), float(memory.derivative[i]), float(memory.measured[i])
        if not np.isfinite(y):
            return before, derivative, float(memory.asked[i]), held
        h, wanted = t - memory.time, loop.wanted(t)
        if loop.derivative > 0.0 and h > 0.0 and np.isfinite(last):
            lag = loop.derivative / _FILTER
            derivative = (lag * derivative - loop.gain * loop.derivative * (y - last)) / (lag + h)
        proportional = loop.gain * (loop.weight * wanted - y)
        if _moved_by_others(held, float(memory.set[i]), float(memory.previous[i])):
            integral = held - proportional - derivative
        else:
            share = min(1.0, h / loop.tracking_time) if np.isfinite(loop.tracking_time) else 0.0
            integral = before + h * loop.gain / loop.integral * (wanted - y) + share * (memory.set[i] - memory.asked[i])
        asked = proportional + integral + derivative
        lower, upper = self._bounds(loop)
        reach = loop.rate * h if np.isfinite(loop.rate) else np.inf
        given = float(np.clip(np.clip(asked, memory.set[i] - reach, memory.set[i] + reach), lower, upper))
        return float(integral), derivative, float(asked), given

    def _measurements(self, sample: Sample) -> np.ndarray:
        numbers = sample.numbers(self.plant)
        late = {name: value for name, (_, value) in sample.arrived(self.plant).items()}
        names = [str(loop.measured) for loop in self.loops]
        return np.array([numbers.get(name, late.get(name, np.nan)) for name in names])

    def _bounds(self, loop: Loop) -> tuple[float, float]:
        scalar = self.plant.scalars.get(str(loop.control))
        declared = (-np.inf, np.inf) if scalar is None else (scalar.lower, scalar.upper)
        return (
            declared[0] if loop.lower is None else float(loop.lower),
            declared[1] if loop.upper is None else float(loop.upper),
        )

    def _start(self, loop: Loop) -> float:
        scalar = self.plant.scalars.get(str(loop.control))
        lower, upper = self._bounds(loop)
        declared = scalar.start if scalar is not None and np.isfinite(scalar.start) else middle(lower, upper)
        return float(np.clip(declared if loop.start is None else loop.start, lower, upper))


def _proportional(loops: Sequence[Loop], wanted: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([loop.gain * (loop.weight * r - v) for loop, r, v in zip(loops, wanted, y, strict=True)])


def _moved_by_others(held: float, told: float, before: float) -> bool:
    """Whether a control stood where the loop did not put it; between its last two commands it is on its way."""
    room = 1e-6 * max(abs(told), abs(before), 1e-12)
    return not min(told, before) - room <= held <= max(told, before) + room


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
