"""Derivatives of optima against problems that are solved again, and against closed forms."""

import numpy as np
import pytest

from titer.control import optimize, sensitivity, shadow_prices
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    magnitude,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt, Points, Solution, SpecificationError

reactor = BatchReactor("reactor")
plant = Flowsheet(reactor)


def margin(v):
    return 100.0 * magnitude(v.reactor.c_B, "mol/L") - magnitude(v.time, "s") / 360.0


def solved(values=None, impurity=0.12, hottest=345.0, points=Points.RADAU):
    return optimize(
        plant.with_values(values or {}),
        Recipe(Phase("react", Free(3600, 600, 14400))),
        free={reactor.T_j: PiecewiseConstant(6)},
        maximize=AtEnd(margin),
        subject_to=[
            Path(lambda v: v.reactor.T, upper=hottest, name="hottest"),
            AtEnd(lambda v: v.reactor.c_C, upper=impurity, name="impurity"),
        ],
        grid=Grid(18, points=points),
        starts=1,
        solver=Ipopt(tolerance=1e-11),
    )


@pytest.fixture(scope="module", params=list(Points), ids=lambda p: p.value)
def points(request):
    return request.param


@pytest.fixture(scope="module")
def plan(points):
    return solved(points=points)


@pytest.mark.parametrize("name", [reactor.k0_1, reactor.E_2, reactor.UA_V, reactor.dH_1, reactor.c_A, reactor.T])
def test_derivatives_agree_with_solving_again(plan, points, name):
    value = plan.values[name]
    h = 1e-5 * abs(value)
    above, below = solved({name: value + h}, points=points), solved({name: value - h}, points=points)
    found = sensitivity(plan, [name])
    assert found.objective[0] == pytest.approx((above.objective - below.objective) / (2 * h), rel=1e-4)
    slope = (above.duration["react"] - below.duration["react"]) / (2 * h)
    assert found.duration["react"][0] == pytest.approx(slope, rel=1e-3)
    for trajectory in (reactor.T_j, reactor.c_B):
        differences = (above[trajectory].to_numpy() - below[trajectory].to_numpy()) / (2 * h)
        size = np.abs(differences).max()
        assert found.trajectories[trajectory][:, 0] == pytest.approx(differences, abs=2e-3 * size)


def test_shadow_prices_agree_with_moving_the_limits(plan, points):
    prices = shadow_prices(plan).set_index("limit")["price"]
    h = 1e-5
    slope = (
        solved(impurity=0.12 + h, points=points).objective - solved(impurity=0.12 - h, points=points).objective
    ) / (2 * h)
    assert prices["impurity"] == pytest.approx(slope, rel=1e-4)
    h = 1e-2
    slope = (solved(hottest=345 + h, points=points).objective - solved(hottest=345 - h, points=points).objective) / (
        2 * h
    )
    assert prices["hottest"] == pytest.approx(slope, rel=1e-3)


def test_the_table_says_what_one_percent_does(plan):
    table = sensitivity(plan).table()
    assert list(np.abs(table["objective at +1 %"])) == sorted(np.abs(table["objective at +1 %"]), reverse=True)
    assert table.loc["reactor.k0_1", "objective at +1 %"] == pytest.approx(
        0.01 * 2.0e9 * table.loc["reactor.k0_1", "d objective"]
    )
    assert table.loc["reactor.E_1", "unit"] == "J/mol"


class Level(Unit):
    """x' = k u."""

    time = "s"
    x = State("m", start=0.0)
    u = Control("m/s", start=0.3, lower=-5.0, upper=0.7)
    k = Parameter("1", 2.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.u})


level = Level("level")


def test_prices_of_bounds_and_integrals_are_the_closed_form():
    """max x(1) = k u with u <= 0.7: the bound is worth k; with the integral of u^2 <= 1/4: worth k / (2 u), u = 1/2."""
    bounded = optimize(
        Flowsheet(level), Recipe(Phase("a", 1.0)), {level.u: PiecewiseConstant(3)}, maximize=AtEnd(lambda v: v.level.x)
    )
    prices = shadow_prices(bounded)
    assert prices.loc[0, "limit"] == "bound of level.u"
    assert prices.loc[0, "price"] == pytest.approx(2.0, rel=1e-6)
    assert sensitivity(bounded, [level.k]).objective[0] == pytest.approx(0.7, rel=1e-6)
    limited = optimize(
        Flowsheet(level),
        Recipe(Phase("a", 1.0)),
        {level.u: PiecewiseConstant(3)},
        maximize=AtEnd(lambda v: v.level.x),
        subject_to=[Integral(lambda v: v.level.u**2, upper=0.25, name="effort")],
    )
    assert shadow_prices(limited).set_index("limit")["price"]["effort"] == pytest.approx(2.0, rel=1e-5)


def test_a_start_counts_though_its_unit_rests_at_first():
    other = Level("other")
    both = Flowsheet(level, other)
    plan = optimize(
        both,
        Recipe(Phase("a", 1.0, idle=[other]), Phase("b", 1.0)),
        {level.u: PiecewiseConstant(1), other.u: PiecewiseConstant(1)},
        maximize=AtEnd(lambda v: 3.0 * v.other.x + v.level.x),
    )
    assert sensitivity(plan, [other.x]).objective[0] == pytest.approx(3.0, rel=1e-9)


def test_what_has_no_derivatives_is_refused(plan, tmp_path):
    run = simulate(plant, Recipe(Phase("react", 600.0)), {reactor.T_j: 330.0})
    loaded = Solution.load(plan.save(tmp_path / "plan"))
    for other in (run, loaded):
        with pytest.raises(SpecificationError, match="as optimize returned it"):
            sensitivity(other)
    with pytest.raises(SpecificationError, match=r"'reactor.k0_9' is unknown"):
        sensitivity(plan, ["reactor.k0_9"])
    with pytest.raises(SpecificationError, match="is unknown"):
        sensitivity(plan, [reactor.T_j])
