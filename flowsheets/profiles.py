"""What shape does an input have in time? Steps, lines or exponentials, that are decided or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.recipes.decision import Free
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class Pieces:
    """What all shapes share.

    `pieces`: how many per phase, or by `every`: their length in the flowsheet's time. `values`: given instead of
    decided, one per piece (per node for linear pieces); their number then says how many pieces there are.
    `ends`: instead of a number, the ends of the pieces as fractions of the phase, from 0 to 1.
    `lower`, `upper`: bounds of the decisions (default: those of the control). `guess`: value tried first.
    """

    pieces: int | None = None
    every: float | None = None
    values: Sequence[Any] | None = None
    lower: Any = None
    upper: Any = None
    guess: Any = None
    ends: Sequence[float] | None = None
    linear: ClassVar[bool] = False  # whether its values are those of nodes, joined
    word: ClassVar[str] = "steps"

    def __post_init__(self) -> None:
        what = type(self).__name__
        given = [key for key in ("pieces", "every", "values", "ends") if getattr(self, key) is not None]
        if len(given) != 1:
            raise SpecificationError(
                f"{what}: expected one of pieces, every=, values=, ends=, got {' and '.join(given) or 'none'}.\n"
                f"  Write {what}(10), {what}(every=360.0) or {what}(values=[...])."
            )
        if self.pieces is not None and (
            isinstance(self.pieces, bool) or not isinstance(self.pieces, int | np.integer) or self.pieces < 1
        ):
            raise SpecificationError(f"{what}: pieces must be a whole number of at least 1, got {self.pieces!r}.")
        if self.every is not None and not _positive(self.every):
            raise SpecificationError(
                f"{what}: every must be a positive number in the flowsheet's time, got {self.every!r}."
            )
        if self.ends is not None:
            ends = np.asarray(self.ends, dtype=float)
            if len(ends) < 2 or ends[0] != 0.0 or ends[-1] != 1.0 or not np.all(np.diff(ends) > 1e-6):
                raise SpecificationError(f"{what}: ends are rising fractions from 0 to 1, got {list(self.ends)!r}.")
        if self.values is not None:
            _check_values(self.values, what, 2 if self.linear else 1)

    @property
    def rates(self) -> tuple[float, float] | None:
        """Limits of the rate of change of what is decided at the nodes, per unit of time; None where it has none."""
        return None

    def edges(self, duration: float, exact: bool) -> np.ndarray:
        """Ends of the pieces as fractions of a phase. `exact`: the duration is fixed, `every` is kept to the last,
        shorter, piece; in a free duration the pieces share it equally."""
        if self.ends is not None:
            return np.asarray(self.ends, dtype=float)
        if self.values is not None:
            count = len(self.values) - (1 if self.linear else 0)
        elif self.pieces is not None:
            count = self.pieces
        else:
            assert self.every is not None
            count = max(1, int(np.ceil(duration / self.every - 1e-9)))
            if exact:
                return np.append(np.arange(count) * self.every / duration, 1.0)
        return np.linspace(0.0, 1.0, count + 1)


@dataclass(frozen=True, eq=False)
class PiecewiseConstant(Pieces):
    """Steps: `PiecewiseConstant(10)` decides ten pieces per phase, `PiecewiseConstant(every=360.0)` one per 360.

    `switching`: where the pieces end is decided too, no piece shorter than a thousandth of its phase.
    """

    switching: bool = False


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Pieces):
    """Straight lines, continuous from phase to phase: `PiecewiseLinear(10, rate=0.05)`.

    `rate`: the largest rate of change, in the control's unit per unit of the flowsheet's time.
    """

    rate: float | None = None
    linear: ClassVar[bool] = True
    word: ClassVar[str] = "lines"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not _positive(self.rate):
            raise SpecificationError(f"PiecewiseLinear: rate must be a positive number, got {self.rate!r}.")

    @property
    def rates(self) -> tuple[float, float] | None:
        return None if self.rate is None else (-self.rate, self.rate)


@dataclass(frozen=True, eq=False)
class Exponential(Pieces):
    """A feed that grows, or falls, exponentially: F = F_0 exp(k t) from the start of a phase to its end.

    `Exponential()` decides F_0 and k in each phase where it is free, that is the feed at both ends of the phase,
    between which its logarithm is a straight line; `Exponential(3)` decides three such stretches in a row, joined.
    Neighbouring phases with this shape are joined too. `exponent`: k in 1 / the flowsheet's time, a number or
    `Free(guess, lower, upper)`. `lower`, `upper`: bounds of the feed all along, positive; where a control may be 0, a
    thousandth of its upper bound. `values`: given feeds at the ends of the stretches. For a given F_0 and k write the
    function, `lambda t: F_0 * np.exp(k * t)`. In a solution the feed is an output; the input is its logarithm, "log F".
    """

    exponent: Any = None
    linear: ClassVar[bool] = True
    word: ClassVar[str] = "exponentials"

    def __post_init__(self) -> None:
        if all(getattr(self, key) is None for key in ("pieces", "every", "values", "ends")):
            object.__setattr__(self, "pieces", 1)
        super().__post_init__()
        if self.exponent is None:
            return
        if self.values is not None or not (isinstance(self.exponent, Free) or _is_finite(self.exponent)):
            raise SpecificationError(
                f"Exponential: exponent is a finite number or Free(guess, lower, upper), and not given together with "
                f"values, got {self.exponent!r}."
            )

        if not isinstance(self.exponent, Free):
            object.__setattr__(self, "exponent", Free(self.exponent, self.exponent, self.exponent))

    @property
    def rates(self) -> tuple[float, float] | None:
        return None if self.exponent is None else (float(self.exponent.lower), float(self.exponent.upper))


def is_decided(value: Any) -> bool:
    """Whether an entry of free={...} decides an input: a shape, or one for each of some phases by their names."""
    return isinstance(value, Pieces | Mapping)


def shape_in(value: Any, phase: str) -> Pieces | None:
    """The shape that an entry of free={...} decides in a phase, if it does: `{"grow": Exponential(), "make": ...}`."""
    shape = value.get(phase) if isinstance(value, Mapping) else value
    return shape if isinstance(shape, Pieces) else None


def logarithm(name: str) -> str:
    """What the logarithm of an input is called, which stands in for it where its shape is exponential."""
    return f"log {name}"


def plain_name(name: str) -> str:
    """The input whose logarithm this is, or the name itself."""
    return name.removeprefix("log ")


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value))


def _positive(value: Any) -> bool:
    return _is_finite(value) and value > 0


def _check_values(values: Any, what: str, least: int) -> None:
    """Given values are finite numbers or quantities, at least `least` of them."""
    if isinstance(values, str) or not hasattr(values, "__len__") or np.ndim(values) != 1:
        raise SpecificationError(f"{what}: values is a list of numbers, got {values!r}.")
    noun = "piece" if least == 1 else "node"
    if len(values) < least:
        raise SpecificationError(f"{what}: values holds one number a {noun}, at least {least}, got {list(values)!r}.")
    for value in values:
        if isinstance(value, Symbol):
            continue  # a quantity: checked where the unit is known
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise SpecificationError(f"{what}: a value is no finite number: {value!r} in {list(values)!r}.")
