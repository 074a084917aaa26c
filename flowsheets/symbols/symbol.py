"""How do equations run on CasADi, Pyomo and floats alike? `Symbol`: a raw value, its unit and its reading.

Rules of units. Terms that are added, subtracted or compared have one unit, factor included; a bare number
takes the unit of what it meets. In products and quotients units multiply, and a bare number is dimensionless.
A literal exponent raises the unit; a symbolic one wants a dimensionless base and exponent, as do exp, log and
tanh. Every other use raises DeclarationError, with the operation, both units and what to write.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from titer.flowsheets.symbols.arrays import Element, SymbolArray, each, refuse_kink, symbol_array
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.reading import CASADI, ELEMENTARY, FLOATS, Reading
from titer.numerics.errors import DeclarationError

# The one door to symbols: other files import all of these from here.
__all__ = [
    "CASADI",
    "FLOATS",
    "Reading",
    "Relation",
    "Symbol",
    "SymbolArray",
    "magnitude",
    "quantity",
    "symbol_array",
]


class Symbol(Element):
    """A quantity as equations see it: raw `value`, unit `measure`, and the `reading` the value belongs to."""

    __slots__ = ("measure", "reading", "value")
    __hash__ = None  # type: ignore[assignment]  # == makes a Relation, so a Symbol cannot be a dictionary key

    def __init__(self, value: Any, measure: Measure, reading: Reading):
        self.value = value
        self.measure = measure
        self.reading = reading

    def __add__(self, other: Any) -> Any:
        return _term("add", operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _term("add", operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _term("subtract", operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _term("subtract", operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _product(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _quotient(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _quotient(other, self)

    def __pow__(self, other: Any) -> Any:
        return _power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return _power(other, self)

    def __neg__(self) -> Symbol:
        return Symbol(-self.value, self.measure, self.reading)

    def __pos__(self) -> Symbol:
        return self

    def __lt__(self, other: Any) -> Any:
        return _relation("<", self, other)

    def __le__(self, other: Any) -> Any:
        return _relation("<=", self, other)

    def __gt__(self, other: Any) -> Any:
        return _relation(">", self, other)

    def __ge__(self, other: Any) -> Any:
        return _relation(">=", self, other)

    def __eq__(self, other: Any) -> Any:
        return _relation("==", self, other)

    def __ne__(self, other: Any) -> Any:
        return _relation("!=", self, other)

    def __bool__(self) -> bool:
        raise DeclarationError(_NO_TRUTH.format(what=f"the symbol {self!r}"))

    def __float__(self) -> float:
        if self.reading is not FLOATS:
            raise DeclarationError(
                f"{self!r} has no number while equations are traced: float() and math.exp(x) fail.\n"
                "  Use NumPy's functions; collect symbols in np.array([...]) or np.zeros_like(symbols)."
            )
        if not self.measure.same(DIMENSIONLESS):
            unit = self.measure.label
            raise DeclarationError(
                f"{self!r} is no plain number: float() and filling np.zeros(n) would lose its unit.\n"
                f'  Write magnitude(x, "{unit}") for its number; collect quantities in np.array([...])\n'
                "  or np.zeros_like(symbols)."
            )
        return float(self.value)

    def __repr__(self) -> str:
        text = str(self.value)
        text = text if len(text) <= 60 else f"{text[:57]}..."
        return text if self.measure is DIMENSIONLESS else f"{text} {self.measure.label}"

    def __format__(self, spec: str) -> str:
        if self.reading is not FLOATS or not spec:
            return repr(self)
        return repr(Symbol(format(float(self.value), spec), self.measure, self.reading))


@dataclass(frozen=True, eq=False)
class Relation:
    """A comparison of two symbols of one unit. It can end a phase (until=); it has no truth value."""

    left: Symbol
    right: Symbol
    operator: str

    def __bool__(self) -> bool:
        raise DeclarationError(_NO_TRUTH.format(what=f"the comparison {self}"))

    def __str__(self) -> str:
        return f"{self.left!r} {self.operator} {self.right!r}"


def quantity(x: Any, unit: str | Measure) -> Any:
    """A number, a dimensionless symbol, or an array of them, as a quantity in `unit`: quantity(1800, "s").

    Raises DeclarationError for a symbol that has a unit already, or a dimensionless factor such as %.
    """
    return _on_each(partial(_quantity, measure=Measure.of(unit)), x)


def magnitude(x: Any, unit: str | Measure) -> Any:
    """The dimensionless number of `x` measured in `unit`, converted where the units differ by a factor.

    A bare number is taken to be in `unit` already. Raises DeclarationError for a unit of another dimension.
    """
    return _on_each(partial(_magnitude, measure=Measure.of(unit)), x)


# --- scalars: units checked, raw values combined -------------------------------------------------------

_BARE = (int, float, np.integer, np.floating, np.bool_)
_ROOTS = {"sqrt": 1 / 2, "cbrt": 1 / 3}


def _on_each(function: Callable[[Any], Any], x: Any) -> Any:
    return function(x) if type(x) is Symbol or isinstance(x, _BARE) else each(function, x)


def _literal(number: Any) -> float:
    """A bare number in an equation, which must be finite: inf and nan only surface when a solver fails."""
    if not math.isfinite(number):
        raise DeclarationError(
            f"the number {float(number)} stands in an equation, where every number must be finite.\n"
            "  Look where it comes from; a limit that is meant to be open is left out."
        )
    return float(number)


def _constant(x: Symbol, reading: Reading) -> Any:
    """A float quantity as a constant of another reading."""
    _literal(x.value)
    return reading.attach(x.value, x.measure)


def _foreign(*operands: Any) -> Any:
    """The answer to what is neither symbol nor number: Python's own, or a word on names."""
    for x in operands:
        if isinstance(x, str):
            raise DeclarationError(
                f"{str(x)!r} is a name, not a value, and cannot be calculated with.\n"
                "  In equations take the variable from the view: v.x, not self.x."
            )
    return NotImplemented


