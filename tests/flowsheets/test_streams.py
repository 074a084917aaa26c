"""Streams convert between units of time, routes belong to a phase, circles close, corrections keep balances."""

import math
from itertools import pairwise

import numpy as np
import pytest

from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    replay,
    simulate,
)
from titer.flowsheets.operation import operations
from titer.flowsheets.streams import port_of, streams_of
from titer.numerics.errors import DeclarationError, FlowsheetError, SpecificationError

CLOSE = pytest.approx


class Reactor(Unit):
    """A -> B by hours, well mixed, with a pumped outlet."""

    time = "h"
    V = State("L", start=4.0)
    A = State("mol/L", start=1.0)
    B = State("mol/L", start=0.0)
    F = Control("L/h", start=0.0)
    k = Parameter("1/h", 0.7)
    r = Expression("mol/L/h")
    out = Outlet("L/h", A="mol/L", B="mol/L")

    def equations(self, v):
        r = v.define("r", v.k * v.A)
        return Equations(rate={"V": -v.F, "A": -r, "B": r}, port={"out": {"flow": v.F, "A": v.A, "B": v.B}})


class Tank(Unit):
    """Amounts, by minutes, in mmol and mL."""

    time = "min"
    V = State("mL", start=0.0)
    A = State("mmol", start=0.0)
    B = State("mmol", start=0.0)
    level = Algebraic("mL", start=1.0)
    feed = Inlet("mL/min", A="mmol/mL", B="mol/L")

    def equations(self, v):
        to_mmol = quantity(1.0, "mmol/mL") / quantity(1.0, "mol/L")
        return Equations(
            rate={"V": v.feed.flow, "A": v.feed.flow * v.feed.A, "B": v.feed.flow * v.feed.B * to_mmol},
            zero={"level": v.level - v.V},
        )


reactor, tank = Reactor("reactor"), Tank("tank")
joined = Flowsheet(reactor, tank, connect=[(reactor.out, tank.feed)], time="h")
apart = Flowsheet(tank, reactor, time="min")


def amounts(result, name):
    return (result[f"reactor.{name}"] * result[reactor.V]).to_numpy() + result[f"tank.{name}"].to_numpy() / 1000.0


def test_a_stream_is_converted_between_units_of_different_time():
    result = simulate(joined, Recipe(Phase("go", 2.0)), {reactor.F: 1.5}, tolerance=1e-11)
    assert result.at_end(tank.V) == CLOSE(3000.0, rel=1e-9)
    assert result.at_end(tank.feed.flow) == CLOSE(25.0, rel=1e-12)
    assert result.at_end(tank.feed.A) == CLOSE(math.exp(-1.4), rel=1e-8)
    moved = 1.5 * (1.0 - math.exp(-1.4)) / 0.7
    assert result.at_end(tank.A) == CLOSE(1000.0 * moved, rel=1e-8)
    assert amounts(result, "A") + amounts(result, "B") == CLOSE(np.full(len(result["tank.A"]), 4.0), rel=1e-8)


def test_a_flowsheet_may_count_time_in_another_unit_than_any_of_its_units():
    other = Flowsheet(reactor, tank, connect=[(reactor.out, tank.feed)], time="s")
    result = simulate(other, Recipe(Phase("go", 7200.0)), {reactor.F: 1.5}, tolerance=1e-11)
    assert result.at_end(tank.A) == CLOSE(1500.0 * (1.0 - math.exp(-1.4)) / 0.7, rel=1e-8)
    assert result.at_end(reactor.r) == CLOSE(0.7 * math.exp(-1.4), rel=1e-8)


def test_a_route_connects_in_its_phase_only():
    route = Phase("transfer", 60.0, routes=[(reactor.out, tank.feed)])
    recipe = Recipe(Phase("react", 30.0), route, Phase("drain", 30.0))
    result = simulate(apart, recipe, {reactor.F: 1.2}, tolerance=1e-11)
    assert result.at_end(tank.V, "react") == 0.0
    assert result.at_end(tank.feed.flow, "react") == 0.0
    assert result.at_end(tank.V, "transfer") == CLOSE(1200.0, rel=1e-9)
    assert result.at_end(tank.V) == CLOSE(1200.0, rel=1e-9)
    assert result.at_end(reactor.V) == CLOSE(4.0 - 2.4, rel=1e-9)


