"""Collocation or shooting? What a phase asks for; else by the size of the run's largest model.

Collocation puts every state at every point before the solver and factorizes them all in each iteration; shooting puts
the decisions before it and integrates. Of small models collocation is faster and surer; of a column with hundreds of
states it costs minutes and gigabytes where a few integrations would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.problem import PhaseTerms
from titer.numerics.shooting import LARGE, Shooting, Simultaneous

_LOOKS = 10  # intervals of a shot phase in which a path is to hold, where nothing is asked


@dataclass(frozen=True)
class Method:
    """How a phase is transcribed (`shooting`: None for collocation), and why."""

    shooting: Shooting | None
    why: str


def methods_of(phases: Sequence[PhaseTerms]) -> tuple[Method, ...]:
    """How each phase of a run is transcribed. One large model makes all phases shot that ask for nothing else: then
    no state is an unknown."""
    open_ = [p for p in phases if p.operation.phase.method is None]
    largest = max((len(p.operation.lowered.dae.states) for p in open_), default=0)
    shot = largest >= LARGE and not any(_switches(p) for p in open_)
    return tuple(_method(phase, largest, shot) for phase in phases)


def told(phases: Sequence[PhaseTerms]) -> str:
    """What was chosen and why, in words."""
    found: dict[str, list[str]] = {}
    for phase, method in zip(phases, methods_of(phases), strict=True):
        kind = "collocation" if method.shooting is None else "shooting"
        found.setdefault(f"{kind}, {method.why}", []).append(phase.operation.name)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in found.items())


def _method(phase: PhaseTerms, largest: int, shot: bool) -> Method:
    asked = phase.operation.phase.method
    if isinstance(asked, Simultaneous):
        return Method(None, "as asked")
    if isinstance(asked, Shooting):
        return Method(asked, "as asked")
    if not shot:
        return Method(None, f"for no model has {LARGE} states")
    return Method(Shooting(_LOOKS if phase.paths else None), f"for a model has {largest} states")


def _switches(phase: PhaseTerms) -> bool:
    """Whether ends of pieces are decided, which a shot phase does not do."""
    return any(isinstance(s, Decided) and getattr(s.pieces, "switching", False) for s in phase.operation.inputs)
