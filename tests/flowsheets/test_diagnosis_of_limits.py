"""Does `diagnose` name limits that no decision can meet, before anything is solved?"""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Path,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    diagnose,
    quantity,
)
from titer.flowsheets.diagnosis.findings import Diagnosis, Finding
from titer.flowsheets.units import BatchReactor

HOUR = Recipe(Phase("react", 3600.0))
reactor = BatchReactor("reactor")
plant = Flowsheet(reactor)


def first_line(diagnosis: Diagnosis) -> str:
    return str(diagnosis).splitlines()[0]


def the(findings: tuple[Finding, ...], *words: str) -> Finding:
    """The one finding that says all of these words."""
    said = [finding for finding in findings if all(word in f"{finding.text}\n{finding.remedy}" for word in words)]
    assert len(said) == 1, "\n".join(map(str, findings))
    return said[0]


cooled = {"free": {reactor.T_j: PiecewiseConstant(5)}}


def limited(*terms: Any, recipe: Recipe = HOUR, **more: Any) -> Diagnosis:
    return diagnose(plant, recipe, subject_to=list(terms), **{**cooled, **more})


def test_limits_that_contradict_each_other_are_both_named():
    mild = Path(lambda v: v.reactor.T, upper=340.0, name="mild")
    hot = Path(lambda v: 2.0 * v.reactor.T - 600.0, lower=90.0, name="hot")  # 345 K
    assert "hot and mild contradict each other" in first_line(limited(mild, hot, free={reactor.T: Free(342, 300, 350)}))
    warm = AtEnd(lambda v: v.reactor.T, lower=330.0, name="warm")
    assert limited(mild, warm).ok


def test_a_limit_on_two_variables_is_compared_too():
    near = Path(lambda v: v.reactor.T_j - v.reactor.T, upper=5.0, name="near")
    far = AtEnd(lambda v: v.reactor.T_j - v.reactor.T, lower=6.0, name="far")
    assert "far and near contradict each other" in first_line(limited(near, far))


def test_a_limit_outside_the_domain_of_its_variable_is_an_error():
    cold = AtEnd(lambda v: v.reactor.T, upper=240.0, name="cold")
    assert "cold asks for reactor.T <= 240 K" in first_line(limited(cold))
    assert "domain of reactor.T asks for at least 250" in first_line(limited(cold))
    jacket = Path(lambda v: v.reactor.T_j, lower=375.0, name="jacket")
    assert "jacket asks for reactor.T_j >= 375 K" in first_line(limited(jacket))


def test_a_limit_against_a_reset_a_fixed_input_and_the_durations_is_an_error():
    full = Path(lambda v: v.reactor.c_A, upper=2.0, name="full", phase="again")
    again = Recipe(Phase("react", 3600.0), Phase("again", 3600.0, start={reactor.c_A: 3.0}))
    assert "full asks for reactor.c_A <= 2 mol/L" in first_line(limited(full, recipe=again))
    held = Recipe(Phase("react", 3600.0, fixed={reactor.T_j: 365.0}))
    jacket = Path(lambda v: v.reactor.T_j, upper=360.0, name="jacket")
    assert "jacket asks for reactor.T_j <= 360 K" in first_line(limited(jacket, recipe=held, free={}))
    short = AtEnd(lambda v: v.time, upper=1000.0, name="deadline")
    assert "deadline asks for time <= 1000 s" in first_line(
        limited(short, recipe=Recipe(Phase("a", Free(3600, 2000, 5000))))
    )


def test_a_start_that_violates_a_path_is_an_error_unless_it_is_decided():
    wall = Path(lambda v: v.reactor.T, upper=310.0, name="wall temperature")
    diagnosis = limited(wall)
    assert "wall temperature is violated at t = 0 already: 320 K > 310 K" in first_line(diagnosis)
    assert "reactor.T" in first_line(diagnosis)
    assert len(diagnosis.errors) == 1
    assert limited(wall, free={reactor.T: Free(305, 300, 330)}).ok
    assert limited(Path(lambda v: v.reactor.Q_j, upper=100.0, name="duty")).ok  # the jacket may change at once


def test_a_path_that_the_start_stands_on_and_leaves_is_a_warning():
    the(limited(Path(lambda v: v.reactor.T, upper=320.0, name="wall")).warnings, "wall begins on its limit")


