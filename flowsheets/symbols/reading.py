"""What are raw values, and how does one compute with them? A `Reading`: one for floats, one for CasADi."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.symbols.measure import Measure

ELEMENTARY = (
    *("exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "tan"),
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
)


@dataclass(frozen=True, eq=False)
class Reading:
    """What raw values are, and how to compute with them: one for floats, one for CasADi, one for Pyomo.

    `functions` maps NumPy's names ("exp", "arctan", ...) to functions of raw values. Three hooks serve raw
    values that carry a unit themselves: `literal` turns a bare number that is added to or compared with a
    quantity into a raw value, `attach` gives a dimensionless raw value a unit, `strip` takes the unit off.
    `pattern` tells which of some expressions read which variables, where raw values know what they are made of.
    `once` turns a value that is used many times into one that is written once, where expressions are trees.
    `call(name, function, arguments)` evaluates a CasADi function on the raw values of each input, column by column.
    """

    name: str
    functions: Mapping[str, Callable[[Any], Any]]
    divide: Callable[[Any, Any], Any] = operator.truediv
    power: Callable[[Any, Any], Any] = operator.pow
    literal: Callable[[float, Measure], Any] = lambda number, measure: number
    attach: Callable[[Any, Measure], Any] = lambda value, measure: value
    strip: Callable[[Any, Measure], Any] = lambda value, measure: value
    once: Callable[[Any], Any] = lambda value: value
    pattern: Callable[[Sequence[Any], Sequence[Any]], np.ndarray] | None = None
    call: Callable[[str, ca.Function, Sequence[Sequence[Any]]], list[list[Any]]] | None = None


def _ieee(fast: Callable[..., Any], exact: Callable[..., Any]) -> Callable[..., Any]:
    """A function of floats that answers nan or inf where Python raises: NumPy decides, in silence."""

    def run(*numbers: Any) -> float:
        try:
            result = fast(*numbers)
        except (ArithmeticError, ValueError):
            result = None
        if type(result) is float:
            return result
        with np.errstate(all="ignore"):
            return float(exact(*map(float, numbers)))

    return run


def _math(name: str) -> Callable[[Any], float]:
    return _ieee(getattr(math, name.replace("arc", "a")), getattr(np, name))


def _pattern(expressions: Sequence[Any], variables: Sequence[Any]) -> np.ndarray:
    """Which expressions read which variables, booleans (expressions, variables)."""
    found = np.zeros((len(expressions), len(variables)), dtype=bool)
    columns = (ca.vertcat(ca.SX(0, 1), *entries) for entries in (expressions, variables))
    found[ca.jacobian_sparsity(*columns).get_triplet()] = True
    return found


def _called(name: str, function: ca.Function, arguments: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """A CasADi function on SX: written out where it can be, else a call within the expression graph."""
    columns = [ca.vertcat(ca.SX(0, 1), *values) for values in arguments]
    results = function.call([ca.reshape(x, *function.size_in(i)) for i, x in enumerate(columns)])
    return [ca.vertsplit(ca.densify(ca.vec(result))) for result in results]


def _called_on_floats(name: str, function: ca.Function, arguments: Sequence[Sequence[float]]) -> list[list[float]]:
    shaped = [ca.reshape(ca.DM(list(values)), *function.size_in(i)) for i, values in enumerate(arguments)]
    return [np.asarray(ca.densify(ca.vec(result))).ravel().tolist() for result in function.call(shaped)]


_CASADI_OWN = {
    "log2": lambda x: ca.log(x) / math.log(2.0),
    "cbrt": lambda x: ca.sign(x) * ca.fabs(x) ** (1 / 3),
}

FLOATS = Reading(
    "floats",
    MappingProxyType({name: _math(name) for name in ELEMENTARY}),
    divide=_ieee(operator.truediv, np.divide),
    power=_ieee(operator.pow, np.power),
    call=_called_on_floats,
)
CASADI = Reading(
    "CasADi",
    MappingProxyType({name: _CASADI_OWN.get(name) or getattr(ca, name.replace("arc", "a")) for name in ELEMENTARY}),
    pattern=_pattern,
    call=_called,
)
