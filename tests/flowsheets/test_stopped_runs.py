"""A run that stops names, in the first line of its message, the variable or equation of the unit operation to blame."""

from __future__ import annotations

import numpy as np
import pytest

from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics.errors import SolveError


def first(error):
    return str(error).partition("\n")[0]


def bracket(error):
    """The two times between which it failed, in the first line."""
    words = first(error).split("between t = ")[1].split(" h: ")[0]
    return [float(word) for word in words.split(" and ")]


class Tank(Unit):
    """V' = F, n' = F c - k n / V: no concentration while it is empty."""

    time = "h"
    V = State("L", start=0.0, lower=0.0)
    n = State("mol", start=0.0, lower=0.0)
    F = Control("L/h")
    c = Parameter("mol/L", 2.0)
    k = Parameter("1/h", 0.5)
    concentration = Expression("mol/L")

    def equations(self, v):
        concentration = v.define("concentration", v.n / v.V)
        return Equations(rate={"V": v.F, "n": v.F * v.c - v.k * concentration * quantity(1.0, "L")})


class Still(Unit):
    """V' = -E, c' = E c / V: c V stays."""

    time = "h"
    V = State("L", start=1.0, lower=0.0)
    c = State("g/L", start=1.0, lower=0.0)
    E = Control("L/h")

    def equations(self, v):
        return Equations(rate={"V": -v.E, "c": v.E * (v.c / v.V)})


class Feeder(Unit):
    """S' = -q, X' = mu X with mu = a log(S / S_0): S ends at t = S(0) / q."""

    time = "h"
    S = State("g/L", start=2.0, lower=0.0)
    X = State("g/L", start=1.0, lower=0.0)
    q = Parameter("g/L/h", 0.5)
    a = Parameter("1/h", 0.1)
    S_0 = Parameter("g/L", 1.0)
    mu = Expression("1/h")

    def equations(self, v):
        mu = v.define("mu", v.a * np.log(v.S / v.S_0))
        return Equations(rate={"S": -v.q, "X": mu * v.X})


class Circle(Unit):
    """x' = a, x**2 + z**2 = 1."""

    time = "h"
    x = State("1", start=0.0)
    z = Algebraic("1", start=1.0)
    a = Parameter("1/h", 1.0)

    def equations(self, v):
        return Equations(rate={"x": v.a}, zero={"z": v.x**2 + v.z**2 - 1.0})


def failure(unit, *phases, **inputs):
    with pytest.raises(SolveError) as raised:
        simulate(Flowsheet(unit, time="h"), Recipe(*phases), {f"{unit.name}.{k}": v for k, v in inputs.items()})
    assert raised.value.solution.message == str(raised.value)
    return raised.value


def test_filling_an_empty_tank_names_the_volume():
    error = failure(Tank("tank"), Phase("fill", 2.0), F=1.0)
    assert first(error) == (
        "fill: the integration failed at t = 0 h: tank.n / tank.V is a division by zero: tank.V = 0; "
        "it enters tank.concentration and the rate of tank.n"
    )


def test_a_tank_that_runs_empty_is_named_and_timed():
    error = failure(Still("still"), Phase("heat", 1.0), Phase("dry", 2.5, fixed={"still.E": 0.5}), E=0.0)
    assert "dry: the integration failed between t = " in first(error)
    assert "still.c / still.V" in first(error)
    assert "is a division by " in first(error)
    assert bracket(error) == pytest.approx([3.0, 3.0], abs=0.01)
    assert "  phase 'dry' began at t = 1 h after 'heat'" in str(error)


def test_a_depleted_substrate_is_named_with_the_expression_it_spoils():
    error = failure(Feeder("reactor"), Phase("batch", 8.0, start={"reactor.S": 1.5}))
    assert "batch: the integration failed between t = " in first(error)
    assert "log(reactor.S / reactor.S_0) is the logarithm of a negative number" in first(error)
    assert "reactor.S = -" in first(error)
    assert "it enters reactor.mu and the rate of reactor.X" in first(error)
    assert bracket(error) == pytest.approx([3.0, 3.0], abs=1e-3)
    assert "with reactor.S = 1.5" in str(error)


def test_an_equation_without_solution_is_named_by_its_unit():
    error = failure(Circle("loop"), Phase("go", 3.0))
    assert "no consistent solution near the guess: loop.z equation misses by " in first(error)
    assert "loop.z = " in first(error)
    assert bracket(error) == pytest.approx([1.0, 1.0], abs=1e-3)
