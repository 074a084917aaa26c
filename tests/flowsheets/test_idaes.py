"""A phase is an IDAES flowsheet: well posed to its diagnostics, the same equations, and at home beside its models."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from pyomo.util.check_units import assert_units_consistent

import titer.flowsheets.units as library
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    Reaches,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.flowsheets.pyomo import (
    bundled_pynumero,
    component_of,
    initialize_flowsheet,
    name_of,
    trajectories,
    value_of,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Points
from titer.numerics.errors import SpecificationError

pytest.importorskip("idaes", reason="idaes-pse is not installed: pip install titer[idaes]")

UNITS = {name: kind for name in library.__all__ if issubclass(kind := getattr(library, name), Unit)}
reactor = BatchReactor("reactor")
BATCH = Flowsheet(reactor)
REACT = Phase("react", duration=3600.0)
HEATED = {reactor.T_j: 334.0}


class Tank(Unit):
    """A tank whose outflow follows its level, by an algebraic equation; some names are Pyomo's own."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    model = State("L", start=1.0, lower=0.01)  # the volume
    c = State("g/L", start=(1.0, 2.0), lower=0.0, over="species")
    load = Algebraic("L/h", start=0.5)  # the flow out
    k = Parameter("1/h", 0.5)
    feed = Inlet("L/h", c=("g/L", "species"))
    out = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        return Equations(
            rate={"model": v.feed.flow - v.load, "c": v.feed.flow / v.model * (v.feed.c - v.c)},
            zero={"load": v.load - v.k * v.model},
            port={"out": {"flow": v.load, "c": v.c}},
        )


class Collector(Unit):
    """Collects, in minutes and milligrams."""

    time = "min"
    species: tuple[str, ...] = ("A", "B")
    m = State("mg", start=0.0, lower=0.0, over="species")
    feed = Inlet("mL/min", c=("mg/mL", "species"))

    def equations(self, v):
        return Equations(rate={"m": v.feed.flow * v.feed.c})


