"""Every bad input has a clear error before any solve: which object, what was expected, what came, what to do."""

import math

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    AtStart,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError


class Reactor(Unit):
    time = "h"
    c = State("g/L", start=2.0, lower=0.0, upper=50.0)
    n = State("g/L", over="kinds", start=1.0, lower=0.0)
    z = Algebraic("g/L", start=1.0)
    u = Control("g/L/h", start=1.0, lower=0.0, upper=3.0)
    k = Parameter("1/h", 0.5, lower=0.0, upper=2.0)
    r = Expression("g/L/h")
    kinds: tuple[str, ...] = ("a", "b")

    def equations(self, v):
        r = v.define("r", v.k * v.c)
        return Equations(rate={"c": v.u - r, "n": -v.k * v.n}, zero={"half": v.z - 0.5 * v.c})


class Tank(Unit):
    time = "h"
    V = State("L", start=1.0)
    w = Control("L/h", start=0.0)
    q = Expression("L/h")

    def equations(self, v):
        return Equations(rate={"V": v.define("q", 2.0 * v.w)})


reactor, tank = Reactor("reactor"), Tank("tank")
plant = Flowsheet(reactor, tank)
GIVEN = {reactor.u: 1.0, tank.w: 0.0}


def refused(make, text):
    with pytest.raises(SpecificationError) as raised:
        make()
    assert text in str(raised.value)


# --- simulation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({**GIVEN, "reactor.uu": 1.0}, "inputs: control 'reactor.uu' is unknown. Did you mean 'reactor.u'?"),
        (
            {**GIVEN, reactor.c: 1.0},
            "inputs: reactor.c is a state, not a control.\n  Set its start by plant.with_values",
        ),
        ({**GIVEN, reactor.k: 1.0}, "inputs: reactor.k is a parameter, not a control."),
        ({**GIVEN, reactor.z: 1.0}, "inputs: reactor.z is an algebraic, not a control.\n  Its equation determines it."),
        ({**GIVEN, reactor.r: 1.0}, "inputs: control 'reactor.r' is unknown"),
        ({**GIVEN, reactor.u: math.nan}, "Phase 'go': inputs: reactor.u must be finite, got nan"),
        ({**GIVEN, reactor.u: quantity(1.0, "K")}, "Phase 'go': inputs: reactor.u: "),
        ({reactor.u: 1.0}, "Phase 'go': control tank.w has no trajectory.\n  Give inputs={tank.w: a number"),
        ([1.0], "inputs: expected a dict from names to values, got list"),
    ],
)
def test_inputs_are_trajectories_of_controls(inputs, text):
    refused(lambda: simulate(plant, Recipe(Phase("go", 1.0)), inputs), text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fixed": {reactor.c: 1.0}}, "fixed: reactor.c is a state; a state has a rate and cannot be fixed as well."),
        ({"fixed": {reactor.z: 1.0}}, "fixed: reactor.z is algebraic, its equation determines it."),
        (
            {"fixed": {"reactor.kk": 1.0}},
            "fixed: control or parameter 'reactor.kk' is unknown. Did you mean 'reactor.k'?",
        ),
        ({"fixed": {reactor.u: math.inf}}, "fixed: reactor.u must be finite, got inf"),
        ({"fixed": {reactor.u: lambda t: t}}, "fixed: reactor.u: expected a number"),
        ({"fixed": {reactor.k: 3.0}}, "fixed: reactor.k = 3 lies outside its bounds [0, 2] 1/h."),
        (
            {"fixed": {reactor.u: 1.0}, "inputs": {reactor.u: 1.0}},
            "reactor.u stands in inputs and in fixed; give it once",
        ),
        ({"inputs": {"reactor.x": 1.0}}, "inputs: control 'reactor.x' is unknown."),
        ({"idle": ["tonk"]}, "idle: unit operation 'tonk' is unknown. Did you mean 'tank'?"),
        ({"idle": [tank, reactor]}, "idle: every unit operation is idle; at least one must be active."),
        ({"start": {"reactor.cc": 1.0}}, "start: state 'reactor.cc' is unknown. Did you mean 'reactor.c'?"),
        ({"start": {reactor.k: 1.0}}, "start: state 'reactor.k' is unknown"),
        ({"start": {reactor.c: -1.0}}, "start: reactor.c = -1 lies outside its bounds [0, 50] g/L."),
        ({"start": {reactor.c: math.nan}}, "start: reactor.c must be finite, got nan"),
        ({"start": {reactor.c: "empty"}}, "start: reactor.c: expected a number in 'g/L', got 'empty'"),
        ({"start": {reactor.n: [1.0, 2.0, 3.0]}}, "start: reactor.n stands for 2 values, got 3."),
        (
            {"start": {tank.V: 1.0}, "idle": [tank]},
            "start: tank.V cannot be set, its unit operation is idle in this phase",
        ),
        ({"start": {reactor.c: lambda v: v.tank.V}}, "start of reactor.c: the function gives 'L', expected 'g/L'."),
        ({"start": {reactor.c: lambda v: None}}, "start of reactor.c: what the function gives: expected a number"),
        ({"start": {reactor.c: lambda v: v.reactor.n}}, "start of reactor.c: expected 1 values, the function gives 2"),
        (
            {"start": {reactor.n: lambda v: [v.reactor.c] * 3}},
            "start of reactor.n: expected 2 values, the function gives 3",
        ),
        ({"start": {reactor.c: lambda v: v.reactor.cc}}, "start of reactor.c: reactor: variable 'cc' is unknown."),
    ],
)
def test_a_phase_is_checked_against_the_plant(options, text):
    recipe = Recipe(Phase("before", 1.0), Phase("go", 1.0, **options))
    refused(lambda: simulate(plant, recipe, GIVEN), f"Phase 'go': {text}")


