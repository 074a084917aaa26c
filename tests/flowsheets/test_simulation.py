"""A simulation meets analytic solutions, phase by phase: inputs, resets, rest, time, algebraic variables."""

import math

import numpy as np
import pandas as pd
import pytest

from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics.errors import SolveError, SpecificationError

CLOSE = pytest.approx


class Decay(Unit):
    """c' = u - k c, by hours; A' = c."""

    time = "h"
    c = State("g/L", start=2.0)
    A = State("g*h/L", start=0.0)
    u = Control("g/L/h", start=0.0)
    k = Parameter("1/h", 0.5, lower=0.0, upper=10.0)
    r = Expression("g/L/h")

    def equations(self, v):
        r = v.define("r", v.k * v.c)
        return Equations(rate={"c": v.u - r, "A": v.c})


class Twins(Unit):
    """Two amounts in minutes: n' = -k n; they are set together."""

    time = "min"
    n = State("mol", over="kinds", start=[1.0, 4.0])
    kinds: tuple[str, ...] = ("a", "b")

    def equations(self, v):
        return Equations(rate={"n": -quantity(0.1, "1/min") * v.n})


decay, twins = Decay("decay"), Twins("twins")
plant = Flowsheet(decay)
both = Flowsheet(decay, twins, time="h")
tight = {"tolerance": 1e-11}


def run(inputs, *phases, on=plant, **options):
    return simulate(on, Recipe(*phases), inputs, **tight, **options)


# --- inputs ---------------------------------------------------------------------------------------------------


def test_first_order_decay():
    result = run({decay.u: 0.0}, Phase("go", 4.0))
    c = result[decay.c]
    assert c.to_numpy() == CLOSE(2.0 * np.exp(-0.5 * c.index.to_numpy()), rel=1e-8)
    assert result.at_end(decay.A) == CLOSE(4.0 * (1.0 - math.exp(-2.0)), rel=1e-8)
    assert result.at_end(decay.r) == CLOSE(math.exp(-2.0), rel=1e-8)
    assert result.status.ok


def test_an_exponential_feed_is_met_exactly():
    result = run({decay.u: lambda t: 3.0 * np.exp(0.2 * t)}, Phase("go", 4.0))
    exact = 3.0 / 0.7 * (math.exp(0.8) - math.exp(-2.0)) + 2.0 * math.exp(-2.0)
    assert result.at_end(decay.c) == CLOSE(exact, rel=1e-8)
    assert result.at_end(decay.u) == CLOSE(3.0 * math.exp(0.8), rel=1e-12)


def stepped(c, *steps):
    """c after steps (duration, u) of c' = u - c / 2."""
    for duration, u in steps:
        c = 2.0 * u + (c - 2.0 * u) * math.exp(-0.5 * duration)
    return c


@pytest.mark.parametrize(
    "u",
    [
        pd.Series([1.0, 3.0, 0.5], index=[0.0, 1.5, 3.0]),
        lambda t: 1.0 if t < 1.5 else 3.0 if t < 3.0 else 0.5,
        lambda t: quantity(1.0 if t < 1.5 else 3.0 if t < 3.0 else 0.5, "g/L/h"),
    ],
)
def test_steps_are_met_exactly_in_one_phase_and_across_phases(u):
    exact = stepped(2.0, (1.5, 1.0), (1.5, 3.0), (1.0, 0.5))
    assert run({decay.u: u}, Phase("go", 4.0)).at_end(decay.c) == CLOSE(exact, rel=1e-8)
    assert run({decay.u: u}, Phase("a", 2.0), Phase("b", 2.0)).at_end(decay.c) == CLOSE(exact, rel=1e-8)


def test_pieces_with_values_belong_to_a_phase():
    pieces = PiecewiseConstant(values=[1.0, 3.0])
    exact = stepped(2.0, (1.0, 1.0), (1.0, 3.0), (1.0, 1.0), (1.0, 3.0))
    assert run({decay.u: pieces}, Phase("a", 2.0), Phase("b", 2.0)).at_end(decay.c) == CLOSE(exact, rel=1e-8)


def test_a_ramp_is_met_exactly():
    exact = 2.0 * (4.0 - 2.0) + (2.0 + 4.0) * math.exp(-2.0)  # of c' = t - c / 2
    for u in (PiecewiseLinear(values=[0.0, 4.0]), lambda t: float(np.interp(t, [0.0, 9.0], [0.0, 9.0])), lambda t: t):
        assert run({decay.u: u}, Phase("go", 4.0)).at_end(decay.c) == CLOSE(exact, rel=1e-8)