class Mixer(Unit):
    """Adds a recycle to a fresh feed."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    fresh = Control("L/h", start=0.2, lower=0.0)
    recycled = Inlet("L/h", c=("g/L", "species"))
    out = Outlet("L/h", c=("g/L", "species"))
    over = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        flow = v.fresh + v.recycled.flow
        mixed = v.recycled.flow * v.recycled.c / flow
        return Equations(port={"out": {"flow": 0.5 * flow, "c": mixed}, "over": {"flow": 0.5 * flow, "c": mixed}})


upper, lower, collector = Tank("upper"), Tank("lower"), Collector("collector")
GIVEN = {upper.feed.flow: 0.3, **dict(zip(upper.feed.c, (4.0, 5.0), strict=True))}
CASCADE = Flowsheet(upper, lower, collector, connect=[(upper.out, lower.feed), (lower.out, collector.feed)], time="h")


def model_of(flowsheet):
    model = pyo.ConcreteModel()
    model.fs = flowsheet
    return model


def solve(model):
    results = pyo.SolverFactory("titer.ipopt").solve(model)
    pyo.assert_optimal_termination(results)
    return model


def toolbox(model):
    from idaes.core.util.diagnostics_tools import DiagnosticsToolbox

    return DiagnosticsToolbox(model)


# Published laws that divide by biomass, or by a saturation whose pole lies below the domain that rounding may reach.
DIVIDING = {"CitrateFermenter", "PenicillinFedBatch", "PichiaPerfusion"}


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_of_the_library_is_well_posed_to_idaes(name, agree_with_the_dae):
    unit = UNITS[name]("unit")
    plant = Flowsheet(unit)
    inputs = dict.fromkeys(plant.inlet_names, 1.0)
    inputs |= {str(s.name): s.start for s in unit.of_kind(Control)}
    model = model_of(plant.to_idaes(Phase("run", duration=1.0), inputs=inputs, grid=Grid(2, degree=2)))
    assert_units_consistent(model)
    diagnostics = toolbox(model)
    diagnostics.assert_no_structural_warnings(ignore_evaluation_errors=name in DIVIDING)
    diagnostics.report_structural_issues(stream=io.StringIO())
    assert agree_with_the_dae(model) >= 2 * len(unit.of_kind(State))


@pytest.mark.parametrize("grid", [Grid(8), Grid(8, points=Points.LEGENDRE)], ids=["Radau", "Legendre"])
def test_a_flowsheet_solved_is_what_titer_simulates(grid):
    model = solve(model_of(CASCADE.to_idaes(Phase("run", 2.0), inputs=GIVEN, grid=grid)))
    run = simulate(CASCADE, Recipe(Phase("run", 2.0)), inputs=GIVEN)
    for name in (*collector.m, lower.model, *lower.c, upper.load):
        assert value_of(model.fs, name) == pytest.approx(run.at_end(name), rel=1e-7)
    assert str(model.fs.time_units) == "h"
    assert_units_consistent(model)
    toolbox(model).assert_no_structural_warnings()


def test_names_are_found_both_ways():
    flowsheet = CASCADE.to_idaes(Phase("run", 2.0), inputs=GIVEN)
    assert component_of(flowsheet, upper.load) is flowsheet.upper.load_
    assert name_of(flowsheet.upper.model_[0.0]) == upper.model
    assert name_of(flowsheet.upper.k) == upper.k
    assert list(trajectories(flowsheet).index) == [0.0, 2.0]
    arc = flowsheet.upper_out_to_lower_feed
    assert (arc.source, arc.destination) == (flowsheet.upper.out, flowsheet.lower.feed)


def test_residuals_at_simulated_points_are_titers():
    run = simulate(BATCH, Recipe(REACT), inputs=HEATED)
    flowsheet = BATCH.to_idaes(REACT, inputs=HEATED, grid=Grid(5))
    dae = BATCH.to_idaes(REACT, inputs=HEATED)._titer.plan.operation.lowered.dae
    frame = run.frame()
    for t in flowsheet.time:
        row = frame.iloc[int(np.abs(frame.index - t).argmin())]
        x = [row[v.name] for v in dae.states]
        for v in dae.states:
            component_of(flowsheet, v.name)[t].set_value(row[v.name], skip_validation=True)
        z, u, p = [row[v.name] for v in dae.algebraics], [334.0], [v.start for v in dae.parameters]
        rates = np.array(dae.function(t, x, z, u, p)[0]).ravel()
        for v, rate in zip(dae.states, rates, strict=True):
            local = v.name.split(".")[1]
            slope = getattr(flowsheet.reactor, f"d{local}_dt")[t]
            slope.set_value(rate)
            residual = pyo.value(flowsheet.reactor.balance[t, local].body)
            assert abs(residual) <= 1e-9 * max(1.0, abs(rate))


def test_streams_that_run_in_a_circle_close(agree_with_the_dae):
    mixer, tank = Mixer("mixer"), Tank("tank")
    plant = Flowsheet(mixer, tank, connect=[(mixer.out, tank.feed), (tank.out, mixer.recycled)], time="h")
    phase, inputs = Phase("run", 3.0), {mixer.fresh: lambda t: 0.2 + 0.1 * np.sin(t)}
    model = solve(model_of(plant.to_idaes(phase, inputs=inputs, grid=Grid(10))))
    run = simulate(plant, Recipe(phase), inputs=inputs)
    for name in (tank.model, *tank.c):
        assert value_of(model.fs, name) == pytest.approx(run.at_end(name), rel=1e-7)
    toolbox(model).assert_no_structural_warnings(ignore_evaluation_errors=True)  # the mixer divides by its flow
    assert agree_with_the_dae(model_of(plant.to_idaes(phase, inputs={mixer.fresh: 0.2}))) > 0


@pytest.mark.parametrize(("kind", "exact"), [("collocation", 5e-6), ("finite_difference", 2e-2)])
def test_users_discretize_themselves(kind, exact):
    jacket = pd.Series([330.0, 340.0], index=[0.0, 1800.0])
    model = model_of(BATCH.to_idaes(REACT, inputs={reactor.T_j: jacket})).clone()
    assert_units_consistent(model)
    options = {"nfe": 20, "ncp": 3} if kind == "collocation" else {"nfe": 60}
    pyo.TransformationFactory(f"dae.{kind}").apply_to(model, wrt=model.fs.time, **options)
    initialize_flowsheet(model)
    assert all(variable.fixed for variable in model.fs.reactor.T_j.values())
    assert model.fs.reactor.T_j[1800.0].value == 330.0, "where an input jumps, the value before"
    rows = model.component_data_objects(pyo.Constraint, active=True)
    assert all(v.model() is model for row in rows for v in identify_variables(row.body))
    solve(model)
    run = simulate(BATCH, Recipe(REACT), inputs={reactor.T_j: jacket})
    assert value_of(model.fs, reactor.c_B) == pytest.approx(run.at_end(reactor.c_B), rel=exact)


def test_a_control_that_is_freed_stays_free():
    model = model_of(BATCH.to_idaes(REACT, inputs=HEATED, grid=Grid(6)))
    model.fs.reactor.T_j.unfix()
    initialize_flowsheet(model)
    assert not any(variable.fixed for variable in model.fs.reactor.T_j.values())
    model.objective = pyo.Objective(expr=model.fs.reactor.c_B[3600.0], sense=pyo.maximize)
    before = pyo.value(model.objective)
    assert pyo.value(solve(model).objective) > before


def test_a_recipe_is_flowsheets_one_after_another():
    plant = Flowsheet(upper, collector, time="h")
    recipe = Recipe(
        Phase("fill", Free(1.0, 0.5, 2.0), inputs={**GIVEN, upper.feed.flow: 3.0}, idle=[collector]),
        Phase(
            "drain", duration=Free(2.0, 0.1, 9.0), until=Reaches(upper.model, 0.5, "falling"),
            start={upper.c["A"]: lambda v: 2.0 * v.upper.c[0]}, fixed={upper.k: 0.7},
            routes=[(upper.out, collector.feed)],
        ),
    )  # fmt: skip
    run = simulate(plant, recipe)
    model = plant.to_idaes(recipe, grid=Grid(10))
    assert_units_consistent(model)
    toolbox(model).assert_no_structural_warnings()
    drain = model.phase["drain"]
    assert drain.time.last() == pytest.approx(run.duration["drain"], rel=1e-7)
    solve(model)
    for name in (*collector.m, upper.model, *upper.c):
        assert value_of(model, name) == pytest.approx(run.at_end(name), rel=1e-6)
    assert trajectories(model).index[-1] == pytest.approx(run.frame().index[-1], rel=1e-7)


def test_numerical_reports_run_from_the_simulation_and_slopes_are_rates():
    model = model_of(BATCH.to_idaes(REACT, inputs=HEATED, grid=Grid(10)))
    own = model.fs.reactor
    assert all(abs(pyo.value(row.body)) <= 1e-12 * max(1.0, abs(own.dT_dt[0.0].value)) for row in own.balance.values())
    report = io.StringIO()
    with bundled_pynumero():
        toolbox(model).report_numerical_issues(stream=report)
    assert "Jacobian Condition Number" in report.getvalue()
    solve(model)
    residuals = io.StringIO()
    toolbox(model).display_constraints_with_large_residuals(stream=residuals)
    assert "disc_eq" not in residuals.getvalue()
    own.report(time_point=3600.0, ostream=(told := io.StringIO()))
    assert "c_B" in told.getvalue()


def small_cascade():
    return model_of(CASCADE.to_idaes(Phase("run", 2.0), inputs=GIVEN, grid=Grid(3)))


def test_scaling_tools_know_sizes():
    from idaes.core.scaling import AutoScaler, report_scaling_factors
    from idaes.core.scaling.util import list_unscaled_variables
    from idaes.core.util.scaling import calculate_scaling_factors, get_scaling_factor, report_scaling_issues

    model = small_cascade()
    assert get_scaling_factor(model.fs.upper.model_[0.0]) == pytest.approx(1.0)
    assert not list_unscaled_variables(model)
    report_scaling_factors(model, descend_into=True, stream=(told := io.StringIO()))
    assert "fs.upper.c" in told.getvalue()
    calculate_scaling_factors(model)
    report_scaling_issues(model, ostream=io.StringIO())
    with bundled_pynumero():
        AutoScaler().scale_model(model)


def test_initializers_start_from_the_simulation_and_solve():
    from idaes.core.initialization import InitializationStatus

    model = small_cascade()
    for unit in (model.fs.upper, model.fs.lower):
        unit.c[2.0, "A"].set_value(9.0)
        assert unit.default_initializer().initialize(unit) == InitializationStatus.Ok
    model.fs.collector.initialize()
    run = simulate(CASCADE, Recipe(Phase("run", 2.0)), inputs=GIVEN)
    assert value_of(model.fs, upper.c["A"]) == pytest.approx(run.at_end(upper.c["A"]), rel=1e-5)
    assert not model.fs.lower.feed_flow[0.0].fixed


def test_stream_tables_show_what_arcs_carry():
    model = small_cascade()
    table = model.fs.stream_table(time_point=2.0)
    assert table["upper_out_to_lower_feed"]["c A"] == model.fs.upper.c[2.0, "A"].value
    model.fs.report(time_point=2.0, ostream=(told := io.StringIO()))
    assert "lower_out_to_collector_feed" in told.getvalue()


def test_a_corrected_plant_stays_corrected():
    plant = BATCH.corrected({reactor.r_1: lambda v, rate: rate * (0.8 + v.reactor.T / quantity(3340.0, "K"))})
    model = solve(model_of(plant.to_idaes(REACT, inputs=HEATED, grid=Grid(20))))
    run = simulate(plant, Recipe(REACT), inputs=HEATED)
    assert value_of(model.fs, reactor.c_B) == pytest.approx(run.at_end(reactor.c_B), rel=5e-6)


def test_a_model_of_reduced_index_is_a_flowsheet_too(agree_with_the_dae):
    class Held(Unit):
        """A level that an equation holds: the outflow is what follows."""

        time = "h"
        V = State("L", start=2.0)
        F = Algebraic("L/h", start=1.0)
        fed = Parameter("L/h", 0.4)

        def equations(self, v):
            return Equations(rate={"V": v.fed - v.F}, zero={"level": v.V - 2.0})

    tank = Held("tank")
    plant = Flowsheet(tank).reduced()
    model = solve(model_of(plant.to_idaes(Phase("run", 2.0), grid=Grid(3))))
    assert value_of(model.fs, tank.F) == pytest.approx(0.4)
    assert_units_consistent(model)
    assert agree_with_the_dae(model_of(plant.to_idaes(Phase("run", 2.0)))) > 0


def test_what_is_wrong_is_said_at_the_door(monkeypatch):
    with pytest.raises(SpecificationError, match=r"to_idaes: expected a Phase"):
        BATCH.to_idaes(3600.0)
    with pytest.raises(SpecificationError, match="grid must be a Grid"):
        BATCH.to_idaes(REACT, grid=20)
    with pytest.raises(SpecificationError, match=r"six digits"):
        BATCH.to_idaes(Phase("short", duration=1e-3), inputs=HEATED, grid=Grid(20))
    with pytest.raises(SpecificationError, match="holds no flowsheet"):
        initialize_flowsheet(pyo.ConcreteModel("empty"))
    flowsheet = BATCH.to_idaes(REACT, inputs=HEATED)
    other = simulate(BATCH, Recipe(Phase("other", duration=60.0)), inputs=HEATED)
    with pytest.raises(SpecificationError, match="no phase 'react'"):
        initialize_flowsheet(flowsheet, other)
    monkeypatch.setattr("titer.flowsheets.pyomo.idaes.installed.find_spec", lambda name: None)
    with pytest.raises(SpecificationError, match=r"pip install titer\[idaes\]"):
        BATCH.to_idaes(REACT)


def test_pynumero_by_casadi_has_the_right_derivatives():
    from pyomo.contrib.pynumero.asl import AmplInterface
    from pyomo.contrib.pynumero.interfaces.pyomo_nlp import PyomoNLP

    available = AmplInterface.available()
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(2), initialize={0: 1.5, 1: 0.5}, bounds=(0.0, 3.0))
    model.row = pyo.Constraint(expr=model.x[0] ** 2 * model.x[1] == 2.0)
    model.limit = pyo.Constraint(expr=(None, model.x[0] + model.x[1], 4.0))
    model.objective = pyo.Objective(expr=pyo.exp(model.x[0]) + model.x[1] ** 3)
    model.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    model.scaling_factor[model.x[0]] = 10.0
    with bundled_pynumero():
        nlp = PyomoNLP(model)
        at = {v.index(): i for i, v in enumerate(nlp.get_pyomo_variables())}
        x = np.zeros(2)
        x[at[0]], x[at[1]] = 1.5, 0.5
        nlp.set_primals(x)
        rows = [c.local_name for c in nlp.get_pyomo_constraints()]
        jacobian = nlp.evaluate_jacobian().toarray()[rows.index("row")]
        nlp.set_duals(np.where(np.array(rows) == "row", 1.0, 0.0))
        hessian = nlp.evaluate_hessian_lag().toarray()
        assert nlp.evaluate_objective() == pytest.approx(np.exp(1.5) + 0.125)
        assert nlp.evaluate_grad_objective()[at[1]] == pytest.approx(0.75)
    assert jacobian[[at[0], at[1]]] == pytest.approx([1.5, 2.25])
    assert hessian[at[0], at[0]] == pytest.approx(np.exp(1.5) + 1.0)
    assert hessian[at[0], at[1]] == pytest.approx(3.0)
    assert hessian[at[1], at[1]] == pytest.approx(3.0)
    assert AmplInterface.available() == available
