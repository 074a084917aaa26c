"""What is estimated? The states of a plant, parameters that drift, disturbances of rates, biases of sensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.estimation.estimators.sample import check_measured
from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown

_PARAMETER = 0.1  # of its value: how far a parameter is off at the start, where nothing is said


@dataclass(frozen=True)
class Drift:
    """A parameter, or a disturbance added to the rate of a state, that walks at random.

    `deviation`: per square root of the flowsheet's time; 0: it is constant. `start`: its standard deviation at the
    start (default: 10 % of the value of a parameter, 0 of a disturbance).
    """

    deviation: float
    start: float | None = None

    def __post_init__(self) -> None:
        _check_walk(self)


@dataclass(frozen=True)
class Bias:
    """What a sensor adds to what it measures: it walks at random, and is estimated. Fields as in `Drift`."""

    deviation: float
    start: float | None = None

    def __post_init__(self) -> None:
        _check_walk(self)


@dataclass(frozen=True, eq=False)
class Entries:
    """Names of what is estimated, in order, and what is known of each before anything is measured.

    `start`, `lower`, `upper` (n,): value and domain; `walks`: those that drift, by the name of their entry.
    """

    states: tuple[str, ...]
    parameters: tuple[str, ...]
    rates: tuple[str, ...]
    biases: tuple[str, ...]
    start: Array
    lower: Array
    upper: Array
    walks: Mapping[str, Drift | Bias]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.states, *self.parameters, *map(rate_of, self.rates), *map(bias_of, self.biases))

    @property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}


def rate_of(state: str) -> str:
    """What the disturbance of a state's rate is called."""
    return f"rate({state})"


def bias_of(measured: str) -> str:
    """What the bias of a measurement is called."""
    return f"bias({measured})"


def entries_of(plant: Flowsheet, disturbances: Mapping[str, Any], measured: tuple[str, ...]) -> Entries:
    """The entries of a plant under `disturbances`. Raises SpecificationError."""
    states = tuple(name for name, scalar in plant.scalars.items() if scalar.kind == State.kind)
    kinds: dict[str, dict[str, Drift | Bias]] = {"parameter": {}, "rate": {}, "bias": {}}
    for name, value in by_element(disturbances, "disturbances").items():
        kinds[_kind(plant, name, value, measured)][name] = _walk(value, name)
    drifting, rates, biases = kinds["parameter"], kinds["rate"], kinds["bias"]
    known = [plant.scalars[name] for name in (*states, *drifting)]
    added = len(rates) + len(biases)
    return Entries(
        states=states,
        parameters=tuple(drifting),
        rates=tuple(rates),
        biases=tuple(biases),
        start=np.array([s.start for s in known] + [0.0] * added),
        lower=np.array([s.lower for s in known] + [-np.inf] * added),
        upper=np.array([s.upper for s in known] + [np.inf] * added),
        walks={
            **{name: _with_start(walk, plant.scalars[name].start) for name, walk in drifting.items()},
            **{rate_of(name): _with_start(walk, 0.0) for name, walk in rates.items()},
            **{bias_of(name): _with_start(walk, 0.0) for name, walk in biases.items()},
        },
    )


def _kind(plant: Flowsheet, name: str, value: Any, measured: tuple[str, ...]) -> str:
    if isinstance(value, Bias):
        check_measured(plant, name, "disturbances")
        if name not in measured:
            raise SpecificationError(
                f"disturbances: {name} has a bias and is not measured.\n  Give its noise={{{name}: ...}} as well."
            )
        return "bias"
    kind = kind_of(plant, name)
    if kind is None:
        known = [n for n, s in plant.scalars.items() if s.kind in (State.kind, Parameter.kind)]
        raise SpecificationError(f"disturbances: {unknown('parameter or state', name, known)}")
    if kind not in (State.kind, Parameter.kind):
        raise SpecificationError(
            f"disturbances: {name} is {'an' if kind[0] in 'aei' else 'a'} {kind}, expected a parameter, or a state "
            f"whose rate is disturbed.\n  Name a parameter that enters its equation."
        )
    return "parameter" if kind == Parameter.kind else "rate"


def _walk(value: Any, name: str) -> Drift | Bias:
    if isinstance(value, Drift | Bias):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise SpecificationError(
            f"disturbances: {name} needs a deviation per square root of time, Drift(...) or Bias(...), got {value!r}."
        )
    return Drift(float(value))


def _with_start(walk: Drift | Bias, value: float) -> Drift | Bias:
    return walk if walk.start is not None else type(walk)(walk.deviation, _PARAMETER * abs(value))


def _check_walk(walk: Drift | Bias) -> None:
    what = type(walk).__name__
    for key in ("deviation", "start"):
        value = getattr(walk, key)
        if key == "start" and value is None:
            continue
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not 0.0 <= float(value) < np.inf:
            raise SpecificationError(f"{what}: {key} must be a number of at least 0, got {value!r}.")
    if walk.deviation == 0.0 and walk.start == 0.0:
        raise SpecificationError(f"{what}: nothing can be estimated where both deviation and start are 0.")
