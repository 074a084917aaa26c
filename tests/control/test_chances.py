"""Limits that need not hold in all scenarios: counted, and as good as the best choice of them, where it is known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from titer.control import Chance, Scenarios, optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
)
from titer.numerics import Fatrop, Grid, SolveError, SpecificationError, Status
from titer.numerics.solvers import Engine


class Level(Unit):
    """x' = k u + b."""

    time = "s"
    x = State("m", start=0.0)
    u = Control("m/s", start=0.3, lower=-5.0, upper=5.0)
    k = Parameter("1", 1.0, lower=0.1, upper=10.0)
    b = Parameter("m/s", 0.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.u + v.b})


class Mix(Unit):
    """z' = a u + c w."""

    time = "s"
    z = State("m", start=0.0)
    u = Control("m/s", start=0.1, lower=0.0, upper=10.0)
    w = Control("m/s", start=0.1, lower=0.0, upper=10.0)
    a = Parameter("1", 1.0)
    c = Parameter("1", 1.0)

    def equations(self, v):
        return Equations(rate={"z": v.a * v.u + v.c * v.w})


level, mix = Level("level"), Mix("mix")
levels, mixes = Flowsheet(level), Flowsheet(mix)
SECOND = Recipe(Phase("a", 1.0))
DRIFTS = [{level.b: float(b)} for b in np.linspace(-0.9, 0.9, 10)]


def highest(scenarios, recipe=SECOND, **more):
    """Raise the level; one constant input where nothing else is said."""
    more = {"free": {level.u: PiecewiseConstant(1)}, "grid": Grid(2), "maximize": AtEnd(lambda v: v.level.x), **more}
    return optimize(levels, recipe, scenarios=scenarios, **more)


def chance_of_top(at_least):
    return Chance(AtEnd(lambda v: v.level.x, upper=2.0, name="top"), at_least=at_least)


@pytest.mark.parametrize(("at_least", "worst"), [(1.0, 0.9), (0.9, 0.7), (0.85, 0.7), (0.5, -0.1)])
def test_a_chance_leaves_out_the_worst_drifts(at_least, worst):
    """x = u + b <= 2 in a share of ten scenarios: u is 2 less the largest drift that is kept."""
    plan = highest(DRIFTS, maximize=AtEnd(lambda v: v.level.x), subject_to=[chance_of_top(at_least)])
    facts = plan.stats["chance"]["top"]
    assert plan.objective == pytest.approx(2.0 - worst, abs=1e-6)
    assert facts["counted"] >= at_least - 1e-9
    assert facts["violated_by"] == [i for i, case in enumerate(DRIFTS) if case[level.b] > worst + 0.01]
    assert facts["levels"][0]["counted"] >= at_least - 1e-9  # the first level is on the safe side
    assert plan.certificate.ok
    ends = np.array([each.at_end(level.x) for each in plan.scenarios])
    assert np.sum(ends <= 2.0 + 1e-6) == round(10 * facts["counted"])


def test_a_path_counts_as_missed_wherever_in_its_phases_it_is_missed():
    """Up at u + b for a second, then down: the path peaks between its phases, and is nowhere near its lower limit."""
    recipe = Recipe(Phase("up", 1.0), Phase("down", 1.0, fixed={level.u: -5.0}))
    plan = highest(
        DRIFTS,
        recipe,
        maximize=AtEnd(lambda v: v.level.x, phase="up"),
        subject_to=[Chance(Path(lambda v: v.level.x, lower=-20.0, upper=2.0), at_least=0.8)],
    )
    assert plan.objective == pytest.approx(2.0 - 0.5, abs=1e-6)
    assert plan.stats["chance"]["Path of level.x"]["violated_by"] == [8, 9]


