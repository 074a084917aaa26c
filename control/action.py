"""What did a controller decide? Values with where they come from: a solve, an older plan, or a declared safe value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ActionStatus(Enum):
    """Where an action comes from. The members are messages."""

    SOLVED = "decided now"
    FEASIBLE = "decided now, by one iteration"
    PLAN = "the solve cannot be used: an earlier plan goes on"
    SAFE = "there is no plan to go on with: the declared safe action"
    HELD = "there is no plan and no safe action: the last one is held"
    MANUAL = "an operator decides"
    OFF = "the controller is off"

    @property
    def ok(self) -> bool:
        """Whether the controller decided on what was measured now."""
        return self in (ActionStatus.SOLVED, ActionStatus.FEASIBLE)


@dataclass(frozen=True, eq=False)
class Action:
    """What is to be applied from `time` to `until`, when the next step is due: `values` {control: number}, in the
    plant's units on the recipe's clock.

    `phase`: the phase it is for; `ends`: when that phase is planned to end; `phase_ends`: whether it ends at `until`,
    where no condition ends it; `finished`: whether the recipe ends with it. `age`: steps since the plan was made that
    is applied; `fallback`: whether it stands in for a solve; `reasons`: what an operator should know; `seconds` of
    computing, `feedback_seconds` of them between sample and action. `plan`: what is intended. `estimate`,
    `deviations`: what is believed of the plant. `limits`: inputs at a bound or at their largest rate.
    """

    time: float
    phase: str
    values: Mapping[str, float]
    until: float
    ends: float
    phase_ends: bool = False
    finished: bool = False
    status: ActionStatus = ActionStatus.SOLVED
    age: int = 0
    fallback: bool = False
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    feedback_seconds: float = 0.0
    iterations: int = 0
    plan: Any = None
    estimate: Mapping[str, float] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
