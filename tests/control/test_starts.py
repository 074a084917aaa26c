"""Does a problem start where its start is bad? Fixed inputs, elastic limits, homotopies, warm starts from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from titer.cases.fedbatch_multistart import best_feed
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
)
from titer.flowsheets.problems import climbing
from titer.flowsheets.units import BatchReactor, PenicillinFedBatch
from titer.numerics import Grid, SpecificationError, Status
from titer.numerics.solvers import Engine


class Unstable(Unit):
    """x' = k (x + x^3 + u): whatever constant u is held, x leaves in finite time. The cost is x^2 + u^2 / 100."""

    time = "s"
    k = Parameter("1/s", 1.0)
    x = State("1", start=1.0)
    cost = State("1", start=0.0)
    u = Control("1", start=0.0, lower=-30.0, upper=10.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * (v.x + v.x**3 + v.u), "cost": v.k * (v.x**2 + 0.01 * v.u**2)})


def test_a_recipe_that_runs_with_no_constant_input_is_reached_by_its_horizon():
    unit = Unstable("unit")
    plan = optimize(
        Flowsheet(unit, time="s"),
        Recipe(Phase("hold", 4.0)),
        free={unit.u: PiecewiseConstant(16)},
        minimize=AtEnd(lambda v: v.unit.cost),
        grid=Grid(48),
        starts=1,
    )
    rungs = [rung.name for rung in plan.start_report]
    assert "NLP at 100 % of the horizon" in rungs
    assert plan.status.ok
    assert abs(plan.at_end(unit.x)) < 0.05
    # the same with 32 elements of another order is the check that the horizon path did not change the problem
    other = optimize(
        Flowsheet(unit, time="s"),
        Recipe(Phase("hold", 4.0)),
        free={unit.u: PiecewiseConstant(16)},
        minimize=AtEnd(lambda v: v.unit.cost),
        grid=Grid(32, degree=5),
        starts=1,
    )
    assert other.objective == pytest.approx(plan.objective, rel=1e-4)


def test_parameters_on_which_the_earlier_plan_does_not_run_are_approached_step_by_step():
    unit = Unstable("unit")
    plant = Flowsheet(unit, time="s")
    problem = {
        "free": {unit.u: PiecewiseConstant(8)},
        "minimize": AtEnd(lambda v: v.unit.cost),
        "grid": Grid(24),
        "starts": 1,
    }
    recipe = Recipe(Phase("hold", 1.5))
    slow = optimize(plant.with_values({unit.k: 0.3}), recipe, **problem)
    fast = optimize(plant.with_values({unit.k: 1.6}), recipe, start_from=slow, **problem)
    assert "NLP at 50 % of the way between parameters" in [rung.name for rung in fast.start_report]
    assert fast.objective == pytest.approx(optimize(plant.with_values({unit.k: 1.6}), recipe, **problem).objective)


reactor = BatchReactor("reactor")
batch = Flowsheet(reactor, time="s")
wanted = {"free": {reactor.T_j: PiecewiseConstant(6)}, "maximize": AtEnd(lambda v: v.reactor.c_B)}


def test_a_plan_of_another_recipe_and_another_grid_starts_one():
    first = optimize(batch, Recipe(Phase("react", Free(3600.0, 600.0, 7200.0))), grid=Grid(12), **wanted)
    longer = Recipe(Phase("react", Free(3600.0, 600.0, 7200.0)), Phase("rest", 60.0, fixed={reactor.T_j: 300.0}))
    cold = optimize(batch, longer, grid=Grid(20), **wanted)
    warm = optimize(batch, longer, grid=Grid(20), start_from=first, **wanted)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
    assert warm.stats["iterations"] <= cold.stats["iterations"]


def test_a_plan_that_shares_no_phase_is_refused():
    first = optimize(batch, Recipe(Phase("react", 3600.0)), grid=Grid(6), **wanted)
    with pytest.raises(SpecificationError, match="none is the same"):
        optimize(batch, Recipe(Phase("other", 3600.0)), grid=Grid(6), start_from=first, **wanted)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"start_from": "plan.npz"}, "start_from must be a Solution, got 'plan.npz'"),
        ({"solver": "ipopt"}, r"solver must be Ipopt\(...\) or Fatrop\(...\)"),
    ],
)
def test_a_start_and_a_solver_of_another_kind_are_refused(wrong, text):
    with pytest.raises(SpecificationError, match=text):
        optimize(batch, Recipe(Phase("react", 3600.0)), grid=Grid(6), **wrong, **wanted)


