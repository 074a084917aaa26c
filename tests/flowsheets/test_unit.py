"""A unit operation is frozen data: fields, parts and values, from its class and from keywords, checked at the door."""

import math
import pickle
import re

import numpy as np
import pytest

from titer.flowsheets.declarations import Algebraic, Control, Expression, Inlet, Outlet, Parameter, State
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import DeclarationError


class Binding(Part):
    """Linear binding: q = k_a c."""

    k_a = Parameter("1", 2.0, lower=0.0, over=("components",))
    site = Parameter("g/L", 50.0)
    bound = Expression("g/L", over=("cells", "components"))


class Column(Unit):
    """A column of cells."""

    cells: int = 3
    components: tuple[str, ...] = ("salt", "product")
    binding: Part = Binding()

    c = State("g/L", start=0.0, over=("cells", "components"))
    u = Control("m/h", start=1.0)
    length = Parameter("m", 0.1)
    load = Inlet("L/h", c=("g/L", "components"))


class Reactor(Unit):
    """A reactor."""

    c = State("mol/L", start=1.0, lower=0.0, upper=2.0)
    T = State("K", start=320.0, lower=280.0, upper=380.0)
    q = Algebraic("W", start=0.0)
    T_j = Control("K", start=334.0, lower=300.0, upper=370.0)
    k0 = Parameter("1/s", 2.0, lower=0.0)
    tau = Parameter("s", 60.0)
    r = Expression("mol/L/s")
    broth = Outlet("L/s")


# --- structure ---------------------------------------------------------------------------------------------


def test_fields_are_index_sets_by_number_and_by_label():
    column = Column("capture", cells=2, components=("salt", "A", "B"))
    assert list(column.c)[:4] == ["capture.c[0,salt]", "capture.c[0,A]", "capture.c[0,B]", "capture.c[1,salt]"]
    assert [s.local for s in column.of_kind(State)] == [f"c[{i},{x}]" for i in range(2) for x in ("salt", "A", "B")]
    assert (column.cells, column.components) == (2, ("salt", "A", "B"))
    assert Column("other").cells == 3


@pytest.mark.parametrize("cells", [np.int64(3), ("top", "middle", "end"), [1, 2, 5]])
def test_an_index_set_may_be_any_int_or_different_labels(cells):
    assert len(Column("c", cells=cells).c.elements) == 6


def test_a_part_has_declarations_of_its_own_over_the_fields_of_its_owner():
    capture = Column("capture")
    assert capture.binding.k_a["product"] == "capture.binding.k_a[product]"
    assert capture.binding.site == "capture.binding.site"
    assert capture.binding.bound[2, "salt"] == "capture.binding.bound[2,salt]"
    assert [s for s in capture.scalars if s.startswith("binding")] == [
        "binding.k_a[salt]",
        "binding.k_a[product]",
        "binding.site",
    ]


def test_one_part_may_be_given_to_several_units():
    law = Binding(k_a=[1.0, 3.0])
    first, second = Column("first", binding=law), Column("second", binding=law, components=("x", "y"))
    assert first.binding.k_a["salt"] == "first.binding.k_a[salt]"
    assert second.binding.k_a["y"] == "second.binding.k_a[y]"
    assert second.scalars["binding.k_a[y]"].start == 3.0
    with pytest.raises(DeclarationError, match=r"^Binding.k_a: a part has no name of its own.\n  Name it through"):
        law.k_a  # noqa: B018


def test_a_part_may_hold_a_part():
    class Salt(Part):
        k = Parameter("1", 1.0, over="components")

    class Law(Part):
        salt: Part = Salt()

    column = Column("capture", binding=Law(salt=Salt(k=4.0)))
    assert column.binding.salt.k["product"] == "capture.binding.salt.k[product]"
    assert column.scalars["binding.salt.k[product]"].start == 4.0


