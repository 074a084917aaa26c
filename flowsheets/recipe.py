"""How is the process operated? Phases, one after another: what is connected, fixed, idle, reset, and how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.flowsheets.names import elements_of
from titer.flowsheets.symbols.symbol import Relation, Symbol, magnitude, quantity
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError
from titer.numerics.shooting import Shooting


@dataclass(frozen=True)
class Free:
    """A decision: `Free(guess, lower, upper)`.

    `log`: decide its logarithm (positive quantities over decades). `prior`: (mean, standard deviation), used in
    estimation. `each`: a parameter that every experiment has a value of its own for, used in estimation too.
    """

    guess: Any
    lower: Any = -np.inf
    upper: Any = np.inf
    log: bool = False
    prior: tuple[float, float] | None = None
    each: bool = False

    def __post_init__(self) -> None:
        if self.prior is not None:
            _check_prior(self.prior)
        numbers = [self.guess, self.lower, self.upper]
        if any(isinstance(n, Symbol) for n in numbers):
            return  # quantities: checked where the unit is known
        guess, lower, upper = (_number(n, "Free") for n in numbers)
        if np.isnan([guess, lower, upper]).any() or not lower <= guess <= upper or np.isinf(guess):
            raise SpecificationError(
                f"Free(guess={guess:g}, lower={lower:g}, upper={upper:g}): "
                f"expected lower <= guess <= upper, a finite guess, none of them NaN."
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
        if elements_of(self.variable) != (self.variable,):
            raise SpecificationError(
                f"Reaches: {self.variable} is an array; name one element, such as {elements_of(self.variable)[0]}."
            )
        if not isinstance(self.value, Symbol) and not np.isfinite(_number(self.value, f"Reaches({self.variable})")):
            raise SpecificationError(f"Reaches: {self.variable} needs a finite value to reach, got {self.value!r}.")

    @property
    def sign(self) -> int:
        return {"falling": -1, "rising": 1, "": 0}[self.direction]

    def residual(self, v: Any) -> Any:
        """What goes through zero at the end of the phase."""
        variable, value = v[self.variable], self.value
        if isinstance(value, Symbol):
            value = quantity(magnitude(value, variable.measure), variable.measure)
        return variable - value

    def __str__(self) -> str:
        return f"{self.variable} reaches {self.value} {self.direction}".strip()


@dataclass(frozen=True, eq=False)
class Phase:
    """A stretch of a recipe.

    `duration`: a number, or `Free(guess, lower, upper)`, in the flowsheet's time. `until`: `Reaches(...)` or a function
    of the view that gives a relation (`lambda v: v.reactor.S <= 0.1`); the duration is then found by simulation and
    tied to the condition in an optimization, with `duration=Free(...)` as its guess and limits. `inputs`: trajectories
    for this phase only. `fixed`: controls or parameters held at a number in this phase, whatever is decided elsewhere.
    `idle`: unit operations at rest: their states are held, their ports carry no flow. `start`: states that are set
    when the phase begins: a number, or a function of the view of the previous phase's end. `routes`: connections for
    this phase only. `method`: `Shooting()` to transcribe it by integration.
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
        if not isinstance(self.name, str) or not self.name:
            raise SpecificationError(f"Phase: the name must be a text, got {self.name!r}.")
        what = f"Phase {self.name!r}"
        _check_duration(self.duration, self.until is not None, what)
        if self.until is not None and not isinstance(self.until, Reaches) and not callable(self.until):
            raise SpecificationError(
                f"{what}: until is Reaches(variable, value, direction) or a function of the view, got {self.until!r}."
            )
        for key in ("inputs", "fixed", "start"):
            if not isinstance(getattr(self, key), Mapping):
                raise SpecificationError(f"{what}: {key} is a dict from names to values, got {getattr(self, key)!r}.")
        for key, noun in (("idle", "unit operations"), ("routes", "pairs (outlet, inlet)")):
            value = getattr(self, key)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise SpecificationError(f"{what}: {key} is a list of {noun}, got {value!r}. Write {key}=[...].")
        for unit in self.idle:
            if not isinstance(unit, Unit | str):
                raise SpecificationError(f"{what}: idle is a list of unit operations, got {unit!r} in it.")
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
        if not phases:
            raise SpecificationError('Recipe: no phase was given. Write Recipe(Phase("batch", duration=...), ...).')
        for phase in phases:
            if not isinstance(phase, Phase):
                raise SpecificationError(f"Recipe: expected phases, got {type(phase).__name__} {phase!r}.")
        names = [phase.name for phase in phases]
        for name in names:
            if names.count(name) > 1:
                raise SpecificationError(f"Recipe: two phases are called {name!r}; rename one.")
        object.__setattr__(self, "phases", phases)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)

    def __len__(self) -> int:
        return len(self.phases)


def _check_duration(duration: Any, until: bool, what: str) -> None:
    """A duration is positive; a free one has finite bounds. Quantities are checked where the unit of time is known."""
    purpose = " as guess and limits of `until`" if until else ""
    if duration is None:
        raise SpecificationError(
            f"{what}: no duration. Give duration={'' if until else 'number, or duration='}Free(guess, lower, upper)"
            f"{purpose}."
        )
    if not isinstance(duration, Free):
        if until:
            raise SpecificationError(
                f"{what}: with `until`, give duration=Free(guess, lower, upper): its guess and its limits."
            )
        if not isinstance(duration, Symbol):
            number = _number(duration, f"{what}: duration")
            if not 0.0 < number < np.inf:
                raise SpecificationError(f"{what}: the duration must be positive and finite, got {number:g}.")
        return
    values = (duration.guess, duration.lower, duration.upper)
    if any(isinstance(value, Symbol) for value in values):
        return
    guess, lower, upper = (float(value) for value in values)
    if not np.isfinite([lower, upper]).all():
        raise SpecificationError(
            f"{what}: a free duration needs finite bounds, got [{lower:g}, {upper:g}].\n"
            f"  Write Free(guess, lower, upper)."
        )
    check_free_duration(guess, lower, upper, what)


def check_free_duration(guess: float, lower: float, upper: float, what: str) -> None:
    """0 <= lower <= guess <= upper, the guess positive. Raises SpecificationError."""
    if not (0.0 <= lower <= guess <= upper < np.inf and guess > 0.0):
        raise SpecificationError(
            f"{what}: a free duration needs 0 <= lower <= guess <= upper, a positive guess and a finite upper limit,\n"
            f"  got Free({guess:g}, {lower:g}, {upper:g})."
        )


def _check_prior(prior: Any) -> None:
    pair = isinstance(prior, tuple | list) and len(prior) == 2
    if not pair or not all(isinstance(n, int | float) and np.isfinite(n) for n in prior) or prior[1] <= 0.0:
        raise SpecificationError(f"Free: prior is (mean, standard deviation > 0), got {prior!r}.")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool | str):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.") from None
