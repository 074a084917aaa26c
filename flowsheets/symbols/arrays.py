"""How does NumPy work on symbols? Element by element: arrays of `Element`s and floats, with their units.

It knows of its elements only what NumPy knows of objects: operators, and functions as methods (`x.exp()`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.reading import ELEMENTARY, FLOATS
from titer.numerics.errors import DeclarationError


class Element:
    """What arrays hold besides floats: a scalar whose NumPy functions are looked up here."""

    __slots__ = ()
    measure: Measure

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return _function(function, inputs, options)


class SymbolArray(np.ndarray):
    """An array of symbols and plain floats; NumPy's functions act on its elements, with their units."""

    @property
    def measure(self) -> Measure:
        """The unit that all symbols of the array share. Raises DeclarationError where they differ."""
        measures = [x.measure for x in self.flat if isinstance(x, Element)]
        for other in measures[1:]:
            if not measures[0].same(other):
                raise DeclarationError(
                    f"the array has no common unit: it holds {measures[0].label!r} and {other.label!r}.\n"
                    "  Read the units from its elements, or keep quantities of different kinds apart."
                )
        return measures[0] if measures else DIMENSIONLESS

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str) or (isinstance(index, tuple) and any(isinstance(i, str) for i in index)):
            raise DeclarationError(
                f"[{index!r}]: elements of an array are counted from 0 here, not named.\n"
                f"  In terms write v[NAME] with the element's name, such as v[column.outlet.c[{index!r}]] or "
                f'v["column.outlet.c[{index}]"]; in equations its place, such as components.index({index!r}).'
            )
        return super().__getitem__(index)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return _function(function, inputs, options)


def symbol_array(symbols: Any, shape: int | tuple[int, ...] | None = None) -> SymbolArray:
    """An array of symbols and numbers: a nested list as it stands, or a flat sequence put into `shape`."""
    array = np.asarray(symbols, dtype=object)
    return _wrapped(np.array(array if shape is None else array.reshape(shape)))


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of a scalar on every element of an array or a nested list."""
    return _wrapped(np.frompyfunc(function, 1, 1)(np.asarray(x, dtype=object).view(np.ndarray)))


def refuse_kink(name: str) -> NoReturn:
    """Say which smooth form stands for a function that solvers cannot differentiate."""
    raise DeclarationError(
        f"{name} has kinks or jumps, where solvers find no derivative.\n"
        f"  Write {_SMOOTH[name]} instead; titer.flowsheets has smooth forms, with widths in the unit of x."
    )


_SMOOTH = {
    **dict.fromkeys(("maximum", "fmax", "max", "amax"), "smooth_maximum(a, b, width)"),
    **dict.fromkeys(("minimum", "fmin", "min", "amin"), "smooth_minimum(a, b, width)"),
    **dict.fromkeys(("absolute", "fabs", "abs"), "smooth_abs(x, width)"),
    **dict.fromkeys(("sign", "heaviside", "floor", "ceil", "rint", "trunc", "fix", "round"), "smooth_step(x, width)"),
    **dict.fromkeys(("select", "piecewise"), "smooth_where(x, above, below, width)"),
    **dict.fromkeys(("interp", "floor_divide", "remainder", "fmod", "divmod"), "a smooth formula"),
    **dict.fromkeys(("sort", "argsort", "argmax", "argmin", "median", "searchsorted"), "a smooth formula"),
    "clip": "smooth_clip(x, lower, upper, width)",
}


# --- NumPy's functions -------------------------------------------------------------------------------------


def _elementary(name: str, x: Any) -> Any:
    return getattr(x, name)() if isinstance(x, Element) else FLOATS.functions[name](float(x))


def _elements_or_floats(symbolic: Callable[..., Any], exact: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic of array elements, where two floats may meet and follow IEEE rules as in FLOATS."""
    return lambda a, b: (
        symbolic(a, b) if isinstance(a, Element) or isinstance(b, Element) else exact(float(a), float(b))
    )