def test_a_class_inherits_declarations_and_changes_them():
    class Smaller(Reactor):
        T = State("K", start=300.0)
        tau = None
        extra = Parameter("1", 1.0)

    smaller = Smaller("r")
    assert list(smaller.scalars) == ["c", "T", "q", "T_j", "k0", "extra"]
    assert smaller.scalars["T"].upper == math.inf
    assert Reactor("r").scalars["T"].upper == 380.0
    assert smaller.extra == "r.extra"


# --- values ------------------------------------------------------------------------------------------------


def test_what_is_declared_is_what_a_unit_has():
    c = Reactor("reactor").scalars["c"]
    assert (c.name, c.kind, c.start, c.lower, c.upper) == ("reactor.c", "state", 1.0, 0.0, 2.0)
    assert c.measure is Measure.of("mol/L")
    assert math.isnan(c.nominal)
    assert [s.local for s in Reactor("reactor").of_kind(Parameter)] == ["k0", "tau"]


def test_keywords_give_values_starts_and_bounds_in_any_unit():
    scalars = Reactor(
        "reactor",
        k0=3.0,
        T=310,
        tau=quantity(25, "min"),
        c={"start": quantity(100, "mmol/L"), "upper": 5.0, "nominal": 0.5},
        T_j={"lower": 290.0},
    ).scalars
    assert scalars["k0"].start == 3.0
    assert scalars["T"].start == 310.0
    assert scalars["tau"].start == 1500.0
    assert (scalars["c"].start, scalars["c"].lower, scalars["c"].upper, scalars["c"].nominal) == (0.1, 0.0, 5.0, 0.5)
    assert (scalars["T_j"].start, scalars["T_j"].lower) == (334.0, 290.0)
    assert Reactor("r", k0={"value": 1.0, "upper": 9.0}).scalars["k0"].start == 1.0


def test_quantities_are_converted_where_they_are_declared_too():
    class Slow(Unit):
        tau = Parameter("s", quantity(2, "min"), upper=quantity(1, "h"))
        k = Parameter("1/s", [quantity(60, "1/min"), 2.0], over="n")
        n: int = 2

    scalars = Slow("slow").scalars
    assert (scalars["tau"].start, scalars["tau"].upper) == (120.0, 3600.0)
    assert [scalars[f"k[{i}]"].start for i in range(2)] == [1.0, 2.0]


def test_values_spread_over_arrays():
    column = Column("c", c=[1.0, 2.0], binding=Binding(k_a=np.array([3.0, 4.0])))
    assert [s.start for s in column.of_kind(State)] == [1.0, 2.0] * 3
    assert [column.scalars[f"binding.k_a[{x}]"].start for x in column.components] == [3.0, 4.0]
    assert {s.lower for s in column.of_kind(State)} == {-math.inf}


def test_with_values_gives_another_unit_and_leaves_the_first():
    first = Reactor("reactor")
    second = first.with_values({"k0": 7.0, "tau": quantity(1, "h")})
    assert (first.scalars["k0"].start, second.scalars["k0"].start) == (2.0, 7.0)
    assert second.scalars["tau"].start == 3600.0
    assert second.T == "reactor.T"


def test_a_unit_survives_pickling():
    again = pickle.loads(pickle.dumps(Column("capture", cells=2)))
    assert again.binding.k_a["product"] == "capture.binding.k_a[product]"
    assert again.c[1, "salt"] == "capture.c[1,salt]"
    assert again.scalars["length"].start == 0.1


# --- what is refused ---------------------------------------------------------------------------------------


def test_units_and_parts_do_not_change():
    column = Column("capture")
    message = re.escape(
        "capture (Column): cells cannot be set, for unit operations do not change.\n"
        "  Make another with Column(..., cells=...), or use plant.with_values({...})."
    )
    with pytest.raises(DeclarationError, match=f"^{message}"):
        column.cells = 5
    with pytest.raises(DeclarationError, match=r"^capture.binding \(Binding\): k_a cannot be set"):
        column.binding.k_a = 5.0
    with pytest.raises(DeclarationError, match="c cannot be set"):
        del column.c


