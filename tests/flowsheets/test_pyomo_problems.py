"""Whatever a problem asks for, Pyomo finds what titer finds: scenarios, experiments, jumps, switching, index 2."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from pyomo.util.check_units import assert_units_consistent

from titer.control import optimize
from titer.control.optimization import optimization_problem
from titer.estimation import Experiment, Huber, estimate
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.pyomo import initialize, name_of, solve_pyomo, trajectories, value_of
from titer.flowsheets.pyomo.moments import moments_of
from titer.numerics import Grid, Ipopt, Points, Shooting
from titer.numerics.errors import SpecificationError

EXACT = Ipopt(tolerance=1e-10)


class Culture(Unit):
    """Grows on what is fed; the oxygen that it takes up is algebraic, and jumps with the stirring."""

    time = "h"
    X = State("g/L", start=1.0, lower=0.0)
    S = State("g/L", start=5.0, lower=0.0)
    oxygen = Algebraic("g/L", start=0.5)
    feed = Control("g/L/h", start=1.0, lower=0.0, upper=4.0)
    stirring = Control("1/h", start=20.0, lower=5.0, upper=60.0)
    mu_max = Parameter("1/h", 0.4, lower=0.05, upper=2.0)
    K = Parameter("g/L", 0.5)
    mu = Expression("1/h")

    def equations(self, v):
        mu = v.define("mu", v.mu_max * v.S / (v.K + v.S))
        return Equations(
            rate={"X": mu * v.X, "S": v.feed - 2.0 * mu * v.X},
            zero={"transfer": v.stirring * (1.0 - v.oxygen) - 4.0 * mu * v.X},
        )


class Level(Unit):
    """A tank whose level is held by an equation: index 2."""

    time = "h"
    V = State("L", start=2.0)
    c = State("g/L", start=1.0)
    F_out = Algebraic("L/h")
    F = Control("L/h", start=1.0, lower=0.0, upper=3.0)
    V_set = Parameter("L", 2.0)

    def equations(self, v):
        return Equations(rate={"V": v.F - v.F_out, "c": v.F / v.V * (5.0 - v.c)}, zero={"level": v.V - v.V_set})


culture, other = Culture("culture"), Culture("other")
plant = Flowsheet(culture)
BATCH = Recipe(Phase("grow", duration=Free(4.0, 2.0, 5.0)))
COST = 0.05 * Integral(lambda v: v.culture.feed**2) - 0.01 * Integral(lambda v: v.culture.stirring)
WANTED = AtEnd(lambda v: v.culture.X) - COST
FREE = {culture.feed: PiecewiseConstant(3), culture.stirring: PiecewiseConstant(4)}
ENERGY = Integral(lambda v: v.culture.stirring, upper=90.0, name="energy")
AIR = Path(lambda v: v.culture.oxygen * v.culture.stirring, upper=12.0, name="stripping")
SUPPLY = Path(lambda v: v.culture.feed * v.culture.S, upper=8.0, name="supply")
LIMITS = [AIR, SUPPLY, ENERGY]


def same_optimum(plant, recipe, grid, scenarios=None, rel=1e-6, **terms):
    """Assert that both ways end in one optimum; the Pyomo model and titer's plan."""
    plan = optimize(plant, recipe, grid=grid, solver=EXACT, starts=1, scenarios=scenarios, **terms)
    problem = optimization_problem(plant, recipe, grid=grid, scenarios=scenarios, **terms)
    assert_units_consistent(problem.to_pyomo())
    model = problem.to_pyomo(grid)
    outcome = solve_pyomo(model, tolerance=1e-10)
    assert outcome.success
    assert outcome.objective == pytest.approx(plan.objective, rel=rel)
    return model, plan


