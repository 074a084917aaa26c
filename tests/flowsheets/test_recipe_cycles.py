"""Phases that repeat are phases of their own, named by their cycle; their durations can be tied."""

import math

import pytest
from scipy.optimize import minimize_scalar

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Phase,
    Reaches,
    Recipe,
    SameAs,
    State,
    Unit,
    cycles,
    quantity,
    simulate,
)
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

K, CHANGEOVER = 0.5, 0.4


class Column(Unit):
    """Capacity c is used up while it is loaded and comes back in a wash; m is what has been caught."""

    time = "h"
    c = State("g", start=1.0, lower=0.0)
    m = State("g", start=0.0, lower=0.0)
    loading = Control("1", start=1.0, lower=0.0, upper=1.0)

    def equations(self, v):
        k = quantity(K, "1/h")
        caught = v.loading * k * v.c
        return Equations(rate={"c": -caught + (1.0 - v.loading) * 8.0 * k * (1.0 - v.c), "m": caught})


column = Column("column")
plant = Flowsheet(column)
LOAD = Phase("load", Free(2.0, 0.1, 8.0), fixed={column.loading: 1.0})
WASH = Phase("wash", CHANGEOVER, fixed={column.loading: 0.0})
RATE = AtEnd(lambda v: v.column.m / v.time)


def caught(*loads, start=1.0):
    """What is caught per hour, in closed form."""
    c, m = start, 0.0
    for length in loads:
        left = c * math.exp(-K * length)
        m += c - left
        c = 1.0 - (1.0 - left) * math.exp(-8.0 * K * CHANGEOVER)
    return m / (sum(loads) + len(loads) * CHANGEOVER)


def test_cycles_number_their_phases():
    recipe = Recipe(Phase("grow", 1.0), *cycles(3, [LOAD, WASH]), Phase("end", 1.0))
    names = ["grow", "load 1", "wash 1", "load 2", "wash 2", "load 3", "wash 3", "end"]
    assert [phase.name for phase in recipe] == names
    assert recipe["load 2"].fixed == LOAD.fixed


def test_each_cycle_decides_for_itself():
    worn = plant.with_values({column.c: 0.5})
    plan = optimize(worn, Recipe(*cycles(2, [LOAD, WASH])), maximize=RATE, grid=Grid(8))
    loads = plan.duration["load 1"], plan.duration["load 2"]
    assert plan.certificate.ok
    assert plan.objective == pytest.approx(caught(*loads, start=0.5), rel=1e-6)
    assert abs(loads[0] - loads[1]) > 1e-3
    for moved in ((1e-3, 0.0), (0.0, 1e-3), (-1e-3, 0.0), (0.0, -1e-3)):
        assert caught(*(a + b for a, b in zip(loads, moved, strict=True)), start=0.5) < plan.objective


def test_durations_can_be_the_same_in_all_cycles():
    recipe = Recipe(*cycles(3, [LOAD, WASH], same_durations=True))
    assert recipe["load 3"].duration == SameAs("load 1")
    plan = optimize(plant, recipe, maximize=RATE, grid=Grid(8))
    best = minimize_scalar(lambda x: -caught(x, x, x), bounds=(0.1, 8.0), method="bounded", options={"xatol": 1e-9})
    assert plan.certificate.ok
    assert [plan.duration[f"load {k}"] for k in (2, 3)] == pytest.approx([plan.duration["load 1"]] * 2, rel=1e-14)
    assert plan.duration["load 1"] == pytest.approx(best.x, rel=1e-5)
    assert plan.objective == pytest.approx(-best.fun, rel=1e-7)


def test_pyomo_ties_durations_too():
    pyo = pytest.importorskip("pyomo.environ")
    recipe = Recipe(*cycles(2, [LOAD, WASH], same_durations=True))
    model = plant.to_pyomo(recipe, Grid(8), maximize=RATE)
    pyo.SolverFactory("titer.ipopt").solve(model)
    first, second = (pyo.value(model.phase[f"load {k}"].duration) for k in (1, 2))
    assert first == pytest.approx(second, rel=1e-9)
    assert first == pytest.approx(optimize(plant, recipe, maximize=RATE, grid=Grid(8)).duration["load 1"], rel=1e-5)


def test_a_term_names_the_phase_of_a_cycle():
    limit = AtEnd(lambda v: v.column.m, upper=0.3, phase="load 1", name="first load")
    plan = optimize(plant, Recipe(*cycles(2, [LOAD, WASH])), maximize=RATE, subject_to=[limit], grid=Grid(8))
    assert plan.at_end(column.m, "load 1") == pytest.approx(0.3, abs=1e-6)


def test_a_condition_ends_each_cycle_where_it_is_met():
    load = Phase("load", Free(1.0, 0.1, 8.0), until=Reaches(column.c, 0.5, "falling"), fixed={column.loading: 1.0})
    result = simulate(plant, Recipe(*cycles(2, [load, WASH], same_durations=True)), tolerance=1e-12)
    back = 1.0 - 0.5 * math.exp(-8.0 * K * CHANGEOVER)
    assert result.duration["load 1"] == pytest.approx(math.log(2.0) / K, rel=1e-8)
    assert result.duration["load 2"] == pytest.approx(math.log(2.0 * back) / K, rel=1e-8)


def test_a_duration_may_be_that_of_any_earlier_phase():
    result = simulate(plant, Recipe(LOAD, WASH, Phase("again", SameAs("wash"), fixed=LOAD.fixed)))
    assert result.duration["again"] == pytest.approx(CHANGEOVER)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: cycles(0, [LOAD]), "the count is a whole number of at least 1, got 0"),
        (lambda: cycles(2.0, [LOAD]), "whole number"),
        (lambda: cycles(2, []), "expected a list of phases, got []"),
        (lambda: cycles(2, LOAD), "expected a list of phases"),
        (lambda: cycles(2, ["load"]), "expected phases, got str 'load'"),
        (lambda: SameAs(3), "expected the name of an earlier phase, got 3"),
        (lambda: simulate(plant, Recipe(Phase("a", SameAs("laod")), LOAD)), "earlier phase 'laod' is unknown"),
        (
            lambda: simulate(
                plant,
                Recipe(
                    Phase("a", Free(1.0, 0.1, 9.0), until=Reaches(column.c, 0.5), fixed=LOAD.fixed),
                    Phase("b", SameAs("a"), fixed=LOAD.fixed),
                ),
            ),
            "Phase 'b': duration: that of 'a' ends by its condition",
        ),
        (lambda: Phase("b", SameAs("a"), until=Reaches(column.c, 0.5)), "with `until`, give duration=Free("),
    ],
)
def test_what_is_no_cycle_is_refused(make, text):
    with pytest.raises(SpecificationError) as raised:
        make()
    assert text in str(raised.value)
