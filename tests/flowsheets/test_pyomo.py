"""A recipe read on Pyomo is the same problem: units consistent, residuals equal, and one optimum."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from pyomo.util.check_units import assert_units_consistent, assert_units_equivalent

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    AtStart,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Part,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
)
from titer.flowsheets.pyomo import component_of, initialize, name_of, solve_pyomo, trajectories, value_of
from titer.flowsheets.pyomo.moments import moments_of
from titer.flowsheets.pyomo.reading import unit_of
from titer.flowsheets.pyomo.start import relax
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.terms import AtTimes
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt, Points
from titer.numerics.errors import SolveError, SpecificationError


class Ray(Unit):
    """The temperature benchmark: A -> B -> C, the first step of second order."""

    time = "h"
    x1 = State("1", start=1.0, lower=0.0)
    x2 = State("1", start=0.0, lower=0.0)
    T = Control("K", start=340.0, lower=298.0, upper=398.0)
    E_1 = Parameter("K", 2500.0)
    E_2 = Parameter("K", 5000.0)
    a_1 = Parameter("1/h", 4000.0)
    a_2 = Parameter("1/h", 620000.0)

    def equations(self, v):
        r_1 = v.a_1 * np.exp(-v.E_1 / v.T) * v.x1**2
        return Equations(rate={"x1": -r_1, "x2": r_1 - v.a_2 * np.exp(-v.E_2 / v.T) * v.x2})


class Law(Part):
    """A rate law of its own."""

    k = Parameter("1/h", 0.5, lower=0.1, upper=2.0, over="species")
    rate = Expression("g/L/h", over="species")


class Vessel(Unit):
    """Feeds, decays, and lets go; the decay per volume is algebraic. Some names are Pyomo's own."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    law: Part = Law()
    c = State("g/L", start=(4.0, 0.0), lower=0.0, over="species")
    model = State("L", start=1.0, lower=0.1)  # the volume
    config = Algebraic("g/L/h", start=1.0)  # the decay
    load = Control("L/h", start=0.1, lower=0.0, upper=0.5)
    type = Control("L/h", start=0.0, lower=0.0, upper=2.0)
    index = Parameter("g/L", 10.0)
    out = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        rate = v.law.define("rate", v.law.k * v.c)
        dilution = v.load / v.model
        feed = np.array([v.index, 0.0 * v.index])
        made = np.array([-v.config, v.config - rate[1]])
        return Equations(
            rate={"c": dilution * (feed - v.c) + made, "model": v.load - v.type},
            zero={"decay": v.config * (1.0 + v.c[0] / v.index) - rate[0]},
            port={"out": {"flow": v.type, "c": v.c}},
        )


class Tank(Unit):
    """Collects, in minutes and milligrams."""

    time = "min"
    species: tuple[str, ...] = ("A", "B")
    m = State("mg", start=0.0, lower=0.0, over="species")
    V = State("mL", start=0.0, lower=0.0)
    feed = Inlet("mL/min", c=("mg/mL", "species"))

    def equations(self, v):
        return Equations(rate={"m": v.feed.flow * v.feed.c, "V": v.feed.flow})


reactor, ray, vessel, tank = BatchReactor("reactor"), Ray("ray"), Vessel("vessel"), Tank("tank")
train = Flowsheet(vessel, tank, time="h")

