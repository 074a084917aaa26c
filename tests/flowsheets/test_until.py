"""A phase ends exactly where its condition is met: as data or as a relation, falling or rising, in any phase."""

import math

import numpy as np
import pytest

from titer.flowsheets import (
    Control,
    Equations,
    Flowsheet,
    Free,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    quantity,
    replay,
    simulate,
)
from titer.numerics.errors import SolveError, SpecificationError


class Decay(Unit):
    """c' = u - c / 2, by hours."""

    time = "h"
    c = State("g/L", start=2.0)
    u = Control("g/L/h", start=0.0)

    def equations(self, v):
        return Equations(rate={"c": v.u - v.c * quantity(0.5, "1/h")})


decay = Decay("decay")
plant = Flowsheet(decay)
HALF = 2.0 * math.log(2.0)  # hours in which c halves


def run(*phases, u=0.0, **options):
    return simulate(plant, Recipe(*phases), {decay.u: u}, tolerance=1e-11, **options)


@pytest.mark.parametrize(
    "until",
    [
        Reaches(decay.c, 1.0, "falling"),
        Reaches(decay.c, 1.0),
        Reaches(decay.c, quantity(1e-3, "kg/L"), "falling"),
        lambda v: v.decay.c <= 1.0,
        lambda v: v.decay.c < quantity(1.0, "g/L"),
        lambda v: 1.0 >= v.decay.c,  # noqa: SIM300
        lambda v: v["decay.c"] == 1.0,
        lambda v: -v.decay.c >= -1.0,
    ],
)
def test_a_falling_variable_ends_a_phase(until):
    result = run(Phase("go", Free(1.0, 0.1, 20.0), until=until))
    assert result.duration["go"] == pytest.approx(HALF, rel=1e-8)
    assert result.at_end(decay.c) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    "until", [Reaches(decay.c, 3.0, "rising"), lambda v: v.decay.c > 3.0, lambda v: v.decay.c == 3]
)
def test_a_rising_variable_ends_a_phase(until):
    result = run(Phase("go", Free(1.0, 0.1, 20.0), until=until), u=2.0)
    assert result.duration["go"] == pytest.approx(HALF, rel=1e-8)


def test_the_clock_runs_on_behind_an_end_that_was_found():
    ends = [Reaches(decay.c, 1.0, "falling"), lambda v: v.decay.c <= 0.5, lambda v: v.time >= 3.5]
    result = run(
        *(Phase(name, Free(1.0, 0.1, 9.0), until=u) for name, u in zip("abc", ends, strict=True)), Phase("d", 1)
    )
    assert list(result.duration.values()) == pytest.approx([HALF, HALF, 3.5 - 2 * HALF, 1.0], rel=1e-8)
    assert result[decay.c].index[-1] == pytest.approx(4.5, rel=1e-9)
    assert result.at_end(decay.c) == pytest.approx(2.0 * math.exp(-2.25), rel=1e-8)


def test_time_in_a_condition_may_be_a_quantity():
    result = run(Phase("a", 1.0), Phase("b", Free(1.0, 0.1, 9.0), until=lambda v: v.time >= quantity(1.5, "h")))
    assert result.duration["b"] == pytest.approx(0.5, rel=1e-9)


def test_output_points_do_not_thin_out_where_a_phase_may_last_long():
    result = run(Phase("go", Free(1.0, 0.0, 1e5), until=Reaches(decay.c, 1e-3, "falling")))
    assert result.duration["go"] == pytest.approx(2.0 * math.log(2000.0), rel=1e-8)


def test_functions_of_time_meet_a_condition():
    expected = run(Phase("go", 2.0), u=lambda t: 3.0 if t < 0.7 else 0.0).at_end(decay.c)
    until = Reaches(decay.c, expected, "falling")
    result = run(Phase("go", Free(1.0, 0.1, 20.0), until=until), u=lambda t: 3.0 if t < 0.7 else 0.0)
    assert result.duration["go"] == pytest.approx(2.0, rel=1e-7)


