"""What is decided for several plants at once? `Scenarios`: their weights, what counts, and what they share.

A process is seldom known as well as its optimum assumes. Scenarios are plants that may be the real one; decisions are
made once for all of them, or are shared until a time at which each plant will have shown which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import durations_of
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import finite
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import Term, check_constraints
from titer.numerics.errors import SpecificationError, unknown

Array = np.ndarray
ROUNDING = 1e-9  # by which weights may miss their sum, and a probability what was asked


@dataclass(frozen=True)
class Mean:
    """The expected value: the objectives of the scenarios, weighted and added."""

    def of(self, costs: Array, weights: Array) -> float:
        """The measure of costs (scenarios,), which are minimized."""
        return float(np.dot(weights, costs))

    def __str__(self) -> str:
        return "mean"


@dataclass(frozen=True)
class Worst:
    """The mean of the worst `fraction` of the scenarios (conditional value at risk); 0: the worst of all.

    `weight`: how much of the objective it is, the rest being the mean. In a program it is linear in slacks: minimize
    a + sum of w_s z_s / fraction with z_s >= J_s - a, z_s >= 0, or t with t >= J_s.
    Source: Rockafellar & Uryasev, Journal of Risk 2 (2000) 21.
    """

    fraction: float = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not _is_number(self.fraction) or not 0.0 <= self.fraction < 1.0:
            raise SpecificationError(
                f"Worst: fraction must lie in [0, 1), got {self.fraction!r}.\n  All of the scenarios are Mean()."
            )
        if not _is_number(self.weight) or not 0.0 < self.weight <= 1.0:
            raise SpecificationError(f"Worst: weight must lie in (0, 1], got {self.weight!r}.")

    def of(self, costs: Array, weights: Array) -> float:
        """The measure of costs (scenarios,), which are minimized."""
        order = np.argsort(-costs, kind="stable")
        if self.fraction > 0.0:
            before = np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])
            taken = np.clip(self.fraction - before, 0.0, weights[order])
            worst = float(np.dot(taken, costs[order])) / self.fraction
        else:
            worst = float(costs[order[0]])
        return self.weight * worst + (1.0 - self.weight) * float(np.dot(weights, costs))

    def __str__(self) -> str:
        worst = f"mean of the worst {100.0 * self.fraction:.3g} %" if self.fraction else "worst"
        return worst if self.weight >= 1.0 else f"{worst} ({100.0 * self.weight:.3g} %) and the mean"


@dataclass(frozen=True, eq=False)
class Chance:
    """A limit that must hold in scenarios of a total weight of at least `at_least`: `Chance(Path(...), at_least=0.95)`.

    A scenario counts as good where the limit holds at all its points and in all its phases. What is promised is the
    share of the scenarios that were given, not the probability over all plants: draw others and `stress` the plan.
    """

    term: Term
    at_least: float

    def __post_init__(self) -> None:
        check_constraints([self.term])
        if not _is_number(self.at_least) or not 0.0 < self.at_least <= 1.0:
            raise SpecificationError(
                f"Chance of {self.term.label()}: at_least is a probability in (0, 1], got {self.at_least!r}."
            )

    @property
    def allowed(self) -> float:
        """The weight of scenarios that may miss the limit."""
        return 1.0 - self.at_least


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Plants that may be the real one: `Scenarios([{reactor.mu_max: 0.38}, {...}])`, as `sample` draws them.

    `weights` (scenarios,): positive, their sum 1; None: equal. `objective`: `Mean()`, or `Worst(...)`. `shared_until`:
    inputs and durations are the same in all scenarios up to there, and each scenario's own afterwards: a time on the
    recipe's axis (a piece that begins before it is shared; no duration up to there may be free), or the name of the
    phase with whose start they part. None: all decisions are shared. Decided parameters and initial states always are.
    """

    values: Sequence[Mapping[str, Any]]
    weights: Sequence[float] | None = None
    objective: Mean | Worst = Mean()
    shared_until: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.values, Mapping | str) or not isinstance(self.values, Sequence):
            raise SpecificationError(f"scenarios: expected a list of dicts of parameter values, got {self.values!r}.")
        if not self.values:
            raise SpecificationError("scenarios is empty; leave it out, or give at least one.")
        for each in self.values:
            if not isinstance(each, Mapping):
                raise SpecificationError(f"scenarios: each is a dict from names to values, got {each!r}.")
        if not isinstance(self.objective, Mean | Worst):
            raise SpecificationError(
                f"Scenarios: objective is Mean() or Worst(fraction, weight), got {self.objective!r}."
            )
        if self.weights is not None:
            _check_weights(self.weights, len(self.values))

    @property
    def shares(self) -> Array:
        """Weights (scenarios,), given or equal."""
        n = len(self.values)
        return np.full(n, 1.0 / n) if self.weights is None else np.asarray(self.weights, dtype=float)

    def plants(self, plant: Flowsheet) -> tuple[Flowsheet, ...]:
        """The plant of each scenario. Raises SpecificationError for an unknown name, DeclarationError for a value
        outside its bounds."""
        return tuple(plant.with_values(values) for values in self.values)