def test_ports_of_a_unit_at_rest_carry_no_flow():
    recipe = Recipe(Phase("a", 1.0, idle=[reactor]), Phase("b", 1.0, idle=[tank]))
    result = simulate(joined, recipe, {reactor.F: 1.5}, tolerance=1e-11)
    assert result.at_end(tank.V) == 0.0
    assert result.at_end(reactor.V) == CLOSE(2.5, rel=1e-9)


# --- circles -----------------------------------------------------------------------------------------------------


class Mixer(Unit):
    """A point: what comes in goes out; the composition is algebraic."""

    c = Algebraic("mol/L", start=0.1)
    fresh = Inlet("L/s", c="mol/L")
    back = Inlet("L/s", c="mol/L")
    out = Outlet("L/s", c="mol/L")

    def equations(self, v):
        flow = v.fresh.flow + v.back.flow
        return Equations(
            zero={"c": v.c * flow - v.fresh.flow * v.fresh.c - v.back.flow * v.back.c},
            port={"out": {"flow": flow, "c": v.c}},
        )


class Cstr(Unit):
    """A stirred tank of constant volume, with a first-order reaction; a part of its outlet goes back."""

    c = State("mol/L", start=0.0)
    eaten = State("mol", start=0.0)
    V = Parameter("L", 5.0)
    k = Parameter("1/s", 0.2)
    share = Parameter("1", 0.5)
    feed = Inlet("L/s", c="mol/L")
    back = Outlet("L/s", c="mol/L")
    product = Outlet("L/s", c="mol/L")

    def equations(self, v):
        back, r = v.share * v.feed.flow, v.k * v.c
        return Equations(
            rate={"c": v.feed.flow / v.V * (v.feed.c - v.c) - r, "eaten": v.V * r},
            port={"back": {"flow": back, "c": v.c}, "product": {"flow": v.feed.flow - back, "c": v.c}},
        )


mixer, cstr = Mixer("mixer"), Cstr("cstr")
circle = [(mixer.out, cstr.feed), (cstr.back, mixer.back)]
FRESH = {mixer.fresh.flow: 1.0, mixer.fresh.c: 2.0}


@pytest.mark.parametrize("units", [(mixer, cstr), (cstr, mixer)])
def test_a_circle_of_streams_is_torn_and_closes(units):
    plant = Flowsheet(*units, connect=circle)
    (operation,) = operations(plant, Recipe(Phase("go", 400.0)), FRESH)
    torn = streams_of(plant, plant.connections, [], list(FRESH)).torn
    assert len(torn) == 1
    inside = {v.name for v in operation.lowered.dae.algebraics} - {"mixer.c"}
    assert {port_of(name) for name in inside} == torn
    result = simulate(plant, Recipe(Phase("go", 400.0)), FRESH, tolerance=1e-11)
    assert result.at_end(cstr.feed.flow) == CLOSE(2.0, rel=1e-9)  # the fresh litre and its half, and so on
    assert result.at_end(cstr.c) == CLOSE(1.0 * 2.0 / (1.0 + 0.2 * 5.0), rel=1e-8)
    assert result.at_end(mixer.back.c) == CLOSE(result.at_end(cstr.c), rel=1e-9)


def test_the_balance_around_a_circle_closes():
    plant = Flowsheet(mixer, cstr, connect=circle)
    result = simulate(plant, Recipe(Phase("go", 30.0)), FRESH, points=2000, tolerance=1e-11)
    c = result[cstr.product.c]
    left = np.trapezoid(c.to_numpy(), c.index) + 5.0 * c.iloc[-1] + result.at_end(cstr.eaten)
    assert left == CLOSE(2.0 * 30.0, rel=1e-6)


def test_streams_are_followed_in_a_row():
    units = Cstr("a"), Cstr("b"), Cstr("c")
    plant = Flowsheet(*units[::-1], connect=[(x.product, y.feed) for x, y in pairwise(units)])
    found = streams_of(plant, plant.connections, ["c"], [])
    assert [unit.name for unit in found.units] == ["a", "b"]
    assert not found.torn
    assert [unit.name for unit in found.idle] == ["c"]


