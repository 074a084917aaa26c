"""What a Pyomo model is made of: arrays over sets, a unit on every component, as many equations as unknowns."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.network import Arc, Port
from pyomo.util.check_units import assert_units_consistent, assert_units_equivalent

import titer.flowsheets.units as library
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.pyomo import component_of, name_of, solve_pyomo, value_of
from titer.numerics import Grid, Ipopt

UNITS = [name for name in library.__all__ if issubclass(getattr(library, name), Unit)]


class Column(Unit):
    """Cells in a row; each has a heater, and a set that may be empty."""

    time = "min"
    cells: int = 3
    species: tuple[str, ...] = ("salt", "product")
    c = State("g/L", start=0.5, lower=0.0, over=("cells", "species"))
    T = State("K", start=300.0, over="cells")
    tracer = State("g/L", start=1.0, over="extra")
    heat = Control("K/min", start=1.0, lower=-5.0, upper=5.0, over="cells")
    k = Parameter("1/min", 0.1, over=("cells", "species"))
    lost = Expression("g/L/min", over=("cells", "species"))
    feed = Inlet("L/min", c=("g/L", "species"))
    out = Outlet("L/min", c=("g/L", "species"))

    V = Parameter("L", 2.0)
    T_ref = Parameter("K", 300.0)

    @property
    def extra(self) -> tuple[str, ...]:
        """Tracers: none."""
        return ()

    def equations(self, v):
        before = np.concatenate([[v.feed.c], v.c[:-1]])
        lost = v.define("lost", v.k * v.c * (v.T / v.T_ref)[:, None] ** 2)
        rate = v.feed.flow / v.V * (before - v.c) - lost
        return Equations(
            rate={"c": rate, "T": v.heat},
            port={"out": {"flow": v.feed.flow, "c": v.c[-1]}},
        )


column = Column("column")
PLANT = Flowsheet(column)
HEATS = {column.heat[0]: 1.0, column.heat[1]: lambda t: 2.0 - 0.1 * t}
FED = {column.feed.flow: 0.4, column.feed.c["salt"]: 2.0, column.feed.c["product"]: lambda t: 1.0 + 0.1 * np.sin(t)}


def test_arrays_are_components_over_their_sets(agree_with_the_dae):
    """A decided, a given and a driven element of one array of controls stand in one component."""
    terms = {
        "inputs": {**HEATS, **FED},
        "free": {column.heat[2]: PiecewiseConstant(4), column.k[1, "product"]: Free(0.1, 0.05, 0.2)},
        "maximize": AtEnd(lambda v: v.column.c[-1, 1]) - 1e-3 * Integral(lambda v: v.column.heat[2] ** 2),
    }
    recipe = Recipe(Phase("load", 8.0))
    plan = optimize(PLANT, recipe, grid=Grid(8), solver=Ipopt(tolerance=1e-10), **terms)
    model = PLANT.to_pyomo(recipe, **terms)
    own = model.phase["load"].column
    assert own.c.index_set().dimen == 3
    assert own.heat.index_set().dimen == 2
    assert own.feed_c.index_set().dimen == 2
    assert own.component("tracer") is None, "nothing is declared over an empty set"
    assert own.heat_0_pieces[0].fixed
    assert not own.heat_2_pieces[0].fixed
    assert own.component("heat_1_pieces") is None
    assert component_of(model, column.c[2, "product"]) is own.c
    for data, name in (
        (own.c[1.0, 2, "product"], column.c[2, "product"]),
        (own.heat[0.0, 1], column.heat[1]),
        (own.heat_2_pieces[3], column.heat[2]),
        (own.lost[1.0, 0, "salt"], column.lost[0, "salt"]),
        (own.feed_c[0.0, "salt"], column.feed.c["salt"]),
        (model.plant.column.k[1, "product"], column.k[1, "product"]),
    ):
        assert name_of(data) == name
    assert agree_with_the_dae(model) > 10
    assert_units_consistent(model)
    discretized = PLANT.to_pyomo(recipe, Grid(8), **terms)
    assert solve_pyomo(discretized, tolerance=1e-10).objective == pytest.approx(plan.objective, rel=1e-6)


def test_states_of_a_unit_at_rest_are_held_as_arrays():
    recipe = Recipe(Phase("load", 2.0), Phase("rest", 1.0, idle=[column]))
    inputs = {**HEATS, **FED, column.heat[2]: 0.0}
    run = simulate(PLANT, Recipe(recipe.phases[0]), inputs)
    other = library.BatchReactor("reactor")
    both = Flowsheet(column, other, time="min")
    model = both.to_pyomo(recipe, Grid(6), inputs={**inputs, other.T_j: 330.0})
    assert solve_pyomo(model).success
    rest = model.phase["rest"].column
    assert rest.c.index_set().dimen == 2
    for name in (*column.c, *column.T):
        assert value_of(model, name) == pytest.approx(run.at_end(name), rel=1e-6)
    assert not list(rest.component_objects([Port, DerivativeVar]))


def test_every_component_has_its_unit():
    model = PLANT.to_pyomo(
        Recipe(Phase("load", 8.0)), inputs={**HEATS, **FED}, free={column.heat[2]: PiecewiseConstant(2)},
        subject_to=[Integral(lambda v: v.column.feed.flow * v.column.c[-1, 1], upper=9.0, name="collected")],
    )  # fmt: skip
    block, units = model.phase["load"], pyo.units
    for data, unit in (
        (block.duration, units.min),
        (block.column.c[1.0, 0, "salt"], units.g / units.L),
        (block.column.dc_dtau[1.0, 0, "salt"], units.g / units.L),
        (block.column.heat_2_pieces[0], units.K / units.min),
        (block.column.feed_flow[0.0], units.L / units.min),
        (block.column.lost[0.0, 0, "salt"], units.g / units.L / units.min),
        (model.plant.column.k[0, "salt"], 1 / units.min),
        (block.integral["collected"].value[1.0], units.g),
        (block.time[1.0], units.min),
    ):
        assert_units_equivalent(data, unit)
    assert [s.local_name for s in block.component_objects(ContinuousSet)] == ["tau"]
    assert block.tau.bounds() == (0.0, 1.0)


class Plug(Unit):
    """Takes up what a column lets out."""

    time = "h"
    species: tuple[str, ...] = ("salt", "product")
    m = State("g", start=0.0, over="species")
    feed = Inlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        return Equations(rate={"m": v.feed.flow * v.feed.c})


@pytest.mark.parametrize("grid", [Grid(3), Grid({"load": 4, "wash": 2}, 2)])
def test_a_model_to_be_simulated_has_as_many_equations_as_unknowns(grid):
    short, plug = Column("short", cells=2), Plug("plug")
    inputs = {short.feed.flow: 0.4, **dict.fromkeys(short.feed.c, 2.0), **dict.fromkeys(short.heat, 0.5)}
    plant = Flowsheet(short, plug, connect=[(short.out, plug.feed)], time="min")
    model = plant.to_pyomo(
        Recipe(
            Phase("load", Free(2.0, 0.1, 9.0), until=Reaches(short.c[0, "salt"], 0.6, "rising"), idle=[plug]),
            Phase("wash", 1.0, start={short.c[0, "salt"]: 0.1, short.T[0]: lambda v: v.short.T[1]}),
        ),
        grid, inputs=inputs,
    )  # fmt: skip
    rows = [row for row in model.component_data_objects(pyo.Constraint, active=True) if row.equality]
    unknowns = {id(v) for row in rows for v in identify_variables(row.body, include_fixed=False)}
    assert len(rows) == len(unknowns)
    assert not list(model.component_data_objects(Arc, active=True))
    assert solve_pyomo(model).success
    assert value_of(model, short.c[0, "salt"], "load") == pytest.approx(0.6, rel=1e-8)


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_of_the_library_simulates_through_pyomo(name):
    unit = getattr(library, name)("unit")
    plant = Flowsheet(unit)
    inputs = {inlet: 320.0 if inlet.endswith(".T") else 1.0 for inlet in plant.inlet_names}
    inputs |= {str(s.name): s.start for s in unit.scalars.values() if s.kind == "control"}
    recipe = Recipe(Phase("run", duration=1.0))
    run = simulate(plant, recipe, inputs, tolerance=1e-10)  # the default is relative to nominal sizes
    model = plant.to_pyomo(recipe, Grid(10), inputs=inputs)
    assert_units_consistent(model)
    assert solve_pyomo(model).success
    for state in run.phases[0].states:
        size = float(np.abs(run[state]).max())
        assert value_of(model, state) == pytest.approx(run.at_end(state), rel=1e-6, abs=1e-7 * max(size, 1.0))
