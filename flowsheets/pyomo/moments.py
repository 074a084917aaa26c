"""What do a phase's equations say at one position? They are traced there, on the Pyomo Vars of that position.

Pyomo's rules ask for one position at a time, also for those that a discretization adds later. Rules read nothing but
the block they are called on, so a model can be cloned, and discretized by whoever likes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Inlet
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Operation
from titer.flowsheets.plant_view import corrector, final_view, known_view
from titer.flowsheets.problems.problem import PhaseTerms
from titer.flowsheets.pyomo.reading import PYOMO, converted, plain, raw
from titer.flowsheets.streams import Streams, port_of
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.unit import Unit
from titer.flowsheets.view import View
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.segment import Profile
from titer.numerics.solution import PhaseResult

Array = np.ndarray


@dataclass(frozen=True)
class Jump:
    """Where inputs jump inside a phase, and which of its paths, by number, jump with them; `reads_z`: whether one of
    these reads algebraic variables."""

    position: float
    paths: tuple[int, ...]
    reads_z: bool


@dataclass(frozen=True, eq=False)
class PhasePlan:
    """A phase before it becomes a Block: what it does, where its elements end, and a trajectory to start from."""

    plant: Flowsheet
    measures: Mapping[str, Measure]
    terms: PhaseTerms
    streams: Streams
    ends: Array
    profiles: Mapping[str, tuple[Profile, Array]]  # shape and first values of each input
    functions: Mapping[str, Callable[[Any], Any]]  # inputs that are functions of time
    nominal: PhaseResult
    jumps: tuple[Jump, ...] = ()
    movable: Array | None = None  # first positions of ends of pieces that are decided

    @property
    def operation(self) -> Operation:
        return self.terms.operation


@dataclass(frozen=True)
class Place:
    """Where a scalar name of titer's is in the model."""

    unit: str  # attribute of the unit operation's block
    component: str  # attribute of the component in it
    labels: tuple[Any, ...] = ()
    along: bool = True  # indexed by tau
    shared: bool = False  # in the plant's block, not in the phase's
    told: bool = False  # given by the equations: an expression, or what an outlet carries
    slope: str = ""  # attribute of a state's DerivativeVar
    pieces: str = ""  # attribute of the Vars that an input is made of
    jumped: str = ""  # attribute of the Vars that an algebraic variable is right after jumps of inputs


@dataclass(frozen=True, eq=False)
class Moment:
    """The equations at one position."""

    traces: Mapping[str, Trace]
    view: View


