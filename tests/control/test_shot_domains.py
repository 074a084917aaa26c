"""Physical domains of shot states: kept where the process would leave them, and said where they are not."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    quantity,
)
from titer.flowsheets.problems import solving
from titer.flowsheets.symbols.symbol import symbol_array
from titer.numerics import Ipopt, Shooting


class Tank(Unit):
    """dc/dt = F - k c, with k = 0.5 1/h. Source: textbook."""

    time: ClassVar[str] = "h"

    c = State("g/L", start=0.0, lower=0.0, upper=0.5, nominal=1.0)
    F = Control("g/L/h", start=0.1, lower=0.0, upper=2.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"c": v.F - quantity(0.5, "1/h") * v.c})


class Profile(Unit):
    """Tanks in series, dc_i/dt = k (c_i-1 - c_i) with k = 8 1/h, of which none may hold more than 0.5 g/L. Source:
    textbook."""

    time: ClassVar[str] = "h"

    c = State("g/L", start=0.0, lower=0.0, upper=0.5, nominal=1.0, over="cells")
    feed = Control("g/L", start=0.1, lower=0.0, upper=2.0)

    @property
    def cells(self) -> tuple[int, ...]:
        return tuple(range(30))

    def equations(self, v: Any) -> Equations:
        arriving = [v.feed, *(v.c[i] for i in range(29))]
        return Equations(rate={"c": symbol_array([quantity(8.0, "1/h") * (arriving[i] - v.c[i]) for i in range(30)])})


def filled(**more: Any) -> Any:
    tank = Tank("tank")
    return optimize(
        Flowsheet(tank),
        Recipe(Phase("fill", 2.0, method=Shooting())),
        free={tank.F: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.tank.c),
        starts=1,
        **more,
    )


def test_a_shot_state_stays_in_its_domain():
    """Without it the tank would reach 4 (1 - exp(-1)) = 2.53 g/L; with it the bound, from below all along."""
    plan = filled()
    assert plan.status.ok
    assert plan.objective == pytest.approx(0.5, abs=1e-6)
    assert plan["tank.c"].max() <= 0.5 * (1.0 + 1e-4)
    assert plan.certificate.ok
    assert "tank.c left, so held as a limit" in str(plan.start_report)


def test_a_domain_that_is_left_is_named_and_the_certificate_fails(monkeypatch):
    """Where it is not held, the replay says which state, by how much and what to do."""
    monkeypatch.setattr(solving, "_TRIES_INSIDE", 0)
    plan = filled()
    assert plan.objective == pytest.approx(4.0 * (1.0 - np.exp(-1.0)), rel=1e-6)
    assert not plan.certificate.ok
    assert plan.certificate.message.startswith("tank.c leaves its physical domain [0, 0.5] g/L")
    assert plan.certificate.relaxed[1] > 0.5


def test_a_domain_that_cannot_be_kept_is_said():
    """From 0.45 g/L the least feed is too much: the plan is the best there is without, and its certificate fails."""
    tank = Tank("tank", c={"start": 0.45})
    plan = optimize(
        Flowsheet(tank),
        Recipe(Phase("fill", 2.0, method=Shooting())),
        free={tank.F: PiecewiseConstant(2, lower=0.4, upper=2.0)},
        inputs={tank.F: 0.5},
        minimize=AtEnd(lambda v: v.tank.c),
        starts=1,
    )
    assert plan.status.ok
    assert "not solved with that limit" in str(plan.start_report)
    assert "tank.c leaves its physical domain" in plan.certificate.message
    assert not plan.certificate.ok


def test_a_profile_is_not_held_but_said():
    """A limit for each of 30 cells at each end would be dear: the certificate says what the plan leaves."""
    unit = Profile("line")
    plan = optimize(
        Flowsheet(unit),
        Recipe(Phase("fill", 3.0, method=Shooting())),
        free={unit.feed: PiecewiseConstant(1)},
        maximize=AtEnd(lambda v: v.line.c[0]),
        starts=1,
    )
    assert plan.objective == pytest.approx(2.0, rel=1e-6)
    assert not plan.certificate.ok
    assert "line.c[" in plan.certificate.message
    assert "leaves its physical domain" in plan.certificate.message


def test_a_start_on_a_plateau_does_not_beat_a_better_one_that_stalled():
    """The objective is a hump at c = 0.2, flat to rounding far from it; the first start is stopped on its slope, the
    second begins where it is flat, and its optimality conditions hold at once."""
    tank = Tank("tank")
    plan = optimize(
        Flowsheet(tank),
        Recipe(Phase("fill", 0.4, method=Shooting())),
        free={tank.F: PiecewiseConstant(1, lower=0.0, upper=1.2)},
        maximize=AtEnd(lambda v: np.exp(-1000.0 * (v.tank.c - quantity(0.2, "g/L")) ** 2 / quantity(1.0, "g^2/L^2"))),
        inputs={tank.F: 0.45},
        starts=2,
        solver=Ipopt(iterations=2),
        strict=False,
    )
    reached, flat = plan.stats["starts"]
    assert plan.objective > 0.1
    assert not plan.status.ok
    assert np.isnan(reached)
    assert flat < 1e-6
    assert plan.stats["starts_agree"] is False
    assert "DISAGREE: a start that ended unsolved" in str(plan.start_report)
