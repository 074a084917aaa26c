"""A flowsheet checks its connections and values, and does not change."""

import numpy as np
import pytest

from titer.flowsheets import (
    Algebraic,
    Equations,
    Expression,
    Flowsheet,
    Inlet,
    Outlet,
    Parameter,
    Part,
    State,
    Unit,
    quantity,
)
from titer.numerics.errors import DeclarationError, FlowsheetError, SpecificationError


class Law(Part):
    q = Parameter("g/L", [10.0, 20.0], over="components", lower=0.0)


class Column(Unit):
    time = "min"
    c = State("g/L", over=("cells", "components"), start=0.5, lower=0.0)
    V = State("L")
    k = Parameter("1/min", 0.1, lower=0.0, upper=1.0)
    rate = Expression("g/L/min", over="components")
    feed = Inlet("L/min", c=("g/L", "components"))
    pool = Outlet("L/min", c=("g/L", "components"))
    cells: int = 3
    components: tuple[str, ...] = ("a", "b")
    law: Law = Law()

    def equations(self, v):
        rate = v.define("rate", v.k * v.c[0])
        return Equations(
            rate={"c": -v.k * v.c, "V": v.feed.flow},
            port={"pool": {"flow": v.feed.flow, "c": v.c[-1] + 0.0 * rate / v.k}},
        )


class Source(Unit):
    time = "h"
    level = Algebraic("L")
    out = Outlet("L/h", c="g/L")
    wrong = Outlet("kg/h", c=("g/L", "components"))
    right = Outlet("L/h", c=("g/L", "components"))
    components: tuple[str, ...] = ("a", "b")


a, b, source = Column("a"), Column("b"), Source("source")
plant = Flowsheet(a, b, source, time="h")


def refused(make, text, kind=FlowsheetError):
    with pytest.raises(kind) as raised:
        make()
    assert text in str(raised.value)


# --- making -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Flowsheet(), "no unit operation was given"),
        (lambda: Flowsheet([a, b]), "expected unit operations, got list"),
        (lambda: Flowsheet(Column), "expected unit operations, got type"),
        (lambda: Flowsheet(a, Column("a")), "two unit operations are called 'a'; rename one"),
        (lambda: Flowsheet(a, source), "the unit operations count time in h, min; give time="),
        (lambda: Flowsheet(a, time="m"), "time='m' is not a unit of time"),
        (lambda: Flowsheet(a, time=60), "time=60 is not a unit of time"),
    ],
)
def test_a_flowsheet_checks_its_units(make, text):
    refused(make, text)


def test_units_that_agree_give_the_time():
    assert Flowsheet(a, b).time == "min"


@pytest.mark.parametrize(
    ("connection", "text"),
    [
        ((a.feed, b.pool), "a connection goes from an outlet, got 'a.feed'"),
        ((a.pool, b.pool), "a connection goes to an inlet, got 'b.pool'"),
        (("a.pool", b.feed), "a connection goes from an outlet, got 'a.pool'"),
        (a.pool, "a connection is a pair (outlet, inlet)"),
        ((source.wrong, a.feed), "source.wrong.flow is in 'kg/h', a.feed.flow in 'L/min': they cannot be converted"),
        ((source.out, a.feed), "source.out and a.feed do not carry the same"),
        ((Column("d").pool, a.feed), "d.pool: unit operation 'd' is unknown"),
    ],
)
def test_a_connection_goes_from_an_outlet_to_an_inlet_that_carries_the_same(connection, text):
    refused(lambda: Flowsheet(a, b, source, connect=[connection], time="h"), text)


def test_what_ports_carry_is_listed_by_element():
    refused(lambda: plant.check_connection((source.out, a.feed)), "source.out: flow, c\n  a.feed: flow, c[a], c[b]")


def test_an_inlet_has_one_source_and_an_outlet_one_target():
    twice = [(source.right, a.feed), (b.pool, a.feed)]
    refused(lambda: Flowsheet(a, b, source, connect=twice, time="h"), "inlet a.feed is connected twice. Add a mixer")
    split = [(source.right, a.feed), (source.right, b.feed)]
    refused(
        lambda: Flowsheet(a, b, source, connect=split, time="h"), "outlet source.right is connected twice. Add a spl"
    )


def test_a_connection_prints_as_a_stream():
    connected = Flowsheet(a, b, connect=[(a.pool, b.feed)])
    assert repr(connected) == "Flowsheet(Column('a'), Column('b'), connect=[a.pool -> b.feed], time='min')"


