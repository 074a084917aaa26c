"""When is how much solved? To the end at each sample, by one iteration, or ahead of the sample with a correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from titer.control.nmpc.solving import Method
from titer.numerics.errors import SpecificationError
from titer.numerics.realtime.sequential import Sequential
from titer.numerics.solvers import Fatrop, Ipopt

LADDER: tuple[Method, ...] = (Sequential(), Ipopt())


def _check(methods: Any, what: str) -> tuple[Method, ...]:
    if isinstance(methods, Sequential | Fatrop | Ipopt):
        methods = (methods,)
    if not isinstance(methods, Sequence) or not methods:
        raise SpecificationError(f"{what}: expected methods such as (Sequential(), Ipopt()), got {methods!r}.")
    for method in methods:
        if not isinstance(method, Sequential | Fatrop | Ipopt) and not callable(getattr(method, "attempt", None)):
            raise SpecificationError(
                f"{what}: a method is Sequential(...), Fatrop(...) or Ipopt(...) of titer.numerics, got {method!r}."
            )
    return tuple(methods)


@dataclass(frozen=True)
class Converged:
    """Every sample is solved to the end, by the first of the `methods` whose numbers hold."""

    methods: Sequence[Method] | Method = LADDER

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", _check(self.methods, "Converged"))


@dataclass(frozen=True)
class RealTimeIteration:
    """One quadratic program at each sample: prepared before it, corrected for it (Diehl et al. 2005).

    `method`: of the iteration. `methods`: of the first sample, and of one whose iteration fails.
    """

    method: Sequential = field(default_factory=Sequential)
    methods: Sequence[Method] | Method = LADDER

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", _check(self.methods, "RealTimeIteration"))


@dataclass(frozen=True)
class AdvancedStep:
    """The next sample's program is solved ahead, from where the plan leads; the sample corrects it by one quadratic
    program (Zavala & Biegler, Automatica 45 (2009) 86, with a quadratic program in place of a sensitivity).

    `method`: of the correction. `methods`: of the solve ahead.
    """

    method: Sequential = field(default_factory=Sequential)
    methods: Sequence[Method] | Method = LADDER

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", _check(self.methods, "AdvancedStep"))


Mode = Converged | RealTimeIteration | AdvancedStep