def _readable_together(left: Symbol, right: Symbol) -> tuple[Any, Any, Reading]:
    """Two raw values under one reading: a float joins any other, being a constant."""
    if left.reading is right.reading:
        return left.value, right.value, left.reading
    if left.reading is FLOATS:
        return _constant(left, right.reading), right.value, right.reading
    if right.reading is FLOATS:
        return left.value, _constant(right, left.reading), left.reading
    raise DeclarationError(
        f"cannot combine {left!r} of reading {left.reading.name} with {right!r} of {right.reading.name}.\n"
        "  Use the symbols of one view; equations must not keep symbols from an earlier call."
    )


def _alike(verb: str, left: Any, right: Any) -> tuple[Any, Any, Measure, Reading] | None:
    """Two raw values that must be in one unit, with that unit and reading; None for foreign operands."""
    if type(left) is Symbol:
        measure = left.measure
        if type(right) is Symbol:
            if measure is not right.measure and not measure.same(right.measure):
                raise DeclarationError(_different(verb, measure, right.measure))
            a, b, reading = _readable_together(left, right)
            return a, b, measure, reading
        if isinstance(right, _BARE):
            return left.value, left.reading.literal(_literal(right), measure), measure, left.reading
    elif isinstance(left, _BARE):
        return right.reading.literal(_literal(left), right.measure), right.value, right.measure, right.reading
    return None


