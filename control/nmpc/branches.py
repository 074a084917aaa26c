"""Which plants may be the real one, and what do their plans share? Scenarios, or a tree over uncertain parameters.

In a multi-stage tree each of the first `robust_horizon` samples shows another realization of what is uncertain; after
them a plant keeps its last one. Plans that have seen the same so far decide the same (non-anticipativity).
Source: Lucia, Finkler & Engell, Journal of Process Control 23 (2013) 1306.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.problems.hedging import Mean, Scenarios, Worst
from titer.flowsheets.signals import finite
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

_MANY = 200


@dataclass(frozen=True, eq=False)
class Tree:
    """All combinations of values of uncertain parameters: `Tree({reactor.k0_1: (1.8e9, 2.0e9, 2.2e9)})`.

    `values` {parameter: its values}; `weights` {parameter: probabilities of its values} (default: equal);
    `robust_horizon`: samples at which the tree branches; `objective`: Mean() or Worst(). It has as many scenarios as
    there are combinations, to the power of the robust horizon.
    """

    values: Mapping[str, Sequence[Any]]
    robust_horizon: int = 1
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    objective: Mean | Worst = field(default_factory=Mean)

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping) or not self.values:
            raise SpecificationError(f"Tree: expected {{parameter: its values}}, got {self.values!r}.")
        for name, entries in self.values.items():
            if isinstance(entries, str) or not isinstance(entries, Sequence | np.ndarray) or not len(entries):
                raise SpecificationError(f"Tree: {name} needs values, such as (0.9, 1.0, 1.1), got {entries!r}.")
        if not is_whole(self.robust_horizon, 1):
            raise SpecificationError(
                f"Tree: robust_horizon is a number of samples, at least 1, got {self.robust_horizon!r}."
            )
        for name, shares in self.weights.items():
            if name not in self.values:
                raise SpecificationError(f"Tree: weights: {unknown('parameter', name, self.values)}")
            good = len(shares) == len(self.values[name]) and all(share > 0.0 for share in shares)
            if not good or abs(sum(shares) - 1.0) > 1e-9:
                raise SpecificationError(
                    f"Tree: weights of {name} are positive, one for each of its {len(self.values[name])} values, and "
                    f"their sum is 1, got {shares!r}."
                )
        if not isinstance(self.objective, Mean | Worst):
            raise SpecificationError(f"Tree: objective is Mean() or Worst(), got {self.objective!r}.")
        count = int(np.prod([len(entries) for entries in self.values.values()])) ** self.robust_horizon
        if count > _MANY:
            raise SpecificationError(
                f"Tree: {count} scenarios are too many to solve at each sample.\n"
                f"  Give fewer values, or a shorter robust_horizon."
            )


@dataclass(frozen=True, eq=False)
class Branches:
    """The plants of all scenarios.

    `realized`: of each scenario, values of parameters at the samples ahead, the last of which stay; `shared`: for how
    many samples plans are alike that have seen the same (None: all along); `keys`: of each scenario, what it sees at
    each sample (a tree), or after the shared ones.
    """

    plants: tuple[Flowsheet, ...]
    weights: tuple[float, ...]
    realized: tuple[tuple[Mapping[str, float], ...], ...]
    objective: Mean | Worst
    shared: int | None
    keys: tuple[tuple[int, ...], ...]

    @property
    def gathers(self) -> bool:
        """Whether each scenario's objective is wanted as a number of its own."""
        return len(self.plants) > 1 and isinstance(self.objective, Worst)

    @property
    def cuts(self) -> int:
        """Samples at whose end parameters change."""
        return max(len(each) for each in self.realized) - 1

    def key(self, r: int, interval: int) -> tuple[int, ...]:
        """What scenario r has seen when it decides on an interval ahead: those with the same key decide the same."""
        if self.shared is None:
            return ()
        own = self.keys[r]
        if len(own) == 1:
            return () if interval < self.shared else own
        return own[: min(interval, len(own))]


def branches_of(plant: Flowsheet, scenarios: Any, robust_horizon: int | None) -> Branches:
    """The scenarios of a controller; a single one where nothing is uncertain. Raises SpecificationError."""
    if robust_horizon is not None and not is_whole(robust_horizon, 1):
        raise SpecificationError(
            f"NMPC: robust_horizon is a number of samples, at least 1, or None, got {robust_horizon!r}."
        )
    if scenarios is None:
        return Branches((plant,), (1.0,), (({},),), Mean(), None, ((0,),))
    if isinstance(scenarios, Tree):
        return _of_tree(plant, scenarios)
    several = scenarios if isinstance(scenarios, Scenarios) else Scenarios(scenarios)
    if several.shared_until is not None:
        raise SpecificationError(
            "NMPC: shared_until is a time of the recipe, which a controller leaves behind.\n"
            "  Say for how many samples decisions are shared: robust_horizon=1."
        )
    plants = several.plants(plant)
    values = tuple((_known(plant, each),) for each in several.values)
    keys = tuple((r,) for r in range(len(plants)))
    shares = tuple(float(w) for w in several.shares)
    return Branches(plants, shares, values, several.objective, robust_horizon, keys)


def _of_tree(plant: Flowsheet, tree: Tree) -> Branches:
    names = [str(name) for name in by_element(dict.fromkeys(tree.values), "Tree")]
    entries = dict(zip(names, tree.values.values(), strict=True)) if len(names) == len(tree.values) else None
    if entries is None:
        raise SpecificationError("Tree: name elements of arrays one by one: they are uncertain one by one.")
    shares = {str(name): list(values) for name, values in tree.weights.items()}
    known = {name: [_known(plant, {name: value})[name] for value in values] for name, values in entries.items()}
    combinations = list(product(*(range(len(values)) for values in known.values())))
    realizations = [{n: known[n][i] for n, i in zip(names, each, strict=True)} for each in combinations]
    chances = [
        float(np.prod([shares.get(n, [1.0 / len(known[n])] * len(known[n]))[i] for n, i in zip(names, e, strict=True)]))
        for e in combinations
    ]
    leaves = list(product(range(len(combinations)), repeat=tree.robust_horizon))
    return Branches(
        plants=tuple(plant.with_values(realizations[leaf[-1]]) for leaf in leaves),
        weights=tuple(float(np.prod([chances[c] for c in leaf])) for leaf in leaves),
        realized=tuple(tuple(realizations[c] for c in leaf) for leaf in leaves),
        objective=tree.objective,
        shared=tree.robust_horizon,
        keys=tuple(leaves),
    )


def _known(plant: Flowsheet, values: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in by_element(values, "scenarios").items():
        if kind_of(plant, name) != Parameter.kind:
            names = [n for n, scalar in plant.scalars.items() if scalar.kind == Parameter.kind]
            raise SpecificationError(f"scenarios: {unknown('parameter', name, names)}")
        found[name] = finite(value, plant.measures[name], f"scenarios: {name}")
    return found
