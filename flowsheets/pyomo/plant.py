"""What does a plant own in a Pyomo model? Its parameters, fixed or decided, and its decided initial states.

model.plant.reactor.k0_1        parameter, fixed unless it is free
model.plant.reactor.c_A_start   initial state that is free
model.shared                    decisions that are one and the same in several runs (scenarios, experiments)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.problem import FreeNumber
from titer.flowsheets.pyomo.arrays import declared, options
from titer.flowsheets.pyomo.moments import Place
from titer.flowsheets.pyomo.naming import added


@dataclass(frozen=True, eq=False)
class PlantPlaces:
    """Where parameters and decided initial states are, and what the decisions are."""

    parameters: Mapping[str, Place]
    starts: Mapping[str, Place]
    numbers: tuple[FreeNumber, ...]


def add_plant(run: Any, plant: Flowsheet, numbers: Sequence[FreeNumber]) -> PlantPlaces:
    """The block of a plant. `run`: the model, or the block of one of its runs; `numbers`: what is decided."""
    run.plant = pyo.Block()
    decided = {number.name for number in numbers}
    parameters: dict[str, Place] = {}
    starts: dict[str, Place] = {}
    for unit in plant.units:
        own = added(run.plant, unit.name, pyo.Block())
        for kind, ending, places in ((Parameter, "", parameters), (State, "_start", starts)):
            for path, sets, scalars in declared(unit, kind):
                if kind is Parameter or any(str(s.name) in decided for s in scalars.values()):
                    variable = added(own, f"{path}{ending}", pyo.Var(*sets, **options(scalars)))
                    variable.fix()
                    for labels, scalar in scalars.items():
                        places[str(scalar.name)] = Place(own.local_name, variable.local_name, labels, False, True)
    run._titer_plant = PlantPlaces(
        parameters, {name: place for name, place in starts.items() if name in decided}, tuple(numbers)
    )
    for name, variable in decisions(run):
        _decide(variable, next(n for n in numbers if n.name == name))
    return places_of(run)


def places_of(run: Any) -> PlantPlaces:
    """Where parameters and decided initial states of a run are."""
    found: PlantPlaces = run._titer_plant
    return found


def decisions(run: Any) -> Iterator[tuple[str, Any]]:
    """Decided parameters and initial states of a run, by titer's names, with their Vars."""
    places = places_of(run)
    for number in places.numbers:
        place = places.starts.get(number.name) or places.parameters[number.name]
        variable = getattr(getattr(run.plant, place.unit), place.component)
        labels = place.labels if len(place.labels) > 1 else place.labels[0] if place.labels else None
        yield number.name, variable if labels is None else variable[labels]


def share(run: Any, first: Any, everything: bool) -> None:
    """Make the decisions of a run those of the first; only those on parameters of all runs, unless `everything`."""
    theirs = dict(decisions(first))
    alone = {number.name for number in places_of(run).numbers if number.each}
    run.shared = pyo.Constraint(pyo.Any)
    for name, variable in decisions(run):
        if everything or name not in alone:
            run.shared[name] = variable == theirs[name]


def _decide(variable: Any, number: FreeNumber) -> None:
    variable.unfix()
    variable.setlb(number.lower if np.isfinite(number.lower) else None)
    variable.setub(number.upper if np.isfinite(number.upper) else None)
    variable.set_value(number.guess, skip_validation=True)
