"""Are numbers that data cannot tell found and named? Against sensitivities known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Experiment, estimate
from titer.estimation.statistics.identifiability import collinearity, ranked
from titer.flowsheets import Equations, Expression, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, Ipopt, SpecificationError

times = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
recipe = Recipe(Phase("run", 10.0))


class Culture(Unit):
    """S' = -mu_max S / (K_S + S) a b;  seen = S + tiny / 1e6."""

    time = "h"
    S = State("g/L", start=1.0, lower=0.0)
    mu_max = Parameter("g/L/h", 40.0, lower=0.0)
    K_S = Parameter("g/L", 100.0, lower=0.0)
    a = Parameter("1", 1.0, lower=0.0)
    b = Parameter("1", 1.0, lower=0.0)
    tiny = Parameter("1", 1.0, lower=0.0)
    seen = Expression("g/L")

    def equations(self, v):
        v.define("seen", v.S * (1.0 + 1e-6 * v.tiny))
        return Equations(rate={"S": -v.mu_max * v.S / (v.K_S + v.S) * v.a * v.b})


class Curves(Unit):
    """x' = p + 2 q t + r (1 + 2 t): a part of the effect of r is that of p, the rest that of q."""

    time = "h"
    x = State("1", start=0.0)
    p = Parameter("1/h", 1.0, lower=0.0, upper=50.0)
    q = Parameter("1/h**2", 1.0, lower=0.0, upper=50.0)
    r = Parameter("1/h", 1.0, lower=0.0, upper=50.0)

    def equations(self, v):
        from titer.flowsheets import quantity

        slope = v.time / quantity(1.0, "h")
        return Equations(rate={"x": v.p + 2.0 * v.q * v.time + v.r * (1.0 + 2.0 * slope)})


unit, curves = Culture("reactor"), Curves("curves")


def culture(free, noise=0.01, grid=20, deviation=0.01, name=unit.S):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({name: np.exp(-0.4 * times) + noise * rng.normal(size=len(times))}, index=times)
    data = Experiment(frame, {name: deviation}, recipe)
    return estimate(Flowsheet(unit, time="h"), [data], free, Grid(grid), Ipopt(tolerance=1e-10))


def test_the_ranking_is_that_of_sensitivities_known_in_closed_form():
    """S = S0 exp(-k t) for S << K_S: dS/dlnS0 = S, dS/dln(mu) = -k t S, within S / K_S of it."""
    fit = culture({unit.mu_max: Free(40.0, 0.0, 200.0), unit.S: Free(1.0, 0.0, 5.0)})
    found = fit.estimability()
    start, rate = fit.starts[0][unit.S], fit.values[unit.mu_max] / 100.0
    curve = start * np.exp(-rate * times) / 0.01
    columns = {"reactor.S, experiment 1": curve, unit.mu_max: -rate * times * curve}
    first, second = sorted(columns, key=lambda name: -np.linalg.norm(columns[name]))
    a, b = columns[first], columns[second]
    own = np.linalg.norm(b - a * (a @ b) / (a @ a))
    assert list(found.ranking.index) == [first, second]
    assert list(found.ranking["own"]) == pytest.approx([np.linalg.norm(a), own], rel=0.02)
    assert found.ranking["relative error %"].iloc[1] == pytest.approx(100.0 / own, rel=0.02)
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(np.column_stack([a, b]))[1], rtol=0.02)
    assert found.groups == ()
    assert found.undetermined == ()
    assert "These data determine all numbers." in str(found)


def test_relative_errors_of_the_last_are_those_of_the_covariance():
    fit = culture({unit.mu_max: Free(40.0, 0.0, 200.0), unit.S: Free(1.0, 0.0, 5.0)}, noise=0.0)
    last = fit.estimability().ranking.iloc[-1]
    table = fit.table().loc[last.name]
    assert last["relative error %"] == pytest.approx(table["relative error %"], rel=1e-3)


def test_a_saturation_constant_far_above_all_data_is_named_with_its_rate():
    fit = culture({unit.mu_max: Free(40.0, 0.0, 1e3), unit.K_S: Free(100.0, 50.0, 1e3)})
    found = fit.estimability()
    assert [group.labels for group in found.groups] == [(unit.K_S, unit.mu_max)]
    assert found.groups[0].known == "reactor.K_S / reactor.mu_max"
    assert "reactor.K_S and reactor.mu_max cannot be told apart by these data" in str(found)
    assert found.undetermined == (found.ranking.index[-1],)
    assert found.advice[0].startswith(f"Fix {found.ranking.index[-1]} at a value known from elsewhere")


