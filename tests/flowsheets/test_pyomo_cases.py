"""Every case's model lowers both ways: units consistent, residuals equal, and the optima that the cases claim."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pyomo.environ as pyo
import pytest
from pyomo.util.check_units import assert_units_consistent

from titer.cases import (
    batch_reactor,
    batch_reactor_answers,
    citrate_feeding,
    exotherm,
    fedbatch_multistart,
    penicillin,
    phycocyanin,
    reactor_pareto,
    semibatch_safety,
    temperature_benchmark,
)
from titer.cases.batch_reactor_economics import Economics
from titer.cases.catalog import CATALOG
from titer.control import optimize
from titer.estimation import estimate
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.pyomo import initialize, solve_pyomo
from titer.numerics import Grid, Ipopt

ECONOMICS = Economics(200.0, 100.0, 4000.0, 0.12, 345.0)
PROBLEMS = {
    "batch_reactor": (batch_reactor, lambda n: batch_reactor.best_batch(ECONOMICS, n)),
    "batch_reactor, isothermal": (batch_reactor, lambda n: batch_reactor.best_isothermal(ECONOMICS)),
    "batch_reactor, highest yield": (batch_reactor, lambda n: batch_reactor.highest_yield(1.0, n)),
    "batch_reactor, one hour": (batch_reactor_answers, lambda n: batch_reactor_answers._one_hour(n)),
    "citrate_feeding": (citrate_feeding, lambda n: citrate_feeding.most(None)),
    "exotherm": (exotherm, lambda n: exotherm.fastest(n, exotherm.GENTLE)),
    "fedbatch_multistart": (fedbatch_multistart, lambda n: fedbatch_multistart.best_feed(n)),
    "reactor_pareto": (
        reactor_pareto,
        lambda n: reactor_pareto.optimize(**reactor_pareto.batch(n, 350.0), maximize=reactor_pareto.YIELD),
    ),
    "penicillin": (penicillin, lambda n: penicillin.most(*penicillin.kinds()["one constant"])),
    "phycocyanin": (phycocyanin, lambda n: phycocyanin.best(n)),
    "semibatch_safety": (semibatch_safety, lambda n: semibatch_safety.fastest(n)),
    "temperature_benchmark": (temperature_benchmark, lambda n: temperature_benchmark.best_temperature(n)),
}  # fmt: skip


SHOT = {"sma_gradient"}  # hundreds of states at every point are more than a Pyomo model is for
FITS = ("abc", "gas_oil", "nitric_oxide", "pinene")


def test_no_case_that_optimizes_is_left_out():
    there = {name: import_module(place) for name, place in CATALOG.items() if find_spec(place) is not None}
    optimizing = {name for name, module in there.items() if hasattr(module, "optimize")}
    assert optimizing <= {name.partition(",")[0] for name in PROBLEMS} | SHOT
    assert {name for name, module in there.items() if hasattr(module, "published")} <= set(FITS)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_model_lowers_both_ways(name, posed, agree_with_the_dae):
    plant, recipe, terms = posed(name, 4)
    model = plant.to_pyomo(recipe, **terms)
    assert_units_consistent(model)
    assert agree_with_the_dae(model) >= 4


@pytest.mark.parametrize(
    ("name", "pieces", "elements"),
    [
        ("batch_reactor", 6, 12),
        ("temperature_benchmark", 10, 10),
        ("semibatch_safety", 8, 16),
        pytest.param("batch_reactor", 12, 48, marks=pytest.mark.slow),
        pytest.param("temperature_benchmark", 100, 100, marks=pytest.mark.slow),
        pytest.param("semibatch_safety", 40, 80, marks=pytest.mark.slow),
    ],
)
def test_the_optimum_is_the_same_through_pyomo(name, pieces, elements, posed):
    plant, recipe, terms = posed(name, pieces)
    grid = Grid(elements)
    plan = optimize(plant, recipe, grid=grid, solver=Ipopt(tolerance=1e-10), starts=1, **terms)
    model = plant.to_pyomo(recipe, grid, **terms)
    outcome = solve_pyomo(model, tolerance=1e-10)
    assert outcome.success
    assert outcome.objective == pytest.approx(plan.objective, rel=1e-6)
    for phase in recipe:
        assert model.phase[phase.name].duration.value == pytest.approx(plan.duration[phase.name], rel=1e-5)


@pytest.mark.parametrize("name", ["batch_reactor", "temperature_benchmark", "semibatch_safety"])
def test_users_may_discretize_themselves(name, posed):
    plant, recipe, terms = posed(name, 5)
    ours = plant.to_pyomo(recipe, Grid(10), **terms)
    model = plant.to_pyomo(recipe, **terms)
    for block in model.phase.values():
        pyo.TransformationFactory("dae.collocation").apply_to(
            block, wrt=block.tau, nfe=10, ncp=3, scheme="LAGRANGE-RADAU"
        )
    initialize(model)
    assert solve_pyomo(model).objective == pytest.approx(solve_pyomo(ours).objective, rel=1e-7)


@pytest.mark.parametrize("name", FITS)
def test_published_fits_are_the_same_through_pyomo(name, agree_with_the_dae):
    published = import_module(CATALOG[name]).published()
    plant, experiment = published.plant, published.experiment(1.0)
    run = Run(plant.with_values(experiment.start), experiment.recipe, {}, experiment.residuals(plant, None))
    problem = Problem((run,), published.free, Grid(16), share_decisions=False)
    model = problem.to_pyomo()
    assert_units_consistent(model)
    assert agree_with_the_dae(model) >= 2
    fit = estimate(plant, [experiment], published.free, Grid(16), Ipopt(tolerance=1e-10), starts=1)
    outcome = solve_pyomo(problem.to_pyomo(problem.grid), tolerance=1e-10)
    assert outcome.objective == pytest.approx(fit.objective, rel=1e-6)


@pytest.fixture
def posed(monkeypatch):
    """What a case hands to optimize: plant, recipe and terms, of a number of pieces."""

    class PosedError(Exception):
        pass

    def stop(plant, recipe, **terms):
        raise PosedError(plant, recipe, terms)

    def pose(name, pieces):
        module, ask = PROBLEMS[name]
        monkeypatch.setattr(module, "optimize", stop)
        with pytest.raises(PosedError) as caught:
            ask(pieces)
        plant, recipe, terms = caught.value.args
        for key in ("grid", "refine", "starts", "solver", "start_from"):
            terms.pop(key, None)
        return plant, recipe, terms

    return pose
