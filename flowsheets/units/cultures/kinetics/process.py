"""What does a culture do? Processes, each with a specific rate; `Turnover` adds up what they make and take."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.units.cultures.kinetics.factors import values_of
from titer.flowsheets.units.cultures.kinetics.group import Group, concentration_of, per_time, ratio, unit_of
from titer.numerics.errors import DeclarationError, unknown


@dataclass(frozen=True, eq=False)
class Turnover:
    """What the processes so far do: rates of components per volume, specific rates of growth and of uptake."""

    v: Any
    rates: dict[str, list[Any]] = field(default_factory=dict)
    growth: dict[str, dict[str, Any]] = field(default_factory=dict)  # by population, by process
    uptake: dict[tuple[str, str], list[Any]] = field(default_factory=dict)  # by population and substrate

    def makes(self, component: str, rate: Any) -> None:
        """A rate per volume at which a component is made."""
        self.rates.setdefault(component, []).append(rate)

    def grows(self, population: str, process: str, mu: Any) -> None:
        """A population grows at a specific rate."""
        self.growth.setdefault(population, {})[process] = mu
        self.makes(population, mu * self.v[population])

    def takes(self, population: str, component: str, q: Any) -> None:
        """A population takes a component up at a specific rate."""
        self.uptake.setdefault((population, component), []).append(q)
        self.makes(component, -q * self.v[population])


class Process(Group):
    """One thing that a culture does. Its specific rate is a named expression, which can be measured and corrected.

    `of`: the population that does it; the only one where it is not named.
    """

    of: str = ""
    rank: ClassVar[int] = 0  # those of a lower rank are known to those of a higher one
    grows: ClassVar[bool] = False  # whether the population's growth is part of it
    of_none: ClassVar[bool] = False  # whether it is a component's own, and no population's

    @property
    def population(self) -> str:
        """The population that does it."""
        unit = unit_of(self)
        if unit is None:
            return self.of
        if self.of:
            if self.of not in unit.populations:
                raise DeclarationError(f"{self._path}: {unknown('population', self.of, unit.populations)}")
            return self.of
        if len(unit.populations) != 1:
            raise DeclarationError(
                f"{self._path} ({type(self).__name__}): which population? There are "
                f'{", ".join(unit.populations) or "none"}.\n  Write {type(self).__name__}(..., of="...").'
            )
        return str(unit.populations[0])

    @property
    def taken(self) -> tuple[str, ...]:
        """The components that the population takes up for it."""
        return ()

    def check(self, others: Mapping[str, Process]) -> None:
        """Whether all it names is there; `others`: processes of its population, by name. Raises DeclarationError."""

    def factor(self, p: Any, v: Any) -> Any:
        """The product of all factors."""
        return reduce(mul, values_of(self, p, v), 1.0)

    @abstractmethod
    def act(self, name: str, p: Any, t: Turnover) -> None:
        """Add what it does to a turnover; `name`: its own, `p`: its view."""

    def specific(self, component: str) -> str:
        """The unit of a specific rate of a component: its amount by that of the population and time."""
        of = self.by(component, self.population)
        return per_time(self) if of == "1" else f"{of}*{per_time(self)}"

    def by(self, component: str, other: str) -> str:
        """The unit of a yield, an amount of one component by that of another."""
        return ratio(self, component, other)

    def concentration(self, component: str) -> str:
        """The unit of a component's concentration."""
        return concentration_of(self, component)


def excess(q: Any, limit: Any, rounding: float, scale: Any) -> Any:
    """What of a specific rate q lies beyond a limit: max(q - limit, 0), rounded.

    (q - limit + sqrt((q - limit)^2 + 4 rounding^2 limit q)) / 2: nothing where q is zero, never more than q, and above
    the maximum by at most `rounding` of the limit (where q is the limit), far from it by `rounding`^2. 1e-9 of `scale`
    gives the root a slope where q and limit are zero.
    """
    beyond = q - limit
    return (beyond + np.sqrt(beyond**2 + (2.0 * rounding) ** 2 * limit * q + (1e-9 * scale) ** 2)) / 2.0


def rounded(what: str, rounding: Any) -> float:
    """A rounding, above zero and small. Raises DeclarationError."""
    if not isinstance(rounding, int | float) or not 0.0 < rounding < 1.0:
        raise DeclarationError(f"{what}: rounding is a small part of the limit, such as 1e-3, got {rounding!r}.")
    return float(rounding)


def yields_of(what: str, given: Any) -> dict[str, Any]:
    """Yields by component, none of them zero. Raises DeclarationError."""
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise DeclarationError(f'{what}: yields is a dict such as {{"glucose": 0.5}}, got {given!r}.')
    for key, value in given.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not isinstance(value, Symbol) and not (number and np.isfinite(value) and value != 0.0):
            raise DeclarationError(f"{what}: the yield by {key} is a number other than zero, got {value!r}.")
    return dict(given)
