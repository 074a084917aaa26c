"""How is a `casadi.Function` called in equations? As a `CasadiFunction`, with the units of what it takes and gives.

viscosity = CasadiFunction(network, arguments=("K", "g/L"), results=("mPa*s",))

def equations(self, v):
    eta = viscosity(v.T, v.c)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.symbols.arrays import each
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.reading import FLOATS, Reading
from titer.flowsheets.symbols.symbol import Symbol, magnitude, symbol_array
from titer.numerics.errors import DeclarationError


@dataclass(frozen=True, eq=False)
class CasadiFunction:
    """A CasADi function on symbols, arrays and numbers.

    `function`: any that has derivatives: of SX, of MX (a network, an interpolant, a root finder), external code, a
    Callback. One that CasADi cannot write out stays a call in the model's equations. `arguments` and `results`: a unit
    for each input and output, one text where there is one. Arguments are converted to these units, bare numbers are in
    them already. An input of n x 1 takes an array of n, one of n x m an array of that shape; results likewise. A
    function of scalars acts on arrays element by element. One result is returned as it is, several as a tuple.

    Its equations simulate and optimize with titer; a model that calls it cannot be lowered to Pyomo.
    """

    function: ca.Function
    arguments: Sequence[str] | str = ()
    results: Sequence[str] | str = ()
    name: str = ""
    _units: tuple[tuple[Measure, ...], tuple[Measure, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.function, ca.Function):
            raise DeclarationError(f"CasadiFunction: expected a casadi.Function, got {self.function!r}.")
        object.__setattr__(self, "name", self.name or self.function.name())
        given = (self.arguments, self.results)
        counts = (self.function.n_in(), self.function.n_out())
        units = []
        for texts, count, noun in zip(given, counts, ("arguments", "results"), strict=True):
            listed = (texts,) if isinstance(texts, str) else tuple(texts)
            if len(listed) != count:
                raise DeclarationError(
                    f"CasadiFunction {self.name}: {noun} needs {count} units, one for each, got {len(listed)}.\n"
                    f'  Write {noun}=("mol/L", ...), with "1" for a plain number.'
                )
            units.append(tuple(Measure.of(text) for text in listed))
        object.__setattr__(self, "_units", tuple(units))
        if not self.name.isidentifier():
            raise DeclarationError(f"CasadiFunction: name has letters, digits and underscores, got {self.name!r}.")
        _check_derivatives(self.name, self.function)

    def __call__(self, *arguments: Any) -> Any:
        """The results at these arguments. Raises DeclarationError for a wrong number, shape or unit of them."""
        units = self._units[0]
        if len(arguments) != len(units):
            raise DeclarationError(
                f"{self.name} takes {len(units)} arguments, got {len(arguments)}.\n"
                f"  Its inputs: {', '.join(map(self._described, range(len(units))))}."
            )
        given = [self._in_unit(i, x) for i, x in enumerate(arguments)]
        reading = self._reading(given)
        if self._of_scalars() and any(array.shape for array in given):
            results = self._on_each(given, reading)
        else:
            results = self._evaluated(given, reading)
        made = [_quantity(result, unit) for result, unit in zip(results, self._units[1], strict=True)]
        return made[0] if len(made) == 1 else tuple(made)

    def _in_unit(self, index: int, value: Any) -> np.ndarray:
        """An argument as an array of dimensionless symbols and floats."""
        try:
            return _boxed(_on_each(partial(_number, unit=self._units[0][index]), value))
        except DeclarationError as error:
            raise DeclarationError(f"{self.name}: argument {self._described(index)}: {error}") from None

    def _reading(self, arrays: Sequence[np.ndarray]) -> Reading:
        """What the arguments are read on: floats join any other."""
        symbols = [x for x in chain.from_iterable(array.flat for array in arrays) if isinstance(x, Symbol)]
        readings = {x.reading for x in symbols if x.reading is not FLOATS}
        if len(readings) > 1:
            raise DeclarationError(f"{self.name}: its arguments come from different views.\n  Use the symbols of one.")
        reading = readings.pop() if readings else FLOATS
        if reading.call is None:
            raise DeclarationError(
                f"{self.name} is a CasADi function, which {reading.name} cannot evaluate.\n"
                "  Write its formula with NumPy, or leave the model to titer's own simulate, estimate and optimize."
            )
        return reading

    def _of_scalars(self) -> bool:
        shapes = [self.function.size_in(i) for i in range(self.function.n_in())]
        shapes += [self.function.size_out(i) for i in range(self.function.n_out())]
        return all(shape == (1, 1) for shape in shapes)

    def _on_each(self, given: Sequence[np.ndarray], reading: Reading) -> list[np.ndarray]:
        try:
            together = np.broadcast_arrays(*given)
        except ValueError:
            shapes = ", ".join(str(array.shape) for array in given)
            raise DeclarationError(
                f"{self.name}: its arguments have shapes {shapes}, which do not go together."
            ) from None
        found = [np.empty(together[0].shape, dtype=object) for _ in self._units[1]]
        for at in np.ndindex(together[0].shape):
            results = self._evaluated([_boxed(array[at]) for array in together], reading)
            for array, result in zip(found, results, strict=True):
                array[at] = result[()]
        return found

    def _evaluated(self, given: Sequence[np.ndarray], reading: Reading) -> list[np.ndarray]:
        assert reading.call is not None
        raw = [self._column_by_column(i, array, reading) for i, array in enumerate(given)]
        found = reading.call(self.name, self.function, raw)
        return [self._shaped(i, values, reading) for i, values in enumerate(found)]

    def _column_by_column(self, index: int, array: np.ndarray, reading: Reading) -> list[Any]:
        """The raw values of an argument, in CasADi's order."""
        rows, columns = self.function.size_in(index)
        line = array.ndim < 2 and array.size == rows * columns and 1 in (rows, columns)
        if array.shape != (rows, columns) and not line:
            raise DeclarationError(
                f"{self.name}: argument {self._described(index)} has shape {rows} x {columns}, got {array.shape}.\n"
                "  Give an array of that shape; a column or a row is an array of one index."
            )
        return [_raw(x, reading) for x in array.ravel(order="F")]

    def _shaped(self, index: int, values: Sequence[Any], reading: Reading) -> np.ndarray:
        rows, columns = self.function.size_out(index)
        symbols = np.empty(len(values), dtype=object)
        symbols[:] = [Symbol(value, DIMENSIONLESS, reading) for value in values]
        shape = () if (rows, columns) == (1, 1) else (rows * columns,) if 1 in (rows, columns) else (rows, columns)
        return symbols.reshape(shape, order="F")

    def _described(self, index: int) -> str:
        return f"{index + 1} ({self.function.name_in(index)} in {self._units[0][index].label or '1'!r})"

    def __repr__(self) -> str:
        return f"CasadiFunction({self.name})"


