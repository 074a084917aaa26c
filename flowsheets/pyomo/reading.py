"""How do equations run on Pyomo? The reading whose raw values are Pyomo expressions that carry their units."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any

import pyomo.environ as pyo

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.reading import ELEMENTARY, Reading
from titer.flowsheets.symbols.symbol import Symbol

# As in titer's own registry; those that Pyomo's knows already keep its definition.
_OWN = {
    "cell": "cell = [cell_count]",
    "CV": "column_volume = [column_volume] = CV",
    "OD": "optical_density = [optical_density] = OD",
    "vvm": "vvm = 1 / minute",
    "AU": "absorbance_unit = 1 = AU",
}


@cache
def unit_of(measure: Measure) -> Any:
    """A Measure as one unit of Pyomo's (`pyomo.environ.units`), which learns titer's own units here."""
    if not measure.names:
        return pyo.units.dimensionless
    _define_own_units()
    product = math.prod((getattr(pyo.units, name) ** n for name, n in measure.names.items()), start=1.0)
    return pyo.units.get_units(product)


def raw(value: Any, measure: Measure) -> Any:
    """A traced value (a symbol, a float quantity, a bare number in `measure`) as a Pyomo expression."""
    if not isinstance(value, Symbol):
        return _with_unit(float(value), measure)
    return value.value if value.reading is PYOMO else _with_unit(value.value, value.measure)


def plain(value: Any, measure: Measure) -> Any:
    """The same as a dimensionless expression: its number in its own unit."""
    return _without_unit(raw(value, measure), value.measure if isinstance(value, Symbol) else measure)


def converted(value: Any, source: Measure, target: Measure) -> Any:
    """A Pyomo expression in another unit of the same dimension."""
    ratio = source.ratio_to(target)
    return value if ratio == 1.0 else value * _with_unit(ratio, target / source)


@cache
def _define_own_units() -> None:
    registry = pyo.units.pint_registry
    pyo.units.load_definitions_from_strings([text for name, text in _OWN.items() if name not in registry])


def _with_unit(value: Any, measure: Measure) -> Any:
    return value * unit_of(measure) if measure.names else value


def _without_unit(value: Any, measure: Measure) -> Any:
    return value / unit_of(measure) if measure.names else value


def _written_once(value: Any) -> Any:
    """A value as a named expression, which a file holds once however many terms use it."""
    if isinstance(value, int | float):
        return value
    named = pyo.Expression(expr=value)
    named.construct()
    return named


# Inverse hyperbolic functions are spelled out, because CasADi's reader of .nl files lacks them.
_PYOMO_OWN: dict[str, Callable[[Any], Any]] = {
    "expm1": lambda x: pyo.exp(x) - 1.0,
    "log1p": lambda x: pyo.log(1.0 + x),
    "log2": lambda x: pyo.log(x) / math.log(2.0),
    "cbrt": lambda x: x ** (1 / 3),  # of a positive quantity: a real root of a negative one has no smooth form here
    "arcsinh": lambda x: pyo.log(x + pyo.sqrt(x**2 + 1.0)),
    "arccosh": lambda x: pyo.log(x + pyo.sqrt(x**2 - 1.0)),
    "arctanh": lambda x: 0.5 * pyo.log((1.0 + x) / (1.0 - x)),
}

PYOMO = Reading(
    "Pyomo",
    MappingProxyType({name: _PYOMO_OWN.get(name) or getattr(pyo, name.replace("arc", "a")) for name in ELEMENTARY}),
    literal=_with_unit,
    attach=_with_unit,
    strip=_without_unit,
    once=_written_once,
)

__all__ = ["DIMENSIONLESS", "PYOMO", "converted", "plain", "raw", "unit_of"]
