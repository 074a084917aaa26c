"""Every unit operation of the library keeps one contract; a new one joins by its export from titer.flowsheets.units.

Its three readings (CasADi, Pyomo, floats) agree, its units are consistent, its totals are conserved, its rates are
finite at the start, its equations are square and of index 1, and its docstring names every variable and a source.
`Contract(unit)` evaluates any unit operation so.
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
from titer.flowsheets import (
    Algebraic,
    Conserved,
    Equations,
    Expression,
    Flowsheet,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
    smooth_maximum,
)
from titer.flowsheets.declarations import Port
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.pyomo.moments import moments_of
from titer.flowsheets.returned import with_parts
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol
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
        """The same from the constraints and expressions of a Pyomo model, at the end of its phase."""
        here = moments_of(self.model.phase["run"])
        own, name = getattr(here.block, self.unit.name), self.unit.name
        here.block.duration.set_value(point["time"])
        for variable in (*self.dae.states, *self.dae.algebraics, *self.dae.parameters):
            here.value(variable.name, 1.0).set_value(point[variable.name], skip_validation=True)
        for variable in self.dae.inputs:
            here.pieces(variable.name)[0].set_value(point[variable.name], skip_validation=True)
        named = {}
        for variable in self.dae.states:
            here.slope(variable.name, 1.0).set_value(0.0)
            row = own.balance[1.0, variable.name.removeprefix(f"{name}.")]
            named[f"rate of {variable.name}"] = -value(row.body) / point["time"]
        for equation in self.dae.equations:
            key = equation.removeprefix(f"{name}.").removesuffix(" equation")
            named[equation] = value(own.zero[1.0, key].body)
        return named | {v.name: value(here.value(v.name, 1.0)) for v in self.dae.outputs}

    @cached_property
    def model(self) -> Any:
        return self.plant.to_pyomo(self.recipe, inputs=self.inputs)

    def imbalances(self, point: dict[str, float]) -> dict[str, float]:
        """By total: its rate of change along the model's rates less its source, relative to what they are made of."""
        lowered = self.operation.lowered
        t, x, z, u, p = lowered.symbols
        rate = self.dae.function(t, x, z, u, p)[0]
        found = {}
        for key, entry in self.unit.conserved(getattr(lowered.view, self.unit.name)).items():
            entry = entry if isinstance(entry, Conserved) else Conserved(entry)
            total, source = _raw(entry.total), _raw(entry.source)
            assert not ca.depends_on(total, z), f"{key}: a total is made of states"
            if isinstance(entry.source, Symbol):
                per_time = entry.total.measure / Measure.of(self.unit.time)
                assert entry.source.measure.same(per_time), f"{key}: a source is its total per time"
            parts = ca.vertcat(ca.jacobian(total, x).T * rate, ca.jacobian(total, t).T, -source)
            numbers = np.array(ca.Function("parts", [t, x, z, u, p], [parts])(*self._groups(point))).ravel()
            found[key] = abs(numbers.sum()) / max(np.abs(numbers).sum(), 1e-300)
        return found

    def _groups(self, point: dict[str, float]) -> list[ca.DM]:
        dae = self.dae
        groups = [[point[v.name] for v in g] for g in (dae.states, dae.algebraics, dae.inputs, dae.parameters)]
        return [ca.DM(point["time"]), *map(ca.DM, groups)]


def _raw(entry: Any) -> ca.SX:
    return ca.SX(entry.value if isinstance(entry, Symbol) else entry)


def _number(entry: Any) -> float:
    return float(entry.value if isinstance(entry, Symbol) else entry)


@pytest.fixture(params=UNITS, scope="module")
def contract(request) -> Contract:
    return Contract(UNITS[request.param]("unit"))


def test_the_library_has_units():
    assert "BatchReactor" in UNITS


@pytest.mark.parametrize("reading", ["on_floats", "on_pyomo"])
def test_the_readings_agree_at_random_points(contract, reading):
    agree(contract, reading)


def agree(contract: Contract, reading: str, exact: float = EXACT) -> None:
    """Assert that a reading gives the Dae's rates, residuals and outputs."""
    points = list(contract.points())
    expected = [contract.on_casadi(point) for point in points]
    found = [getattr(contract, reading)(point) for point in points]
    for name in found[0]:
        reference = np.array([values[name] for values in expected])
        size = exact * np.abs(reference).max()
        np.testing.assert_allclose([values[name] for values in found], reference, exact, size, err_msg=name)
    rows = {f"rate of {v.name}" for v in contract.dae.states} | set(contract.dae.equations)
    assert rows | set(contract.plant.expressions) <= set(found[0])


