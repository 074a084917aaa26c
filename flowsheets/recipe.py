"""How is the process operated? Phases, one after another: what is connected, fixed, idle, reset, and how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.flowsheets.symbol import Relation, Symbol
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError
from titer.numerics.shooting import Shooting


@dataclass(frozen=True)
class Free:
    """A decision: `Free(guess, lower, upper)`.

    `log`: decide its logarithm (positive quantities over decades). `prior`: (mean, standard deviation), used in estimation.
    """

    guess: Any
    lower: Any = -np.inf
    upper: Any = np.inf
    log: bool = False
    prior: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        numbers = [self.guess, self.lower, self.upper]
        if any(isinstance(n, Symbol) for n in numbers):
            return  # quantities: checked where the unit is known
        guess, lower, upper = (_number(n, "Free") for n in numbers)
        if np.isnan([guess, lower, upper]).any() or not lower <= guess <= upper:
            raise SpecificationError(
                f"Free(guess={guess:g}, lower={lower:g}, upper={upper:g}): expected lower <= guess <= upper, none of them NaN."
            )
        if self.log and lower <= 0.0:
            raise SpecificationError(f"Free(log=True) needs a positive lower bound, got {lower:g}.")


@dataclass(frozen=True)
class Reaches:
    """The end of a phase as data: a variable reaches a value, "falling", "rising" or from either side ("")."""

    variable: str
    value: Any
    direction: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("", "falling", "rising"):
            raise SpecificationError(f"Reaches: direction is 'falling', 'rising' or '', got {self.direction!r}.")
        if not isinstance(self.variable, str):
            raise SpecificationError(f"Reaches: the variable is a name such as reactor.S, got {self.variable!r}.")

    @property
    def sign(self) -> int:
        return {"falling": -1, "rising": 1, "": 0}[self.direction]

    def residual(self, v: Any) -> Any:
        return v[self.variable] - self.value

    def __str__(self) -> str:
        return f"{self.variable} reaches {self.value} {self.direction}".strip()


@dataclass(frozen=True, eq=False)
class Phase:
    """A stretch of a recipe.

    `duration`: a number, or `Free(guess, lower, upper)`, in the flowsheet's time. `until`: `Reaches(...)` or a function of
    the view that gives a relation (`lambda v: v.reactor.S <= 0.1`); the duration is then found by simulation and tied to the condition
    in an optimization, with `duration=Free(...)` as its guess and limits. `inputs`: trajectories for this phase only. `fixed`: controls or
    parameters held at a number in this phase, whatever is decided elsewhere. `idle`: unit operations at rest: their states are held,
    their ports carry no flow. `start`: states that are set when the phase begins: a number, or a function of the view of the previous
    phase's end. `routes`: connections for this phase only. `method`: `Shooting()` to transcribe it by integration.
    """

    name: str
    duration: Any = None
    until: Reaches | Callable[[Any], Relation] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    idle: Sequence[Unit | str] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    routes: Sequence[tuple[Any, Any]] = ()
    method: Shooting | None = None

    def __post_init__(self) -> None:
        what = f"Phase {self.name!r}"
        if not isinstance(self.name, str) or not self.name:
            raise SpecificationError(f"Phase: the name must be a text, got {self.name!r}.")
        if self.duration is None:
            raise SpecificationError(
                f"{what}: no duration. Give duration=number, or duration=Free(guess, lower, upper)"
                + (" as guess and limits of `until`." if self.until is not None else ".")
            )
        if isinstance(self.duration, Free):
            values = [self.duration.lower, self.duration.upper]
            if not any(isinstance(v, Symbol) for v in values) and not np.isfinite([float(v) for v in values]).all():
                raise SpecificationError(
                    f"{what}: a free duration needs finite bounds, got [{values[0]}, {values[1]}]. "
                    f"Write Free(guess, lower, upper)."
                )
            lowest = self.duration.lower
        else:
            lowest = self.duration
            if self.until is not None:
                raise SpecificationError(
                    f"{what}: with `until`, give duration=Free(guess, lower, upper): its guess and its limits."
                )
        if not isinstance(lowest, Symbol):
            number = _number(lowest, f"{what}: duration")
            positive = number >= 0.0 if isinstance(self.duration, Free) else number > 0.0
            if not positive or not np.isfinite(number):
                raise SpecificationError(f"{what}: the duration must be positive and finite, got {number:g}.")
        if self.until is not None and not isinstance(self.until, Reaches) and not callable(self.until):
            raise SpecificationError(
                f"{what}: until is Reaches(variable, value, direction) or a function of the view, got {self.until!r}."
            )
        for key in ("inputs", "fixed", "start"):
            if not isinstance(getattr(self, key), Mapping):
                raise SpecificationError(f"{what}: {key} is a dict from names to values, got {getattr(self, key)!r}.")
        if isinstance(self.idle, Unit | str):
            raise SpecificationError(f"{what}: idle is a list of unit operations, got {self.idle!r}.")
        if self.method is not None and not isinstance(self.method, Shooting):
            raise SpecificationError(f"{what}: method is Shooting(...) or None, got {self.method!r}.")

    @property
    def idle_names(self) -> tuple[str, ...]:
        return tuple(sorted({unit if isinstance(unit, str) else unit.name for unit in self.idle}))


@dataclass(frozen=True, eq=False, init=False)
class Recipe:
    """Phases, one after another: `Recipe(Phase("batch", duration=22), Phase("feed", duration=Free(10, 5, 20)))`."""

    phases: tuple[Phase, ...]

    def __init__(self, *phases: Phase):
        for phase in phases:
            if not isinstance(phase, Phase):
                raise SpecificationError(f"Recipe: expected phases, got {type(phase).__name__} {phase!r}.")
        names = [phase.name for phase in phases]
        if not phases:
            raise SpecificationError("Recipe: no phase was given.")
        for name in names:
            if names.count(name) > 1:
                raise SpecificationError(f"Recipe: two phases are called {name!r}; rename one.")
        object.__setattr__(self, "phases", phases)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.phases)

    def __len__(self) -> int:
        return len(self.phases)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.") from None