@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
def test_paths_hold_right_after_inputs_jump(points):
    grid = Grid(12, 3, points)
    model, _ = same_optimum(plant, BATCH, grid, free=FREE, maximize=WANTED, subject_to=LIMITS)
    block = model.phase["grow"]
    assert {(round(tau, 6), label) for tau, label in block.after_jump} == {
        *((tau, "stripping") for tau in (0.25, 0.5, 0.75)),
        *((round(tau, 6), "supply") for tau in (1 / 3, 2 / 3)),
    }
    assert len(block.culture.oxygen_after_jump) == 3
    assert name_of(block.culture.oxygen_after_jump[0.5]) == culture.oxygen
    after = moments_of(block).given(culture.oxygen, 0.5, True)
    expected = 1.0 - 4.0 * value_of(model, culture.mu, tau=0.5) * value_of(model, culture.X, tau=0.5) / pyo.value(
        block.culture.stirring_pieces[2]
    )
    assert after.value == pytest.approx(expected, rel=1e-8)
    loose = plant.to_pyomo(BATCH, grid, free=FREE, maximize=WANTED, subject_to=LIMITS)
    loose.phase["grow"].after_jump.deactivate()
    assert solve_pyomo(loose).objective > pyo.value(model.objective) * (1.0 + 1e-5), "they bind here"


def test_scenarios_share_their_decisions():
    scenarios = [{culture.mu_max: 0.3}, {culture.mu_max: 0.5}]
    terms = {"free": {**FREE, culture.S: Free(5.0, 3.0, 6.0)}, "maximize": WANTED, "subject_to": LIMITS}
    model, plan = same_optimum(plant, BATCH, Grid(12), scenarios, **terms)
    first, second = model.run[1], model.run[2]
    assert value_of(second, culture.mu_max) == 0.5
    assert value_of(first, culture.X) < value_of(second, culture.X)
    for name in (culture.feed, culture.stirring, culture.S):
        assert value_of(first, name, tau=0.0) == pytest.approx(value_of(second, name, tau=0.0), rel=1e-8)
    assert first.plant.culture.S_start.value == pytest.approx(plan.decided[culture.S], rel=1e-4)
    assert name_of(second.phase["grow"].culture.X[1.0]) == culture.X
    direct = plant.to_pyomo(BATCH, Grid(12), scenarios=scenarios, **terms)
    assert solve_pyomo(direct, tolerance=1e-10).objective == pytest.approx(plan.objective, rel=1e-6)
    initialize(direct, plan)
    with pytest.raises(SpecificationError, match=r"it has 2 runs; say which, as in value_of\(titer\.run\[1\]"):
        value_of(model, culture.X)
    with pytest.raises(SpecificationError, match="the model has 2 runs, got 3 solutions"):
        initialize(direct, [plan] * 3)
    with pytest.raises(SpecificationError, match="scenarios is empty"):
        plant.to_pyomo(BATCH, scenarios=[], **terms)


def test_a_condition_ends_each_scenario_at_its_own_time():
    recipe = Recipe(Phase("grow", Free(4.0, 0.5, 12.0), until=Reaches(culture.X, 2.5, "rising")))
    model, _ = same_optimum(
        plant, recipe, Grid(10), [{culture.mu_max: 0.3}, {culture.mu_max: 0.5}],
        free={culture.feed: PiecewiseLinear(3, rate=2.0)}, inputs={culture.stirring: 20.0},
        minimize=AtEnd(lambda v: v.time) + 0.02 * Integral(lambda v: v.culture.feed**2),
    )  # fmt: skip
    times = [model.run[i].phase["grow"].duration.value for i in (1, 2)]
    assert times[0] > 1.4 * times[1]
    assert all(value_of(model.run[i], culture.X) == pytest.approx(2.5, rel=1e-8) for i in (1, 2))