def test_the_fermentation_that_a_constant_start_calls_infeasible_takes_few_iterations():
    """40 pieces on 40 elements, 4 states: a simulated and scaled start took 114 iterations, one of constants failed."""
    plan = best_feed(40, starts=1, grid=Grid(40))
    assert plan.stats["variables"] >= 520
    assert plan.stats["iterations"] < 114
    assert plan.objective == pytest.approx(1.4866, abs=1e-3)  # the published local optimum of a single start


impossible = AtEnd(lambda v: v.reactor.c_B, lower=0.95, name="yield")


def test_once_the_time_is_up_nothing_else_is_tried(monkeypatch):
    clock = count(step=1000.0)  # seconds between one look at it and the next
    monkeypatch.setattr(climbing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    problem = wanted | {"grid": Grid(6), "strict": False, "subject_to": [impossible]}
    failed = optimize(batch, Recipe(Phase("react", 3600.0)), **problem)
    rungs = [rung.name for rung in failed.start_report]
    assert {"NLP", "other ways"} <= set(rungs)
    assert not any("adaptive" in rung or "elastic" in rung or "domains" in rung for rung in rungs)


@pytest.mark.parametrize("call", [2, 3, 4, 5])
def test_ctrl_c_ends_the_climb_on_every_rung(monkeypatch, call):
    solve, calls = Engine.solve, []

    def interrupted(self, *arguments, **more):
        calls.append(1)
        outcome = solve(self, *arguments, **more)
        return replace(outcome, status=Status.INTERRUPTED) if len(calls) == call else outcome

    monkeypatch.setattr(Engine, "solve", interrupted)
    problem = wanted | {"grid": Grid(6), "strict": False, "subject_to": [impossible]}
    failed = optimize(batch, Recipe(Phase("react", 3600.0)), **problem)
    assert failed.status is Status.INTERRUPTED
    assert len(calls) == call


class Quadratic(Unit):
    """A second-order reaction, whose slope at zero is zero, and a saturation with a pole at -K."""

    time = "h"
    a = State("g/L", start=10.0, lower=0.0)
    s = State("g/L", start=1.0, lower=0.0)
    b = State("g/L", start=0.0, lower=0.0)
    F = Control("1/h", start=0.5, lower=0.0, upper=1.0)
    k = Parameter("L/g/h", 1.0)
    q = Parameter("g/L/h", 0.1)
    K = Parameter("g/L", 1e-1)

    def equations(self, v):
        r = v.k * v.a**2
        return Equations(rate={"a": -r, "s": -v.q * v.s / (v.K + v.s), "b": r - v.F * v.b})


def test_the_room_below_a_domain_is_that_of_each_run_and_a_vanishing_slope_takes_none():
    unit = Quadratic("unit")
    plan = optimize(
        Flowsheet(unit, time="h"),
        Recipe(Phase("react", 1.0), Phase("rest", 1.0)),
        free={unit.F: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.unit.b),
        grid=Grid(4),
        scenarios=[{unit.K: 1e-1}, {unit.K: 1e-3}],
        starts=1,
        strict=False,
    )
    nlp = plan.iterate.assembled.nlp
    names = np.array([nlp.column_name(i).split(",")[0] for i in range(nlp.columns)])
    for phase in ("react", "rest"):
        assert np.isinf(nlp.room[names == f"unit.a @ 1/{phase}"]).all()
        assert np.isinf(nlp.room[names == f"unit.s @ 1/{phase}"]).all()
        assert (nlp.room[names == f"unit.s @ 2/{phase}"] < 1e-3).all()


@pytest.mark.parametrize("elements", [20, 40, pytest.param(60, marks=pytest.mark.slow)])
def test_a_domain_is_not_relaxed_beyond_a_pole(elements):
    """S / (1e-4 + S) has its pole at -1e-4, for penicillin: a domain relaxed by 1e-4 of 64 g/L lies far behind it."""
    unit = PenicillinFedBatch("fermenter")
    plan = optimize(
        Flowsheet(unit, time="h"),
        Recipe(Phase("grow", 132.0)),
        free={unit.F: PiecewiseConstant(elements)},
        maximize=AtEnd(lambda v: v.fermenter.P * v.fermenter.V),
        subject_to=[
            Path(lambda v: v.fermenter.V, upper=10.0, name="vessel"),
            Path(lambda v: v.fermenter.X, upper=40.0, name="oxygen"),
        ],
        grid=Grid(elements),
        starts=1,
    )
    assert plan.objective == pytest.approx(87.99, abs=0.25)
    nlp = plan.iterate.assembled.nlp
    room = {nlp.column_name(i).split(" @ ")[0]: float(r) for i, r in enumerate(nlp.room) if np.isfinite(r)}
    assert 2e-5 < room["fermenter.S"] < 1e-4  # at most half way to the pole, and the slope four times there