@dataclass(frozen=True, eq=False)
class Hedge:
    """Scenarios as a `Problem` knows them; they are its runs.

    `shared` (phases,): the share of each phase, 0 to 1, in which decisions are shared. `kept`: per chance, the
    scenarios in which its limit is posed like any other; None: it is posed with room, whose amounts are decided.
    """

    weights: Array
    objective: Mean | Worst
    chances: tuple[Chance, ...]
    shared: tuple[float, ...]
    kept: tuple[frozenset[int], ...] | None = None

    @property
    def gathers(self) -> bool:
        """Whether each scenario's objective is wanted as a number of its own."""
        return isinstance(self.objective, Worst)

    @property
    def plain(self) -> bool:
        """Whether it is one set of decisions and a weighted sum: a program without rows between scenarios."""
        return not self.gathers and not (self.chances and self.kept is None) and min(self.shared) >= 1.0

    def keeping(self, kept: Sequence[frozenset[int]]) -> Hedge:
        """The same with chances decided: which scenarios keep which limit."""
        return replace(self, kept=tuple(kept))


def hedge_of(scenarios: Scenarios, chances: Sequence[Chance], plant: Flowsheet, recipe: Recipe) -> Hedge:
    """Scenarios on a recipe. Raises SpecificationError where `shared_until` is no place on it."""
    shared = _shared(scenarios.shared_until, plant, recipe)
    return Hedge(scenarios.shares, scenarios.objective, tuple(chances), shared)


def _shared(until: Any, plant: Flowsheet, recipe: Recipe) -> tuple[float, ...]:
    """The share of each phase before the scenarios part."""
    names = [phase.name for phase in recipe]
    if until is None:
        return (1.0,) * len(names)
    if isinstance(until, str):
        if until not in names:
            raise SpecificationError(f"shared_until: {unknown('phase', until, names)}")
        return tuple(1.0 if k < names.index(until) else 0.0 for k in range(len(names)))
    time = finite(until, plant.measure_of_time, "shared_until")
    if time < 0.0:
        raise SpecificationError(f"shared_until: expected a time of the recipe, got {time:g} {plant.time}.")
    shared, clock = [], 0.0
    for phase, duration in zip(recipe, durations_of(recipe, plant.measure_of_time), strict=True):
        if clock >= time * (1.0 - ROUNDING):
            shared.append(0.0)
            continue
        if duration.free or phase.until is not None:
            raise SpecificationError(
                f"shared_until: {time:g} {plant.time} lies in or after phase {phase.name!r}, whose duration is free: "
                f"where it falls is not known.\n"
                f"  Name the phase with whose start the scenarios part: shared_until={names[-1]!r}."
            )
        shared.append(min(1.0, (time - clock) / duration.guess))
        clock += duration.guess
    if clock < time * (1.0 - ROUNDING):
        raise SpecificationError(
            f"shared_until: {time:g} {plant.time} lies beyond the recipe, which ends after {clock:g} {plant.time}.\n"
            f"  Leave it out where all decisions are to be shared."
        )
    return tuple(shared)


def _check_weights(weights: Any, count: int) -> None:
    if isinstance(weights, str) or not isinstance(weights, Sequence | np.ndarray):
        raise SpecificationError(f"Scenarios: weights are a list of numbers, got {weights!r}.")
    if len(weights) != count:
        raise SpecificationError(f"Scenarios: {count} scenarios need as many weights, got {len(weights)}.")
    for weight in weights:
        if not _is_number(weight) or not weight > 0.0:
            raise SpecificationError(
                f"Scenarios: weights are positive numbers, got {weight!r}.\n  Leave out what is not to count."
            )
    total = float(np.sum(weights))
    if abs(total - 1.0) > ROUNDING * count:
        raise SpecificationError(f"Scenarios: weights must have the sum 1, theirs is {total:.9g}.")


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float | np.number) and not isinstance(value, bool | Symbol)
    return plain and bool(np.isfinite(value))
