"""What is a Pyomo expression on titer's symbols? Its tree, walked node by node; derivatives stay linear where they can.

A value is a symbol, a number, or a `Linear` form in derivatives that are not known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from pyomo.core.expr import (
    AbsExpression,
    DivisionExpression,
    EqualityExpression,
    Expr_ifExpression,
    ExternalFunctionExpression,
    MaxExpression,
    MinExpression,
    NegationExpression,
    PowExpression,
    ProductExpression,
    SumExpression,
    UnaryFunctionExpression,
)
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.core.expr.visitor import StreamBasedExpressionVisitor

from titer.flowsheets.symbols.reading import ELEMENTARY
from titer.numerics.errors import DeclarationError

Leaf = Callable[[Any], Any]


@dataclass(frozen=True)
class Item:
    """A scalar of a component of the block: the component's local name, and its labels without t."""

    component: str
    labels: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.component}[{','.join(map(str, self.labels))}]" if self.labels else self.component


@dataclass(frozen=True, eq=False)
class Linear:
    """rest + sum of slope times derivative."""

    rest: Any
    slopes: Mapping[Item, Any]


class NotLinearError(Exception):
    """Derivatives that stand in something else than a sum of multiples of them."""

    def __init__(self, *values: Any):
        super().__init__()
        self.items = {item for value in values if isinstance(value, Linear) for item in value.slopes}


def value_of_tree(expression: Any, leaf: Leaf, named: Leaf) -> Any:
    """A Pyomo expression with its leaves (`leaf`) and named expressions (`named`) replaced by values.

    Raises DeclarationError for functions that titer has not, NotLinearError for a nonlinear derivative.
    """
    return _Walk(leaf, named).walk_expression(expression)


def signature_of(expression: Any, leaf: Leaf) -> Any:
    """What an expression is made of, comparable: two are the same where their signatures are equal."""
    if expression.__class__ in native_numeric_types:
        return float(expression)
    if not hasattr(expression, "is_expression_type") or not expression.is_expression_type():
        return leaf(expression)
    if expression.is_named_expression_type():
        return leaf(expression)
    name = expression.getname() if isinstance(expression, UnaryFunctionExpression) else ""
    return type(expression).__name__, name, tuple(signature_of(x, leaf) for x in expression.args)


def is_equality(relation: Any) -> bool:
    return isinstance(relation, EqualityExpression)


class _Walk(StreamBasedExpressionVisitor):
    """Pyomo's own walk, without recursion, that puts values together on the way back."""

    def __init__(self, leaf: Leaf, named: Leaf):
        super().__init__()
        self._leaf, self._named = leaf, named

    def initializeWalker(self, expression: Any) -> tuple[bool, Any]:
        down, value = self.beforeChild(None, expression, 0)
        return (True, expression) if down else (False, value)

    def beforeChild(self, node: Any, child: Any, index: int) -> tuple[bool, Any]:
        if child.__class__ in native_numeric_types:
            return False, float(child)
        if isinstance(child, ExternalFunctionExpression):
            _external(child)
        if not child.is_expression_type():
            return False, self._leaf(child)
        if child.is_named_expression_type():
            return False, self._named(child)
        return True, None

    def exitNode(self, node: Any, values: list[Any]) -> Any:
        for kind, combine in _NODES.items():
            if isinstance(node, kind):
                return combine(node, *values)
        raise DeclarationError(f"{type(node).__name__} cannot be read: {node}")


# --- arithmetic, linear in derivatives ------------------------------------------------------------------------------


def plus(a: Any, b: Any) -> Any:
    """a + b; a zero without a unit is left out."""
    if not isinstance(a, Linear) and not isinstance(b, Linear):
        return b if is_zero(a) else a if is_zero(b) else a + b
    left, right = as_linear(a), as_linear(b)
    slopes = dict(left.slopes)
    for item, slope in right.slopes.items():
        slopes[item] = plus(slopes[item], slope) if item in slopes else slope
    return Linear(plus(left.rest, right.rest), slopes)


def minus(a: Any, b: Any) -> Any:
    """a - b."""
    if not isinstance(a, Linear) and not isinstance(b, Linear):
        return a if is_zero(b) else -b if is_zero(a) else a - b
    return plus(a, _scaled(b, lambda x: -x))


def times(a: Any, b: Any) -> Any:
    """a b; a factor that is the number one is left out."""
    if isinstance(a, Linear) and isinstance(b, Linear):
        raise NotLinearError(a, b)
    if isinstance(a, Linear):
        return _scaled(a, lambda x: times(x, b))
    if isinstance(b, Linear):
        return _scaled(b, lambda x: times(a, x))
    return b if _is_one(a) else a if _is_one(b) else a * b


def over(a: Any, b: Any) -> Any:
    """a / b."""
    if isinstance(b, Linear):
        raise NotLinearError(b)
    if isinstance(a, Linear):
        return _scaled(a, lambda x: over(x, b))
    return a if _is_one(b) else a / b


def as_linear(x: Any) -> Linear:
    return x if isinstance(x, Linear) else Linear(x, {})


def is_zero(x: Any) -> bool:
    return isinstance(x, float) and x == 0.0


def _is_one(x: Any) -> bool:
    return isinstance(x, float) and x == 1.0


def _scaled(x: Any, change: Callable[[Any], Any]) -> Any:
    if not isinstance(x, Linear):
        return change(x)
    rest = x.rest if is_zero(x.rest) else change(x.rest)
    return Linear(rest, {item: change(slope) for item, slope in x.slopes.items()})


# --- nodes ----------------------------------------------------------------------------------------------------------

_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh"}
_NAMES["atanh"] = "arctanh"


def _powered(node: Any, base: Any, exponent: Any) -> Any:
    for x in (base, exponent):
        if isinstance(x, Linear):
            raise NotLinearError(x)
    return base if _is_one(exponent) else base**exponent


def _called(node: Any, x: Any) -> Any:
    if isinstance(x, Linear):
        raise NotLinearError(x)
    name = _NAMES.get(node.getname(), node.getname())
    if name not in ELEMENTARY:
        _refuse(f"{node.getname()}(...) has jumps")(node, x)
    result = getattr(np, name)(x)
    return float(result) if isinstance(result, np.floating) else result


def _refuse(what: str) -> Callable[..., Any]:
    def refuse(node: Any, *values: Any) -> Any:
        raise DeclarationError(
            f"{what}: {node}\n"
            "  Write a smooth form, as smooth_abs, smooth_maximum and smooth_where of titer.flowsheets are."
        )

    return refuse


def _external(node: Any) -> None:
    raise DeclarationError(
        f"it calls the external function {node.getname()}, compiled code that only a Pyomo solver can run: {node}\n"
        "  Write its equations, or a titer unit that calls it as a CasadiFunction."
    )


_NODES: dict[type, Callable[..., Any]] = {
    SumExpression: lambda node, *terms: reduce(plus, terms, 0.0),
    ProductExpression: lambda node, a, b: times(a, b),
    DivisionExpression: lambda node, a, b: over(a, b),
    NegationExpression: lambda node, x: _scaled(x, lambda y: -y),
    PowExpression: _powered,
    AbsExpression: _refuse("abs has a kink"),
    UnaryFunctionExpression: _called,
    Expr_ifExpression: _refuse("Expr_if has a jump"),
    MaxExpression: _refuse("max has kinks"),
    MinExpression: _refuse("min has kinks"),
}
