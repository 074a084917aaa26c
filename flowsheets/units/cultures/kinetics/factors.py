"""What makes a specific rate smaller than its largest value? Factors of it, and how several of them combine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.declarations import Declaration, Port
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.unit import Part
from titer.flowsheets.units.cultures.kinetics.group import Group, concentration_of
from titer.numerics.errors import DeclarationError

_NOTHING = 1e-24  # so that a root has a slope where all factors are zero


class Factor(Part):
    """A dimensionless factor of a rate, a function of one component's concentration, or of a condition (T, pH).

    One of one's own declares its parameters as a unit operation does, names those with the component's unit in `like`,
    and defines `value`.
    """

    component: str = ""  # or the condition
    like: ClassVar[tuple[str, ...]] = ()  # parameters that have the component's unit
    condition: ClassVar[str] = ""  # the unit of what is read, where that is a condition and no component
    numbered: ClassVar[bool] = False  # a rate may hold several, told apart by number

    def derived(self) -> dict[str, Declaration | Port]:
        if not self.like:
            return {}
        unit = concentration_of(self, self.component)
        declared: dict[str, Any] = {key: type(self).declarations[key] for key in self.like}
        return {key: replace(declaration, unit=unit) for key, declaration in declared.items()}

    @property
    def key(self) -> str:
        """What the factor is called in the rate that holds it: by its component."""
        return self.component

    def check(self, unit: Any) -> None:
        """Whether the culture has the condition that is read. Raises DeclarationError."""
        if not self.condition:
            return
        declared = unit.declarations.get(self.component)
        write = f'  Give conditions={{"{self.component}": Control("{self.condition}", start=...)}}'
        write += ", or heat=... for an energy balance." if self.component == "T" else "."
        if declared is None:
            raise DeclarationError(f"{self._who}: the culture has no {self.component}.\n{write}")
        if isinstance(declared, Port) or not Measure.of(declared.unit).same(Measure.of(self.condition)):
            unit_of_it = getattr(declared, "unit", "a port")
            raise DeclarationError(
                f"{self._who}: expected {self.component} in {self.condition!r}, it is in {unit_of_it!r}.\n{write}"
            )

    def value(self, f: Any, v: Any) -> Any:
        """The factor; `f`: the view of the part, `v`: that of the culture."""
        raise NotImplementedError


class Given(Factor):
    """A factor that is a function of the culture's view: `Given(lambda v: v.glucose / (v.glucose + 0.1))`.

    The function itself may stand among factors: `Growth(0.4, lambda v: ...)`.
    """

    function: Callable[[Any], Any] = staticmethod(lambda v: 1.0)
    numbered: ClassVar[bool] = True

    def __init__(self, function: Callable[[Any], Any]):
        super().__init__(function=function)

    @property
    def key(self) -> str:
        return "given"

    def value(self, f: Any, v: Any) -> Any:
        return self.function(v)


class Scarcest(Group, Factor):
    """The smallest of several factors, by Liebig's law: `Scarcest(Monod("glucose", 0.1), Monod("ammonia", 0.02))`.

    Rounded over `width` of 1 (1e-3 unless given), and exactly 0 where one of the factors is 0:
    (a + b - sqrt((a - b)^2 + 4 width^2 a b)) / 2, of two factors below the smaller by at most `width` of it, of n by at
    most n - 1 widths. Source: Liebig's law of the minimum, e.g. Bader, Biotechnol. Bioeng. 20 (1978) 183.
    """

    width: float = 1e-3
    numbered: ClassVar[bool] = True

    def __init__(self, *factors: Any, width: float = 1e-3):
        if len(factors) < 2:
            raise DeclarationError("Scarcest: give at least two factors, Scarcest(Monod(...), Monod(...)).")
        if not width > 0.0:
            raise DeclarationError(f"Scarcest: width is a small positive number, got {width!r}.")
        super().__init__(named(factors), width=width)

    @property
    def key(self) -> str:
        return "scarcest"

    def value(self, f: Any, v: Any) -> Any:
        def smaller(a: Any, b: Any) -> Any:
            return (a + b - np.sqrt((a - b) ** 2 + (2.0 * self.width) ** 2 * a * b + _NOTHING)) / 2.0

        return reduce(smaller, values_of(self, f, v))


def named(factors: Sequence[Any]) -> dict[str, Factor]:
    """Factors by name: by their component; a second one of a component also by its kind. Functions become `Given`.

    Raises DeclarationError for what is no factor, and for two of one kind and component.
    """
    found: dict[str, Factor] = {}
    for factor in factors:
        if callable(factor) and not isinstance(factor, Factor | type):
            factor = Given(factor)
        if not isinstance(factor, Factor):
            raise DeclarationError(
                f"kinetics: expected factors such as Monod(...), Inhibition(...) or a function of the view, "
                f"got {factor!r}."
            )
        found[_name_of(factor, found)] = factor
    return found


def values_of(group: Part, p: Any, v: Any) -> list[Any]:
    """The values of the factors that a part holds."""
    return [part.value(getattr(p, key), v) for key, part in group.parts() if isinstance(part, Factor)]


def factors_of(part: Any) -> Iterator[Factor]:
    """All factors that a part holds, at any depth."""
    for _, held in part.parts():
        if isinstance(held, Factor):
            yield held
        yield from factors_of(held)


def _name_of(factor: Factor, taken: dict[str, Factor]) -> str:
    key, kind = factor.key, type(factor).__name__
    if factor.numbered:
        count = sum(type(other) is type(factor) for other in taken.values())
        return key if not count else f"{key}_{count + 1}"
    if any(type(other) is type(factor) and other.key == key for other in taken.values()):
        raise DeclarationError(
            f"kinetics: two factors {kind} of {key!r} in one rate.\n"
            "  Remove one; factors of different kinds can stand together."
        )
    return key if key not in taken else f"{key}_{kind.lower()}"
