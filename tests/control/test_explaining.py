"""Does a failure read like a colleague's remark? Verdicts, least changes, what holds, what stopped being finite."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
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
