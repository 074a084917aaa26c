"""May this feature correct that expression? Not where it is calculated from it: such a loop is named and refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from titer.flowsheets.corrections.learned_term import LearnedTerm
from titer.flowsheets.diagnosis.alone import alone
from titer.flowsheets.symbols.symbol import CASADI
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.flowsheet import Flowsheet

Reads = Mapping[str, Sequence[str]]


def check_loops(plant: Flowsheet, terms: Sequence[LearnedTerm]) -> None:
    """Raise SpecificationError where an expression would be corrected by what is calculated from it."""
    for name in dict.fromkeys(term.unit for term in terms):
        mine = [term for term in terms if term.unit == name]
        if any(feature in plant.expressions for term in mine for feature in term.features):
            reads = _reads(plant.unit(name))
            corrected = {term.on: [f for f in term.features if f in reads] for term in mine}
            every: dict[str, Sequence[str]] = {key: [*reads[key], *corrected.get(key, ())] for key in reads}
            for term in mine:
                _check(term, every)


def _check(term: LearnedTerm, reads: Reads) -> None:
    for feature in (name for name in term.features if name in reads):
        way = _way(feature, term.on, reads)
        if way:
            loop = " is calculated from ".join(way)
            raise SpecificationError(
                f"the correction of {term.on}: feature {feature} depends on what is corrected.\n  {loop}.\n"
                "  Take features that the expression is calculated from, or states; or correct another expression."
            )


def _way(begin: str, end: str, reads: Reads) -> list[str]:
    """The shortest chain of what reads what, from one expression to another; empty where there is none."""
    chains = [[begin]]
    met = {begin}
    for chain in chains:  # grows while it is walked
        if chain[-1] == end:
            return chain
        new = [name for name in reads[chain[-1]] if name not in met]
        met.update(new)
        chains.extend([*chain, name] for name in new)
    return []


def _reads(unit: Unit) -> Reads:
    """Which named expressions of a unit operation each of them is directly calculated from."""
    named = alone(unit).named
    symbols, values = zip(*named.values(), strict=True)
    assert CASADI.pattern is not None
    pattern = CASADI.pattern(values, symbols)
    names = list(named)
    return {name: [names[j] for j in row.nonzero()[0]] for name, row in zip(names, pattern, strict=True)}


__all__ = ["check_loops"]
