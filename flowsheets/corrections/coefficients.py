"""Where do the coefficients of a correction live? On the unit operation whose expression is corrected, as parameters.

`reactor.correction.r_1[3]` is the fourth coefficient of the model that corrects `reactor.r_1`, and
`reactor.correction.r_1_domain[0]` the first number of its domain. They are read, changed, freed and estimated as any
parameter; other coefficients of the same shape need no new trace.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence

import numpy as np

from titer.flowsheets.declarations import Declaration, Parameter
from titer.flowsheets.names import Label
from titer.flowsheets.scalar import check_scalar
from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import SpecificationError

HELD_IN = "correction"  # the field of the unit operation


class Coefficients(Part):
    """Coefficients of learned corrections: an array for each, of so many numbers."""

    sizes: tuple[tuple[str, int], ...]

    def derived(self) -> dict[str, Declaration]:
        return {key: Parameter("1", 0.0, over=key, doc="learned from data") for key, _ in self.sizes}

    def _labels(self, key: str, what: str) -> tuple[Label, ...]:
        return tuple(range(dict(self.sizes)[key]))


def key_of(on: str) -> str:
    """The name of an expression's coefficients below its unit operation: kinetics.mu[a] gives kinetics_mu_a."""
    local = on.split(".", 1)[1]
    return re.sub(r"\W+", "_", local).strip("_")


def with_coefficients(unit: Unit, arrays: Mapping[str, np.ndarray]) -> Unit:
    """Another unit operation that holds these coefficients besides what it has. Raises SpecificationError."""
    held = unit.correction if is_corrected(unit) else None
    kind = f"{unit.name} ({type(unit).__name__})"
    if held is None and (HELD_IN in unit.fields or HELD_IN in unit.declarations or HELD_IN in dir(type(unit))):
        raise SpecificationError(
            f"corrected: {kind} has something called {HELD_IN!r} already, which is where coefficients go.\n"
            "  Rename it in the declaration."
        )
    sizes: Sequence[tuple[str, int]] = held.sizes if held is not None else ()
    twice = {key for key, _ in sizes} & set(arrays)
    if twice:
        raise SpecificationError(
            f"corrected: {unit.name}.{sorted(twice)[0]} is corrected by a learned model already.\n"
            "  Correct the plant as it was before, or give this one the new coefficients:\n"
            "  plant.with_values(correction.values)."
        )
    part = Coefficients(sizes=(*sizes, *((key, len(array)) for key, array in arrays.items())), **arrays)
    other = copy.copy(unit)
    other.__dict__.update({HELD_IN: part, "fields": tuple(dict.fromkeys((*unit.fields, HELD_IN)))})
    other._own_parts()
    scalars = {scalar.local: scalar for scalar in other._scalars("")} | dict(unit.scalars)
    for scalar in scalars.values():
        check_scalar(scalar)
    other.__dict__["_scalar_values"] = scalars
    return other


def is_corrected(unit: Unit) -> bool:
    """Whether a unit operation holds coefficients of learned corrections."""
    return isinstance(unit.__dict__.get(HELD_IN), Coefficients)


def is_coefficient(name: str) -> bool:
    """Whether a name is that of a coefficient, which tables leave out unless it is asked for."""
    return name.partition(".")[2].startswith(f"{HELD_IN}.")


__all__ = ["HELD_IN", "Coefficients", "is_coefficient", "is_corrected", "key_of", "with_coefficients"]
