"""What is a corrected plant? The same plant with coefficients as parameters, and learned terms in its equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.corrections.coefficients import HELD_IN, with_coefficients
from titer.flowsheets.corrections.correction import Correction
from titer.flowsheets.corrections.learned_term import LearnedTerm
from titer.flowsheets.corrections.loops import check_loops
from titer.flowsheets.unit import Unit

if TYPE_CHECKING:
    from titer.flowsheets.flowsheet import Flowsheet


@dataclass(frozen=True, eq=False)
class Chained:
    """Corrections of one expression, one after the other."""

    functions: tuple[Callable[[Any, Any], Any], ...]

    def __call__(self, v: Any, value: Any) -> Any:
        for function in self.functions:
            value = function(v, value)
        return value


def learned_parts(
    plant: Flowsheet, correction: Correction
) -> tuple[tuple[Unit, ...], Mapping[str, LearnedTerm], dict[Any, Any]]:
    """Unit operations with coefficients, terms by expression, and the cache of what was traced with this structure.

    Raises SpecificationError for an expression or a feature that is not there, and for a loop.
    """
    fitted = correction.fitted_to(plant)
    key = ("corrected", fitted.structure)
    if key not in plant.cache:
        check_loops(plant, fitted.terms)
        plant.cache[key] = {}
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for term in fitted.terms:
        arrays.setdefault(term.unit, {}).update(term.arrays)
    units = tuple(with_coefficients(u, arrays[u.name]) if u.name in arrays else u for u in plant.units)
    return units, {term.on: term for term in fitted.terms}, plant.cache[key]


def learned(plant: Flowsheet) -> Correction | None:
    """The learned correction of a plant with the coefficients that it has now; None where nothing is learned."""
    terms = [term for function in plant.corrections.values() for term in _terms(function)]
    return Correction(*(_with_values(term, plant) for term in terms)) if terms else None


def _terms(function: Any) -> list[LearnedTerm]:
    if isinstance(function, LearnedTerm):
        return [function]
    return [term for inner in function.functions for term in _terms(inner)] if isinstance(function, Chained) else []


def _with_values(term: LearnedTerm, plant: Flowsheet) -> LearnedTerm:
    now = {
        key: np.array([plant.values[f"{term.unit}.{HELD_IN}.{key}[{i}]"] for i in range(len(array))])
        for key, array in term.arrays.items()
    }
    model, domain = term.model, term.domain
    if term.key in now and not np.array_equal(now[term.key], model.coefficients):
        model = model.with_coefficients(now[term.key])
    if domain is not None:
        *numbers, limit = now[f"{term.key}_domain"]
        domain = replace(domain, coefficients=np.array(numbers), limit=float(limit))
    return replace(term, model=model, domain=domain)


__all__ = ["Chained", "learned", "learned_parts"]