def test_factors_of_a_product_come_last_and_are_named():
    free = {unit.S: Free(1.0, 0.0, 5.0), unit.a: Free(1.0, 0.1, 10.0), unit.b: Free(1.0, 0.1, 10.0)}
    found = culture(free).estimability()
    assert len(found.groups) == 1
    assert found.groups[0].labels == (unit.a, unit.b)
    assert found.groups[0].known == "reactor.a * reactor.b"
    assert "(collinearity index infinite): hardly more than reactor.a * reactor.b is known" in str(found)
    assert found.ranking.index[-1] in (unit.a, unit.b)
    assert found.ranking["relative error %"].iloc[-1] > 1e6
    assert found.singular_values[-1] < 1e-6 * found.singular_values[0]


def test_three_numbers_that_act_alike_are_one_group():
    free = {name: Free(1.0, 0.1, 10.0) for name in (unit.a, unit.b)} | {unit.mu_max: Free(40.0, 0.0, 200.0)}
    found = culture(free).estimability()
    assert [group.labels for group in found.groups] == [(unit.a, unit.b, unit.mu_max)]
    assert len(found.groups[0].fix) == 2
    assert "reactor.a, reactor.b and reactor.mu_max cannot be told apart" in str(found)


def test_three_numbers_of_which_no_two_act_alike_are_one_group():
    at = np.array([0.2, 0.5, 1.0, 1.5, 2.0])
    frame = pd.DataFrame({curves.x: 2.0 * at + 2.0 * at**2}, index=at)
    data = Experiment(frame, {curves.x: 0.1}, Recipe(Phase("run", 2.0)))
    fit = estimate(Flowsheet(curves, time="h"), [data], [curves.p, curves.q, curves.r], Grid(10))
    found = fit.estimability(collinear=50.0)
    assert [group.labels for group in found.groups] == [(curves.p, curves.q, curves.r)]
    assert len(found.groups[0].fix) == 1
    assert found.groups[0].fix == (found.ranking.index[-1],)


def test_a_number_that_moves_next_to_nothing_comes_last_with_what_it_moves():
    free = {unit.S: Free(1.0, 0.0, 5.0), unit.tiny: Free(1.0, 0.5, 2.0)}
    found = culture(free, name=unit.seen).estimability()
    assert found.ranking.index[-1] == unit.tiny
    assert found.undetermined == (unit.tiny,)
    assert f"Fix {unit.tiny}: doubling it moves all measurements together by" in " ".join(found.advice)


def test_a_number_on_its_bound_is_ranked_and_said_to_be_held():
    fit = culture({unit.mu_max: Free(20.0, 0.0, 30.0), unit.S: Free(1.0, 0.0, 5.0)})
    ranking = fit.estimability().ranking
    assert ranking.loc[unit.mu_max, "note"] == "held by its upper bound"


def test_precise_data_tell_what_acts_nearly_alike():
    free = {unit.mu_max: Free(40.0, 0.0, 1e3), unit.K_S: Free(100.0, 50.0, 1e3)}
    found = culture(free, noise=0.0, grid=60, deviation=1e-8).estimability()
    assert found.groups[0].told
    assert found.undetermined == ()
    assert "precise enough to tell them" in str(found)
    assert "strongly correlated" in found.advice[0]


def test_the_collinearity_index_of_two_columns_is_known():
    """Unit vectors with cosine c: the smallest eigenvalue of their products is 1 - c."""
    columns = np.array([[1.0, 3.0], [0.0, 4.0]])
    assert collinearity(columns) == pytest.approx(1.0 / np.sqrt(1.0 - 0.6))
    assert collinearity(np.ones((1, 2))) == np.inf


def test_the_ranking_is_that_of_successive_regressions(rng):
    scaled = rng.normal(size=(9, 4)) * [1.0, 5.0, 0.1, 2.0]
    order, own = ranked(scaled)
    rest, left = scaled.copy(), [0, 1, 2, 3]
    for rank in range(4):
        best = max(left, key=lambda i: np.linalg.norm(rest[:, i]))
        assert order[rank] == best
        assert own[rank] == pytest.approx(np.linalg.norm(rest[:, best]))
        taken = scaled[:, order[: rank + 1]]
        left.remove(best)
        rest = scaled - taken @ np.linalg.lstsq(taken, scaled, rcond=None)[0]


@pytest.mark.parametrize("bad", [1.0, "15", True])
def test_a_bad_index_is_refused(bad):
    fit = culture([unit.mu_max])
    with pytest.raises(SpecificationError, match="collinear must be a number above 1"):
        fit.estimability(bad)
