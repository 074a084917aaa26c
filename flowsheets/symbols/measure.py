"""What unit is a quantity in? `Measure`, the tag that every symbol carries while equations are traced."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from titer.numerics.errors import DeclarationError

_Exponents = tuple[tuple[str, float], ...]


class Measure:
    """A unit of measure: one object per unit, so that comparing and multiplying units costs next to nothing.

    `names` are the named exponents as written ({"mol": 1, "L": -1}), which cancel by name in products;
    `label` is their text. `factor` and `exponents` are the base form: how many SI base units one of it is,
    and the exponents over the base dimensions. Besides those of SI, the cell, the column volume (CV) and
    the optical density (OD) are dimensions of their own; vvm is 1/min, and AU, an absorbance, is a number.
    """

    __slots__ = ("__weakref__", "_powers", "_products", "_quotients", "exponents", "factor", "label", "names")

    names: Mapping[str, float]
    label: str
    factor: float
    exponents: Mapping[str, float]
    _products: dict[Measure, Measure]
    _quotients: dict[Measure, Measure]
    _powers: dict[float, Measure]

    def __init__(self) -> None:
        raise DeclarationError('a Measure is made from its text: Measure.of("mol/L").')

    @staticmethod
    def of(text: str | Measure) -> Measure:
        """The unit that a text names: "mol/L", "1/s", "g/(L h)", "" or "1" for a plain number.

        Raises DeclarationError for an unknown unit, for "pH" (a number) and for an offset ("degC").
        """
        if isinstance(text, Measure):
            return text
        if not isinstance(text, str):
            raise DeclarationError(f'a unit is a text such as "mol/L", not {text!r}.')
        return _of_text(text)

    def __mul__(self, other: Measure) -> Measure:
        known = self._products.get(other)
        if known is None:
            known = self._products[other] = _combined(self, other, 1)
        return known

    def __truediv__(self, other: Measure) -> Measure:
        known = self._quotients.get(other)
        if known is None:
            known = self._quotients[other] = _combined(self, other, -1)
        return known

    def __pow__(self, exponent: float) -> Measure:
        known = self._powers.get(exponent)
        if known is None:
            known = self._powers[exponent] = _interned((name, n * exponent) for name, n in self.names.items())
        return known

    def same(self, other: Measure) -> bool:
        """Whether a number means the same in both: "M" and "mol/L" are the same, "1/s" and "1/h" are not."""
        return self is other or (
            self.exponents == other.exponents and math.isclose(self.factor, other.factor, rel_tol=1e-9)
        )

    def compatible(self, other: Measure) -> bool:
        """Whether a number in one unit can be converted to the other: both have the same dimension."""
        return self is other or self.exponents == other.exponents

    def ratio_to(self, other: Measure) -> float:
        """What a number in this unit is multiplied by to get the number in the other unit."""
        if self.same(other):
            return 1.0
        if not self.compatible(other):
            raise DeclarationError(
                f"cannot convert {self.label!r} to {other.label!r}: in base units the first is "
                f"{self.base_label()!r}, the second {other.base_label()!r}.\n"
                "  Correct the one that is mistaken: both must have the same dimension."
            )
        return _without_noise(self.factor / other.factor)

    def base_label(self) -> str:
        """The unit over the base dimensions, without its factor: "mol/m^3" for "mol/L"."""
        return _label(self.exponents)

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"Measure({self.label!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Measure does not change: {name} of {self!r} cannot be set.")

    def __reduce__(self) -> tuple[Any, ...]:
        # The base form of each name travels along, so that a worker process needs no unit parser.
        return _restored, (tuple(self.names.items()), {name: _ATOMS[name] for name in self.names})


# --- making measures --------------------------------------------------------------------------------------

_ATOMS: dict[str, tuple[float, _Exponents]] = {}  # per named unit: factor and exponents over base dimensions
_INTERNED: dict[_Exponents, Measure] = {}


def _interned(names: Iterable[tuple[str, float]]) -> Measure:
    """The one Measure with these named exponents; names with exponent zero have cancelled."""
    key = tuple(sorted((name, n) for name, n in ((name, _tidy(n)) for name, n in names) if n != 0))
    found = _INTERNED.get(key)
    return found if found is not None else _INTERNED.setdefault(key, _made(key))


def _made(key: _Exponents) -> Measure:
    factor, exponents = 1.0, dict[str, float]()
    for name, n in key:
        one, over = _ATOMS[name]
        factor *= one**n
        for dimension, m in over:
            exponents[dimension] = exponents.get(dimension, 0) + m * n
    exponents = {dimension: _tidy(n) for dimension, n in sorted(exponents.items()) if _tidy(n) != 0}
    measure = object.__new__(Measure)
    fields = {
        "names": MappingProxyType(dict(key)),
        "label": _label(dict(key)),
        "factor": _without_noise(factor),
        "exponents": MappingProxyType(exponents),
        "_products": {},
        "_quotients": {},
        "_powers": {},
    }
    for name, value in fields.items():
        object.__setattr__(measure, name, value)
    return measure


def _combined(left: Measure, right: Measure, sign: int) -> Measure:
    names = dict(left.names)
    for name, n in right.names.items():
        names[name] = names.get(name, 0) + sign * n
    return _interned(names.items())


def _restored(names: _Exponents, atoms: dict[str, tuple[float, _Exponents]]) -> Measure:
    for name, atom in atoms.items():
        _ATOMS.setdefault(name, atom)
    return _interned(names)


def _label(names: Mapping[str, float]) -> str:
    def power(name: str, n: float) -> str:
        return name if n == 1 else f"{name}^{n}"

    above = "*".join(power(name, n) for name, n in names.items() if n > 0)
    below = "".join(f"/{power(name, -n)}" for name, n in names.items() if n < 0)
    return (above or "1") + below


def _tidy(exponent: float) -> float:
    """An exponent without rounding noise, so that thirds add up to one; an integer where it is one."""
    simple = Fraction(exponent).limit_denominator(1000)
    if simple.denominator == 1 and abs(simple - exponent) < 1e-12:
        return int(simple)
    return float(simple) if abs(simple - exponent) < 1e-12 else round(exponent, 12)


def _without_noise(factor: float) -> float:
    """A factor with the last bits of a product of powers removed: 1000, not 999.9999999999999."""
    short = float(f"{factor:.12g}")
    return short if math.isclose(short, factor, rel_tol=4e-15) else factor


# --- reading texts ----------------------------------------------------------------------------------------

_OWN = (
    "cell = [cell_count] = cell",
    "column_volume = [column_volume] = CV",
    "optical_density = [optical_density] = OD",
    "vvm = 1 / minute",
)


@cache
def _of_text(text: str) -> Measure:
    text = text.strip()
    if text in ("", "1", "-", "dimensionless"):
        return DIMENSIONLESS
    if re.search(r"\bpH\b", text):
        raise DeclarationError(f'unit {text!r}: pH is a number, not a unit: write "1" in its place.')
    registry = _registry()
    try:
        parts = registry.parse_units(text, as_delta=False)._units
    except Exception as error:  # the parser answers with exceptions of many families, AssertionError among them
        raise DeclarationError(_unreadable(text, error)) from None
    return _interned((_atom(text, name), float(n)) for name, n in parts.items())


def _atom(text: str, name: str) -> str:
    """The symbol of one named unit, its base form noted on the way."""
    registry = _registry()
    if not registry._units[name].is_multiplicative:
        raise DeclarationError(
            f"unit {text!r}: {name} has an offset or is logarithmic, so it cannot be multiplied.\n"
            f'  Use "K" for temperatures (T/degC + 273.15), and a plain ratio for logarithmic units.'
        )
    symbol = re.sub(r"l$", "L", registry.get_symbol(name)) if name.endswith("liter") else registry.get_symbol(name)
    if symbol not in _ATOMS:
        factor, base = registry.get_base_units(name)
        # Radians and counts are numbers: they have a name in the registry, but no dimension.
        over = {registry.get_symbol(b): n for b, n in base._units.items() if registry.get_dimensionality(b)}
        _ATOMS[symbol] = (_without_noise(float(factor)), tuple((b, _tidy(float(n))) for b, n in over.items()))
    return symbol


@cache
def _registry() -> Any:
    """pint's registry with the field's own units: made at the first text, as it costs .25 s."""
    import pint

    registry: Any = pint.UnitRegistry(on_redefinition="ignore")
    for definition in _OWN:
        registry.define(definition)
    return registry


def _unreadable(text: str, error: Exception) -> str:
    if "scaling factor" in str(error):
        return (
            f"unit {text!r}: a unit has no number in front.\n"
            f'  Use a prefix, such as "Gcell/L" for 1e9 cell/L, or scale the quantity itself.'
        )
    reason = str(error) if "not defined" in str(error) else "it cannot be read as a product of units"
    return (
        f"unit {text!r} is unknown: {reason}.\n"
        f'  Write names with *, / and ^: "mol/L", "g/(L*h)", "m^2/s", "cell/mL"; "1" for a plain number.'
    )


DIMENSIONLESS = _interned(())
