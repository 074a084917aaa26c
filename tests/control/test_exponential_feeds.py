"""Is a feed exponential where it is said to be, decided or given, and are its bounds those that are stated?"""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Exponential,
    Flowsheet,
    Free,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    magnitude,
    quantity,
    replay,
    report,
    simulate,
)
from titer.numerics import Grid, Solution, SpecificationError


class Fed(Unit):
    """Monod growth on a feed; `missed` is the integral of the squared distance to a wanted feed, 0.1 exp(k t) L/h."""

    time = "h"
    X = State("g/L", start=2.0, lower=0.0)
    S = State("g/L", start=0.5, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    missed = State("1", start=0.0)
    F = Control("L/h", start=0.0, lower=0.0, upper=2.0)
    k = Parameter("1/h", 0.3)

    def equations(self, v):
        growth = magnitude(v.S, "g/L") / (0.5 + magnitude(v.S, "g/L")) * 0.4 * magnitude(v.X, "g/L")
        D = magnitude(v.F / v.V, "1/h")
        S, X, F = magnitude(v.S, "g/L"), magnitude(v.X, "g/L"), magnitude(v.F, "L/h")
        wanted = 0.1 * np.exp(magnitude(v.k * v.time, "1"))
        rate = {"X": growth - D * X, "S": D * (100.0 - S) - 2.0 * growth, "V": F, "missed": (F - wanted) ** 2}
        units = {"X": "g/L/h", "S": "g/L/h", "V": "L/h", "missed": "1/h"}
        return Equations(rate={name: value * quantity(1.0, units[name]) for name, value in rate.items()})


tank = Fed("tank")
plant = Flowsheet(tank, time="h")
two = Recipe(Phase("first", 5.0), Phase("second", 4.0))


def closest(shape, recipe=two, **more):
    return optimize(
        plant, recipe, free={tank.F: shape}, minimize=AtEnd(lambda v: v.tank.missed), grid=Grid(30), starts=1, **more
    )


def test_the_exponential_feed_of_the_textbook_keeps_the_substrate_where_it_is():
    """F = mu X V / (Y (S_F - S)) at the start, growing as exp(mu t): the exact solution with constant S."""
    mu = 0.4 * 0.5 / (0.5 + 0.5)
    first = mu * 2.0 * 1.0 * 2.0 / (100.0 - 0.5)
    given = Exponential(values=[first, first * np.exp(mu * 9.0)])
    run = simulate(plant, Recipe(Phase("feed", 9.0)), inputs={tank.F: given})
    np.testing.assert_allclose(run[tank.S], 0.5, rtol=1e-6)
    np.testing.assert_allclose(run[tank.F], first * np.exp(mu * run[tank.F].index), rtol=1e-12)
    same = simulate(plant, Recipe(Phase("feed", 9.0)), inputs={tank.F: lambda t: first * np.exp(mu * t)})
    assert run.at_end(tank.X) == pytest.approx(same.at_end(tank.X), rel=1e-7)


@pytest.mark.parametrize("recipe", [two, Recipe(Phase("first", 5.0), Phase("second", Free(3.0, 2.0, 4.0)))])
def test_a_decided_one_finds_the_feed_that_is_wanted_and_goes_on_in_the_next_phase(recipe):
    plan = closest(Exponential(), recipe)
    assert plan.certificate.ok
    assert plan.objective == pytest.approx(0.0, abs=1e-8)
    np.testing.assert_allclose(plan[tank.F], 0.1 * np.exp(0.3 * plan[tank.F].index), rtol=1e-4)
    assert replay(plan).at_end(tank.V) == pytest.approx(
        1.0 + (np.exp(0.3 * plan[tank.F].index[-1]) - 1.0) / 3.0, rel=1e-4
    )


def test_exponents_and_bounds_hold_all_along():
    slow = closest(Exponential(exponent=Free(0.05, 0.0, 0.2)))
    feed = slow[tank.F]
    assert np.diff(np.log(feed.to_numpy())).sum() / 9.0 == pytest.approx(0.2, rel=1e-6)
    held = closest(Exponential(exponent=0.3, guess=0.3))
    assert held[tank.F].iloc[0] == pytest.approx(0.1, rel=1e-5)
    low = closest(Exponential(upper=0.5))
    assert low[tank.F].max() == pytest.approx(0.5, rel=1e-6)
    limited = closest(Exponential(), subject_to=[Path(lambda v: v.tank.F, upper=0.5, name="pump")])
    assert limited.objective == pytest.approx(low.objective, rel=1e-4)


def test_each_phase_may_have_a_shape_of_its_own():
    shapes = {"first": Exponential(), "second": PiecewiseConstant(2)}
    plan = closest(shapes)
    first, second = plan[tank.F].loc[:4.9], plan[tank.F].loc[5.1:]
    np.testing.assert_allclose(first, 0.1 * np.exp(0.3 * first.index), rtol=1e-4)
    means = [0.1 / 0.3 * (np.exp(0.3 * (a + 2.0)) - np.exp(0.3 * a)) / 2.0 for a in (5.0, 7.0)]  # least squares
    np.testing.assert_allclose(np.unique(second.round(6)), means, rtol=1e-4)
    lines = closest({"first": Exponential(), "second": PiecewiseLinear(2)})
    assert 0.0 < lines.objective < plan.objective


def test_a_plan_that_was_saved_is_replayed_and_reported(tmp_path):
    plan = closest({"first": Exponential(), "second": PiecewiseConstant(2)})
    plan.save(tmp_path / "plan.npz")
    loaded = Solution.load(tmp_path / "plan.npz")
    assert replay(loaded, plant, two).at_end(tank.V) == pytest.approx(plan.at_end(tank.V), rel=1e-6)
    report(plan, tmp_path / "plan.html")
    text = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "exponential" in text


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Exponential(lower=0.0), r"positive, finite bounds, got \[0, 2\] L/h"),
        (Exponential(upper=np.inf), r"positive, finite bounds, got \[0, inf\] L/h"),
        ({"frist": Exponential()}, "phase 'frist' is unknown"),
        ({"first": 3.0}, "in phase 'first' expected PiecewiseConstant"),
        ({"first": Exponential()}, "Phase 'second': control tank.F has no trajectory"),
        ({}, "control tank.F has no trajectory"),
    ],
)
def test_what_cannot_be_is_refused(shape, text):
    with pytest.raises(SpecificationError, match=text):
        closest(shape)