def test_an_unknown_name_on_a_unit_says_what_was_meant():
    with pytest.raises(AttributeError, match=r"^reactor \(Reactor\): name 'Tj' is unknown. Did you mean 'T_j'\?"):
        Reactor("reactor").Tj  # noqa: B018
    assert not hasattr(Reactor("reactor"), "nothing")
    with pytest.raises(AttributeError, match=r"(?s)'k_a' is unknown.*A part has it: binding\.k_a\."):
        Column("capture").k_a  # noqa: B018


class Unset(Unit):
    a = Parameter("1/s")


class Undecided(Unit):
    cells: int


class Acid(Unit):
    acidity = State("pH")


class Typo(Unit):
    r = Expression("mol/furlongg")


class LostSet(Unit):
    x = State("1", over="stages")
    cells: int = 3


class LostSetOfExpression(Unit):
    x = Expression("1", over="stages")


class LostSetOfPort(Unit):
    feed = Inlet("L/h", c=("g/L", "stages"))


class WrongPort(Unit):
    feed = Inlet("L/h", c="gram per liter of")


class Timeless(Unit):
    time = "m"


class Law(Part):
    k = Parameter("1", 1.0, over="stages")


class Holder(Unit):
    law: Part = Law()


class Celsius(Unit):
    T = State("degC", start=25.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Reactor("r", k=3.0),
            "r (Reactor): keyword 'k' is unknown. Did you mean 'k0'?\n  known: T, T_j, c, k0, q, tau",
        ),
        (lambda: Binding(ka=3.0), "Binding: keyword 'ka' is unknown. Did you mean 'k_a'?\n  known: k_a, site"),
        (
            lambda: Reactor("r", r=3.0),
            "r (Reactor): r is an expression, which takes no value.\n  Remove the keyword r=.",
        ),
        (lambda: Reactor("r", broth=3.0), "r (Reactor): broth is an outlet, which takes no value."),
        (
            lambda: Reactor("r", c={"strat": 3.0}),
            "r (Reactor): c: entry 'strat' is unknown. Did you mean 'start'?\n  known: lower, nominal, start, upper",
        ),
        (
            lambda: Reactor("r", c=State("g/L")),
            "r (Reactor): c: expected a value or a dict of start, lower, upper, nominal, got a new declaration.",
        ),
        (
            lambda: Reactor("r", c={"lower": 3.0, "upper": 2.0}),
            "r.c: the bounds are reversed: [3, 2] mol/L.\n  Give lower <= upper.",
        ),
        (
            lambda: Reactor("r", T=quantity(25, "K")),
            "r.T: the start 25 lies outside its bounds [280, 380] K.\n  Change the start or the bounds.",
        ),
        (lambda: Reactor("r", T_j=250.0), "r.T_j: the start 250 lies outside its bounds [300, 370] K."),
        (
            lambda: Reactor("r", k0=-1),
            "r.k0: the value -1 lies outside its bounds [0, inf] 1/s.\n  Change the value or",
        ),
        (
            lambda: Reactor("r", k0=math.nan),
            "r.k0: value: expected a number in '1/s', got nan.\n  Give a finite number",
        ),
        (
            lambda: Reactor("r", c=math.nan),
            "r.c: start: expected a number in 'mol/L', got nan.\n  Give a finite number",
        ),
        (lambda: Reactor("r", c={"lower": math.nan}), "r.c: lower: expected a number in 'mol/L', got nan."),
        (lambda: Reactor("r", k0=math.inf), "r.k0: the value must be a finite number in '1/s', got inf."),
        (lambda: Reactor("r", c={"start": math.inf, "upper": math.inf}), "r.c: the start must be a finite number"),
        (
            lambda: Unset("u"),
            "u.a: the value must be a finite number in '1/s', got nan.\n  Give it where a is declared, or as a keyword",
        ),
        (
            lambda: Reactor("r", c={"nominal": 0.0}),
            "r.c: nominal must be positive and finite, got 0 mol/L.\n  Give the usual size of the variable",
        ),
        (
            lambda: Reactor("r", tau=quantity(1, "K")),
            "r.tau: value: cannot convert 'K' to 's': in base units the first is 'K', the second 's'.",
        ),
        (
            lambda: Reactor("r", tau="25 min"),
            "r.tau: value: expected a number in 's', got '25 min'.\n  Give a number, or quantity(number, \"unit\")",
        ),
        (lambda: Reactor("r", tau=True), "r.tau: value: expected a number in 's', got True."),
        (
            lambda: Reactor("r", tau=[1.0, 2.0]),
            "r.tau: value: expected a number or an array of shape (), got [1.0, 2.0].\n  Give one value for all",
        ),
        (
            lambda: Column("c", binding=Binding(k_a=[1.0, 2.0, 3.0])),
            "c.binding.k_a: value: expected a number or an array of shape (2,), got [1.0, 2.0, 3.0].",
        ),
        (
            lambda: Column("c", cells=0),
            "c.cells: an index set is a positive int or a tuple of different labels, got 0.\n  Write 40, or (",
        ),
        (lambda: Column("c", cells=2.5), "c.cells: an index set is a positive int or a tuple"),
        (lambda: Column("c", components="AB"), "c.components: an index set is a positive int or a tuple"),
        (lambda: Column("c", components=("A", "A")), "c.components: an index set is a positive int or a tuple of diff"),
        (lambda: Column("c", components=("A,B", "C")), "c.components: an index set is a positive int or a tuple"),
        (lambda: Column("c", components=()), "c.components: an index set is a positive int or a tuple"),
        (
            lambda: LostSet("p"),
            "p.x: over='stages' names no field of LostSet.\n  fields: cells\n  Declare `stages: int = ...` or `st",
        ),
        (lambda: LostSetOfExpression("p"), "p.x: over='stages' names no field of LostSetOfExpression.\n  fields: none"),
        (lambda: LostSetOfPort("p"), "p.feed.c: over='stages' names no field of LostSetOfPort."),
        (lambda: Holder("p"), "p.law.k: over='stages' names no field of Holder.\n  fields: law"),
        (
            lambda: Undecided("p"),
            "p (Undecided): field 'cells' has no value.\n  Give Undecided(..., cells=...), or a def",
        ),
        (
            lambda: Column("c", binding=Reactor("r")),
            "c (Column): field 'binding' holds a unit operation, Reactor('r').",
        ),
        (lambda: Acid("p"), "p.acidity: unit 'pH': pH is a number, not a unit: write \"1\" in its place."),
        (lambda: Typo("p"), "p.r: unit 'mol/furlongg' is unknown: 'furlongg' is not defined"),
        (lambda: WrongPort("p"), "p.feed.c: unit 'gram per liter of' is unknown"),
        (lambda: Celsius("p"), "p.T: unit 'degC': degree_Celsius has an offset or is logarithmic"),
        (
            lambda: Timeless("p"),
            'p (Timeless): time is the unit of time of its rates, such as "s" or "h", got \'m\'.',
        ),
        (
            lambda: Reactor("time"),
            "Reactor: expected a name that can stand behind a dot (and is not 'time'), got 'time'.\n"
            '  Write letters, digits and underscores: Reactor("reactor_1", ...).',
        ),
        (
            lambda: Reactor("tank 1"),
            "Reactor: expected a name that can stand behind a dot (and is not 'time'), got 'tank",
        ),
        (lambda: Reactor("lambda"), "Reactor: expected a name that can stand behind a dot"),
        (lambda: Reactor("_r"), "Reactor: expected a name that can stand behind a dot"),
        (lambda: Reactor(3.0), "Reactor: expected a name that can stand behind a dot (and is not 'time'), got 3.0."),
        (
            lambda: Reactor("r").with_values({"k1": 1.0}),
            "r (Reactor): variable 'k1' is unknown. Did you mean 'k0'?",
        ),
        (lambda: Reactor("r").with_values({"T": 100.0}), "r.T: the start 100 lies outside its bounds [280, 380] K."),
        (lambda: Reactor("r").with_values({"T": math.nan}), "r.T: expected a number in 'K', got nan."),
    ],
)
def test_bad_input_names_the_variable_and_what_to_do(make, message: str):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()