def test_ends_of_pieces_are_decided():
    terms = {"free": {culture.feed: PiecewiseConstant(3, switching=True)}, "inputs": {culture.stirring: 20.0}}
    terms |= {"maximize": AtEnd(lambda v: v.culture.X) - Integral(lambda v: 0.1 * v.culture.feed * v.time)}
    recipe = Recipe(Phase("grow", 6.0))
    model, plan = same_optimum(plant, recipe, Grid(12), rel=1e-5, **terms)
    block = model.phase["grow"]
    assert [pyo.value(e) for e in block.edges.values()] != pytest.approx([0.0, 1 / 3, 2 / 3, 1.0], abs=0.01)
    initialize(model, plan)
    ends = plan.phases[0].shapes[culture.feed][0].edges
    assert [pyo.value(e) for e in block.edges.values()] == pytest.approx(ends)
    assert trajectories(model).index[4 * 3] == pytest.approx(6.0 * ends[1], rel=1e-6)
    warm = {"ipopt.mu_init": 1e-8, "ipopt.bound_push": 1e-9, "ipopt.bound_frac": 1e-9}
    again = solve_pyomo(model, options=warm)
    assert again.objective == pytest.approx(plan.objective, rel=1e-6)
    assert again.iterations < 15


def test_experiments_are_fitted_with_priors_losses_and_starts_of_their_own():
    truth = plant.with_values({culture.mu_max: 0.35})
    inputs = {culture.feed: lambda t: 1.0 + 0.5 * np.sin(t), culture.stirring: 20.0}
    times = np.linspace(0.0, 4.0, 9)
    experiments = []
    for X0, duration, error in ((0.8, 4.0, 0.05), (1.4, 3.0, -0.02)):
        recipe = Recipe(Phase("grow", duration))
        run = simulate(truth.with_values({culture.X: X0}), recipe, inputs)
        t = times[times <= duration]
        measured = np.interp(t, run[culture.X].index, run[culture.X]) + error * np.cos(7.0 * t)
        frame = pd.DataFrame({culture.X: measured}, index=t)
        experiments.append(Experiment(frame, noise={culture.X: 0.05}, recipe=recipe, inputs=inputs))
    free = {
        culture.mu_max: Free(0.4, 0.1, 1.0, log=True, prior=(0.36, 0.02)),
        culture.X: Free(1.0, 0.1, 3.0, prior=(1.0, 0.5)),
        culture.K: Free(0.5, 0.1, 2.0, each=True, prior=(0.5, 0.1)),
    }
    fit = estimate(plant, experiments, free, grid=Grid(16), loss=Huber(2.0), solver=EXACT)
    runs = tuple(Run(plant, e.recipe, dict(e.inputs), e.residuals(plant, Huber(2.0))) for e in experiments)
    problem = Problem(runs, free, Grid(16), share_decisions=False)
    model = problem.to_pyomo(problem.grid)
    assert_units_consistent(problem.to_pyomo())
    assert solve_pyomo(model, tolerance=1e-10).objective == pytest.approx(fit.objective, rel=1e-6)
    assert value_of(model.run[2], culture.mu_max) == pytest.approx(fit.values[culture.mu_max], rel=1e-5)
    starts = [value_of(model.run[i], culture.X, tau=0.0) for i in (1, 2)]
    assert abs(starts[0] - starts[1]) > 0.3
    shares = [value_of(model.run[i], culture.K) for i in (1, 2)]
    assert shares[0] != pytest.approx(shares[1], rel=1e-3)


def test_a_start_is_decided_of_a_unit_operation_that_rests_at_first():
    both = Flowsheet(culture, other)
    given = {name: u for unit in (culture, other) for name, u in ((unit.feed, 1.0), (unit.stirring, 20.0))}
    model, plan = same_optimum(
        both, Recipe(Phase("one", 1.0, idle=[other]), Phase("two", 2.0)), Grid(5),
        free={other.X: Free(1.0, 0.5, 2.0)}, inputs=given, minimize=AtEnd(lambda v: (v.other.X - 2.0) ** 2 + 1.0),
    )  # fmt: skip
    assert model.plant.other.X_start.value == pytest.approx(plan.decided[other.X], rel=1e-6)
    assert value_of(model, other.X, "one") == pytest.approx(plan.decided[other.X], rel=1e-6)