def _check_derivatives(name: str, function: ca.Function) -> None:
    try:
        function.jacobian()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise DeclarationError(
            f"CasadiFunction {name}: it has no derivatives, which solvers need: {reason}\n"
            '  Give a Callback get_jacobian, or its option {"enable_fd": True} for finite differences.'
        ) from None


def _boxed(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    box = np.empty((), dtype=object)
    box[()] = value
    return box


def _raw(value: Any, reading: Reading) -> Any:
    if not isinstance(value, Symbol):
        return float(value)
    return value.value if value.reading is reading else reading.attach(value.value, DIMENSIONLESS)


def _on_each(function: Callable[[Any], Any], value: Any) -> Any:
    return each(function, value) if isinstance(value, np.ndarray | list | tuple) else function(value)


def _number(value: Any, unit: Measure) -> Any:
    """The number of a value in a unit; formulas show a value that is in it already as it is."""
    if isinstance(value, Symbol) and value.measure.same(unit):
        return Symbol(value.value, DIMENSIONLESS, value.reading)
    return magnitude(value, unit)


def _quantity(result: np.ndarray, unit: Measure) -> Any:
    found = _on_each(lambda x: Symbol(x.value, unit, x.reading), result if result.shape else result[()])
    return symbol_array(found) if result.shape else found


__all__ = ["CasadiFunction"]
