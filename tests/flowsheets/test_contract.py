"""Every unit operation of the library keeps one contract; a new one joins by being exported from titer.flowsheets.units.

Its three readings (CasADi, Pyomo, floats) agree, its units are consistent, its totals are conserved, its rates are finite
at the start, its equations are square and of index 1, and its docstring names every variable, its units and a source.
`checks_of(unit)` gives the same for any unit operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
import pytest
from pyomo.environ import value
from pyomo.util.check_units import assert_units_consistent

import titer.flowsheets.units as library
from titer.flowsheets import Conserved, Flowsheet, Phase, Recipe, Unit, simulate
from titer.flowsheets.declarations import Expression, Parameter, Port
from titer.flowsheets.measure import Measure
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.pyomo_moments import moments_of
from titer.flowsheets.returned import with_parts
from titer.flowsheets.symbol import FLOATS, Symbol
from titer.flowsheets.trace import trace
from titer.numerics.dae import Dae, starts

POINTS, EXACT = 5, 1e-12
UNITS = {name: kind for name in library.__all__ if issubclass(kind := getattr(library, name), Unit)}


@dataclass(frozen=True, eq=False)
class Contract:
    """One unit operation alone on a flowsheet, its controls and inlets given, at points around its start."""

    unit: Unit
    seed: int = 20260101

    @cached_property
    def plant(self) -> Flowsheet:
        return Flowsheet(self.unit)

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe(Phase("run", duration=1.0))

    @cached_property
    def inputs(self) -> dict[str, float]:
        """Controls at their starts, streams of inlets at one."""
        starting = {str(s.name): s.start for s in self.unit.scalars.values() if s.kind == "control"}
        return dict.fromkeys(self.plant.inlet_names, 1.0) | starting

    @cached_property
    def operation(self) -> Operation:
        return operations(self.plant, self.recipe, self.inputs)[0]

    @property
    def dae(self) -> Dae:
        return self.operation.lowered.dae

    def points(self) -> Iterator[dict[str, float]]:
        """Values of every scalar by name, and of "time", inside the bounds."""
        rng = np.random.default_rng(self.seed)
        variables = (*self.dae.states, *self.dae.algebraics, *self.dae.inputs, *self.dae.parameters)
        for _ in range(POINTS):
            point = {"time": float(rng.uniform(0.1, 2.0))}
            for v in variables:
                size = max(abs(v.start), 0.0 if np.isnan(v.nominal) else v.nominal) if np.isfinite(v.start) else 1.0
                if np.isfinite([v.lower, v.upper]).all():
                    low, high = v.lower + 0.05 * (v.upper - v.lower), v.upper - 0.05 * (v.upper - v.lower)
                elif np.isfinite(v.start) and v.start:
                    low, high = v.start - 0.3 * abs(v.start), v.start + 0.3 * abs(v.start)
                else:
                    low, high = 0.05 * (size or 1.0), size or 1.0
                point[v.name] = float(np.clip(rng.uniform(low, high), v.lower, v.upper))
            yield point

    def on_casadi(self, point: dict[str, float]) -> dict[str, float]:
        """Rates, residuals and outputs by name, from the Dae."""
        dae = self.dae
        rate, zero, output = (np.array(x).ravel() for x in dae.function(*self._groups(point)))
        named = {f"rate of {v.name}": x for v, x in zip(dae.states, rate, strict=True)}
        named |= dict(zip(dae.equations, zero, strict=True))
        return named | {v.name: x for v, x in zip(dae.outputs, output, strict=True)}

    def on_floats(self, point: dict[str, float]) -> dict[str, float]:
        """The same from the equations on plain numbers with units."""
        name, measures = self.unit.name, self.plant.measures
        local = {n.split(".", 1)[1]: Symbol(x, measures[n], FLOATS) for n, x in point.items() if n != "time"}
        traced = trace(self.unit, local, Symbol(point["time"], Measure.of(self.unit.time), FLOATS))
        named = {f"rate of {name}.{key}": _number(x) for key, x in traced.rate.items()}
        named |= {f"{name}.{key} equation": _number(x) for key, x in traced.zero.items()}
        return named | {f"{name}.{key}": _number(x) for key, x in {**traced.expression, **traced.port}.items()}

    def on_pyomo(self, point: dict[str, float]) -> dict[str, float]:
        """The same from the constraints and expressions of a Pyomo model."""
        model = self.model
        here = moments_of(model.phase["run"])
        here.block.duration.set_value(point["time"])
        pieces = {v.name for v in self.dae.inputs}
        for name, x in point.items():
            if name != "time":
                (here.pieces(name)[0] if name in pieces else here.value(name, 1.0)).set_value(x, skip_validation=True)
        name = self.unit.name
        own = getattr(here.block, here.places[str(next(iter(self.unit.scalars.values())).name)].unit, None) or next(
            iter(here.block.component_objects(type(model.plant), descend_into=False))
        )
        named = {}
        for s in self.unit.of_kind(library_state()):
            slope = here.slope(str(s.name), 1.0)
            slope.set_value(0.0)
            named[f"rate of {s.name}"] = -value(own.balance[1.0, s.local].body) / point["time"]
        for equation in self.dae.equations:
            key = equation.removeprefix(f"{name}.").removesuffix(" equation")
            named[equation] = value(own.zero[1.0, key].body)
        return named | {v.name: value(here.value(v.name, 1.0)) for v in self.dae.outputs}
