"""How does an optimization know that a cycle repeats itself? Its start is decided, and its end is tied to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Equations, Port, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Free, Phase, Recipe
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.terms import AtEnd
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError, unknown

_MOMENT = 1e-6  # of the first phase: how long the phase lasts in which only the memory is active


class Memory(Unit):
    """What a cycle began with, kept until its end.

    Equations: dm_k/dt = 0. Symbols: m_k the start of the state k, in its unit; `kept`: (unit, start, lower, upper) of
    each. Assumptions: none. Source: definition.
    """

    time: ClassVar[str] = "s"

    kept: tuple[tuple[str, float, float, float], ...] = ()

    def derived(self) -> Mapping[str, Declaration | Port]:
        return {
            f"m_{k}": State(unit, start=start, lower=lower, upper=upper)
            for k, (unit, start, lower, upper) in enumerate(self.kept)
        }

    def equations(self, v: Any) -> Equations:
        return Equations(rate={f"m_{k}": quantity(0.0, f"({unit})/s") for k, (unit, *_) in enumerate(self.kept)})


@dataclass(frozen=True, eq=False)
class CyclicLink:
    """A problem whose end equals its start: optimize(link.plant, link.recipe, free={**link.free, ...},
    subject_to=[*link.closed, ...])."""

    plant: Flowsheet
    recipe: Recipe
    free: Mapping[str, Free]
    closed: tuple[AtEnd, ...]


def cyclic_link(plant: Flowsheet, recipe: Recipe, states: Sequence[str] | None = None) -> CyclicLink:
    """A recipe of one cycle, with the starts of `states` (default: all) decided, and the same at its end.

    For small plants: each state is a decision, a large column has too many. The plant's starts are the guess, best
    those of `cyclic_steady_state(...).plant`. A unit operation `cycle` remembers the starts; a phase "begin", in which
    all else rests for a moment, hands them to the plant. Raises SpecificationError.
    """
    known = [str(name) for name, scalar in plant.scalars.items() if scalar.kind == State.kind]
    names = known if states is None else [str(name) for name in states]
    for name in names:
        if name not in known:
            raise SpecificationError(f"cyclic_link: {unknown('state', name, known)}")
    scalars = [plant.scalars[name] for name in names]
    memory = Memory("cycle", kept=tuple((plant.measures[s.name].label, s.start, s.lower, s.upper) for s in scalars))
    linked = Flowsheet(*plant.units, memory, connect=plant.connections, time=plant.time)
    first = recipe.phases[0]
    set_ = {name: partial(_remembered, k=k) for k, name in enumerate(names)}
    begin = Phase("begin", _MOMENT * _length(first), idle=list(plant.units))
    opened = Recipe(begin, replace(first, start={**set_, **first.start}), *recipe.phases[1:])
    closed = tuple(
        AtEnd(partial(_gap, name=name, k=k), lower=0.0, upper=0.0, name=f"cycle of {name}")
        for k, name in enumerate(names)
    )
    free = {f"cycle.m_{k}": Free(s.start, s.lower, s.upper) for k, s in enumerate(scalars)}
    return CyclicLink(linked, opened, free, closed)


def _remembered(v: Any, k: int) -> Any:
    return v[f"cycle.m_{k}"]


def _gap(v: Any, name: str, k: int) -> Any:
    return v[name] - v[f"cycle.m_{k}"]


def _length(phase: Phase) -> float:
    """How long a phase is meant to last, as a number in the flowsheet's time, roughly."""
    duration = phase.duration.guess if isinstance(phase.duration, Free) else phase.duration
    return float(getattr(duration, "value", duration))
