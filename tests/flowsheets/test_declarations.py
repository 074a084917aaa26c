"""Declarations check themselves when they are made, and become names on a unit operation."""

import pickle
import re

import pytest

from titer.flowsheets.declarations import (
    Algebraic,
    Conserved,
    Control,
    Equations,
    Expression,
    Inlet,
    Outlet,
    Parameter,
    State,
)
from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import DeclarationError


class Tank(Unit):
    """A tank of a mixture: V' = feed - broth, c' = feed/V (c_feed - c)."""

    components: tuple[str, ...] = ("product", "impurity")

    V = State("L", start=1.0, lower=0.0)
    c = State("g/L", start=0.0, over="components")
    q = Algebraic("L/h", start=0.0)
    T = Control("K", start=300.0)
    k = Parameter("1/h", 0.1, over=("components",), doc="decay")
    r = Expression("g/L/h", over="components")
    feed = Inlet("L/h", "what is fed", S="g/L", c=("g/L", "components"))
    broth = Outlet("L/h", S="g/L")


def test_on_the_class_a_declaration_is_itself_and_on_a_unit_its_name():
    tank = Tank("tank")
    assert isinstance(Tank.V, State)
    assert (Tank.V.unit, Tank.V.start, Tank.k.doc, Tank.c.over) == ("L", 1.0, "decay", ("components",))
    assert tank.V == "tank.V"
    assert tank.T == "tank.T"
    assert tank.k["product"] == "tank.k[product]"
    assert list(tank.r) == ["tank.r[product]", "tank.r[impurity]"]


def test_ports_and_their_variables_are_names():
    tank = Tank("tank", components=("A", "B"))
    assert tank.feed == "tank.feed"
    assert tank.feed.flow == "tank.feed.flow"
    assert tank.feed.S == "tank.feed.S"
    assert list(tank.feed.c) == ["tank.feed.c[A]", "tank.feed.c[B]"]
    assert tank.broth.flow == "tank.broth.flow"
    assert Tank.feed.doc == "what is fed"


def test_a_port_tells_which_variables_it_carries():
    with pytest.raises(AttributeError, match=r"^tank.broth: stream variable 'flov' is unknown. Did you mean 'flow'\?"):
        Tank("tank").broth.flov  # noqa: B018
    assert not hasattr(Tank("tank").broth, "c")


def test_the_name_of_a_port_survives_pickling():
    port = pickle.loads(pickle.dumps(Tank("tank").feed))
    assert port == "tank.feed"
    assert list(port.c) == list(Tank("tank").feed.c)


def test_equations_and_totals_hold_what_they_are_given():
    assert Equations(rate={"c": 1.0}).zero == {}
    assert Conserved(2.0).source == 0.0


def declared(**attributes):
    return type("Plant", (Unit,), attributes)


def shared():
    one = State("K")
    return declared(T=one, T_j=one)


def shared_port():
    one = Inlet("L/h")
    return declared(feed=one, acid=one)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: State(1.0),
            'State: the first argument is the unit, a text, got 1.0.\n  Write State("mol/L", ...), or State("1", ...)',
        ),
        (
            lambda: State("g/L", over=40),
            "State: over is the name of a field, or a tuple of names, got 40.\n  Declare a field such as `cells: int",
        ),
        (lambda: Expression("g/L", over=("cells", 3)), "Expression: over is the name of a field, or a tuple of names"),
        (
            lambda: Inlet("L/h", S=3.0),
            'Inlet: S needs a unit, or a tuple of a unit and index sets, got 3.0.\n  Write S="g/L", or S=("g/L", "comp',
        ),
        (lambda: Outlet(1.0), "Outlet: flow needs a unit, or a tuple of a unit and index sets, got 1.0."),
        (
            lambda: Inlet("L/h", count="cell/L"),
            "Inlet: a stream variable cannot be called 'count', which a port's name has already.\n  Choose another",
        ),
        (lambda: Inlet("L/h", _c="g/L"), "Inlet: a stream variable cannot be called '_c'"),
        (shared, "Plant: T_j and T are one State.\n  Declare a new one for T_j."),
        (shared_port, "Plant: acid and feed are one Inlet.\n  Declare a new one for acid."),
        (
            lambda: declared(time=State("s")),
            "Plant: 'time' means something else here, or is private.\n  Choose another name for the variable or field.",
        ),
        (lambda: declared(parts=Parameter("1", 3.0)), "Plant: 'parts' means something else here"),
        (lambda: declared(_x=State("s")), "Plant: '_x' means something else here, or is private."),
        (lambda: declared(__annotations__={"ports": int}, ports=3), "Plant: 'ports' means something else here"),
        (
            lambda: Equations(rate=[1.0]),
            "Equations: rate must be a dict from names to values, got list [1.0].\n"
            '  Write Equations(rate={"name": ...}).',
        ),
        (lambda: Equations(zero={1: 0.0}), "Equations: zero must be a dict from names to values, got dict {1: 0.0}."),
        (
            lambda: type("Law", (Part,), {"feed": Inlet("L/h")})(),
            "Law: feed is an inlet, and a part has none.\n  Declare it on the unit operation that holds the part.",
        ),
    ],
)
def test_a_declaration_that_cannot_be_says_why(declare, message: str):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        declare()


@pytest.mark.parametrize("owner", [Unit, Part])
def test_no_variable_can_hide_what_a_unit_or_a_part_has_already(owner):
    for name in (name for name in dir(owner) if not name.startswith("_")):
        with pytest.raises(DeclarationError, match=f"'{name}' means something else here"):
            type("Plant", (owner,), {name: State("K")})