def test_a_series_must_begin_with_the_phase():
    with pytest.raises(
        SpecificationError, match=r"Phase 'go': decay\.u has no trajectory before t = 1, the phase begi"
    ):
        run({decay.u: pd.Series([1.0, 2.0], index=[1.0, 2.0])}, Phase("go", 4.0))


def test_inputs_of_a_phase_and_fixed_controls_come_before_those_of_the_run():
    exact = stepped(2.0, (1.0, 0.0), (1.0, 1.0), (1.0, 3.0))
    phases = Phase("a", 1.0, fixed={decay.u: 0.0}), Phase("b", 1.0), Phase("c", 1.0, inputs={decay.u: 3.0})
    assert run({decay.u: 1.0}, *phases).at_end(decay.c) == CLOSE(exact, rel=1e-8)


# --- phases ---------------------------------------------------------------------------------------------------


def test_parameters_fixed_in_a_phase_hold_there_only():
    result = run({decay.u: 0.0}, Phase("a", 1.0), Phase("b", 1.0, fixed={decay.k: 2.0}), Phase("c", 1.0))
    assert result.at_end(decay.c) == CLOSE(2.0 * math.exp(-3.0), rel=1e-8)


def test_a_reset_sees_the_parameters_that_were_fixed_in_the_phase_before():
    start = {decay.c: lambda v: 1.0 + v.decay.r / v.decay.k + 0.0 * v.decay.c}
    result = run(
        {decay.u: 0.0},
        Phase("a", 1.0, fixed={decay.k: 2.0}),
        Phase("b", 1.0, start={decay.c: lambda v: v.decay.r * 1.0 / v.decay.k}),
    )
    assert result.frame("b")[decay.c].iloc[0] == CLOSE(2.0 * math.exp(-2.0), rel=1e-8)
    assert run({decay.u: 0.0}, Phase("a", 1.0), Phase("b", 1.0, start=start)).frame("b")[decay.c].iloc[0] == CLOSE(
        1.0 + 2.0 * math.exp(-0.5), rel=1e-8
    )


def test_states_are_set_to_numbers_and_to_functions_of_the_end_before():
    swap = {decay.c: lambda v: quantity(v.decay.A / quantity(1.0, "g*h/L"), "g/L"), decay.A: lambda v: 2.0}
    result = run({decay.u: 0.0}, Phase("a", 2.0), Phase("b", 1.0, start=swap), Phase("c", 1.0, start={decay.c: 5.0}))
    total = 4.0 * (1.0 - math.exp(-1.0))
    b, c = result.frame("b"), result.frame("c")
    assert b[decay.c].iloc[0] == CLOSE(total, rel=1e-8)
    assert b[decay.A].iloc[0] == 2.0
    assert c[decay.c].iloc[0] == 5.0
    assert c[decay.A].iloc[0] == CLOSE(2.0 + 2.0 * total * (1.0 - math.exp(-0.5)), rel=1e-8)


def test_arrays_are_set_at_once():
    phases = [
        Phase("a", 1.0, idle=[decay]),
        Phase("b", 1.0, idle=[decay], start={twins.n: lambda v: v.twins.n[::-1] + v.twins.n}),
        Phase("c", 1.0, idle=[decay], start={twins.n: [7.0, quantity(8e3, "mmol")]}),
        Phase("d", 1.0, idle=[decay], start={twins.n["b"]: lambda v: v.twins.n[0]}),
    ]
    result = run({}, *phases, on=both)
    start = {name: result.frame(name)[[*twins.n]].iloc[0].to_numpy() for name in "abcd"}
    assert start["b"] == CLOSE(5.0 * math.exp(-6.0), rel=1e-8)
    assert start["c"] == CLOSE([7.0, 8.0], rel=1e-12)
    assert start["d"] == CLOSE(7.0 * math.exp(-6.0), rel=1e-8)


def test_units_at_rest_are_held_exactly():
    phases = Phase("a", 1.0, idle=[twins]), Phase("b", 1.0, idle=[decay]), Phase("c", 1.0)
    result = run({decay.u: 0.0}, *phases, on=both)
    assert (result.frame("a")[twins.n["b"]] == 4.0).all()
    held = result.frame("b")[decay.c]
    assert (held == result.at_end(decay.c, "a")).all()
    assert result.at_end(decay.c) == CLOSE(2.0 * math.exp(-1.0), rel=1e-8)
    assert result.at_end(twins.n["b"]) == CLOSE(4.0 * math.exp(-12.0), abs=1e-9)
    assert decay.r not in result.frame("b")