def test_a_reset_that_reads_what_a_unit_at_rest_lacks_is_refused():
    for function, name in ((lambda v: v.tank.q, "q"), (lambda v: v["tank.w"], "w")):
        recipe = Recipe(Phase("before", 1.0, idle=[tank]), Phase("go", 1.0, start={reactor.c: function}))
        refused(
            lambda recipe=recipe: simulate(plant, recipe, GIVEN),
            f"start of reactor.c: tank.{name}: the unit operation is",
        )


def test_the_first_phase_has_no_end_before_it():
    recipe = Recipe(Phase("go", 1.0, start={reactor.c: lambda v: v.reactor.c}))
    refused(
        lambda: simulate(plant, recipe, GIVEN), "Phase 'go': start of reactor.c: the first phase has no phase before it"
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: simulate(plant, Phase("go", 1.0), GIVEN), "expected a Recipe(Phase(...), ...), got Phase"),
        (lambda: simulate(reactor, Recipe(Phase("go", 1.0))), "expected a Flowsheet(...), got Reactor"),
        (
            lambda: simulate(plant, Recipe(Phase("go", quantity(-1.0, "min"))), GIVEN),
            "Phase 'go': duration must be posit",
        ),
        (lambda: simulate(plant, Recipe(Phase("go", quantity(1.0, "g"))), GIVEN), "Phase 'go': duration: cannot"),
        (
            lambda: simulate(plant, Recipe(Phase("go", Free(quantity(1.0, "min"), 0.1, 1.0))), GIVEN),
            "Phase 'go': a free duration needs 0 <= lower <= guess <= upper",
        ),
    ],
)
def test_a_recipe_is_checked_against_the_plant(make, text):
    refused(make, text)


def test_a_misspelt_keyword_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'imputs'"):
        simulate(plant, Recipe(Phase("go", 1.0)), imputs=GIVEN)


def test_a_mistake_of_the_users_own_keeps_its_type_and_says_where_it_arose():
    recipe = Recipe(Phase("a", 1.0), Phase("b", 1.0, start={reactor.c: lambda v: {}["S"]}))
    with pytest.raises(KeyError) as raised:
        simulate(plant, recipe, GIVEN)
    assert raised.value.__notes__ == [
        "start of reactor.c: this is not titer's error; it arose in the function given there."
    ]


# --- optimization -------------------------------------------------------------------------------------------------

GOAL = AtEnd(lambda v: v.reactor.c)
FREE = {reactor.u: PiecewiseConstant(3)}
RECIPE = Recipe(Phase("rest", 1.0, idle=[tank]), Phase("go", 1.0))


def solve(free=None, maximize=GOAL, subject_to=(), recipe=RECIPE, **options):
    inputs = {tank.w: 0.1, **({} if free is None else {reactor.u: 1.0})}
    return optimize(
        plant, recipe, FREE if free is None else free, maximize, None, subject_to, Grid(3), inputs, starts=1
    )


