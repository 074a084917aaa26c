"""When is how much solved? To the end at each sample, by one iteration, or ahead of the sample with a correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from titer.numerics.errors import SpecificationError
from titer.numerics.realtime import Sqp
from titer.numerics.solvers import Fatrop, Ipopt

Rung = Sqp | Fatrop | Ipopt
LADDER: tuple[Rung, ...] = (Sqp(), Fatrop(), Ipopt())


@dataclass(frozen=True)
class Converged:
    """Every sample is solved to the end, by the first of the `ladder` whose numbers count."""

    ladder: Sequence[Rung] | Rung = LADDER

    def __post_init__(self) -> None:
        object.__setattr__(self, "ladder", _check(self.ladder, "Converged"))


@dataclass(frozen=True)
class RealTimeIteration:
    """One quadratic program at each sample: prepared before it, with the sample as its data.

    `iteration`: how it is made; `ladder`: of the first sample, and of one whose iteration fails. Source: Diehl, Bock &
    Schloeder, SIAM Journal on Control and Optimization 43 (2005) 1714.
    """

    iteration: Sqp = field(default_factory=Sqp)
    ladder: Sequence[Rung] | Rung = LADDER

    def __post_init__(self) -> None:
        _check_sqp(self.iteration, "RealTimeIteration: iteration")
        object.__setattr__(self, "ladder", _check(self.ladder, "RealTimeIteration"))


@dataclass(frozen=True)
class AdvancedStep:
    """The next sample's program is solved ahead, from where the plan leads; the sample corrects it by one quadratic
    program.

    `correction`: how that is made; `ladder`: of the solve ahead. Source: Zavala & Biegler, Automatica 45 (2009) 86,
    with a quadratic program in place of a sensitivity, which stays right where the active set changes.
    """

    correction: Sqp = field(default_factory=Sqp)
    ladder: Sequence[Rung] | Rung = LADDER

    def __post_init__(self) -> None:
        _check_sqp(self.correction, "AdvancedStep: correction")
        object.__setattr__(self, "ladder", _check(self.ladder, "AdvancedStep"))


Method = Converged | RealTimeIteration | AdvancedStep


def quick(method: Method) -> Sqp | None:
    """How one iteration is made, where the method makes single ones."""
    if isinstance(method, RealTimeIteration):
        return method.iteration
    return method.correction if isinstance(method, AdvancedStep) else None


def rungs(method: Method) -> tuple[Rung, ...]:
    """The ladder of a method."""
    ladder = method.ladder
    return (ladder,) if isinstance(ladder, Sqp | Fatrop | Ipopt) else tuple(ladder)


def _check_sqp(value: Any, what: str) -> None:
    if not isinstance(value, Sqp):
        raise SpecificationError(f"{what} is Sqp(...) of titer.numerics.realtime, got {value!r}.")


def _check(ladder: Any, what: str) -> tuple[Rung, ...]:
    if isinstance(ladder, Sqp | Fatrop | Ipopt):
        ladder = (ladder,)
    if not isinstance(ladder, Sequence) or not ladder or not all(isinstance(r, Sqp | Fatrop | Ipopt) for r in ladder):
        raise SpecificationError(
            f"{what}: ladder is a list of Sqp(...), Fatrop(...) and Ipopt(...), the first to be tried first, "
            f"got {ladder!r}."
        )
    return tuple(ladder)