def _term(verb: str, combine: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    pair = _alike(verb, left, right)
    return _foreign(left, right) if pair is None else Symbol(combine(pair[0], pair[1]), pair[2], pair[3])


def _relation(sign: str, left: Any, right: Any) -> Any:
    pair = _alike("compare", left, right)
    if pair is None:
        return _foreign(left, right)
    a, b, measure, reading = pair
    return Relation(Symbol(a, measure, reading), Symbol(b, measure, reading), sign)


def _product(left: Any, right: Any) -> Any:
    if type(left) is Symbol and type(right) is Symbol:
        a, b, reading = _readable_together(left, right)
        return Symbol(a * b, left.measure * right.measure, reading)
    if isinstance(right, _BARE):
        return Symbol(left.value * _literal(right), left.measure, left.reading)
    if isinstance(left, _BARE):
        return Symbol(_literal(left) * right.value, right.measure, right.reading)
    return _foreign(left, right)


def _quotient(left: Any, right: Any) -> Any:
    if type(left) is Symbol and type(right) is Symbol:
        a, b, reading = _readable_together(left, right)
        return Symbol(reading.divide(a, b), left.measure / right.measure, reading)
    if isinstance(right, _BARE):
        return Symbol(left.reading.divide(left.value, _literal(right)), left.measure, left.reading)
    if isinstance(left, _BARE):
        return Symbol(right.reading.divide(_literal(left), right.value), DIMENSIONLESS / right.measure, right.reading)
    return _foreign(left, right)


def _power(base: Any, exponent: Any) -> Any:
    if type(base) is Symbol and isinstance(exponent, _BARE):
        n = _literal(exponent)
        n = int(n) if n.is_integer() else n
        return Symbol(base.reading.power(base.value, n), base.measure**n, base.reading)
    for x, role in ((base, "base"), (exponent, "exponent")):
        if type(x) is Symbol and not x.measure.same(DIMENSIONLESS):
            raise DeclarationError(
                f"a symbolic exponent needs a dimensionless base and exponent, but the {role} is in "
                f"{x.measure.label!r}.\n"
                "  Write (q/q_ref)**nu with a reference concentration q_ref in the unit of q."
            )
    if isinstance(base, _BARE):
        return Symbol(exponent.reading.power(_literal(base), exponent.value), DIMENSIONLESS, exponent.reading)
    if type(base) is Symbol and type(exponent) is Symbol:
        a, b, reading = _readable_together(base, exponent)
        return Symbol(reading.power(a, b), DIMENSIONLESS, reading)
    return _foreign(base, exponent)


def _elementary(name: str, x: Symbol) -> Symbol:
    """An elementary function of a symbol. Roots halve or third the unit, the others want none."""
    measure = x.measure
    if name in _ROOTS:
        measure = measure ** _ROOTS[name]
    elif not measure.same(DIMENSIONLESS):
        unit = measure.label
        fix = f'Divide by a reference in {unit!r}, or write np.{name}(magnitude(x, "{unit}")).'
        if measure.compatible(DIMENSIONLESS):
            fix = f'1 {unit} is {measure.factor:g}: convert it with np.{name}(magnitude(x, "1")).'
        raise DeclarationError(f"{name} needs a dimensionless argument, not {measure.label!r}.\n  {fix}")
    function = x.reading.functions.get(name)
    if function is None:
        raise DeclarationError(f"{name} is not available on {x.reading.name}; it has {', '.join(x.reading.functions)}.")
    return Symbol(function(x.value), measure if name in _ROOTS else DIMENSIONLESS, x.reading)


def _quantity(x: Any, measure: Measure) -> Symbol:
    if type(x) is not Symbol:
        return Symbol(float(x), measure, FLOATS)
    if not x.measure.same(DIMENSIONLESS):
        unit = measure.label if measure.compatible(x.measure) else x.measure.label
        raise DeclarationError(
            f"quantity(x, {measure.label!r}) needs a dimensionless x, not one in {x.measure.label!r}.\n"
            f'  Take its number first: quantity(magnitude(x, "{unit}"), "{measure.label}").'
        )
    return Symbol(x.reading.attach(x.reading.strip(x.value, x.measure), measure), measure, x.reading)


def _magnitude(x: Any, measure: Measure) -> Any:
    if type(x) is not Symbol:
        return float(x)
    ratio = x.measure.ratio_to(measure)
    number = x.reading.strip(x.value, x.measure)
    return Symbol(number if ratio == 1.0 else number * ratio, DIMENSIONLESS, x.reading)


def _different(verb: str, left: Measure, right: Measure) -> str:
    text = f"cannot {verb} {left.label!r} and {right.label!r}: "
    if not left.compatible(right):
        return (
            f"{text}in base units the first is {left.base_label()!r}, the second {right.base_label()!r}.\n"
            f'  Check the term; a number that has a unit is written quantity(number, "{right.label}").'
        )
    return (
        f"{text}1 {left.label} is {left.ratio_to(right):g} {right.label}.\n"
        f'  Convert one: quantity(magnitude(x, "{left.label}"), "{left.label}") for x in {right.label!r}.'
    )


_NO_TRUTH = (
    "{what} has no truth value while equations are traced: it stands for every moment at once.\n"
    "  Instead of if, and, max or min write smooth_where(x, above, below, width) or\n"
    "  smooth_maximum(a, b, width); if the process itself switches, write two phases, the first with until=."
)


# --- methods that NumPy and Python look up ---------------------------------------------------------------


def _method(name: str) -> Callable[[Symbol], Symbol]:
    return lambda self: _elementary(name, self)


def _refusal(name: str) -> Callable[..., NoReturn]:
    return lambda *operands: refuse_kink(name)


_PYTHON_KINKS = {
    **{f"__{name}__": name for name in ("abs", "round", "floor", "ceil", "trunc")},
    **dict.fromkeys(("__floordiv__", "__rfloordiv__"), "floor_divide"),
    **dict.fromkeys(("__mod__", "__rmod__"), "remainder"),
    **dict.fromkeys(("__divmod__", "__rdivmod__"), "divmod"),
}

# NumPy calls x.exp() on the elements of an object array, as np.array([symbol, symbol]) is one.
for _name in ELEMENTARY:
    setattr(Symbol, _name, _method(_name))
for _name, _called in _PYTHON_KINKS.items():
    setattr(Symbol, _name, _refusal(_called))
