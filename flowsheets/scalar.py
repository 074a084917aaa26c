"""Which values does a variable have? `Scalar`: unit, start, bounds and size of one variable, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.names import Name
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol, magnitude
from titer.numerics.errors import DeclarationError


@dataclass(frozen=True, eq=False)
class Scalar:
    """One scalar variable of a unit operation, with the values that hold for this object; NaN: not given."""

    local: str  # path below the unit operation: "T", "c[3,product]", "binding.k_a[product]"
    name: Name
    kind: str
    measure: Measure
    start: float
    lower: float
    upper: float
    nominal: float
    doc: str


def check_scalar(scalar: Scalar) -> None:
    """Bounds in order, start inside them, parameters finite. Raises DeclarationError."""
    unit = scalar.measure.label
    what = "value" if scalar.kind == Parameter.kind else "start"
    if not scalar.lower <= scalar.upper:
        raise DeclarationError(
            f"{scalar.name}: the bounds are reversed: [{scalar.lower:g}, {scalar.upper:g}] {unit}.\n"
            "  Give lower <= upper."
        )
    if np.isinf(scalar.start) or (scalar.kind == Parameter.kind and np.isnan(scalar.start)):
        raise DeclarationError(
            f"{scalar.name}: the {what} must be a finite number in {unit!r}, got {scalar.start:g}.\n"
            f"  Give it where {scalar.local} is declared, or as a keyword of its unit operation."
        )
    if not np.isnan(scalar.start) and not scalar.lower <= scalar.start <= scalar.upper:
        raise DeclarationError(
            f"{scalar.name}: the {what} {scalar.start:g} lies outside its bounds "
            f"[{scalar.lower:g}, {scalar.upper:g}] {unit}.\n"
            f"  Change the {what} or the bounds."
        )
    if not np.isnan(scalar.nominal) and not 0.0 < scalar.nominal < np.inf:
        raise DeclarationError(
            f"{scalar.name}: nominal must be positive and finite, got {scalar.nominal:g} {unit}.\n"
            "  Give the usual size of the variable, or leave it out."
        )


def number_in(value: Any, measure: Measure, what: str) -> float:
    """A number that a user gave, in the unit of `what`: a bare one is in it already, a quantity converts."""
    try:
        if isinstance(value, Symbol):
            return float(magnitude(value, measure))
        if isinstance(value, bool | str):
            raise TypeError
        return float(value)
    except DeclarationError as error:
        raise DeclarationError(f"{what}: {error}") from None
    except (TypeError, ValueError):
        raise DeclarationError(
            f"{what}: expected a number in {measure.label!r}, got {value!r}.\n"
            f'  Give a number, or quantity(number, "unit") in another unit.'
        ) from None


def spread(value: Any, shape: tuple[int, ...], measure: Measure, what: str) -> np.ndarray:
    """A declared value (a number, a quantity, or an array of them) over a shape; None becomes NaN."""
    try:
        given = np.asarray(value, dtype=object)
        array = np.broadcast_to(np.empty(given.shape), shape) if given.shape else None
    except ValueError:
        raise DeclarationError(
            f"{what}: expected a number or an array of shape {shape}, got {value!r}.\n"
            "  Give one value for all elements, or one for each."
        ) from None
    if array is None:
        return np.full(shape, _given(given[()], measure, what))
    numbers = [_given(x, measure, what) for x in given.flat]
    return np.broadcast_to(np.array(numbers).reshape(given.shape), shape).copy()


def measure_of(text: str, what: str) -> Measure:
    """The unit that a text names; an error says whose it is."""
    try:
        return Measure.of(text)
    except DeclarationError as error:
        raise DeclarationError(f"{what}: {error}") from None


def _given(value: Any, measure: Measure, what: str) -> float:
    if value is None:
        return np.nan
    number = number_in(value, measure, what)
    if np.isnan(number):
        raise DeclarationError(
            f"{what}: expected a number in {measure.label!r}, got {value!r}.\n"
            "  Give a finite number, or leave the entry out."
        )
    return number
