"""Does a failure read like a colleague's remark? Verdicts, least changes, what holds, what stopped being finite."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    AtStart,
    Control,
    Equations,
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
    magnitude,
    quantity,
    report,
)
from titer.numerics import Grid, Ipopt, SolveError
from titer.numerics.explaining.explanation import Verdict


class Heater(Unit):
    """T' = q, at most 2 K/s: the highest temperature after t is T0 + 2 t. The cost is what is heated."""

    time = "s"
    T = State("K", start=300.0)
    q = Control("K/s", start=1.0, lower=0.0, upper=2.0)

    def equations(self, v):
        return Equations(rate={"T": v.q})


heater = Heater("heater")
plant = Flowsheet(heater, time="s")
ten = Recipe(Phase("heat", 10.0))
heat = {"free": {heater.q: PiecewiseConstant(5)}, "grid": Grid(5), "minimize": Integral(lambda v: v.heater.q)}


def hot(limit, name="hot"):
    return AtEnd(lambda v: v.heater.T, lower=limit, name=name)


def test_the_least_change_of_an_end_that_cannot_be_reached_is_known():
    failed = optimize(plant, ten, subject_to=[hot(325.0)], strict=False, **heat)
    said = failed.explain()
    assert said.verdict is Verdict.MODEL_INFEASIBLE
    assert said.headline == "no decisions were found that meet hot (at least 325 K)"
    ((slack, amount),) = said.relaxation.changes
    assert (slack.text, slack.upper, amount) == ("hot", False, pytest.approx(5.0, abs=1e-4))
    assert "hot: lower limit from 325 to 320 K (by 5 K)" in str(said)
    assert "in its way: heater.q (at most 2 K/s)" in str(said)


def test_the_other_remedy_keeps_the_limit_and_widens_a_decision():
    said = optimize(plant, ten, subject_to=[hot(325.0)], strict=False, **heat).explain()
    ((slack, amount),) = said.alternative.changes
    assert (slack.text, slack.upper) == ("heater.q", True)
    assert amount == pytest.approx(0.5, abs=1e-4)  # 2.5 K/s for 10 s


def test_limits_that_contradict_each_other_are_both_named_in_the_first_line():
    cool = Path(lambda v: v.heater.T, upper=310.0, name="cool")
    with pytest.raises(SolveError) as caught:
        optimize(plant, ten, subject_to=[hot(315.0), cool], **heat)
    first = str(caught.value).splitlines()[0]
    assert "hot" in first
    assert "cool" in first


def test_what_holds_an_optimum_is_listed_with_its_price():
    plan = optimize(plant, ten, subject_to=[hot(315.0)], **heat)
    said = plan.explain()
    assert said.verdict is Verdict.SOLVED
    (entry,) = said.active
    assert (entry.text, entry.upper) == ("hot", False)
    assert entry.price == pytest.approx(1.0, abs=1e-6)  # a kelvin more costs a kelvin more
    assert "shadow price 1 per K" in str(said)


def test_a_limit_of_time_is_named_and_the_iterate_is_kept():
    with pytest.raises(SolveError) as caught:
        optimize(plant, ten, subject_to=[hot(315.0)], solver=Ipopt(seconds=1e-6), **heat)
    assert "stopped by the time limit of 1e-06 s" in str(caught.value)
    assert np.isfinite(caught.value.solution[heater.T].to_numpy()).all()


def test_terms_of_one_name_give_way_each_on_its_own_side():
    cool = Path(lambda v: v.heater.T, upper=309.0, name="T")
    said = optimize(plant, ten, subject_to=[hot(310.0, "T"), cool], strict=False, **heat).explain()
    assert said.verdict is Verdict.MODEL_INFEASIBLE
    assert sum(amount for _, amount in said.relaxation.changes) == pytest.approx(1.0, abs=1e-4)
    assert "T (at least 310 K) together with T (at most 309 K)" in said.headline


def test_a_bound_of_zero_holds_an_optimum_like_any_other():
    plan = optimize(plant, ten, free={heater.q: PiecewiseConstant(5)}, grid=Grid(5), minimize=heat["minimize"])
    (entry,) = plan.explain().active
    assert (entry.text, entry.upper, entry.bound) == ("heater.q", False, 0.0)
    assert entry.price == pytest.approx(10.0, rel=1e-6)  # 1 K/s more for 10 s


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_what_is_in_the_way_does_not_depend_on_the_size_of_the_objective(factor):
    cool = Path(lambda v: v.heater.T, upper=310.0, name="cool")
    problem = heat | {"minimize": factor * heat["minimize"]}
    said = optimize(plant, ten, subject_to=[hot(315.0), cool], strict=False, **problem).explain()
    assert said.headline == "no decisions were found that meet hot (at least 315 K) together with cool (at most 310 K)"