# --- what does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plant", "inputs", "phase", "kind", "text"),
    [
        (apart, {reactor.F: 0.0}, {}, SpecificationError, "inlet tank.feed is connected in no phase of the recipe"),
        (
            apart,
            {reactor.F: 0.0, tank.feed.flow: 1.0},
            {},
            SpecificationError,
            "Phase 'go': tank.feed is given in part: tank.feed.A has no trajectory.\n  given: tank.feed.flow",
        ),
        (
            joined,
            {reactor.F: 0.0, tank.feed.flow: 1.0},
            {},
            SpecificationError,
            "Phase 'go': tank.feed.flow is given, but tank.feed is connected to reactor.out.",
        ),
        (
            joined,
            {reactor.F: 0.0},
            {"routes": [(reactor.out, tank.feed)]},
            FlowsheetError,
            "Phase 'go': routes: inlet tank.feed is connected twice.",
        ),
        (apart, {reactor.F: 0.0}, {"routes": [(tank.feed, reactor.out)]}, FlowsheetError, "goes from an outlet"),
    ],
)
def test_streams_that_do_not_fit_are_refused(plant, inputs, phase, kind, text):
    with pytest.raises(kind) as raised:
        simulate(plant, Recipe(Phase("go", 1.0, **phase)), inputs)
    assert text in str(raised.value)


def test_an_inlet_of_a_unit_at_rest_throughout_may_stay_open():
    result = simulate(apart, Recipe(Phase("go", 60.0, idle=[tank])), {reactor.F: 0.0})
    assert result.at_end(reactor.A) == CLOSE(math.exp(-0.7), rel=1e-6)


# --- corrections --------------------------------------------------------------------------------------------------


def test_a_correction_changes_a_rate_and_balances_still_close():
    better = joined.corrected({reactor.r: lambda v, r: r * (1.0 + v.tank.V / quantity(4000.0, "mL"))})
    result = simulate(better, Recipe(Phase("go", 2.0)), {reactor.F: 1.5}, tolerance=1e-11)
    exponent = -0.7 * (2.0 + 1.5 * 2.0**2 / 2 / 4.0)
    assert result.at_end(reactor.A) == CLOSE(math.exp(exponent), rel=1e-8)
    assert amounts(result, "A") + amounts(result, "B") == CLOSE(np.full(len(result["tank.A"]), 4.0), rel=1e-8)
    assert result.at_end(reactor.r) == CLOSE(0.7 * math.exp(exponent) * 1.75, rel=1e-8)
    assert replay(result).at_end(tank.A) == CLOSE(result.at_end(tank.A), rel=1e-7)
    plain = simulate(joined, Recipe(Phase("go", 2.0)), {reactor.F: 1.5})
    assert plain.at_end(reactor.A) == CLOSE(math.exp(-1.4), rel=1e-6)


@pytest.mark.parametrize(
    ("correction", "idle", "text"),
    [
        (lambda v, r: r * v.reactor.r, [], "correction of reactor.r: reactor.r: a correction reads states, algebraics"),
        (lambda v, r: r * v.tank.feed.flow, [], "correction of reactor.r: tank.feed: a correction reads states"),
        (lambda v, r: r * v.tank.level, [tank], "correction of reactor.r: tank.level: the unit operation is idle here"),
        (lambda v, r: r * v.tonk.V, [], "correction of reactor.r: v: variable 'tonk' is unknown. Did you mean 'tank'?"),
        (lambda v, r: r * v.reactor.V, [], "the correction of expression reactor.r is in 'mol/h', expected 'mol/L/h'"),
        (lambda v, r: None, [], "reactor"),
    ],
)
def test_a_correction_that_does_not_fit_is_refused_by_name(correction, idle, text):
    plant = joined.corrected({reactor.r: correction})
    with pytest.raises(DeclarationError) as raised:
        simulate(plant, Recipe(Phase("go", 1.0, idle=idle)), {reactor.F: 0.0})
    assert text in str(raised.value)
    assert str(raised.value).startswith("reactor (Reactor): ")


def test_a_correction_may_read_the_held_state_of_a_unit_at_rest():
    plant = joined.corrected({reactor.r: lambda v, r: r * (1.0 + v.tank.V / quantity(1.0, "mL"))})
    result = simulate(
        plant,
        Recipe(
            Phase(
                "go",
                1.0,
                idle=[tank],
            )
        ),
        {reactor.F: 0.0},
        tolerance=1e-11,
    )
    assert result.at_end(reactor.A) == CLOSE(math.exp(-0.7), rel=1e-8)
