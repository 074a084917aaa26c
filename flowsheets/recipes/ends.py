"""What ends a phase, as data? A variable that reaches a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.names import elements_of
from titer.flowsheets.recipes.decision import number_of
from titer.flowsheets.recipes.texts import value_of
from titer.flowsheets.symbols.symbol import Symbol, magnitude, quantity
from titer.numerics.errors import SpecificationError

_VERBS = {"falling": "falls to", "rising": "rises to", "": "reaches"}
_SENTENCE = re.compile(r"(\S+) (falls to|rises to|reaches) (.+)")


@dataclass(frozen=True)
class Reaches:
    """The end of a phase as data: a variable reaches a value, "falling", "rising" or from either side ("")."""

    variable: str
    value: Any
    direction: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("", "falling", "rising"):
            raise SpecificationError(f"Reaches: direction is 'falling', 'rising' or '', got {self.direction!r}.")
        if not isinstance(self.variable, str):
            raise SpecificationError(f"Reaches: the variable is a name such as reactor.S, got {self.variable!r}.")
        if elements_of(self.variable) != (self.variable,):
            raise SpecificationError(
                f"Reaches: {self.variable} is an array; name one element, such as {elements_of(self.variable)[0]}."
            )
        if not isinstance(self.value, Symbol) and not np.isfinite(number_of(self.value, f"Reaches({self.variable})")):
            raise SpecificationError(f"Reaches: {self.variable} needs a finite value to reach, got {self.value!r}.")

    @property
    def sign(self) -> int:
        return {"falling": -1, "rising": 1, "": 0}[self.direction]

    def residual(self, v: Any) -> Any:
        """What goes through zero at the end of the phase."""
        variable, value = v[self.variable], self.value
        if isinstance(value, Symbol):
            value = quantity(magnitude(value, variable.measure), variable.measure)
        return variable - value

    @property
    def sentence(self) -> str:
        """What happens, as files say it: `reactor.S falls to 0.5 g/L`."""
        value = self.value
        shown = f"{float(value.value)!r} {value.measure.label}" if isinstance(value, Symbol) else repr(float(value))
        return f"{self.variable} {_VERBS[self.direction]} {shown.removesuffix(' 1')}"

    @staticmethod
    def of(sentence: str) -> Reaches:
        """The end that a sentence describes. Raises SpecificationError."""
        found = _SENTENCE.fullmatch(sentence.strip()) if isinstance(sentence, str) else None
        if found is None:
            raise SpecificationError(
                f"until: expected such as 'reactor.S falls to 0.5', 'rises to' or 'reaches', got {sentence!r}."
            )
        directions = {verb: direction for direction, verb in _VERBS.items()}
        return Reaches(found[1], value_of(found[3], f"until {found[1]}"), directions[found[2]])

    def __str__(self) -> str:
        return f"{self.variable} reaches {self.value} {self.direction}".strip()