BENCHMARK = (
    Flowsheet(ray),
    Recipe(Phase("react", duration=1.0)),
    {"free": {ray.T: PiecewiseConstant(20)}, "maximize": AtEnd(lambda v: v.ray.x2)},
)
REACTOR = (
    Flowsheet(reactor),
    Recipe(Phase("react", duration=Free(3600, 600, 7200))),
    {
        "free": {reactor.T_j: PiecewiseConstant(10)},
        "maximize": AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
        "subject_to": [
            Path(lambda v: v.reactor.T, upper=360.0, name="wall temperature"),
            AtEnd(lambda v: v.reactor.c_C, upper=0.15, name="impurity"),
        ],
    },
)
TRAIN = (
    train,
    Recipe(
        Phase(
            "react",
            Free(1.5, 0.2, 6),
            until=Reaches(vessel.c["A"], 2.0, "falling"),
            idle=[tank],
            fixed={vessel.type: 0},
        ),
        Phase(
            "transfer",
            Free(1.0, 0.3, 4.0),
            start={vessel.c["A"]: lambda v: v.vessel.c[0] + 1.0},
            routes=[(vessel.out, tank.feed)],
            fixed={vessel.law.k["B"]: 0.4},
        ),
    ),
    {
        "free": {
            vessel.load: PiecewiseConstant(3),
            vessel.type: PiecewiseLinear(2, rate=1.0, guess=0.5),
            vessel.law.k["A"]: Free(0.5, 0.3, 0.8),
            vessel.model: Free(1.0, 0.8, 1.2),
        },
        "minimize": Integral(lambda v: v.vessel.load) * 3.0 - AtEnd(lambda v: v.tank.m[1] / (v.time + 1.0)) / 1000.0
        + AtStart(lambda v: v.vessel.model) * 0.1,
        "subject_to": [
            Path(lambda v: v.vessel.model, upper=1.4, lower=0.2, name="level"),
            AtEnd(lambda v: v.tank.V, lower=300.0, name="collected"),
            Integral(lambda v: v.vessel.load, upper=0.5, name="fed"),
        ],
    },
)  # fmt: skip
GIVEN = (vessel.load, vessel.type, tank.feed.flow, *tank.feed.c)
PROBLEMS = {"benchmark": BENCHMARK, "reactor": REACTOR, "train": TRAIN}


@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_pyomo_finds_the_optimum_that_titer_finds(problem, points):
    plant, recipe, terms = PROBLEMS[problem]
    grid = Grid(20, 3, points)
    plan = optimize(plant, recipe, grid=grid, solver=Ipopt(tolerance=1e-10), **terms)
    model = plant.to_pyomo(recipe, grid, **terms)
    outcome = solve_pyomo(model, tolerance=1e-10)
    assert outcome.success
    assert outcome.objective == pytest.approx(plan.objective, rel=1e-6)
    for phase in recipe:
        assert model.phase[phase.name].duration.value == pytest.approx(plan.duration[phase.name], rel=1e-5)
    last = plan.phases[-1]
    for name in last.states:
        assert value_of(model, name) == pytest.approx(plan.at_end(name), rel=1e-4, abs=1e-6)


def test_a_plan_is_a_start_and_nothing_is_left_to_do():
    plant, recipe, terms = TRAIN
    plan = optimize(plant, recipe, grid=Grid(8), solver=Ipopt(tolerance=1e-9), **terms)
    model = plant.to_pyomo(recipe, Grid(8), **terms)
    initialize(model, plan)
    assert pyo.value(model.objective) == pytest.approx(plan.objective, rel=1e-5)
    warm = {"ipopt.mu_init": 1e-8, "ipopt.bound_push": 1e-9, "ipopt.bound_frac": 1e-9}
    outcome = solve_pyomo(model, options=warm)
    assert outcome.objective == pytest.approx(plan.objective, rel=1e-6)
    assert outcome.iterations < 15
    with pytest.raises(SpecificationError, match="the solution has no phase 'other', it has react, transfer"):
        initialize(train.to_pyomo(Recipe(Phase("other", 1.0)), inputs=dict.fromkeys(GIVEN, 0.1)), plan)


