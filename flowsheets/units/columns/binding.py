"""How do components bind to a packing? `Binding`, the base of all laws, and the simplest: `Linear`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.scalar import spread
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.unit import Part
from titer.flowsheets.units.columns.contact import Vectors
from titer.flowsheets.units.columns.exchange import Equilibrium
from titer.numerics.errors import DeclarationError, unknown


class Binding(Part):
    """A law of binding. `bound`: the components that bind; `exchange`: how fast, in `Equilibrium` (rapid), `Kinetic`...

    What a law gives: `rate`, dq/dt of the kinetic form; `solids`, the bound concentrations in equilibrium with a
    liquid; and `eliminated`, the rates of its `coordinates` given those of the totals. Parameters over `bound` take a
    number, a sequence in its order, or a dict by component.
    """

    bound: tuple[str, ...]
    exchange: Part = Equilibrium()

    explicit: ClassVar[bool] = True  # whether q = q*(c) is explicit: the liquid concentrations are coordinates then

    def __init__(self, **changes: Any):
        bound = changes.get("bound", getattr(type(self), "bound", ()))
        if isinstance(bound, str):
            bound = changes["bound"] = (bound,)
        super().__init__(**{key: _ordered(type(self).__name__, key, x, bound) for key, x in changes.items()})

    @property
    def concentration(self) -> str:
        """The unit of concentrations, which is the column's."""
        return str(getattr(self._owner, "concentration", "mol/m^3"))

    @property
    def solvable(self) -> bool:
        """Whether the law gives its equilibrium, and not its rates alone."""
        return True

    def needs(self) -> tuple[str, ...]:
        """Components of the liquid that the law reads besides those that bind."""
        return ()

    def modulators(self) -> tuple[str, ...]:
        """Those of `needs` that are no product, and cannot bind as one: salt, pH, an eluent."""
        return ()

    def indispensable(self) -> tuple[str, ...]:
        """Those of `needs` that every liquid has: without salt nothing is exchanged, and pH 0 is an acid."""
        return ()

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        """Rates of the bound concentrations, kinetic."""
        raise NotImplementedError

    def solids(self, b: Any, c: Vectors) -> dict[str, Any]:
        """Bound concentrations in equilibrium with a liquid."""
        raise NotImplementedError

    def eliminated(self, b: Any, c: Vectors, r: Vectors, F: Any) -> dict[str, Any]:
        """Rates of the liquid concentrations at equilibrium, given those of the totals c + F q."""
        raise NotImplementedError

    def held(self, b: Any, q: Vectors, whole: bool = True) -> dict[str, Any]:
        """What the solid holds of each component that it holds; of a change of q, where it is not the whole."""
        return dict(q)

    def filled(self, c: Mapping[str, float]) -> dict[str, float]:
        """Bound concentrations in equilibrium with a liquid, by numbers: what a column may start with."""
        return {key: float(x) for key, x in self.solids(Numbers(self), c).items()}

    def room(self, q: Mapping[str, float]) -> float:
        """The fraction of the capacity that bound concentrations leave; 1 where there is no limit."""
        return 1.0


class Numbers:
    """A part's parameters as numbers, read like a view: v.k_a, and v.film.D_m of its own parts."""

    def __init__(self, part: Any):
        self._part = part

    def __getattr__(self, key: str) -> Any:
        if key in self._part.fields:
            return type(self)(getattr(self._part, key))
        declaration: Any = self._part.declarations[key]
        value = self._part._changes.get(key, {}).get("start", declaration.start)
        shape = tuple(len(labels) for labels in self._part.index_sets(declaration.over))
        what = f"{type(self._part).__name__}.{key}"
        numbers = spread(value, shape, Measure.of(declaration.unit), what)
        return numbers if shape else self._scalar(float(numbers), declaration.unit)

    def _scalar(self, number: float, unit: str) -> Any:
        return number


class Quantities(Numbers):
    """The same with units, for formulas that need them."""

    def _scalar(self, number: float, unit: str) -> Any:
        return quantity(number, unit)


class Linear(Binding):
    """Linear binding.

    Equations: dq_i/dt = k_a,i c_i - k_d,i q_i; at equilibrium q_i = k_a,i / k_d,i c_i. Symbols: k_a, k_d rate
    constants [1/s]. Assumption: far from saturation. Source: Guiochon et al., Fundamentals of Preparative and
    Nonlinear Chromatography (2006).
    """

    k_a = Parameter("1/s", 1.0, lower=0.0, over="bound", doc="rate constants of adsorption")
    k_d = Parameter("1/s", 1.0, lower=0.0, over="bound", doc="rate constants of desorption")

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        return {key: b.k_a[i] * c[key] - b.k_d[i] * q[key] for i, key in enumerate(self.bound)}

    def solids(self, b: Any, c: Vectors) -> dict[str, Any]:
        return {key: b.k_a[i] / b.k_d[i] * c[key] for i, key in enumerate(self.bound)}

    def eliminated(self, b: Any, c: Vectors, r: Vectors, F: Any) -> dict[str, Any]:
        return {key: r[key] / (1.0 + F * b.k_a[i] / b.k_d[i]) for i, key in enumerate(self.bound)}


class Inert(Binding):
    """Nothing binds: a tracer, or tubing. Equations: q = 0."""

    bound: tuple[str, ...] = ()

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        return {}

    def solids(self, b: Any, c: Vectors) -> dict[str, Any]:
        return {}

    def eliminated(self, b: Any, c: Vectors, r: Vectors, F: Any) -> dict[str, Any]:
        return {}


def _ordered(who: str, key: str, value: Any, bound: tuple[str, ...]) -> Any:
    """A dict by component as a sequence in the order of `bound`."""
    if not isinstance(value, Mapping) or set(value) & {"start", "value", "lower", "upper", "nominal"}:
        return value
    for label in value:
        if label not in bound:
            raise DeclarationError(f"{who}: {key}: {unknown('component', label, bound)}")
    missing = [label for label in bound if label not in value]
    if missing:
        raise DeclarationError(f"{who}: {key} has no value for {missing[0]}.\n  Give one for each that binds.")
    return [value[label] for label in bound]