def test_limits_missed_by_the_simulated_start_are_notes_as_long_as_something_is_decided():
    pure = AtEnd(lambda v: v.reactor.c_C, upper=0.1, name="pure")
    assert "other decisions meet it" in the(limited(pure).notes, "pure").text
    never = AtEnd(lambda v: v.reactor.c_B, lower=0.9, name="never")  # known: 0.73 mol/L is the most in an hour
    assert "come no nearer" in the(limited(never).notes, "never").text
    often = AtEnd(lambda v: v.reactor.c_C, lower=1.5, name="often")  # of 1 mol/L
    assert "come as near as" in the(limited(often).notes, "often").text
    the(limited(pure, free={}).warnings, "pure", "Nothing is decided")


def test_more_equalities_than_decisions_are_a_warning():
    ends = [AtEnd(lambda v, k=k: v[f"reactor.{k}"], lower=0.3, upper=0.3, name=k) for k in ("c_A", "c_B", "c_C")]
    free = {reactor.T_j: PiecewiseConstant(2)}
    the(limited(*ends, free=free).warnings, "c_A, c_B, c_C", "3 equalities", "2 numbers")
    assert not limited(*ends, free={reactor.T_j: PiecewiseConstant(3)}).warnings


class Draining(Unit):
    """A tank that is drained at a constant flow."""

    time = "h"
    V = State("L", start=1.0, lower=0.0, nominal=1.0)
    F = Control("L/h", start=0.5, lower=0.0, upper=5.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"V": -v.F})


def test_an_objective_that_grows_with_an_input_without_bound_is_a_warning():
    filling = Draining("tank", F={"lower": -np.inf})
    recipe, volume = Recipe(Phase("fill", 1.0)), AtEnd(lambda v: v.tank.V)
    ask: dict[str, Any] = {"free": {filling.F: PiecewiseConstant(2)}, "maximize": volume}
    the(diagnose(Flowsheet(filling), recipe, **ask).warnings, "tank.F is decided without lower bound")
    full = [Path(lambda v: v.tank.V, upper=2.0, name="full")]
    assert not diagnose(Flowsheet(filling), recipe, subject_to=full, **ask).warnings
    dear = {**ask, "maximize": volume - 0.1 * Integral(lambda v: v.tank.F**2)}
    assert not diagnose(Flowsheet(filling), recipe, **dear).warnings


def test_a_given_input_outside_its_bounds_says_when_first():
    ramp = {reactor.T_j: lambda t: 320.0 + 0.02 * t}
    found = the(diagnose(plant, HOUR, ramp).warnings, "reactor.T_j", "[300, 370] K")
    assert "t = 25" in found.text  # 370 K at 2500 s, seen at the next output point
    step = diagnose(plant, HOUR, {reactor.T_j: PiecewiseConstant(values=[334.0, 290.0])}).warnings
    the(step, "reactor.T_j", "290 K", "t = 1800 s")


class Slow(Unit):
    """x' = -u x / 10."""

    time = "s"
    x = State("1", start=1.0, lower=0.0, upper=1.5)
    u = Control("1", start=0.5, lower=0.1, upper=1.0)

    def equations(self, v):
        return Equations(rate={"x": -v.u * v.x / quantity(10.0, "s")})


def test_a_decision_that_moves_only_the_end_of_its_phase_has_influence():
    unit = Slow("unit")
    until = Recipe(Phase("wait", Free(9.0, 1.0, 90.0), until=Reaches(unit.x, 0.5, "falling")))
    decided = {unit.u: PiecewiseConstant(2)}
    assert not diagnose(Flowsheet(unit, time="s"), until, free=decided, minimize=AtEnd(lambda v: v.time)).findings


def test_a_curved_limit_of_small_numbers_is_not_taken_for_a_straight_one():
    unit = Slow("unit")
    tiny = AtEnd(lambda v: 1e-11 * (v.unit.x + v.unit.x**2), upper=1e-11, lower=-1e-11, name="tiny")  # x below 0.618
    small = AtEnd(lambda v: 1e-11 * v.unit.x**4, lower=2e-11, name="fourth power")  # x above 1.19, inside its domain
    run = Recipe(Phase("wait", 9.0))
    decided = {unit.u: PiecewiseConstant(2), unit.x: Free(1.0, 0.5, 1.5)}
    found = diagnose(Flowsheet(unit, time="s"), run, free=decided, subject_to=[tiny, small]).findings
    assert not any("allows" in finding.text or "asks for" in finding.text for finding in found)
