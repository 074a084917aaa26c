"""What flows into a culture and out of it? How a stream is declared (Feed, Piped, Outflow), and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Control, Declaration, Inlet, Outlet, Parameter, Port
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import DeclarationError


@dataclass(frozen=True, eq=False)
class Feed:
    """A feed of its own composition, whose rate is a control: `feeds={"feed": Feed({"glucose": 400.0})}`.

    The control is `F_feed` [L per time], or what `flow` names; the concentrations are parameters, `glucose_feed`, in
    the unit of the component; what is not named is not in it. `upper`: the largest rate. `Feed({"glucose": 0.0})` is
    water.
    Raises DeclarationError for a feed without composition.
    """

    composition: Mapping[str, Any] = field(default_factory=dict)
    upper: float = np.inf
    flow: str = ""
    T: Any = None  # K, needed where the culture has an energy balance

    def __post_init__(self) -> None:
        if not isinstance(self.composition, Mapping) or not self.composition:
            raise DeclarationError(
                f"Feed: no composition was given, got {self.composition!r}.\n"
                '  Write Feed({"glucose": 400.0}), and Feed({"glucose": 0.0}) for water.'
            )
        for key, value in self.composition.items():
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not isinstance(value, Symbol) and not (number and np.isfinite(value) and value >= 0.0):
                raise DeclarationError(f"Feed: the concentration of {key} is a number of at least 0, got {value!r}.")
        if not self.upper > 0.0:
            raise DeclarationError(f"Feed: upper is a positive rate, got {self.upper!r}.")


@dataclass(frozen=True, eq=False)
class Piped:
    """A feed that another unit operation sends: an inlet port, `feeds={"seed": Piped()}`.

    It carries `c` over the culture's carried components; the others are not in it. `T`: the temperature it comes with,
    needed where the culture has an energy balance.
    """

    T: Any = None  # K


@dataclass(frozen=True, eq=False)
class Outflow:
    """A stream out of the culture, an outlet port: `outflows={"bleed": Outflow()}`.

    Its rate is the control `F_bleed` [L per time], or what `flow` names; `level=True`: it is what keeps the volume.
    `retains`: the fraction of a component that is held back, 1 for a stream free of cells; they are parameters,
    `X_held_bleed`. `upper`: the largest rate.
    """

    retains: Mapping[str, float] = field(default_factory=dict)
    level: bool = False
    upper: float = np.inf
    flow: str = ""

    def __post_init__(self) -> None:
        for key, value in self.retains.items():
            if not 0.0 <= value <= 1.0:
                raise DeclarationError(f"Outflow: the fraction of {key} held back is from 0 to 1, got {value!r}.")


@dataclass(frozen=True, eq=False)
class Inflow:
    """What comes in at a moment: volume per time, concentrations by component (the others are absent), temperature.

    Without a temperature it comes as warm as the broth is.
    """

    flow: Any
    c: Mapping[str, Any] = field(default_factory=dict)
    T: Any = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What goes out at a moment: volume per time, and fractions of components that pass (the others pass wholly)."""

    flow: Any
    passes: Mapping[str, Any] = field(default_factory=dict)


def flow_of(key: str, stream: Feed | Outflow) -> str:
    """The name of the control that is a stream's rate."""
    return stream.flow or f"F_{key}"


def stream_declarations(unit: Any) -> dict[str, Declaration | Port]:
    """What a culture's feeds and outflows declare: rates, concentrations of feeds, fractions held back, ports."""
    flow, found = f"L/{unit.time}", dict[str, Declaration | Port]()
    carried = (unit.unit_of(unit.carried_components[0]), "carried_components")
    for key, feed in unit.feeds.items():
        if isinstance(feed, Piped):
            found[key] = Inlet(flow, c=carried)
            continue
        found[flow_of(key, feed)] = Control(flow, start=0.0, lower=0.0, upper=feed.upper, doc=f"rate of {key}")
        for component, value in feed.composition.items():
            found[f"{component}_{key}"] = Parameter(
                unit.unit_of(component), value, lower=0.0, doc=f"{component} in {key}"
            )
    for key, outflow in unit.outflows.items():
        found[key] = Outlet(flow, c=carried)
        if not outflow.level:
            found[flow_of(key, outflow)] = Control(
                flow, start=0.0, lower=0.0, upper=outflow.upper, doc=f"rate of {key}"
            )
        for component, value in outflow.retains.items():
            found[f"{component}_held_{key}"] = Parameter(
                "1", value, lower=0.0, upper=1.0, doc=f"fraction of {component} held back from {key}"
            )
    return found
