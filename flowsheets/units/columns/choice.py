"""How many points does a column need, and of which method? It depends on how sharp fronts are: the Peclet number."""

from __future__ import annotations

import math
import warnings

from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.units.columns.binding import Numbers, Quantities
from titer.flowsheets.units.columns.transport import Transport
from titer.numerics.spatial import FiniteVolumes, Method, SpectralElements

_USUAL = 140.0  # the Peclet number at which 20 elements of degree 4 hold 3e-4 of a peak; 8 where a film smooths it
_SHARPEST = 4.5  # the Peclet number over intervals up to which self-sharpening fronts oscillate by less than 1 %
_SMOOTHED = 9.0  # the same where beads smooth them: at 10 and a film of 5e-5 m/s around beads of 20 um by 7e-4
_DEGREE, _MOST_ELEMENTS = 4, 180
_MOST_CELLS = 512


def chosen(who: str, number: float, smoothed: bool) -> Method:
    """Spectral elements, more of them the higher the Peclet number, or finite volumes where they would oscillate.

    `smoothed`: by mass transfer into beads, so that fewer suffice. Warns where finite volumes blur the fronts.
    """
    known, sharpest = min(max(number, _USUAL), 1e6), _SMOOTHED if smoothed else _SHARPEST
    smooth, sharp = (8.0 if smoothed else 20.0) * (known / _USUAL) ** 0.65, known / (sharpest * _DEGREE)
    elements = math.ceil(max(smooth, sharp))
    if elements <= _MOST_ELEMENTS:
        return SpectralElements(elements, _DEGREE)
    method = FiniteVolumes(_MOST_CELLS)
    check(who, number, method)
    return method


def check(who: str, number: float, method: Method) -> None:
    """Warn where a method is too coarse for a Peclet number, with the error that comes of it."""
    doubt = coarseness(who, number, method)
    if doubt is not None:
        warnings.warn(doubt, stacklevel=4)


def coarseness(who: str, number: float, method: Method) -> str | None:
    """What comes of a method that is too coarse for a Peclet number; None where it is not."""
    coarse = number / method.intervals
    if coarse <= _SHARPEST:
        return None
    if number == math.inf:
        error, mend = "fronts are as broad as the method makes them", "Give D_ax above zero"
    elif isinstance(method, FiniteVolumes):
        error = f"fronts stay monotone, but even linear ones leave {blurred(number, method.cells):.2g} times as broad"
        mend = f"Check whether D_ax is meant, or give method=FiniteVolumes({2 * method.cells})"
    else:
        error = "fronts that sharpen themselves overshoot by more than 1 %"
        mend = "Give more elements, or method=FiniteVolumes(...), which does not oscillate"
    grid = f"{method!r} is coarse for a Peclet number of {number:.4g} ({coarse:.3g} an interval)"
    return f"{who}: {grid}: {error}.\n  {mend}."


def blurred(number: float, cells: int) -> float:
    """How much broader a linear front leaves finite volumes of order 3, by its deviation.

    Limiting adds to the variance some cells^2 that hardly depend on how many cells there are: a fit within 8 % to
    Peclet numbers of 500 to 14 000 and fronts 1.5 to 12 cells wide.
    """
    width = cells * math.sqrt(2.0 / number)
    return math.sqrt(1.0 + 1.18 * number**0.28 / width**2)


def peclet(transport: Transport, L: float, CV: float, flow: float) -> float:
    """u L/D_ax of a bed of height L [cm] and volume CV [mL] at a flow [mL/min]."""
    turnover = flow / 60.0 / (CV * transport.porosity(Numbers(transport)))  # u/L [1/s]
    velocity = quantity(flow / 60.0 / CV * L / 100.0, "m/s")
    D_ax = number_in(transport.dispersed(Quantities(transport), velocity), Measure.of("m^2/s"), "D_ax")
    dispersed = D_ax / (L / 100.0) ** 2
    return float(turnover / dispersed) if dispersed > 0.0 else math.inf
