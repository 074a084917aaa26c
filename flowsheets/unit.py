"""What is a unit operation? A class that declares variables and one function, `equations(self, v)`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword
from typing import Any, ClassVar, Self

import numpy as np

from titer.flowsheets.declarations import Declaration, Equations, Port
from titer.flowsheets.declared import Declared
from titer.flowsheets.scalar import Scalar, check_scalar, measure_of, number_in
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import DeclarationError, unknown


class Part(Declared):
    """A part of a unit operation (a binding law, a kinetics) with declarations of its own, held in a field."""

    def __init__(self, **changes: Any):
        self.__dict__.update(_path="", _owner=None)
        for key, declaration in self.declarations.items():
            if isinstance(declaration, Port):
                raise DeclarationError(
                    f"{self._who}: {key} is an {declaration.kind}, and a part has none.\n"
                    "  Declare it on the unit operation that holds the part."
                )
        self._fill(changes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}=...' for key in self._changes)})"


class Unit(Declared):
    """A unit operation: declared variables, structural fields, and `equations(self, v)`.

    `Reactor("reactor", k0=2e9, T=310.0, components=("A", "B"))`: keywords give another value for a parameter,
    another start for a state, algebraic or control, a dict of `start`, `lower`, `upper` and `nominal`, or
    another structural field. `time` is the unit of time of its rates. Raises DeclarationError.
    """

    name: str
    time: ClassVar[str] = "s"
    _scalar_values: Mapping[str, Scalar]

    def __init__(self, name: str, **changes: Any):
        _check_name(name, type(self).__name__)
        self.__dict__.update(name=name, _path=name, _owner=None)
        self._fill(changes)
        self._own_parts()
        self._check_parts()
        self._check_time()
        self._check_ports()
        scalars = {scalar.local: scalar for scalar in self._scalars("")}
        for scalar in scalars.values():
            check_scalar(scalar)
        self.__dict__["_scalar_values"] = scalars

    def equations(self, v: Any) -> Equations:
        """The model, in NumPy on the variables of the view `v`."""
        raise DeclarationError(
            f"{type(self).__name__} has no equations.\n"
            "  Define equations(self, v) and return Equations(rate={...}, zero={...}, port={...})."
        )

    def conserved(self, v: Any) -> Mapping[str, Any]:
        """Totals that the model conserves: name -> total, or Conserved(total, source). Optional."""
        return {}

    def doubts(self, value: Callable[[str], Any]) -> Sequence[str]:
        """What is doubtful about a phase it went through, in sentences; `value`: of a name, at all times. Optional."""
        return ()

    @property
    def scalars(self) -> Mapping[str, Scalar]:
        """All scalar variables with values, by local path."""
        return self._scalar_values

    def of_kind(self, kind: type[Declaration]) -> list[Scalar]:
        """Scalar variables of a kind, in the order of declaration."""
        return [s for s in self._scalar_values.values() if s.kind == kind.kind]

    def ports(self, kind: type[Port] = Port) -> list[tuple[str, Port]]:
        """Declared ports."""
        return [(key, p) for key, p in self.declarations.items() if isinstance(p, kind)]

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Another unit operation with other parameter values and starts, by local path."""
        scalars = dict(self._scalar_values)
        for local, value in values.items():
            if local not in scalars:
                raise DeclarationError(f"{self._who}: {unknown('variable', local, scalars)}")
            old = scalars[local]
            number = number_in(value, old.measure, old.name)
            if np.isnan(number):
                raise DeclarationError(f"{old.name}: expected a number in {old.measure.label!r}, got nan.")
            scalars[local] = replace(old, start=number)
            check_scalar(scalars[local])
        other = copy.copy(self)
        other.__dict__["_scalar_values"] = scalars
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _check_parts(self) -> None:
        for key, part in self.parts():
            if isinstance(part, Unit):
                raise DeclarationError(
                    f"{self._who}: field {key!r} holds a unit operation, {part!r}.\n"
                    "  Connect unit operations in a Flowsheet; what one holds is a Part."
                )

    def _check_time(self) -> None:
        what = f"{self._who}: time"
        if not measure_of(self.time, what).compatible(Measure.of("s")):
            raise DeclarationError(f'{what} is the unit of time of its rates, such as "s" or "h", got {self.time!r}.')

    def _check_ports(self) -> None:
        for key, port in self.ports():
            for variable, (text, over) in port.variables.items():
                what = f"{self.name}.{key}.{variable}"
                measure_of(text, what)
                self.index_sets(over, what)


def _check_name(name: Any, kind: str) -> None:
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or iskeyword(name)
        or name.startswith("_")
        or name == "time"
    ):
        raise DeclarationError(
            f"{kind}: expected a name that can stand behind a dot (and is not 'time'), got {name!r}.\n"
            f'  Write letters, digits and underscores: {kind}("reactor_1", ...).'
        )
