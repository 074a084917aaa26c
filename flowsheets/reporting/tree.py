"""What do equations say? Trees of what they compute, built as they run: the reading behind every printed formula.

A tree keeps the order in which it was written. Only what nobody would print is left out: terms that are zero, factors
that are one, and double signs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.reading import ELEMENTARY, Reading


class Node:
    """What all parts of a formula share: arithmetic that makes larger formulas."""

    __slots__ = ()

    def __add__(self, other: Any) -> Node:
        return add(self, lift(other))

    def __radd__(self, other: Any) -> Node:
        return add(lift(other), self)

    def __sub__(self, other: Any) -> Node:
        return add(self, negative(lift(other)))

    def __rsub__(self, other: Any) -> Node:
        return add(lift(other), negative(self))

    def __mul__(self, other: Any) -> Node:
        return multiply(self, lift(other))

    def __rmul__(self, other: Any) -> Node:
        return multiply(lift(other), self)

    def __neg__(self) -> Node:
        return negative(self)

    def parts(self) -> tuple[Node, ...]:
        """What the formula is made of, one level down."""
        return ()


@dataclass(frozen=True)
class Number(Node):
    """A number, with its unit where it has one."""

    value: float
    measure: Measure = DIMENSIONLESS


@dataclass(frozen=True)
class Letter(Node):
    """A variable: its name in code, how it is written ("c_feed[product]"), and whose it is where that is unclear."""

    name: str
    written: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Sum(Node):
    terms: tuple[Node, ...]

    def parts(self) -> tuple[Node, ...]:
        return self.terms


@dataclass(frozen=True)
class Product(Node):
    factors: tuple[Node, ...]

    def parts(self) -> tuple[Node, ...]:
        return self.factors


@dataclass(frozen=True)
class Negative(Node):
    inner: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.inner,)


@dataclass(frozen=True)
class Quotient(Node):
    top: Node
    bottom: Node

    def parts(self) -> tuple[Node, ...]:
        return self.top, self.bottom


@dataclass(frozen=True)
class Power(Node):
    base: Node
    exponent: Node

    def parts(self) -> tuple[Node, ...]:
        return self.base, self.exponent


@dataclass(frozen=True)
class Call(Node):
    """A function of arguments; `width` belongs to the smooth forms."""

    function: str
    arguments: tuple[Node, ...]
    width: Node | None = None

    def parts(self) -> tuple[Node, ...]:
        return self.arguments if self.width is None else (*self.arguments, self.width)


@dataclass(frozen=True)
class InUnit(Node):
    """The number of a quantity in a unit."""

    inner: Node
    measure: Measure

    def parts(self) -> tuple[Node, ...]:
        return (self.inner,)

    def __mul__(self, other: Any) -> Node:
        larger = _unit_of(self.measure, other) if isinstance(other, int | float) else None
        return multiply(self, lift(other)) if larger is None else InUnit(self.inner, larger)


ZERO, ONE = Number(0.0), Number(1.0)


def lift(x: Any) -> Node:
    """A node as it is, a number as a node."""
    return x if isinstance(x, Node) else Number(float(x))


def add(a: Node, b: Node) -> Node:
    terms = [t for x in (a, b) for t in (x.terms if isinstance(x, Sum) else (x,)) if not _is(t, 0.0)]
    return Sum(tuple(terms)) if len(terms) > 1 else terms[0] if terms else ZERO


def negative(x: Node) -> Node:
    if isinstance(x, Number):
        return Number(-x.value if x.value else 0.0, x.measure)
    return x.inner if isinstance(x, Negative) else Negative(x)


def multiply(a: Node, b: Node) -> Node:
    sign, (a, b) = _signs(a, b)
    if _is(a, 0.0) or _is(b, 0.0):
        return ZERO
    factors = [f for x in (a, b) for f in (x.factors if isinstance(x, Product) else (x,)) if not _is(f, 1.0)]
    factors.sort(key=lambda f: not (isinstance(f, Number) and not f.measure.names))  # bare numbers stand in front
    made = Product(tuple(factors)) if len(factors) > 1 else factors[0] if factors else ONE
    return made if sign > 0 else negative(made)


def divide(a: Any, b: Any) -> Node:
    from titer.flowsheets.reporting.smooth_forms import halved

    sign, (top, bottom) = _signs(lift(a), lift(b))
    if _is(bottom, 1.0) or _is(top, 0.0):
        made = top
    elif _is(bottom, 2.0) and (smooth := halved(top)) is not None:
        made = smooth
    elif isinstance(top, Quotient):
        made = Quotient(top.top, multiply(top.bottom, bottom))
    else:
        made = Quotient(top, bottom)
    return made if sign > 0 else negative(made)


def power(base: Any, exponent: Any) -> Node:
    base, exponent = lift(base), lift(exponent)
    if _is(exponent, 1.0):
        return base
    return Call("sqrt", (base,)) if _is(exponent, 0.5) else Power(base, exponent)


def letters(node: Node) -> Iterator[Letter]:
    """The variables of a formula, each once, in order."""
    seen: set[str] = set()
    open_, done = [node], set[int]()
    while open_:
        at = open_.pop()
        if id(at) in done:  # what is used twice is walked once
            continue
        done.add(id(at))
        if isinstance(at, Letter) and at.name not in seen:
            seen.add(at.name)
            yield at
        open_ += reversed(at.parts())


def is_larger(node: Node, most: int) -> bool:
    """Whether a formula, written out, has more than `most` symbols."""
    count, open_ = 0, [node]
    while open_:
        at = open_.pop()
        count += 1
        if count > most:
            return True
        open_ += at.parts()
    return False


def _is(node: Node, value: float) -> bool:
    """Whether a node is this bare number; zero is zero in any unit."""
    return isinstance(node, Number) and node.value == value and (value == 0.0 or not node.measure.names)


def _signs(*nodes: Node) -> tuple[float, list[Node]]:
    sign, bare = 1.0, []
    for node in nodes:
        below = isinstance(node, Negative) or (isinstance(node, Number) and node.value < 0.0)
        sign = -sign if below else sign
        bare.append(negative(node) if below else node)
    return sign, bare


_CONVERTED = ("s", "min", "h", "d", "mol/L", "mmol/L", "g/L", "mg/L", "kg", "g", "L", "mL", "m^3", "m", "cm", "mm")


def _unit_of(measure: Measure, ratio: float) -> Measure | None:
    """The familiar unit of which a number in `measure` times `ratio` is the number: s times 1/3600 is h."""
    for text in _CONVERTED:
        known = Measure.of(text)
        if known.compatible(measure) and math.isclose(measure.factor / known.factor, ratio, rel_tol=1e-9):
            return known
    return None


def _attached(value: Any, measure: Measure) -> Node:
    if isinstance(value, InUnit) and value.measure.same(measure):
        return value.inner
    if isinstance(value, Node) and not isinstance(value, Number):
        return value if not measure.names else multiply(value, Number(1.0, measure))
    number = value.value if isinstance(value, Number) else float(value)
    return Number(number, measure)


def _stripped(value: Any, measure: Measure) -> Node:
    node = lift(value)
    if isinstance(node, Number) or not measure.names:
        return Number(node.value) if isinstance(node, Number) else node
    return InUnit(node, measure)


_OWN = {
    "expm1": lambda x: add(Call("exp", (lift(x),)), Number(-1.0)),
    "log1p": lambda x: Call("log", (add(ONE, lift(x)),)),
}


def _called(name: str, function: Any, arguments: Sequence[Sequence[Any]]) -> list[list[Node]]:
    """A CasADi function by its name; one with several results has them numbered: f_1(x), f_2(x)."""
    given = tuple(lift(x) for argument in arguments for x in argument)
    counts = [function.numel_out(i) for i in range(function.n_out())]
    first = [sum(counts[:i]) for i in range(len(counts))]
    names = [[f"{name}_{k + j + 1}" for j in range(n)] for k, n in zip(first, counts, strict=True)]
    if sum(counts) == 1:
        names = [[name]]
    return [[Call(each, given) for each in row] for row in names]


FORMULAS = Reading(
    "formulas",
    MappingProxyType({n: _OWN.get(n) or (lambda x, n=n: Call(n, (lift(x),))) for n in ELEMENTARY}),  # type: ignore[misc]
    divide=divide,
    power=power,
    literal=_attached,
    attach=_attached,
    strip=_stripped,
    call=_called,
)


@dataclass(frozen=True, eq=False)
class Formula:
    """An equation to print: what stands left and right of the sign, and a remark."""

    left: Node | None
    right: Node
    sign: str = "="
    rate: bool = False  # the left side is the time derivative of what it shows
    note: str = field(default="")