def test_pieces_divide_the_guess_and_the_last_one_holds():
    pieces = PiecewiseConstant(values=[1.0, 0.0])
    late = run(Phase("go", Free(2.0, 0.1, 20.0), until=Reaches(decay.c, 0.5, "falling")), u=pieces)
    after = 2.0 * math.log(2.0 / 0.5) + 1.0  # c stays at 2 in the first hour
    assert late.duration["go"] == pytest.approx(after, rel=1e-8)
    lines = PiecewiseLinear(values=[1.0, 1.0, 0.0])
    held = run(Phase("go", Free(2.0, 0.1, 20.0), until=Reaches(decay.c, 0.5, "falling")), u=lines)
    ramp = held[decay.u]
    assert np.interp([0.5, 1.5, 2.5], ramp.index, ramp.to_numpy()) == pytest.approx([1.0, 0.5, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    "u",
    [
        0.1,
        PiecewiseConstant(values=[0.2, 0.1, 0.0, 0.05]),
        PiecewiseLinear(values=[0.3, 0.0, 0.3]),
        lambda t: 0.3 if t < 0.4 else 0.1 * t,
        lambda t: 0.2 * np.exp(-t),
    ],
)
def test_a_replay_repeats_a_run_that_was_cut_at_its_condition(u):
    until = Reaches(decay.c, 1.0, "falling")
    result = run(Phase("go", Free(4.0, 0.1, 20.0), until=until), Phase("on", 1.0), u=u)
    again = replay(result)
    assert again.duration == pytest.approx(result.duration, rel=1e-12)
    assert again.at_end(decay.c, "go") == pytest.approx(1.0, rel=1e-7)
    assert again.at_end(decay.c) == pytest.approx(result.at_end(decay.c), rel=1e-7)
    assert replay(again).at_end(decay.c) == pytest.approx(result.at_end(decay.c), rel=1e-7)


def test_a_condition_that_is_not_met_says_so_and_keeps_the_run():
    phases = Phase("calm", 1.0), Phase("go", Free(1.0, 0.1, 5.0), until=Reaches(decay.c, 1e-3, "falling"))
    with pytest.raises(SolveError) as raised:
        run(*phases)
    text = "Phase 'go': until decay.c reaches 0.001 falling is not met within 5 h, the longest the phase may last: "
    assert str(raised.value).splitlines()[0] == f"{text}decay.c is 0.09957 g/L then."
    assert "was 1.213 g/L when the phase began, and is nearest at its end, 0.09857 g/L from 0.001" in str(raised.value)
    assert "still on its way.\n  Raise the upper limit of its duration" in str(raised.value)
    assert raised.value.solution.duration == pytest.approx({"calm": 1.0, "go": 5.0})
    assert run(*phases, strict=False).at_end(decay.c) == pytest.approx(2.0 * math.exp(-3.0), rel=1e-8)


@pytest.mark.parametrize(
    ("until", "u", "text"),
    [
        (
            Reaches(decay.c, 3.0, "rising"),
            0.5,
            [
                "decay.c is 1.082 g/L then",
                "It came nearest at t = 0 h: 2 g/L, 1 g/L from 3 g/L",
                "does not come nearer",
            ],
        ),
        (Reaches(decay.c, 1.5, "rising"), 0.0, ["holds already at the start"]),
        (
            lambda v: v.decay.c <= 0.5,  # it tends to 1
            0.5,
            ["the left side is 1.082 g/L then", "nearest at its end", "as if to level off near 1 g/L"],
        ),
        (
            lambda v: v.decay.c >= 2.5,
            lambda t: 1.2 if t < 2.0 else 0.0,
            ["It came nearest at t = 2 h: 2.253 g/L, 0.2472 g/L from 2.5 g/L.", "does not come nearer any more"],
        ),
    ],
)
def test_it_is_said_how_near_a_condition_came_in_its_unit(until, u, text):
    with pytest.raises(SolveError) as raised:
        run(Phase("go", Free(1.0, 0.1, 5.0), until=until), u=u)
    for part in text:
        assert part in str(raised.value)


def test_a_condition_that_is_not_met_is_told_by_an_optimization_too():
    from titer.control import optimize
    from titer.flowsheets import AtEnd

    recipe = Recipe(Phase("go", Free(1.0, 0.1, 2.0), until=Reaches(decay.c, 0.1, "falling")))
    with pytest.raises(SolveError) as raised:
        optimize(
            plant, recipe, {decay.u: PiecewiseConstant(2, lower=0.0, upper=1.0)}, maximize=AtEnd(lambda v: v.decay.c)
        )
    text = "no start: Phase 'go': until decay.c reaches 0.1 falling is not met within 2 h"
    assert str(raised.value).splitlines()[0].startswith(text)


def test_a_condition_that_holds_at_the_start_is_refused():
    for until in (Reaches(decay.c, 3.0, "falling"), lambda v: v.decay.c <= 3.0):
        with pytest.raises(SolveError, match="holds already at the start of its phase"):
            run(Phase("go", Free(1.0, 0.1, 5.0), until=until))


@pytest.mark.parametrize(
    ("until", "text"),
    [
        (lambda v: v.decay.c, "Phase 'go': until: expected a relation such as v.reactor.S <= 0.1"),
        (
            lambda v: True,
            "Phase 'go': until: expected a relation such as v.reactor.S <= 0.1 to end the phase, got bool",
        ),
        (lambda v: v.decay.c != 1.0, "a phase cannot end by '!='; write <=, >= or =="),
        (lambda v: v.decay.cc <= 1.0, "Phase 'go': until: decay: variable 'cc' is unknown. Did you mean 'c'?"),
        (lambda v: v.decai.c <= 1.0, "variable 'decai' is unknown. Did you mean 'decay'?"),
        (lambda v: v.decay.c <= quantity(1.0, "mg/L"), "Phase 'go': until: cannot compare 'g/L' and 'mg/L'"),
        (lambda v: v.decay.c <= 1.0 and v.time >= 2.0, "has no truth value"),
        (Reaches("decay.cc", 1.0), "Phase 'go': until: decay: variable 'cc' is unknown. Did you mean 'c'?"),
        (Reaches(decay.c, quantity(1.0, "h")), "Phase 'go': until: "),
    ],
)
def test_a_condition_is_checked_before_anything_runs(until, text):
    with pytest.raises(SpecificationError) as raised:
        run(Phase("go", Free(1.0, 0.1, 5.0), until=until))
    assert text in str(raised.value)
