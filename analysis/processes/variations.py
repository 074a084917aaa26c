"""What differs from batch to batch? Starts, parameters and inputs, with their standard deviations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Control, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True)
class Vary:
    """A normal departure from the planned value, `deviation` its standard deviation in the declared unit.

    `relative`: the deviation is a share of the planned value (0.05 is 5 %), all along an input. `each_stage`: an input
    departs anew from stage to stage; otherwise it is off by the same for the whole batch.
    """

    deviation: float
    relative: bool = False
    each_stage: bool = False

    def __post_init__(self) -> None:
        number = isinstance(self.deviation, int | float | np.number) and not isinstance(self.deviation, bool)
        if not number or not 0.0 < float(self.deviation) < np.inf:
            raise SpecificationError(f"Vary: deviation must be a positive number, got {self.deviation!r}.")


@dataclass(frozen=True)
class Variations:
    """What varies, by name: states as the recipe begins, parameters, inputs."""

    starts: Mapping[str, Vary]
    parameters: Mapping[str, Vary]
    inputs: Mapping[str, Vary]


def variations_of(plant: Flowsheet, given: Mapping[str, Any], what: str) -> Variations:
    """What a user says, a number for `Vary(number)`. Raises SpecificationError naming `what`."""
    groups: dict[str, dict[str, Vary]] = {State.kind: {}, Parameter.kind: {}, "input": {}}
    for name, value in by_element(given, what).items():
        kind = kind_of(plant, name)
        kind = "input" if kind in (Control.kind, "inlet") else kind
        if kind not in groups:
            known = [n for n, s in plant.scalars.items() if s.kind in (State.kind, Parameter.kind, Control.kind)]
            raise SpecificationError(f"{what}: {unknown('state, parameter or input', name, known)}")
        vary = value if isinstance(value, Vary) else _number(name, value, what)
        if vary.each_stage and kind != "input":
            raise SpecificationError(
                f"{what}: {name} is a {kind}: it varies once a batch, each_stage=True is for inputs."
            )
        if vary.relative and kind != "input":
            vary = _absolute(name, vary, plant.scalars[name].start, what)
        groups[kind][name] = vary
    return Variations(groups[State.kind], groups[Parameter.kind], groups["input"])


def deviations_by_name(given: Mapping[str, Any] | None, known: Mapping[str, Any], what: str) -> dict[str, float]:
    """Standard deviations by name. Raises SpecificationError for unknown names and bad numbers."""
    found = {}
    for name, value in by_element(given or {}, what).items():
        if name not in known:
            raise SpecificationError(f"{what}: {unknown('name', name, known)}")
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not 0.0 <= float(value) < np.inf:
            raise SpecificationError(f"{what}: {name} needs a standard deviation of at least 0, got {value!r}.")
        found[name] = float(value)
    return found


def _number(name: str, value: Any, what: str) -> Vary:
    try:
        return Vary(value)
    except SpecificationError:
        raise SpecificationError(
            f"{what}: {name} needs a positive standard deviation or Vary(...), got {value!r}."
        ) from None


def _absolute(name: str, vary: Vary, value: float, what: str) -> Vary:
    if not (np.isfinite(value) and value != 0.0):
        raise SpecificationError(
            f"{what}: {name} has the value {value:g}, a share of which is nothing; give its deviation itself."
        )
    return Vary(vary.deviation * abs(value))
