"""How do numbers of a data table become numbers of the model? Units of columns, read from headers or given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.interpolated import Interpolated
from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.signals import finite
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import DeclarationError, SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.flowsheet import Flowsheet

Array = np.ndarray
_SCALES = {"degC": (1.0, 273.15), "°C": (1.0, 273.15), "degF": (5.0 / 9.0, 459.67 * 5.0 / 9.0)}  # to kelvin
_BRACKETS = re.compile(r"[\[(]([^\[\]()]+(?:\([^()]*\))?)[\])]\s*$")


@dataclass(frozen=True)
class Conversion:
    """factor * number + offset: from the unit of the data to the declared one."""

    factor: float = 1.0
    offset: float = 0.0

    def __call__(self, values: Any) -> Any:
        return values if self == _NONE else self.factor * values + self.offset


_NONE = Conversion()


def conversion(unit: Any, measure: Measure, what: str) -> Conversion:
    """From `unit` to a declared one: a text, None for the declared one, or a quantity: what a reading of 1 means there.

    Temperatures may come in "degC" or "degF". Raises SpecificationError.
    """
    if unit is None:
        return _NONE
    if isinstance(unit, Symbol):
        factor = finite(unit, measure, what)
        if not factor > 0.0:
            raise SpecificationError(f"{what}: a quantity as a unit must be positive, got {factor:g} {measure.label}.")
        return Conversion(factor)
    try:
        if unit in _SCALES:
            factor, offset = _SCALES[unit]
            kelvin = Measure.of("K").ratio_to(measure)
            return Conversion(factor * kelvin, offset * kelvin)
        return Conversion(Measure.of(unit).ratio_to(measure))
    except DeclarationError as error:
        raise SpecificationError(
            f"{what}: {error}\n"
            f"  Give a unit that converts to {measure.label!r}, or what a reading of 1 means: "
            f'quantity(..., "{measure.label}").'
        ) from None


def unit_of(header: str) -> str | None:
    """The unit in the brackets at the end of a header, "glucose [mM]" or "Titer (g/L)"; None where there is none."""
    found = _BRACKETS.search(header)
    if found is None:
        return None
    text = found.group(1).strip()
    if text in _SCALES:
        return text
    try:
        Measure.of(text)
    except DeclarationError:
        return None
    return text


def unit_for(name: str, header: str, units: Mapping[str, Any], who: str) -> Any:
    """The unit of a column: as given, else as its header says. Raises SpecificationError where neither does."""
    if name in units:
        return units[name]
    found = unit_of(header)
    if found is None:
        raise SpecificationError(
            f"{who}: column {header!r} has no unit that can be read, and none is given for {name}.\n"
            f'  Give units={{{name}: "g/L"}}, as it may be; "1" for a plain number.'
        )
    return found


def units_of_columns(
    groups: Mapping[str, list[int]], headers: list[str], mapped: Mapping[str, str], units: Mapping[str, Any], who: str
) -> dict[str, Any]:
    """The units by name, with those that headers say; columns of one name have the same. Raises SpecificationError."""
    found = dict(units)
    for name, columns in groups.items():
        read = [unit_for(name, headers[k], units, who) for k in columns if headers[k] in mapped]
        for unit in read if name not in units else []:
            if unit != read[0] and not Measure.of(unit).same(Measure.of(read[0])):
                raise SpecificationError(
                    f"{who}: {name} is in {read[0]!r} in one column and in {unit!r} in another.\n"
                    f"  Bring both to one unit, or say which holds for all: units={{{name}: ...}}."
                )
        if read:
            found[name] = read[0]
    return found


def inputs_in(
    inputs: Mapping[str, Any], plant: Flowsheet, conversions: Mapping[str, Conversion], clock: Conversion, who: str
) -> dict[str, Any]:
    """Trajectories in the plant's units and time. Functions of time are left alone: they see the flowsheet's time."""
    found = {}
    for name, value in by_element(inputs, "inputs").items():
        change = conversions.get(name, _NONE)
        if callable(value) and not isinstance(value, Interpolated) and change != _NONE:
            raise SpecificationError(
                f"{who}: units do not apply to {name}, which is given by a function of time.\n"
                f"  Let the function return the declared unit, or a quantity."
            )
        found[name] = _trajectory(value, change, clock)
    return found


def numbers_in(
    values: Mapping[str, Any], plant: Flowsheet, conversions: Mapping[str, Conversion], what: str
) -> dict[str, Any]:
    """Known starts in the plant's units; an unknown name is left to be refused where starts are set."""
    return {
        name: value
        if name not in plant.measures
        else finite(value, plant.measures[name], f"{what} of {name}")
        if isinstance(value, Symbol)
        else conversions.get(name, _NONE)(finite(value, plant.measures[name], f"{what} of {name}"))
        for name, value in by_element(values, what).items()
    }


def _trajectory(value: Any, change: Conversion, clock: Conversion) -> Any:
    if change == _NONE and clock == _NONE:
        return value
    if isinstance(value, Symbol):
        return value  # a quantity says its own unit
    if isinstance(value, Interpolated):
        return Interpolated(_trajectory(value.series, change, clock))
    if isinstance(value, Pieces):
        given = value.values
        return value if given is None else replace(value, values=[_scaled(v, change) for v in given])
    if hasattr(value, "index") and hasattr(value, "to_numpy"):
        import pandas as pd

        times = clock(np.asarray(value.index, dtype=float)) if value.index.dtype.kind in "iuf" else value.index
        return pd.Series([_scaled(v, change) for v in value.tolist()], index=times)
    return value if callable(value) else _scaled(value, change)


def _scaled(value: Any, change: Conversion) -> Any:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return change(value) if number else value  # what is no number is refused where it is used