def test_data_are_fitted_through_pyomo_too():
    recipe = Recipe(Phase("a", duration=900.0), Phase("b", duration=900.0))
    times, truth = np.array([0.0, 300.0, 900.0, 1500.0, 1800.0]), np.array([0.0, 0.1, 0.4, 0.6, 0.65])
    data = AtTimes(lambda v: v.reactor.c_B, times=times, measured=truth, deviations=np.full(5, 0.01))
    terms = {"free": {reactor.k0_1: Free(2e9, 1e8, 1e10)}, "minimize": data, "inputs": {reactor.T_j: 334.0}}
    plan = optimize(REACTOR[0], recipe, grid=Grid(10), **terms)
    model = REACTOR[0].to_pyomo(recipe, Grid(10), **terms)
    assert solve_pyomo(model).objective == pytest.approx(plan.objective, rel=1e-6)
    assert value_of(model, reactor.k0_1) == pytest.approx(plan.values[reactor.k0_1], rel=1e-5)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_units_are_consistent_before_discretization_and_after(problem):
    plant, recipe, terms = PROBLEMS[problem]
    assert_units_consistent(plant.to_pyomo(recipe, **terms))
    assert_units_consistent(plant.to_pyomo(recipe, Grid(4, 2), **terms))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_at_random_points_constraints_leave_the_residuals_of_the_dae(problem, agree_with_the_dae):
    plant, recipe, terms = PROBLEMS[problem]
    model = plant.to_pyomo(recipe, **terms)
    assert agree_with_the_dae(model) >= 4
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    for row in model.component_data_objects(pyo.Constraint):
        if row.parent_component().local_name.endswith("_equality") and row.index() in (1.0, (1.0, "A"), (1.0, "B")):
            assert pyo.value(row.body) == pytest.approx(0.0, abs=1e-12)


def test_a_clone_that_the_user_discretizes_is_the_same_problem():
    plant, recipe, terms = REACTOR
    model = plant.to_pyomo(recipe, **terms)
    clone = model.clone()
    tau = clone.phase["react"].tau
    pyo.TransformationFactory("dae.collocation").apply_to(clone, wrt=tau, nfe=20, ncp=3, scheme="LAGRANGE-RADAU")
    initialize(clone)
    assert len(model.phase["react"].tau) == 11
    rows = clone.component_data_objects(pyo.Constraint)
    assert all(v.model() is clone for row in rows for v in identify_variables(row.body))
    ours = plant.to_pyomo(recipe, Grid(20, 3), **terms)
    assert solve_pyomo(clone).objective == pytest.approx(solve_pyomo(ours).objective, rel=1e-7)


def test_collocation_points_are_where_titer_has_them_not_rounded_as_in_the_set():
    clock = Flowsheet(Ray("ray"))
    recipe = Recipe(Phase("react", duration=1.0))
    inputs = {ray.T: lambda t: 340.0 + 20.0 * t}
    model = clock.to_pyomo(recipe, Grid(7, 3), inputs=inputs)
    block = model.phase["react"]
    nodes = np.array(ca.collocation_points(3, "radau"))
    expected = np.append(0.0, (np.arange(7)[:, None] + nodes[None, :]).ravel() / 7.0)
    frame = trajectories(model)
    np.testing.assert_allclose(frame.index, expected, rtol=1e-14)
    np.testing.assert_allclose(frame[ray.T], 340.0 + 20.0 * expected, rtol=1e-14)
    assert max(abs(np.array(list(block.tau)) - expected)) > 1e-8  # what Pyomo's own points are off by
    assert_units_consistent(model)


def test_without_an_objective_the_model_simulates():
    run = REACTOR[0].to_pyomo(Recipe(Phase("react", duration=3600.0)), Grid(30, 3), inputs={reactor.T_j: 334.0})
    assert solve_pyomo(run).success
    assert value_of(run, reactor.c_B) == pytest.approx(0.72926, rel=1e-4)
    frame = trajectories(run)
    assert frame.index.name == "time [s]"
    np.testing.assert_allclose(frame[reactor.c_A] + frame[reactor.c_B] + frame[reactor.c_C], 1.0, rtol=1e-8)


def test_a_simulation_is_feasible_on_elements_so_few_that_a_state_comes_out_below_its_domain():
    recipe = Recipe(Phase("react", duration=3600.0))
    model = Flowsheet(reactor, time="s").to_pyomo(recipe, Grid(elements=5), inputs={reactor.T_j: 334.0})
    assert solve_pyomo(model).success
    c_C = model.phase["react"].reactor.c_C
    assert -1e-3 < min(each.value for each in c_C.values()) < -1e-4
    c_C[1.0].setlb(-5.0)  # a user's bound stays
    initialize(model)
    assert c_C[1.0].lb == -5.0


