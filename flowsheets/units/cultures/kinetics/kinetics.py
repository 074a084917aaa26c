"""What are a culture's kinetics? Named processes: `Kinetics(growth=Growth(...), product=Production(...))`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from titer.flowsheets.units.cultures.kinetics.factors import factors_of
from titer.flowsheets.units.cultures.kinetics.group import Group, unit_of
from titer.flowsheets.units.cultures.kinetics.process import Process, Turnover
from titer.numerics.errors import DeclarationError


class Kinetics(Group):
    """Processes of a culture, by name; their rates add up.

    `Kinetics(growth=Growth(0.4, Monod("glucose", 0.05), yields={"glucose": 0.5}), upkeep=Maintenance("glucose", 0.03))`
    stands in the field `kinetics` of a Bioreactor; its numbers are parameters, `culture.kinetics.growth.mu_max`,
    `culture.kinetics.growth.Y_glucose` and `culture.kinetics.growth.glucose.K`, and its rates expressions,
    `culture.kinetics.growth.mu`, which can be measured, plotted and corrected.
    """

    def __init__(self, **processes: Process):
        if not processes:
            raise DeclarationError("Kinetics: no process was given. Write Kinetics(growth=Growth(...)).")
        for key, process in processes.items():
            if not isinstance(process, Process):
                raise DeclarationError(
                    f"Kinetics: {key} is a process such as Growth(...) or Production(...), got {process!r}."
                )
        super().__init__(processes)

    @property
    def processes(self) -> dict[str, Process]:
        """Processes by name, those first whose rates others need."""
        found = {key: part for key, part in self.parts() if isinstance(part, Process)}
        return dict(sorted(found.items(), key=lambda item: item[1].rank))

    def check(self) -> None:
        """Whether all that is named is there. Raises DeclarationError."""
        alone = [process for process in self.processes.values() if process.of_none]
        by_population: dict[str, dict[str, Process]] = {}
        for key, process in self.processes.items():
            if process not in alone:
                by_population.setdefault(process.population, {})[key] = process
        for process in self.processes.values():
            process.check({} if process in alone else by_population[process.population])
        for factor in factors_of(self):
            factor.check(unit_of(self))

    def rates(self, k: Any, v: Any) -> Mapping[str, Any]:
        """Rates per volume by component; `k`: the view of these kinetics, `v`: that of the culture."""
        turnover = Turnover(v)
        for key, process in self.processes.items():
            process.act(key, getattr(k, key), turnover)
        return {key: reduce(add, rates) for key, rates in turnover.rates.items()}
