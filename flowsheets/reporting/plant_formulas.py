"""How is a function of the view written? Objectives, limits, conditions and resets as formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.plant_view import FlowsheetView, final_view
from titer.flowsheets.reporting.equations import Facts, formula_facts, read
from titer.flowsheets.reporting.tree import FORMULAS, Call, Formula, Letter, Node, is_larger, lift, multiply
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import Relation, Symbol
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Sum, Term
from titer.flowsheets.trace import Trace

MOST_SYMBOLS = 250  # of a formula that is printed
_SIGNS = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}
_WHERE = {AtStart: "at start", AtEnd: "at end"}


@dataclass(frozen=True, eq=False)
class PlantFormulas:
    """A plant whose variables are letters. What cannot be written as a formula gives an empty one."""

    plant: Flowsheet

    @cached_property
    def view(self) -> FlowsheetView:
        """What terms and conditions see."""
        traces: dict[str, Trace] = {}
        values: dict[str, Symbol] = {}
        for unit in self.plant.units:
            found = read(unit, owner=unit.name if len(self.plant.units) > 1 else "")
            traces[unit.name] = found.traced
            values |= {f"{unit.name}.{key}": symbol for key, symbol in found.values.items()}
        return final_view(self.plant, traces, values, self.time)

    @property
    def time(self) -> Symbol:
        return Symbol(Letter("t"), self.plant.measure_of_time, FORMULAS)

    def of(self, function: Callable[[Any], Any]) -> Facts:
        """A function of the view: {"text", "mathml"}, empty where it is no formula."""
        return self._facts(lambda: self._evaluated(function(self.view)))

    def of_time(self, function: Callable[[Any], Any]) -> Facts:
        """A trajectory given as a function of time, which is a plain number to it."""
        number = Symbol(Letter("t"), DIMENSIONLESS, FORMULAS)
        return self._facts(lambda: self._evaluated(function(number)))

    def condition(self, until: Callable[[Any], Any]) -> Facts:
        """The relation that ends a phase."""

        def made() -> Formula:
            relation = until(self.view)
            if not isinstance(relation, Relation):
                return self._evaluated(relation)
            sign = _SIGNS.get(relation.operator, relation.operator)
            return Formula(_node(relation.left), _node(relation.right), sign)

        return self._facts(made)

    def total(self, terms: Sum, scale: float) -> Facts:
        """Weighted terms of an objective, times `scale`; where each holds is written only where they differ."""
        kinds = {type(term) for _, term in terms.weighted}

        def made() -> Formula:
            added: Any = 0.0
            for weight, term in terms.weighted:
                added = added + multiply(lift(weight * scale), self._at(term, len(kinds) > 1))
            return Formula(None, added)

        return self._facts(made)

    def _at(self, term: Term, mixed: bool) -> Node:
        node = _node(term.function(self.view))
        if isinstance(term, Integral):
            return Call("integral", (node,))
        return Call(_WHERE[type(term)], (node,)) if mixed and type(term) in _WHERE else node

    def _evaluated(self, value: Any) -> Formula:
        return Formula(None, _node(value))

    def _facts(self, make: Callable[[], Formula]) -> Facts:
        """The formula, or nothing where the function is none: whatever it raises, a report goes on without it."""
        try:
            formula = make()
            if any(x is not None and is_larger(x, MOST_SYMBOLS) for x in (formula.left, formula.right)):
                return {}
            facts = formula_facts(formula)
        except Exception:  # the function is the caller's own, written for engines and not for print
            return {}
        return {key: facts[key] for key in ("text", "mathml")}


def _node(value: Any) -> Node:
    if isinstance(value, Symbol):
        return value.value if value.reading is FORMULAS else FORMULAS.attach(value.value, value.measure)
    return lift(value)
