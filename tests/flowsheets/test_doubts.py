"""Does a run that went through say what is doubtful about it? Domains left, inputs out of bounds, streams lost."""

from __future__ import annotations

import pytest

from titer.flowsheets import Control, Equations, Flowsheet, Inlet, Outlet, Phase, Recipe, State, Unit, simulate
from titer.numerics import SpecificationError
from titer.numerics.explaining.explanation import Verdict


class Tank(Unit):
    """V' = -F, and F leaves."""

    time = "h"
    V = State("L", start=10.0, lower=0.0)
    F = Control("L/h", start=1.0, lower=0.0, upper=20.0)
    drain = Outlet(flow="L/h")

    def equations(self, v):
        return Equations(rate={"V": -v.F}, port={"drain": {"flow": v.F}})


class Hold(Unit):
    """V' = feed."""

    time = "h"
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/h")

    def equations(self, v):
        return Equations(rate={"V": v.feed.flow})


first, second = Tank("first"), Hold("second")


def test_an_overdrawn_tank_is_named_with_its_time():
    run = simulate(Flowsheet(first, time="h"), Recipe(Phase("draw", 6.0)), inputs={first.F: 2.0}, points=600)
    assert run.status.ok
    assert (
        run.message == "first.V is below its domain's lower bound 0 since t = 5.01 h in phase 'draw', and reaches -2 L"
    )
    assert run.explain().verdict is Verdict.DOUBTFUL
    assert "first.V is below" in repr(run)


def test_an_input_beyond_its_control_is_named_first_where_it_came_first():
    run = simulate(Flowsheet(first, time="h"), Recipe(Phase("draw", 2.0)), inputs={first.F: 25.0})
    assert run.message.splitlines()[0] == (
        "first.F is given beyond its upper bound 20 L/h since t = 0 h in phase 'draw': 25"
    )
    assert "first.V" in run.message.splitlines()[1]


def test_a_stream_into_a_tank_at_rest_is_lost():
    plant = Flowsheet(first, second, connect=[(first.drain, second.feed)], time="h")
    run = simulate(plant, Recipe(Phase("draw", 1.0, idle=[second]), Phase("both", 1.0)), {first.F: 2.0})
    assert run.message == (
        "first.drain carries 2 L/h into second.feed, whose unit operation is idle in phase 'draw': it is lost"
    )


def test_a_route_to_a_tank_at_rest_is_refused():
    plant = Flowsheet(first, second, time="h")
    recipe = Recipe(Phase("draw", 1.0, idle=[second], routes=[(first.drain, second.feed)]))
    with pytest.raises(SpecificationError, match=r"Phase 'draw': routes: first\.drain to second\.feed: second is idle"):
        simulate(plant, recipe, {first.F: 2.0})


def test_a_run_within_its_bounds_has_nothing_to_say():
    run = simulate(Flowsheet(first, time="h"), Recipe(Phase("draw", 5.0)), inputs={first.F: 2.0})
    assert run.message == ""
    assert run.explain().verdict is Verdict.SOLVED
