"""What happens at once when a phase begins? Actions that unit operations offer: a bolus, a sample, emptying a tank.

A method with `@action` offers one. Its body is given a view of the unit operation and the arguments, and returns the
states that change:

    class Tank(Unit):
        @action(volume="L", S="g/L")
        def bolus(self, v, volume, S):
            return {"V": v.V + volume, "S": (v.S * v.V + S * volume) / (v.V + volume)}

    Phase("fed", 2.0, actions=[tank.bolus(0.1, S=500.0)])

The view `v` has the states, as they are just before the action, the parameters, fields and parts of the unit operation:
what is known whether it was active before or at rest. `Base.bolus.body(self, v, ...)` is the body of a base class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any

import numpy as np

from titer.flowsheets.recipes.texts import said
from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol
from titer.numerics.errors import DeclarationError, SpecificationError


@dataclass(frozen=True, eq=False)
class Action:
    """Something done at once when a phase begins: the name of a unit operation, of an action it offers, its arguments.

    `tank.bolus(0.1, S=500.0)` makes one. An argument is a number (in the unit that the action states), a quantity, or
    the name of a parameter, which may be decided: then it is the value that the parameter has in the phase.
    """

    unit: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise SpecificationError(
                f"Action {self.unit}.{self.name}: arguments is a dict from names to values, got {self.arguments!r}."
            )

    def __str__(self) -> str:
        return f"{self.unit}.{self.name}({', '.join(f'{k}={said(v)}' for k, v in self.arguments.items())})"


class OfferedAction:
    """An action as a class offers it: its `body` (unit, view, arguments) -> states, and the units of its arguments."""

    def __init__(self, body: Callable[..., Mapping[str, Any]], units: Mapping[str, str]):
        self.body, self.units = body, units
        parameters = list(inspect.signature(body).parameters.values())
        known = [p.name for p in parameters[2:]]
        what = f"action {body.__name__}"
        if len(parameters) < 2 or any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters):
            raise DeclarationError(
                f"{what}: expected a method of (self, v, arguments by name), got {inspect.signature(body)}.\n"
                f"  Write def {body.__name__}(self, v, volume, **concentrations)."
            )
        for key in units:
            if key not in known:
                raise DeclarationError(
                    f"{what}: {key}={units[key]!r} is the unit of no argument; it has {', '.join(known) or 'none'}."
                )
        self.signature = inspect.Signature(parameters[2:])
        self.rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        update_wrapper(self, body)  # type: ignore[arg-type]

    def __get__(self, unit: Any, owner: type | None = None) -> Any:
        """On a unit operation: a function that makes the `Action`. On the class: what it offers."""
        if unit is None:
            return self

        def made(*arguments: Any, **named: Any) -> Action:
            return self.made(unit.name, arguments, named)

        made.__signature__ = self.signature  # type: ignore[attr-defined]
        made.__doc__, made.__name__ = self.__doc__, self.body.__name__
        return made

    def made(self, unit: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Action:
        """The action as data, its arguments by name. Raises SpecificationError where they do not fit."""
        name = self.body.__name__
        try:
            bound = self.signature.bind(*arguments, **named).arguments
        except TypeError as error:
            bare = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
            raise SpecificationError(f"{unit}.{name}{inspect.Signature(bare)}: {error}.") from None
        given = {**{key: x for key, x in bound.items() if key != self.rest}, **bound.get(self.rest or "", {})}
        for key, value in given.items():
            self.check(f"{unit}.{name}: {key}", key, value)
        return Action(unit, name, given)

    def unit_of(self, key: str) -> Measure | None:
        """The unit that the action states for an argument; None where it states none."""
        text = self.units.get(key, self.units.get(self.rest or "") if key not in self.signature.parameters else None)
        return None if text is None else Measure.of(text)

    def check(self, what: str, key: str, value: Any) -> None:
        """A value is a finite number or a quantity of the right dimension; texts are read where the plant is known.

        Raises SpecificationError.
        """
        if isinstance(value, Mapping):
            for label, one in value.items():
                self.check(f"{what}[{label}]", key, one)
        elif isinstance(value, list | tuple | np.ndarray):
            for one in np.asarray(value, dtype=object).ravel():
                self.check(what, key, one)
        elif isinstance(value, Symbol) or not isinstance(value, str | bool | None):
            measure = self.unit_of(key) or (value.measure if isinstance(value, Symbol) else DIMENSIONLESS)
            if isinstance(value, Symbol) and value.reading is not FLOATS:
                raise SpecificationError(
                    f"{what}: expected a number, a quantity or the name of a parameter, got the symbol {value!r}.\n"
                    f"  Name it: reactor.V_shot, not v.reactor.V_shot."
                )
            try:
                number = number_in(value, measure, what)
            except DeclarationError as error:
                raise SpecificationError(str(error)) from None
            if not np.isfinite(number):
                raise SpecificationError(f"{what} must be finite, got {number!r}.")


def action(body: Callable[..., Any] | None = None, /, **units: str) -> Any:
    """Offer a method of a unit operation as an action: `@action`, or `@action(volume="L", S="g/L")`.

    `units`: the units of arguments; numbers are in them, quantities and parameters convert, and the body is given
    quantities. The unit of `**others` holds for each of them. An argument without a unit reaches the body as it is
    given: a bare number takes the unit of what it is added to. Raises DeclarationError.
    """
    if body is None:
        return lambda method: OfferedAction(method, units)
    return OfferedAction(body, {})


def not_negative(**given: Any) -> None:
    """Refuse numbers below zero among the arguments of an action; what is decided has bounds of its own.

    Raises SpecificationError.
    """
    for key, value in given.items():
        if isinstance(value, Symbol) and value.reading is FLOATS and np.min(value.value) < 0.0:
            raise SpecificationError(f"{key} is a number of at least 0, got {value!r}.")


def offered(kind: type) -> dict[str, OfferedAction]:
    """The actions that a class of unit operations offers, by name."""
    found = {key: value for base in reversed(kind.__mro__) for key, value in vars(base).items()}
    return {key: value for key, value in found.items() if isinstance(value, OfferedAction)}
