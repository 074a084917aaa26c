"""What to write instead of maximum, abs, where and clip: smooth forms that solvers can differentiate.

Every form has a `width`: the distance from the kink within which it is rounded, as a bare number in the
argument's unit or as a quantity in that unit. A small width is accurate and hard to solve; a hundredth of the
argument's usual size is a fair start. All act element by element on symbols, arrays and plain numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets.symbols.symbol import FLOATS, Symbol, SymbolArray, quantity
from titer.numerics.errors import DeclarationError


def smooth_maximum(a: Any, b: Any, width: Any) -> Any:
    """The larger of two quantities of one unit: (a + b + sqrt((a - b)^2 + width^2)) / 2.

    Always above the maximum, at most by width/2 (where a = b), elsewhere by less than width^2 / (4 |a - b|).
    """
    return (a + b + _rounded(a - b, width)) / 2.0


def smooth_minimum(a: Any, b: Any, width: Any) -> Any:
    """The smaller of two quantities of one unit: (a + b - sqrt((a - b)^2 + width^2)) / 2.

    Always below the minimum, at most by width/2 (where a = b), elsewhere by less than width^2 / (4 |a - b|).
    """
    return (a + b - _rounded(a - b, width)) / 2.0


def smooth_abs(x: Any, width: Any) -> Any:
    """The size of a quantity: sqrt(x^2 + width^2).

    Always above |x|, at most by width (where x = 0), and by less than width^2 / (2 |x|) elsewhere.
    """
    return _rounded(x, width)


def smooth_step(x: Any, width: Any) -> Any:
    """A dimensionless step from 0 (x far below zero) to 1 (x far above): (1 + tanh(x / width)) / 2.

    The error is 1/2 at x = 0 and falls as exp(-2 |x| / width): .018 at two widths, .0025 at three.
    """
    return (1.0 + np.tanh(_in_widths(x, width))) / 2.0


def smooth_where(x: Any, above: Any, below: Any, width: Any) -> Any:
    """`above` where x > 0 and `below` where x < 0: below + (above - below) smooth_step(x, width).

    The error is half of |above - below| at x = 0, .018 of it at two widths, .0025 at three.
    """
    return below + (above - below) * smooth_step(x, width)


def smooth_clip(x: Any, lower: Any, upper: Any, width: Any) -> Any:
    """x kept between two bounds: (lower + upper + s(x - lower) - s(x - upper)) / 2, s(y)^2 = y^2 + width^2.

    Strictly between the bounds and increasing in x. The error is less than width/2, largest at the bounds.
    """
    return (lower + upper + (_rounded(x - lower, width) - _rounded(x - upper, width))) / 2.0


def _rounded(x: Any, width: Any) -> Any:
    return np.sqrt(x**2 + _positive(width) ** 2)


def _in_widths(x: Any, width: Any) -> Any:
    bare = not isinstance(_positive(width), Symbol)
    return x / (quantity(width, x.measure) if bare and isinstance(x, Symbol | SymbolArray) else width)


def _positive(width: Any) -> Any:
    """The width as given; zero would bring the kink back, and a negative one is a slip."""
    number = width.value if isinstance(width, Symbol) and width.reading is FLOATS else width
    if not isinstance(number, Symbol) and not number > 0:
        raise DeclarationError(
            f"width must be positive, not {width!r}.\n"
            "  Give the distance from the kink that may be rounded, in the unit of the argument."
        )
    return width