def test_units_are_consistent_to_pyomo_as_well(contract):
    assert_units_consistent(contract.model)


def test_totals_change_by_their_sources_alone(contract):
    for point in contract.points():
        for total, imbalance in contract.imbalances(point).items():
            assert imbalance < EXACT, total


def test_rates_are_finite_at_the_start_and_on_the_way(contract):
    run = simulate(contract.plant, contract.recipe, contract.inputs)
    assert np.isfinite(run.frame().to_numpy()).all()
    dae = contract.dae
    assert np.isfinite(starts(dae.states)).all()
    first = {name: series[0] for name, series in run.phases[0].columns()}
    point = dict(contract.plant.values) | contract.inputs | first | {"time": 0.0}
    assert np.isfinite(list(contract.on_casadi(point).values())).all()


def test_the_equations_are_square_and_of_index_1(contract):
    dae = contract.dae
    assert len(dae.equations) == len(dae.algebraics)
    t, x, z, u, p = contract.operation.lowered.symbols
    slope = ca.Function("slope", [t, x, z, u, p], [ca.jacobian(dae.function(t, x, z, u, p)[1], z)])
    for point in contract.points():
        matrix = np.array(slope(*contract._groups(point)))
        assert np.linalg.matrix_rank(matrix) == len(dae.algebraics)


def test_every_declared_variable_has_a_unit_that_parses(contract):
    for path, (_, declared) in with_parts(contract.unit, object).items():
        texts = [text for text, _ in declared.variables.values()] if isinstance(declared, Port) else [declared.unit]
        assert all(isinstance(Measure.of(text), Measure) for text in texts), path


def test_the_docstring_is_the_model(contract):
    """It names every declared variable (k0_1 may be written k0_i), assumptions and a source."""
    unit = contract.unit
    text = " ".join((type(owner).__doc__ or "") for owner in [unit, *(part for _, part in unit.parts())])
    for word in ("Equations", "Assumptions", "Source"):
        assert word in text, word
    for path in with_parts(unit, object):
        name = path.split(".")[-1]
        forms = {name, re.sub(r"_?\d+$", "_i", name)}
        assert any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) for form in forms), path


# --- the checks themselves ------------------------------------------------------------------------------------


class Washer(Unit):
    """Arrays, an inlet, an outlet, an algebraic variable, and every function that the readings spell differently."""

    time = "min"
    species: tuple[str, ...] = ("A", "B")
    m = State("g", start=(1.0, 2.0), lower=0.0, over="species")
    V = State("L", start=3.0, lower=0.1)
    y = Algebraic("1", start=0.5, lower=0.0)
    K = Parameter("g/L", 0.7)
    shape = Expression("1", over="species")
    feed = Inlet("L/min", c=("g/L", "species"))
    drain = Outlet("L/min", c=("g/L", "species"))

    def equations(self, v):
        c = v.m / v.V
        x = c / v.K
        bent = np.arcsinh(x) + np.log1p(x) * np.expm1(-x) + np.cbrt(x) + np.log2(1.0 + x) + np.arctanh(x / (2.0 + x))
        shape = v.define("shape", bent + np.arccosh(1.0 + x) + smooth_maximum(x, 0.5, 0.1) ** 1.3)
        flow = v.feed.flow * v.y
        return Equations(
            rate={"m": v.feed.flow * v.feed.c - flow * c, "V": v.feed.flow - flow},
            zero={"split": v.y * (1.0 + shape[0]) - shape[1] * np.exp(-v.time / quantity(60.0, "min"))},
            port={"drain": {"flow": flow, "c": c}},
        )

    def conserved(self, v):
        return {"A": Conserved(v.m[0], v.feed.flow * v.feed.c[0] - v.drain.flow * v.drain.c[0])}


@pytest.mark.parametrize("reading", ["on_floats", "on_pyomo"])
def test_the_readings_agree_on_arrays_streams_algebraics_and_every_function(reading):
    washer = Contract(Washer("washer"))
    agree(washer, reading)
    assert max(washer.imbalances(point)["A"] for point in washer.points()) < EXACT
    assert_units_consistent(washer.model)


def test_a_term_in_the_wrong_balance_is_seen():
    """The checks themselves: a reaction that loses moles, an expression that only one reading would have."""

    class Leaky(library.BatchReactor):
        def equations(self, v):
            returned = super().equations(v)
            return type(returned)(rate={**returned.rate, "c_C": 0.999 * v.r_2})

    leaky = Contract(Leaky("unit"))
    worst = max(leaky.imbalances(point)["moles"] for point in leaky.points())
    assert worst > 1e-6
    assert set(leaky.plant.expressions) == {f"unit.{path}" for path in with_parts(leaky.unit, Expression)}