def test_a_relaxed_domain_holds_what_it_starts_at():
    model = pyo.ConcreteModel()
    model.c = pyo.Var(initialize=-0.3, bounds=(0.0, None))
    relax(model.c, reactor.scalars["c_C"], 0.1)
    assert model.c.lb == -0.3
    model.c.set_value(2.0)
    relax(model.c, reactor.scalars["c_C"], 0.1)
    assert model.c.lb == -0.1


def test_names_that_pyomo_reserves_are_mapped_both_ways():
    plant, recipe, terms = TRAIN
    model = plant.to_pyomo(recipe, **terms)
    transfer = model.phase["transfer"]
    assert component_of(model, vessel.load) is transfer.vessel.load_
    assert component_of(model, vessel.c["B"]) is transfer.vessel.c
    assert component_of(model, vessel.index) is model.plant.vessel.index_
    assert component_of(model, vessel.law.k["B"], "transfer") is transfer.vessel.law_k
    assert component_of(model, vessel.law.k["B"], "react") is model.plant.vessel.law_k
    for name in (vessel.model, vessel.config, vessel.type, vessel.c["B"], tank.feed.c["A"], vessel.law.rate["B"]):
        assert name_of(moments_of(transfer).value(name, 1.0)) == name


@pytest.mark.parametrize("name", ["tau", "link", "duration", "plant", "phase", "clock", "model", "integral", "edges"])
def test_a_unit_operation_may_be_called_what_a_phase_has(name):
    unit = Ray(name)
    model = Flowsheet(unit).to_pyomo(
        Recipe(Phase("react", 1.0)), Grid(3), free={unit.T: PiecewiseConstant(2)}, maximize=AtEnd(lambda v: v[unit.x2]),
        subject_to=[Integral(lambda v: v[unit.T], upper=345.0)],
    )  # fmt: skip
    assert solve_pyomo(model).success
    for each in (unit.x1, unit.T, unit.E_1):
        data = component_of(model, each)
        assert name_of(data[1.0] if data.is_indexed() else data) == each
    assert name_of(moments_of(model.phase["react"]).slope(unit.x1, 1.0)) == unit.x1
    assert name_of(moments_of(model.phase["react"]).pieces(unit.T)[1]) == unit.T


@pytest.mark.parametrize("text", ["cell/mL", "CV/h", "OD", "vvm", "AU", "mAU", "%", "J/K/mol", "µm", "1", "mol^0.5/L"])
def test_every_unit_that_titer_reads_is_known_to_pyomo(text):
    measure = Measure.of(text)
    factor, _ = pyo.units.pint_registry.get_base_units(pyo.units._get_pint_units(unit_of(measure)))
    assert float(factor) == pytest.approx(measure.factor, rel=1e-12)
    assert_units_equivalent(unit_of(measure), 2.0 * unit_of(measure))
    assert unit_of(measure) is unit_of(measure)


def test_what_does_not_fit_is_said():
    plant, recipe, terms = REACTOR
    model = plant.to_pyomo(recipe, **terms)
    with pytest.raises(SpecificationError, match=r"name 'reactor\.c_X' is unknown\. Did you mean 'reactor\.c_"):
        value_of(model, "reactor.c_X")
    with pytest.raises(SpecificationError, match=r"phase 'recat' is unknown\. Did you mean 'react'"):
        value_of(model, reactor.c_B, "recat")
    with pytest.raises(SpecificationError, match="is no variable or expression of a unit operation"):
        name_of(model.phase["react"].duration)
    with pytest.raises(SpecificationError, match="give minimize= or maximize=, not both"):
        plant.to_pyomo(recipe, **terms, minimize=terms["maximize"])
    with pytest.raises(SpecificationError, match="grid must be a Grid or None, got 20"):
        plant.to_pyomo(recipe, 20, **terms)
    with pytest.raises(SpecificationError, match=r"control reactor.T_j has no trajectory"):
        plant.to_pyomo(recipe)
    until = Recipe(Phase("react", Free(100, 10, 200), until=Reaches(reactor.c_B, 0.9, "rising")))
    with pytest.raises(SolveError, match=r"no start: Phase 'react': until reactor\.c_B reaches 0.9 rising is not met"):
        plant.to_pyomo(until, inputs={reactor.T_j: 334.0})