@pytest.mark.parametrize(("where", "given"), [("fixed", 0.2), ("inputs", lambda t: 0.1 * t)])
def test_a_phase_that_gives_the_feed_itself_cannot_be_named_as_deciding_it(where, given):
    recipe = Recipe(Phase("first", 5.0), Phase("second", 4.0, **{where: {tank.F: given}}))
    shapes = {"first": Exponential(), "second": PiecewiseConstant(2)}
    with pytest.raises(SpecificationError, match=f"^free: tank.F is to be decided in phase 'second', .* {where}="):
        closest(shapes, recipe)
    plan = closest({"first": Exponential()}, recipe)
    assert plan.status.ok


def test_given_ones_are_positive_and_exponents_are_numbers():
    with pytest.raises(SpecificationError, match="values must be positive, got 0"):
        simulate(plant, two, inputs={tank.F: Exponential(values=[0.0, 1.0])})
    with pytest.raises(SpecificationError, match="exponent is a finite number or Free"):
        Exponential(exponent="fast")


def test_a_recipe_holds_one_as_text_and_pyomo_says_that_it_has_none():
    given = Recipe(Phase("feed", 5.0, inputs={tank.F: Exponential(values=[0.1, 0.4])}))
    text = given.to_yaml()
    assert "exponentials" in text
    run, again = (simulate(plant, recipe) for recipe in (given, Recipe.from_yaml(text)))
    assert again.at_end(tank.V) == pytest.approx(run.at_end(tank.V), rel=1e-12)
    with pytest.raises(SpecificationError, match=r"tank\.F is exponential, which is not lowered to Pyomo"):
        plant.to_pyomo(given, Grid(4))