@pytest.mark.parametrize(
    ("free", "text"),
    [
        ({"reactor.uu": PiecewiseConstant(3)}, "free: name 'reactor.uu' is unknown. Did you mean 'reactor.u'?"),
        ({reactor.c: PiecewiseConstant(3)}, "free: reactor.c is a state; pieces are for controls."),
        ({reactor.u: 1.0}, "free: reactor.u needs PiecewiseConstant(n)"),
        ({reactor.u: Free(1.0)}, "free: reactor.u is a control"),
        ({reactor.k: Free(5.0, 0.0, 9.0)}, "free: the guess 5 of reactor.k lies outside [0, 2] 1/h."),
        ({reactor.u: PiecewiseConstant(3, guess=9.0)}, "free: the guess 9 of reactor.u lies outside [0, 3] g/L/h."),
        (
            {reactor.u: PiecewiseLinear(3, lower=2.0, upper=1.0)},
            "free: bounds of reactor.u are reversed: lower 2, upper 1",
        ),
        ({reactor.u: PiecewiseConstant(3, lower=math.nan)}, "free: bounds of reactor.u are reversed: lower nan"),
        ({reactor.u: PiecewiseConstant(3, upper=quantity(1.0, "K"))}, "free: reactor.u: "),
        ({reactor.u: PiecewiseConstant(values=[1.0])}, "free: reactor.u has values; pieces with values are given."),
        ({}, "nothing is free"),
    ],
)
def test_decisions_are_checked(free, text):
    refused(lambda: solve(free), text)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Path(lambda v: v.reactor.c, lower=2.0, upper=1.0), "Path: limits are reversed: lower 2, upper 1 g/L."),
        (
            AtEnd(lambda v: v.reactor.c / 2.0 / v.reactor.c, lower=2, upper=1),
            "AtEnd: limits are reversed: lower 2, upper 1.",
        ),
        (Path(lambda v: v.reactor.c, upper=math.nan, name="wall"), "wall, upper: a limit is NaN."),
        (
            Path(lambda v: v.reactor.n, upper=1.0),
            "Path: expected one number, the function gives an array of shape (2,).",
        ),
        (AtEnd(lambda v: None, upper=1.0), "AtEnd: expected a symbol or a number, the function gives NoneType None."),
        (AtEnd(lambda v: v.reactor.c > 1.0, upper=1.0), "AtEnd: expected a symbol or a number"),
        (AtEnd(lambda v: v.reactor.cc, upper=1.0), "AtEnd: reactor: variable 'cc' is unknown. Did you mean 'c'?"),
        (AtEnd(lambda v: v.reactor.c + v.tank.V, upper=1.0), "AtEnd: cannot add 'g/L' and 'L'"),
        (AtEnd(lambda v: v.reactor.c, upper=1.0, phase="stop"), "AtEnd: phase 'stop' is unknown."),
        (AtEnd(lambda v: v.reactor.c), "subject_to: AtEnd has no limit; give lower= or upper=."),
        (
            AtStart(lambda v: v.tank.q, upper=1.0),
            "AtStart: tank.q: the unit operation is idle here; only its held states",
        ),
        (Path(lambda v: v.tank.q, upper=1.0, phase="rest"), "Path: tank.q: the unit operation is idle here"),
        (Path(lambda v: v["tank.w"], upper=1.0, phase="rest"), "Path: tank.w: the unit operation is idle here"),
    ],
)
def test_terms_are_checked(term, text):
    refused(lambda: solve(subject_to=[term]), text)


def test_objectives_are_checked():
    refused(lambda: solve(maximize=Path(lambda v: v.reactor.c)), "Path: a Path is a constraint, no objective")
    refused(lambda: solve(maximize=AtEnd(lambda v: np.array([1.0, 2.0]))), "AtEnd: expected one number")
    refused(lambda: solve(maximize=AtEnd(lambda v: v.reactor.c) + 1.0), "a term is added to terms, got 1.0")


def test_a_term_without_a_phase_skips_phases_in_which_what_it_reads_is_at_rest():
    plan = solve(subject_to=[Path(lambda v: v.tank.q, upper=5.0)], maximize=GOAL - Integral(lambda v: v.tank.q))
    assert plan.status.ok
    assert plan.objective == pytest.approx(plan.at_end(reactor.c) - 0.2, rel=1e-6)


def test_what_is_tried_first_is_moved_into_the_bounds_of_the_decision():
    plan = solve({reactor.u: PiecewiseConstant(2, lower=2.0, upper=2.5)})
    assert plan.status.ok
    assert plan[reactor.u].min() >= 2.0 - 1e-6
    curved = {reactor.u: lambda t: 1.0 + 0.5 * math.exp(-t), tank.w: 0.0}
    plan = optimize(plant, Recipe(Phase("go", 1.0)), FREE, maximize=GOAL, grid=Grid(3), inputs=curved, starts=1)
    assert plan.at_end(reactor.u) == pytest.approx(3.0, rel=1e-6)