def test_the_end_of_a_phase_and_a_rate_of_change_are_named_as_the_user_wrote_them():
    until = Recipe(Phase("heat", Free(9.0, 1.0, 20.0), until=Reaches(heater.T, 310.0, "rising")))
    problem = {"free": {heater.q: PiecewiseConstant(1)}, "grid": Grid(5), "minimize": AtEnd(lambda v: v.time)}
    held = {entry.text: entry for entry in optimize(plant, until, **problem).explain().active}
    end = held["until heater.T reaches 310.0 rising"]
    assert end.wish == end.text
    assert end.price == pytest.approx(0.5, rel=1e-5)  # at 2 K/s
    free = {heater.q: PiecewiseLinear(4, rate=0.1)}
    slow = AtStart(lambda v: v.heater.q, upper=0.1, name="slow start")
    plan = optimize(plant, ten, free=free, grid=Grid(4), maximize=AtEnd(lambda v: v.heater.T), subject_to=[slow])
    assert any(entry.wish == "rate of change of heater.q, rising" for entry in plan.explain().active)


def test_an_iteration_limit_is_named():
    said = optimize(plant, ten, subject_to=[hot(315.0)], strict=False, solver=Ipopt(iterations=1), **heat).explain()
    assert "iterations= of its solver allows more" in str(said)


class Profit(Unit):
    """A feed that pays and costs nothing."""

    time = "s"
    m = State("kg", start=0.0)
    F = Control("kg/s", start=1.0, lower=0.0)

    def equations(self, v):
        return Equations(rate={"m": v.F})


def test_what_runs_away_is_named():
    unit = Profit("unit")
    with pytest.raises(SolveError) as caught:
        optimize(
            Flowsheet(unit, time="s"), ten, free={unit.F: PiecewiseConstant(2)}, maximize=AtEnd(lambda v: v.unit.m)
        )
    assert str(caught.value).splitlines()[0].startswith("unit.F (at ")
    assert caught.value.solution.explain().verdict is Verdict.UNBOUNDED


class Tank(Unit):
    """What is filled in pays, and the tank has an end; its product starts at the bound of its domain."""

    time = "s"
    P = State("kg", start=0.0, lower=0.0)
    V = State("L", start=10.0, lower=0.0, upper=12.0)
    F = Control("L/s", start=0.1, lower=0.0, upper=1.0)

    def equations(self, v):
        return Equations(rate={"P": v.F * quantity(1.0, "kg/L"), "V": v.F})


class Account(Profit):
    """The feed pays into an account, which nothing bounds on either side."""

    F = Control("kg/s", start=1.0)
    T = State("K", start=300.0)

    def equations(self, v):
        return Equations(
            rate={"m": v.F, "T": (v.F * quantity(1.0, "K/kg") - 1e-2 * (v.T - 300.0) * quantity(1.0, "1/s"))}
        )


def test_what_runs_away_soon_is_named_though_its_balances_are_met_only_up_to_rounding():
    unit = Account("unit")
    problem = {"free": {unit.F: PiecewiseConstant(4)}, "maximize": AtEnd(lambda v: v.unit.m), "strict": False}
    far = Ipopt(options={"diverging_iterates_tol": 1e20})  # so far out that balances are missed by far more than 1
    for solver in (Ipopt(), far):
        said = optimize(Flowsheet(unit, time="s"), ten, solver=solver, **problem).explain()
        assert said.verdict is Verdict.UNBOUNDED
        assert said.headline.startswith("unit.F (at ")


def test_a_domain_that_binds_is_named_with_its_bound_and_its_time_and_nothing_says_that_none_holds():
    tank = Tank("tank")
    plan = optimize(
        Flowsheet(tank, time="s"), ten, free={tank.F: PiecewiseConstant(2)}, maximize=AtEnd(lambda v: v.tank.P)
    )
    said = plan.explain()
    assert said.verdict is Verdict.NOT_CERTIFIED
    assert "the physical domain of tank.V @ heat, t = 10 s (at most 12 L) binds" in said.headline
    assert "no limit holds it" not in str(said)


class Draining(Unit):
    """The level of a tank falls as its square root: below zero there is none."""

    time = "s"
    h = State("m", start=1.0)
    k = Parameter("m**0.5/s", 0.1)
    u = Control("1", start=0.1, lower=0.0, upper=3.0)

    def equations(self, v):
        return Equations(rate={"h": -v.k * v.u * np.sqrt(v.h)})


def test_a_number_that_is_not_finite_is_traced_to_its_operation():
    unit = Draining("unit")
    failed = optimize(
        Flowsheet(unit, time="s"),
        Recipe(Phase("drain", Free(30.0, 1.0, 60.0))),
        free={unit.u: PiecewiseConstant(2)},
        minimize=AtEnd(lambda v: np.log(magnitude(v.unit.h, "m") - 0.99)),
        grid=Grid(6),
        strict=False,
    )
    said = failed.explain()
    assert not failed.status.ok
    assert "log(" in said.headline
    assert "unit.h" in said.headline


def test_the_report_carries_the_explanation(tmp_path):
    failed = optimize(plant, ten, subject_to=[hot(325.0)], strict=False, **heat)
    page = report(failed, tmp_path / "failed.html").read_text(encoding="utf-8")
    assert "no decisions were found that meet hot (at least 325 K)" in page
    assert "Model infeasible" in page