_NATIVE = ("matmul", "vecdot", "matvec", "vecmat")  # NumPy does these with + and * of the elements
_COMPARISONS = {
    **{"less": operator.lt, "less_equal": operator.le, "greater": operator.gt},
    **{"greater_equal": operator.ge, "equal": operator.eq, "not_equal": operator.ne},
}
_ELEMENTWISE: dict[str, Any] = {
    **{name: np.frompyfunc(partial(_elementary, name), 1, 1) for name in ELEMENTARY},
    **{name: np.frompyfunc(compare, 2, 1) for name, compare in _COMPARISONS.items()},
    "add": np.frompyfunc(operator.add, 2, 1),
    "subtract": np.frompyfunc(operator.sub, 2, 1),
    "multiply": np.frompyfunc(operator.mul, 2, 1),
    "divide": np.frompyfunc(_elements_or_floats(operator.truediv, FLOATS.divide), 2, 1),
    "power": np.frompyfunc(_elements_or_floats(operator.pow, FLOATS.power), 2, 1),
    "negative": np.frompyfunc(operator.neg, 1, 1),
    "positive": np.frompyfunc(operator.pos, 1, 1),
    "square": np.frompyfunc(lambda x: x * x, 1, 1),
    "reciprocal": np.frompyfunc(lambda x: 1.0 / x, 1, 1),
}


def _ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    name = ufunc.__name__
    if name in _SMOOTH:
        refuse_kink(name)
    out = options.pop("out", None)
    operands = [_boxed(x) for x in inputs]
    with np.errstate(all="ignore"):  # floats follow IEEE in silence, as in FLOATS
        if method != "__call__" or name in _NATIVE:
            result = getattr(ufunc, method)(*operands, **options)
        elif name in _ELEMENTWISE and not options:
            result = _ELEMENTWISE[name](*operands)
        else:
            raise DeclarationError(
                f"np.{name}({', '.join(['...', *options])}) does not work on symbols.\n"
                "  Write it with +, -, *, /, ** and functions such as np.exp."
            )
    if out is not None:
        out[0][...] = result
        return out[0]
    return result if name in _COMPARISONS else _wrapped(result)


def _function(function: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    name = function.__name__
    if name in _SMOOTH:
        refuse_kink(name)
    if function.__module__.startswith(("numpy.linalg", "numpy.fft")):
        raise DeclarationError(
            f"{function.__module__}.{name} works on numbers only, not on symbols.\n"
            "  Write the equations themselves, for instance A @ x - b as a residual that is zero."
        )
    plain = {key: _plain(value) for key, value in options.items()}
    try:
        with np.errstate(all="ignore"):
            # Without types to ask, ndarray runs NumPy's own code, which would else come back for a symbol.
            return _wrapped(np.ndarray.__array_function__(np.empty(0), function, (), _plain(inputs), plain))
    except TypeError as error:
        raise DeclarationError(f"np.{name} does not work on symbols: {error}.") from error


def _plain(x: Any) -> Any:
    """The same argument with plain object arrays, on which NumPy calls the operators of the elements."""
    if isinstance(x, SymbolArray):
        return x.view(np.ndarray)
    return type(x)(_plain(item) for item in x) if type(x) in (list, tuple) else x


def _boxed(x: Any) -> Any:
    """The same operand as an array or a number: a ufunc that met a symbol would come back here."""
    if isinstance(x, Element):
        box = np.empty((), dtype=object)
        box[()] = x
        return box
    return np.asarray(x, dtype=object) if type(x) in (list, tuple) else _plain(x)


def _wrapped(result: Any) -> Any:
    """The result in titer's types: symbols as they are, object arrays as arrays of symbols and floats."""
    if isinstance(result, (list, tuple)):
        return type(result)(_wrapped(item) for item in result)
    if not isinstance(result, np.ndarray) or result.dtype != object:
        return result
    if result.ndim == 0:
        return result[()]
    for index, x in enumerate(result.flat):
        if type(x) is not float and not isinstance(x, Element):
            result.flat[index] = math.nan if x is None else float(x)
    return result.view(SymbolArray)
