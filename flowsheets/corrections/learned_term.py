"""What is learned about one named expression? A `LearnedTerm`: features, a model, a form with bounds, a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from titer.flowsheets.corrections.coefficients import HELD_IN, key_of
from titer.flowsheets.corrections.domain import Domain, faded
from titer.flowsheets.corrections.forms import Form, Multiplicative
from titer.flowsheets.corrections.model import LoweredModel, rows_of
from titer.flowsheets.corrections.reading import feature
from titer.flowsheets.names import ArrayName, elements_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol, magnitude, symbol_array
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    from titer.flowsheets.flowsheet import Flowsheet

Array = np.ndarray


class Acting(NamedTuple):
    """What acts at some points: the bounded prediction as it fades, with a band, and distances in limits; each (n,).

    The band, two standard deviations to either side, is NaN for a model that has none, distances without a domain.
    """

    value: Array
    low: Array
    high: Array
    distance: Array


@dataclass(frozen=True, eq=False)
class LearnedTerm:
    """A learned correction of one named expression.

    `on`: its name; of an array, one element. `features`: names of states, algebraics, controls, inlets, parameters,
    "time", or named expressions that do not depend on it. `model`: predicts from the features, as plain numbers in
    their declared units; `units`, where given, says which units those were, so that they convert. `form`: a factor or
    a summand, with bounds. `domain`: where the data are; without one the correction acts everywhere, within its
    bounds. `ranges` (lower, upper) of features in the data, for reports. Raises SpecificationError.
    """

    on: str
    features: Sequence[str]
    model: LoweredModel
    form: Form = field(default_factory=Multiplicative)
    domain: Domain | None = None
    units: Sequence[str] = ()
    ranges: Sequence[tuple[float, float]] = ()

    def __post_init__(self) -> None:
        one = _single(self.on)
        given = (self.features,) if isinstance(self.features, str) else self.features
        names = [str(each) for name in given for each in elements_of(name)]
        object.__setattr__(self, "on", one)
        object.__setattr__(self, "features", tuple(names))
        object.__setattr__(self, "units", tuple(self.units))
        object.__setattr__(self, "ranges", tuple((float(a), float(b)) for a, b in self.ranges))
        what = f"the correction of {one}"
        if one in names:
            raise SpecificationError(f"{what}: it cannot be its own feature.\n  {_LOOP}")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SpecificationError(f"{what}: feature {twice[0]} is given twice.")
        if not isinstance(self.model, LoweredModel):
            raise SpecificationError(
                f"{what}: model is a LoweredModel, got {type(self.model).__name__}.\n"
                "  titer.estimation.regressors.lowered(regressor) makes one from a fitted regressor."
            )
        for noun, count in (("model", self.model.inputs), ("domain", self.domain.inputs if self.domain else None)):
            if count not in (None, len(names)):
                raise SpecificationError(
                    f"{what}: the {noun} takes {count} features, but {len(names)} are named: {', '.join(names)}."
                )
        for noun, entries in (("units", self.units), ("ranges", self.ranges)):
            if entries and len(entries) != len(names):
                raise SpecificationError(f"{what}: {len(entries)} {noun} for {len(names)} features; give one for each.")

    @property
    def unit(self) -> str:
        """The name of the unit operation whose expression it corrects."""
        return self.on.split(".", 1)[0]

    @property
    def key(self) -> str:
        """What its coefficients are called on the unit operation: `reactor.correction.KEY[0]`."""
        return key_of(self.on)

    @property
    def arrays(self) -> dict[str, Array]:
        """Its coefficients, as arrays by their names below `reactor.correction`; the limit is the domain's last."""
        found = {self.key: self.model.coefficients}
        if self.domain is not None:
            found[f"{self.key}_domain"] = np.append(self.domain.coefficients, self.domain.limit)
        return {key: array for key, array in found.items() if len(array)}

    @property
    def structure(self) -> tuple[Any, ...]:
        """All but numbers: terms of one structure share what was traced."""
        domain = None if self.domain is None else (self.domain.square, self.domain.fades)
        return self.on, self.features, self.units, self.form, self.model.mean, domain

    def __call__(self, v: Any, value: Any) -> Any:
        """The corrected value of the expression, on a view of the flowsheet."""
        return self.form.applied(value, self.acting(v))

    def acting(self, v: Any) -> Any:
        """What acts at a point: the bounded prediction, faded out beyond the domain."""
        x = self._point(v)
        predicted = self.form.bounded(self.model.mean(x, self._own(v, "", self.model.coefficients))[0])
        if self.domain is None or not self.domain.fades:
            return predicted
        return faded(self._square(v, x)) * predicted

    def square(self, v: Any) -> Any:
        """The square of the distance from the data in limits, on a view of the flowsheet: up to 1 inside the domain."""
        if self.domain is None:
            raise SpecificationError(
                f"the correction of {self.on} has no domain, so nothing says where its data end.\n"
                "  Give it one: Domain.of_data(X), Domain.near_data(X) or Domain.of_variance(model)."
            )
        return self._square(v, self._point(v))

    def at(self, X: Any) -> Acting:
        """What acts at features X (n, features), as numbers. Raises SpecificationError for another shape, or NaN."""
        points = rows_of(X, len(self.features), f"the correction of {self.on}")
        nothing = np.full(len(points), np.nan)
        predicted = self.model.predict(points)
        spread = 2.0 * self.model.deviation(points) if self.model.variance is not None else nothing
        distance = nothing if self.domain is None else self.domain.distances(points)
        fade = faded(distance**2) if self.domain is not None and self.domain.fades else 1.0
        value, low, high = (fade * self.form.bounded(g) for g in (predicted, predicted - spread, predicted + spread))
        return Acting(value, low, high, distance)

    def fitted_to(self, plant: Flowsheet) -> LearnedTerm:
        """The same with the units of its features, as the plant declares them where none were given.

        Raises SpecificationError for an expression or a feature that the plant does not have, or another unit.
        """
        if self.on not in plant.expressions:
            raise SpecificationError(f"corrected: {unknown('expression', self.on, plant.expressions)}")
        known = {*plant.scalars, *plant.expressions, *plant.inlet_names, "time"}
        for name in self.features:
            if name not in known:
                raise SpecificationError(f"the correction of {self.on}: {unknown('feature', name, known)}")
        measures = [plant.measure_of_time if n == "time" else plant.measures[n] for n in self.features]
        units = self.units or [measure.label for measure in measures]
        for name, unit, measure in zip(self.features, units, measures, strict=True):
            if not Measure.of(unit).compatible(measure):
                raise SpecificationError(
                    f"the correction of {self.on}: feature {name} was learned in {unit!r}, but the plant has it in "
                    f"{measure.label!r}."
                )
        return replace(self, units=tuple(units))

    def _point(self, v: Any) -> Any:
        """The features as an array of numbers in their units; where none were given, as a plant declares them."""
        found = [feature(v, name, self.on) for name in self.features]
        units: Sequence[str | Measure] = self.units or [x.measure if isinstance(x, Symbol) else "1" for x in found]
        return symbol_array([magnitude(x, unit) for x, unit in zip(found, units, strict=True)])

    def _own(self, v: Any, ending: str, given: Array) -> Any:
        key = f"{self.key}{ending}"
        return v[f"{self.unit}.{HELD_IN}.{key}"] if len(given) else given

    def _square(self, v: Any, x: Any) -> Any:
        assert self.domain is not None
        own = self._own(v, "_domain", np.append(self.domain.coefficients, self.domain.limit))
        return self.domain.square(x, own[:-1])[0] / own[-1] ** 2


_LOOP = "Features are what the expression is calculated from, not what is calculated from it."


def values_of(terms: Sequence[LearnedTerm]) -> Mapping[str, float]:
    """Coefficients of terms by the names that they have on a plant, for `plant.with_values`."""
    return {
        f"{term.unit}.{HELD_IN}.{key}[{i}]": float(number)
        for term in terms
        for key, array in term.arrays.items()
        for i, number in enumerate(array)
    }


def _single(on: Any) -> str:
    """The name of one expression. Raises SpecificationError for an array of several."""
    if not isinstance(on, str) or "." not in on:
        raise SpecificationError(f"a correction is on a named expression such as reactor.r_1, got {on!r}.")
    if isinstance(on, ArrayName):
        if len(on.elements) > 1:
            first = ", ".join(repr(labels[0]) for labels in on.sets)
            raise SpecificationError(
                f"{on} is an array of {len(on.elements)}: a correction is on one element.\n"
                f"  Write {on}[{first}], and a term for each element that is to be corrected."
            )
        return str(on.elements[0])
    return str(on)


__all__ = ["Acting", "LearnedTerm", "values_of"]