def test_a_chance_on_an_integral():
    """The integral of u + b over two phases of a second is 2 (u + b) <= 4."""
    recipe = Recipe(Phase("a", 1.0), Phase("b", 1.0))
    plan = highest(
        DRIFTS,
        recipe,
        free={level.u: PiecewiseLinear(1)},
        maximize=AtEnd(lambda v: v.level.x),
        subject_to=[Chance(Integral(lambda v: v.level.u + v.level.b, upper=4.0, name="dose"), at_least=0.7)],
    )
    assert plan.objective == pytest.approx(4.0 - 2.0 * 0.3, abs=1e-5)
    assert len(plan.stats["chance"]["dose"]["violated_by"]) == 3


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_a_chance_finds_the_best_of_all_subsets(seed):
    """max u + w with a_s u + c_s w <= 1 in 8 of 10 scenarios, against linear programs for all 45 choices."""
    gains = np.random.default_rng(seed).uniform(0.3, 2.0, (10, 2))
    kept = itertools.combinations(range(10), 8)
    best = max(-linprog([-1.0, -1.0], gains[list(s)], np.ones(8), bounds=[(0.0, 10.0)] * 2).fun for s in kept)
    plan = optimize(
        mixes,
        SECOND,
        free={mix.u: PiecewiseConstant(1), mix.w: PiecewiseConstant(1)},
        maximize=AtEnd(lambda v: v.mix.u + v.mix.w),
        subject_to=[Chance(AtEnd(lambda v: v.mix.z, upper=1.0, name="cap"), at_least=0.8)],
        scenarios=[{mix.a: float(a), mix.c: float(c)} for a, c in gains],
        grid=Grid(1),
    )
    assert plan.objective == pytest.approx(best, rel=1e-6)
    assert plan.stats["chance"]["cap"]["counted"] == pytest.approx(0.8)


def test_weights_say_how_much_may_be_missed():
    """Only the scenario of weight 0.1 may be given up, though giving up the other would pay more."""
    cases = [{level.b: 0.0}, {level.b: 0.5}, {level.b: 1.0}]
    plan = highest(
        Scenarios(cases, weights=[0.6, 0.1, 0.3]),
        maximize=AtEnd(lambda v: v.level.u),
        subject_to=[chance_of_top(0.8)],
    )
    assert plan.objective == pytest.approx(1.0, abs=1e-6)
    assert plan.stats["chance"]["top"]["counted"] == pytest.approx(1.0)


def test_a_chance_that_nobody_can_keep_is_explained():
    with pytest.raises(SolveError, match="top"):
        highest(
            DRIFTS,
            maximize=AtEnd(lambda v: v.level.x),
            subject_to=[chance_of_top(0.5), AtEnd(lambda v: v.level.u, lower=4.0, name="flow")],
        )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: chance_of_top(0.0), r"probability in \(0, 1\], got 0"),
        (lambda: chance_of_top(1.2), r"probability in \(0, 1\], got 1.2"),
        (lambda: chance_of_top(True), "got True"),
        (lambda: Chance(AtEnd(lambda v: v.level.x), 0.9), "has no limit"),
        (lambda: highest(None, subject_to=[chance_of_top(0.9)]), "Chance of top needs scenarios"),
        (lambda: highest(DRIFTS, subject_to=[chance_of_top(0.5)], solver=Fatrop()), "no chain"),
    ],
)
def test_bad_chances_are_refused(make, said):
    with pytest.raises(SpecificationError, match=said):
        make()


def test_a_scenario_that_cannot_keep_a_limit_is_given_up():
    """One level begins above the top: it is the one that misses it, and the others rise to it together."""
    starts = [0.0, 0.1, 0.2, 3.0]
    plan = highest(
        [{level.x: start} for start in starts],
        free={level.u: PiecewiseConstant(1, lower=0.0)},
        subject_to=[chance_of_top(0.75)],
    )
    assert plan.objective == pytest.approx(np.mean(starts) + 1.8, abs=1e-6)
    assert plan.stats["chance"]["top"]["violated_by"] == [3]


def test_ctrl_c_keeps_the_cautious_plan(monkeypatch):
    """Stopped while it looks for a better choice, the plan that was found first is in the error: it keeps the share."""
    solve = Engine.solve

    def stopped(engine, w, scaling, lower, upper, data=None, **more):
        outcome = solve(engine, w, scaling, lower, upper, data, **more)
        return outcome if data is None else replace(outcome, status=Status.INTERRUPTED)

    monkeypatch.setattr(Engine, "solve", stopped)
    with pytest.raises(SolveError, match="stopped by the user") as error:
        highest(DRIFTS, subject_to=[chance_of_top(0.8)])
    plan = error.value.solution
    assert plan.status is Status.INTERRUPTED
    assert sum(each.at_end(level.x) <= 2.0 + 1e-6 for each in plan.scenarios) >= 8