@dataclass(eq=False)
class Moments:
    """The equations of a phase at its positions, each traced once."""

    plan: PhasePlan
    block: Any
    places: dict[str, Place] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)  # attribute of the block of each unit operation
    ports: dict[str, str] = field(default_factory=dict)  # "tank.feed": attribute of the Port in its unit's block
    known: dict[tuple[float, bool], Moment] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Moments:
        """A cloned model traces anew, on its own Vars."""
        return replace(self, block=copy.deepcopy(self.block, memo), known={})

    def at(self, tau: float, jumped: bool = False) -> Moment:
        """The equations at a position of the phase's set; `jumped`: right after the jump of inputs there."""
        key = (tau, jumped)
        if key not in self.known:
            self.known[key] = self._traced(tau, jumped)
        return self.known[key]

    def component(self, name: str) -> Any:
        """The Pyomo component that a scalar name is in. Raises SpecificationError."""
        place = self.places.get(name)
        if place is None:
            raise SpecificationError(unknown(f"Phase {self.plan.operation.name!r}: name", name, self.places))
        root = self.block.parent_block().plant if place.shared else self.block
        return getattr(getattr(root, place.unit), place.component)

    def value(self, name: str, tau: float) -> Any:
        """The Pyomo object behind a scalar name at a position."""
        component, place = self.component(name), self.places[name]
        return _item(component, (tau, *place.labels) if place.along else place.labels)

    def given(self, name: str, tau: float, jumped: bool = False) -> Any:
        """The same; `jumped`: right after the jump of inputs there, which states do not follow."""
        place = self.places[name]
        twin = getattr(getattr(self.block, place.unit), place.jumped) if jumped and place.jumped else {}
        index = (tau, *place.labels) if place.labels else tau
        if index in twin:  # elsewhere no path reads it
            return twin[index]
        if jumped and place.pieces:
            return self.input(name, self.pieces(name), tau, jumped)
        return self.value(name, tau)

    def port(self, name: str) -> Any:
        """The Port of a unit operation, by a name such as "tank.feed"."""
        return getattr(self.unit(name.split(".", 1)[0]), self.ports[name])

    def unit(self, name: str) -> Any:
        """The block of a unit operation."""
        return getattr(self.block, self.units[name])

    def equations(self, unit: str) -> list[str]:
        """Keys of the algebraic equations of a unit operation that hold as they stand."""
        first, last = f"{unit}.", " equation"
        names = self.plan.operation.lowered.dae.equations
        return [e[len(first) : -len(last)] for e in names if e.startswith(first) and e.endswith(last)]

    def slope(self, name: str, tau: float) -> Any:
        """The derivative of a state with respect to tau, a Var."""
        place = self.places[name]
        return _item(getattr(getattr(self.block, place.unit), place.slope), (tau, *place.labels))

    def slope_value(self, name: str, tau: float) -> Any:
        """What the derivative of a state equals: duration times rate."""
        unit_name, local = name.split(".", 1)
        per = Measure.of(self.plan.plant.unit(unit_name).time)
        rate = raw(self.at(tau).traces[unit_name].rate[local], self.plan.measures[name] / per)
        return converted(self.pace(tau), self.plan.plant.measure_of_time, per) * rate

    def time(self, tau: float) -> Any:
        """The recipe's time, in the flowsheet's unit."""
        return self.block.clock + self.block.duration * self.share(tau)

    def pace(self, tau: float) -> Any:
        """Time per tau: the duration, and where ends of pieces are decided, how much their stretch is drawn out."""
        if self.plan.movable is None:
            return self.block.duration
        left, right, _, width = self._stretch(tau)
        return self.block.duration * ((right - left) / width)

    def share(self, tau: float) -> Any:
        """How much of the phase is over: the position, but where ends of pieces are decided."""
        if self.plan.movable is None:
            return self.position(tau)
        left, right, inside, width = self._stretch(tau)
        return left + (right - left) * (inside / width)

    def _stretch(self, tau: float) -> tuple[Any, Any, float, float]:
        """The movable ends around a position (Vars), how far behind the first it lies, and their first distance."""
        first, at = self.plan.movable, self.position(tau)
        assert first is not None
        k = int(np.clip(np.searchsorted(first, at - 1e-9) - 1, 0, len(first) - 2))
        return self.block.edges[k], self.block.edges[k + 1], float(at - first[k]), float(first[k + 1] - first[k])

    def position(self, tau: float) -> float:
        """The exact position of a collocation point: in Pyomo's set it is rounded to six digits."""
        nodes = self.block.tau.get_discretization_info().get("tau_points")
        if nodes is None:
            return tau
        ends = np.array(self.block.tau.get_finite_elements())
        k = min(max(int(np.searchsorted(ends, tau)) - 1, 0), len(ends) - 2)
        exact = ends[k] + (ends[k + 1] - ends[k]) * np.append(nodes, 1.0)
        nearest = float(exact[np.abs(exact - tau).argmin()])
        return nearest if abs(nearest - tau) < 1e-6 else tau

    def pieces(self, name: str) -> Any:
        """The Vars of an input's pieces."""
        place = self.places[name]
        return getattr(getattr(self.block, place.unit), place.pieces)

    def input(self, name: str, pieces: Any, tau: float, jumped: bool = False) -> Any:
        """An input at a position, from the Vars of its pieces; at an end of a piece, the piece that ends there, and
        `jumped`, the piece that begins there."""
        profile, at = self.plan.profiles[name][0], float(self.position(tau))
        aside = 1e-9 if jumped else -1e-9
        k = int(np.clip(np.searchsorted(profile.edges, at + aside) - 1, 0, len(profile.edges) - 2))
        left, right = pieces[int(profile.left[k])], pieces[int(profile.right[k])]
        if left is right:
            return left
        return left + (right - left) * float((at - profile.edges[k]) / (profile.edges[k + 1] - profile.edges[k]))

    def function(self, name: str, tau: float) -> Any:
        """An input that is given as a function of time."""
        time = plain(Symbol(self.time(tau), self.plan.plant.measure_of_time, PYOMO), DIMENSIONLESS)
        result = self.plan.functions[name](Symbol(time, DIMENSIONLESS, PYOMO))
        measure = self.plan.measures[name]
        if isinstance(result, Symbol) and result.measure.names:
            return raw(result, measure)
        return PYOMO.attach(raw(result, DIMENSIONLESS), measure)

    def _traced(self, tau: float, jumped: bool) -> Moment:
        plan, measures = self.plan, self.plan.measures
        time = Symbol(self.time(tau), plan.plant.measure_of_time, PYOMO)
        values = {
            name: Symbol(self.given(name, tau, jumped), measures[name], PYOMO)
            for name, place in self.places.items()
            if not place.told and not (jumped and self._comes_in(name))
        }
        correct = corrector(plan.plant, known_view(plan.plant, plan.streams, values, time))

        def define(name: str, value: Any) -> Any:
            value = value if correct is None else correct(name, value)
            return value if jumped else self._tell(name, tau, value)

        traces: dict[str, Trace] = {}
        for unit in plan.streams.units:
            if jumped:
                values |= self._streams(unit, traces)
            own = {name.split(".", 1)[1]: s for name, s in values.items() if name.split(".", 1)[0] == unit.name}
            measure = Measure.of(unit.time)
            clock = Symbol(converted(time.value, time.measure, measure), measure, PYOMO)
            traces[unit.name] = trace(unit, own, clock, define)
            for local, value in () if jumped else traces[unit.name].port.items():
                self._tell(f"{unit.name}.{local}", tau, value)
        return Moment(traces, final_view(plan.plant, traces, values, time))

    def _comes_in(self, name: str) -> bool:
        """Whether a name is what the outlet of a unit operation traced before carries."""
        return self.source_of(name) is not None and not self.places[name].jumped

    def _streams(self, unit: Unit, traces: Mapping[str, Trace]) -> dict[str, Symbol]:
        """What comes into a unit operation from those traced before it."""
        names = [f"{unit.name}.{local}" for local in port_scalars(unit, Inlet)]
        return {name: self.carried(name, traces) for name in names if name in self.places and self._comes_in(name)}

    def carried(self, name: str, traces: Mapping[str, Trace]) -> Symbol:
        """What the outlet carries that a variable of an inlet is connected to, in the inlet's unit."""
        source = self.source_of(name)
        assert source is not None, f"{name} is connected"
        unit, local = source.split(".", 1)
        declared, wanted = self.plan.measures[source], self.plan.measures[name]
        return Symbol(converted(raw(traces[unit].port[local], declared), declared, wanted), wanted, PYOMO)

    def source_of(self, name: str) -> str | None:
        """The variable of an outlet that flows into one of an inlet; None where nothing does."""
        port = port_of(name)
        if port not in self.plan.streams.sources:
            return None
        source, outlet = self.plan.streams.sources[port]
        return f"{source.name}.{outlet}{name.removeprefix(port)}"

    def _tell(self, name: str, tau: float, value: Any) -> Symbol:
        """Set a named Expression and return it in place of its value: written once, however often it is used."""
        named, declared = self.value(name, tau), self.plan.measures[name]
        named.set_value(raw(value, declared))
        return Symbol(named, value.measure if isinstance(value, Symbol) else declared, PYOMO)


def moments_of(block: Any) -> Moments:
    """The equations behind a phase's block, or behind that of a unit operation in it."""
    while not hasattr(block, "_titer"):
        block = block.parent_block()
    found: Moments = block._titer
    return found


def _item(component: Any, index: tuple[Any, ...]) -> Any:
    return component[index if len(index) > 1 else index[0]] if index else component


__all__ = ["Jump", "Moment", "Moments", "PhasePlan", "Place", "moments_of"]