def test_a_flowsheet_does_not_change():
    refused(lambda: setattr(plant, "time", "s"), "a flowsheet does not change: make another for time")
    refused(lambda: delattr(plant, "units"), "a flowsheet does not change")


def test_units_are_found_by_name():
    assert plant.unit("b") is b
    refused(lambda: plant.unit("sourc"), "Did you mean 'source'?")


# --- values -----------------------------------------------------------------------------------------------------


def test_values_are_read_by_name():
    assert plant.values[a.k] == 0.1
    assert plant.values["a.law.q[b]"] == 20.0
    assert plant.values[a.law.q] == [10.0, 20.0]
    assert plant.values.get("a.x", 7.0) == 7.0
    assert a.c in plant.values
    assert "a.x" not in plant.values
    assert len(plant.values) == len(list(plant.values)) == 2 * (6 + 1 + 1 + 2) + 1
    refused(lambda: plant.values["a.kk"], "value 'a.kk' is unknown. Did you mean 'a.k'?", SpecificationError)


def test_values_print_with_their_units():
    lines = repr(plant.values).splitlines()
    assert "a.k = 0.1 1/min" in lines
    assert "a.V = not given" in lines


def test_other_values_make_another_plant():
    other = plant.with_values({a.k: quantity(6.0, "1/h"), b.c[0, "a"]: 2.0, a.law.q: [1.0, quantity(2.0, "mg/mL")]})
    assert other.values[a.k] == pytest.approx(0.1)
    assert other.values["b.c[0,a]"] == 2.0
    assert other.values[a.law.q] == [1.0, 2.0]
    assert plant.values["b.c[0,a]"] == 0.5
    assert other.unit("a").scalars["law.q[a]"].start == 1.0


def test_arrays_take_one_value_for_all_or_one_each():
    assert plant.with_values({a.c: 3.0}).values[a.c] == [3.0] * 6
    assert plant.with_values({a.c: np.arange(6.0).reshape(3, 2)}).values[a.c] == list(range(6))
    refused(lambda: plant.with_values({a.c: [1.0, 2.0]}), "a.c stands for 6 values, got 2", SpecificationError)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ({"a.kk": 1.0}, SpecificationError, "name 'a.kk' is unknown. Did you mean 'a.k'?"),
        ({a.k: 2.0}, DeclarationError, "a.k: the value 2 lies outside its bounds [0, 1]"),
        ({a.k: float("nan")}, DeclarationError, "a.k: expected a number"),
        ({a.k: quantity(1.0, "g")}, DeclarationError, "with_values: a.k: "),
        ({a.k: "fast"}, DeclarationError, "with_values: a.k: expected a number in '1/min', got 'fast'"),
        ([1.0], SpecificationError, "with_values: expected a dict from names to values, got list"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, kind, text):
    refused(lambda: plant.with_values(values), text, kind)


# --- corrections ------------------------------------------------------------------------------------------------


def test_expressions_and_measures_are_listed_by_element():
    assert set(plant.expressions) == {"a.rate[a]", "a.rate[b]", "b.rate[a]", "b.rate[b]"}
    assert plant.measures["a.feed.c[b]"].label == "g/L"
    assert plant.inlet_names[:3] == ("a.feed.flow", "a.feed.c[a]", "a.feed.c[b]")


def test_corrections_add_up_in_order():
    once = plant.corrected({a.rate: lambda v, rate: rate + 1.0})
    twice = once.corrected({a.rate["a"]: lambda v, rate: rate * 2.0})
    assert twice.corrections["a.rate[a]"](None, 5.0) == 12.0
    assert twice.corrections["a.rate[b]"](None, 5.0) == 6.0
    assert not plant.corrections


@pytest.mark.parametrize(
    ("correction", "text"),
    [
        ({"a.rates": lambda v, r: r}, "corrected: expression 'a.rates' is unknown. Did you mean 'a.rate"),
        ({a.V: lambda v, r: r}, "corrected: expression 'a.V' is unknown"),
        ({a.rate: 1.1}, "corrected: a.rate[a] needs a function of (v, value), got 1.1"),
        (1.1, "corrected: expected a dict from names to values, got float"),
    ],
)
def test_only_expressions_are_corrected_by_functions(correction, text):
    refused(lambda: plant.corrected(correction), text, SpecificationError)