def test_a_state_of_a_unit_at_rest_needs_its_start_when_it_becomes_active():
    vessel = Decay("vessel", c={"start": None})
    late = Flowsheet(twins, vessel, time="h")
    begun = Phase("b", 1.0, start={vessel.c: lambda v: v.twins.n[0] / quantity(1.0, "mol") * quantity(3.0, "g/L")})
    result = run({vessel.u: 0.0}, Phase("a", 1.0, idle=[vessel]), begun, on=late)
    assert result.frame("b")[vessel.c].iloc[0] == CLOSE(3.0 * math.exp(-6.0), rel=1e-7)
    silent = Phase("b", 1.0), Phase("c", 1.0, start={vessel.c: 1.0})
    with pytest.raises(SpecificationError, match=r"Phase 'b': state vessel\.c has no start"):
        run({vessel.u: 0.0}, Phase("a", 1.0, idle=[vessel]), *silent, on=late)
    circular = Phase("b", 1.0, start={vessel.c: lambda v: v.vessel.c})
    with pytest.raises(
        SpecificationError, match=r"start of vessel\.c: expected a finite number, the function gives nan"
    ):
        run({vessel.u: 0.0}, Phase("a", 1.0, idle=[vessel]), circular, on=late)


def test_free_durations_last_as_long_as_their_guess():
    result = run({decay.u: 0.0}, Phase("a", Free(1.5, 0.5, 3.0)), Phase("b", quantity(30.0, "min")))
    assert result.duration == CLOSE({"a": 1.5, "b": 0.5})
    assert result.at_end(decay.c) == CLOSE(2.0 * math.exp(-1.0), rel=1e-8)


# --- time and algebraic variables --------------------------------------------------------------------------------


class Clock(Unit):
    """x' = time, counted in minutes; z doubles x by an equation that has two roots."""

    time = "min"
    x = State("min^2", start=0.0)
    z = Algebraic("min^2", start=1.0)

    def equations(self, v):
        return Equations(rate={"x": v.time}, zero={"double": v.z * v.z - 4.0 * (v.x + 1.0) ** 2})


def test_time_in_equations_is_in_the_unit_of_the_unit_operation():
    clock = Clock("clock")
    result = run({}, Phase("a", 1.0), Phase("b", 1.0), on=Flowsheet(clock, time="h"))
    assert result.at_end(clock.x) == CLOSE(0.5 * 120.0**2, rel=1e-8)
    assert result[clock.z].iloc[0] == CLOSE(2.0, rel=1e-10)
    assert result.at_end(clock.z) == CLOSE(2.0 * (7200.0 + 1.0), rel=1e-8)


# --- what stops a run --------------------------------------------------------------------------------------------


class Blow(Unit):
    """x' = x^2: infinite at t = 1."""

    x = State("1", start=1.0)

    def equations(self, v):
        return Equations(rate={"x": quantity(1.0, "1/s") * v.x**2})


def test_a_run_that_fails_keeps_what_it_reached():
    blow = Blow("blow")
    recipe = Recipe(Phase("calm", 0.5), Phase("storm", 2.0))
    with pytest.raises(SolveError, match=r"storm: the integration failed between t = ") as raised:
        simulate(Flowsheet(blow), recipe)
    reached = raised.value.solution
    assert not reached.status.ok
    assert list(reached.duration) == ["calm", "storm"]
    assert reached.at_end(blow.x, "calm") == CLOSE(2.0, rel=1e-6)
    assert 0.9 < reached[blow.x].index[-1] < 1.0
    failed = simulate(Flowsheet(blow), recipe, strict=False)
    assert failed.message.splitlines()[0] == str(raised.value).splitlines()[0]
    assert "storm: the integration failed" in failed.start_report[0].result


def test_accuracy_is_checked():
    for options, text in (({"points": 0}, "points must be"), ({"tolerance": -1.0}, "tolerance must be")):
        with pytest.raises(SpecificationError, match=text):
            simulate(plant, Recipe(Phase("go", 1.0)), {decay.u: 0.0}, **options)


def test_an_open_inlet_takes_a_given_stream():
    class Tank(Unit):
        time = "min"
        V = State("L", start=0.0)
        m = State("g", start=0.0)
        feed = Inlet("L/min", c="g/L")

        def equations(self, v):
            return Equations(rate={"V": v.feed.flow, "m": v.feed.flow * v.feed.c})

    tank = Tank("tank")
    stream = {tank.feed.flow: quantity(6.0, "L/h"), tank.feed.c: lambda t: 2.0 * t}
    result = run(stream, Phase("fill", 10.0), Phase("rest", 5.0, fixed={tank.feed.flow: 0.0}), on=Flowsheet(tank))
    assert result.at_end(tank.V) == CLOSE(1.0, rel=1e-9)
    assert result.at_end(tank.m) == CLOSE(0.1 * 100.0, rel=1e-8)