def test_the_first_instant_is_held_where_something_is_decided_there():
    terms = {"free": {culture.stirring: PiecewiseConstant(2), culture.X: Free(1.0, 0.5, 4.0)}}
    model, _ = same_optimum(
        plant, Recipe(Phase("grow", 2.0)), Grid(6), inputs={culture.feed: 1.0}, maximize=AtEnd(lambda v: v.culture.X),
        subject_to=[Path(lambda v: v.culture.oxygen, lower=0.8, name="oxygen"), ENERGY], **terms,
    )  # fmt: skip
    assert (0.0, "oxygen") in model.phase["grow"].path
    given = plant.to_pyomo(
        Recipe(Phase("grow", 2.0)), free={culture.feed: PiecewiseConstant(2)}, inputs={culture.stirring: 20.0},
        subject_to=[Path(lambda v: v.culture.X, upper=9.0, name="biomass")],
    )  # fmt: skip
    assert (0.0, "biomass") not in given.phase["grow"].path


def test_corrections_and_functions_of_time_are_read_too(agree_with_the_dae):
    better = plant.corrected({culture.mu: lambda v, mu: mu * (1.0 + 0.1 * np.tanh(v.culture.S / v.culture.K))})
    inputs = {
        culture.feed: lambda t: 1.0 + 0.3 * np.cos(t),
        culture.stirring: pd.Series([20.0, 40.0], index=[0.0, 1.0]),
    }
    recipe = Recipe(Phase("grow", 2.0))
    run = simulate(better, recipe, inputs)
    assert run.at_end(culture.X) != pytest.approx(simulate(plant, recipe, inputs).at_end(culture.X), rel=1e-3)
    model = better.to_pyomo(recipe, Grid(8), inputs=inputs)
    assert solve_pyomo(model).success
    assert value_of(model, culture.X) == pytest.approx(run.at_end(culture.X), rel=1e-7)
    assert agree_with_the_dae(better.to_pyomo(recipe, inputs=inputs)) > 6


def test_a_model_of_reduced_index_is_optimized(agree_with_the_dae):
    tank = Level("tank")
    held, recipe = Flowsheet(tank).reduced(), Recipe(Phase("go", 2.0))
    terms = {
        "free": {tank.F: PiecewiseConstant(3), tank.V_set: Free(2.0, 1.0, 3.0), tank.V: Free(2.0, 0.5, 4.0)},
        "maximize": AtEnd(lambda v: v.tank.c) - 0.5 * Integral(lambda v: v.tank.F**2) + AtEnd(lambda v: v.tank.V / 5.0),
        "subject_to": [Path(lambda v: v.tank.F_out * v.tank.c, upper=2.5, name="load")],
    }
    model, plan = same_optimum(held, recipe, Grid(9), **terms)
    assert value_of(model, tank.V) == pytest.approx(plan.decided[tank.V_set], rel=1e-7)
    assert len(model.phase["go"].after_jump) == 2
    assert agree_with_the_dae(held.to_pyomo(recipe, **terms)) > 4


def test_a_phase_that_titer_shoots_is_collocated():
    recipe = Recipe(Phase("grow", 3.0, method=Shooting(4)), Phase("on", 1.0))
    inputs = {culture.feed: 1.0, culture.stirring: 20.0}
    model = plant.to_pyomo(recipe, Grid(6), inputs=inputs)
    assert solve_pyomo(model).success
    assert value_of(model, culture.X) == pytest.approx(simulate(plant, recipe, inputs).at_end(culture.X), rel=1e-7)


@pytest.mark.parametrize("scheme", ["BACKWARD", "FORWARD"])
def test_finite_differences_converge_to_the_optimum(scheme):
    terms = {"free": {culture.feed: PiecewiseConstant(2)}, "inputs": {culture.stirring: 20.0}, "maximize": WANTED}
    recipe = Recipe(Phase("grow", 5.0))
    best = optimize(plant, recipe, grid=Grid(10), starts=1, **terms).objective
    errors = []
    for n in (40, 80):
        model = plant.to_pyomo(recipe, **terms)
        tau = model.phase["grow"].tau
        pyo.TransformationFactory("dae.finite_difference").apply_to(model, wrt=tau, nfe=n, scheme=scheme)
        initialize(model)
        errors.append(abs(solve_pyomo(model).objective - best))
    assert errors[0] < 0.1 * best
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.2), "first order"
