"""Do elements end where a given input jumps, also where that is not where a decided one does?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
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
    replay,
)
from titer.numerics import Grid

TIMES, HEIGHTS = [0.0, 0.7, 1.9, 2.15], [1.0, 3.0, 0.5, 2.0]


class Driven(Unit):
    """x' = w + u, and what u costs: c' = u^2 + w x."""

    time = "h"
    x = State("1", start=0.0)
    c = State("1", start=0.0)
    w = Control("1/h", start=0.0)
    u = Control("1/h", start=0.0, lower=-5.0, upper=5.0)

    def equations(self, v):
        return Equations(rate={"x": v.w + v.u, "c": quantity(1.0, "h") * v.u**2 + v.w * v.x})


def test_elements_end_at_the_jumps_of_what_is_given():
    """Within an element x is a line and c a parabola in time: both are exact, whatever the pieces of u are."""
    unit = Driven("unit")
    plan = optimize(
        Flowsheet(unit, time="h"),
        Recipe(Phase("run", 3.0)),
        free={unit.u: PiecewiseConstant(2)},
        minimize=AtEnd(lambda v: v.unit.c),
        inputs={unit.w: pd.Series(HEIGHTS, index=TIMES)},
        grid=Grid(1),
        starts=1,
    )
    assert plan.stats["elements"]["run"] == 5  # 0, 0.7, 1.5, 1.9, 2.15, 3
    edges = np.append(TIMES, 3.0)

    def cost(levels):
        """By hand: sums over the stretches between all jumps."""
        cuts = np.unique(np.append(edges, 1.5))
        x = c = 0.0
        for a, b in pairwise(cuts):
            w = HEIGHTS[int(np.searchsorted(TIMES, a, side="right")) - 1]
            u, h = levels[int(a >= 1.5)], b - a
            c += u**2 * h + w * (x * h + 0.5 * (w + u) * h**2)
            x += (w + u) * h
        return c

    base = np.array([[cost([0.0, 0.0]), cost([1.0, 0.0]), cost([0.0, 1.0])], [0.0, cost([2.0, 0.0]), cost([0.0, 2.0])]])
    bend = (base[1, 1:] - 2.0 * base[0, 1:] + base[0, 0]) / 2.0  # the cost is quadratic in both, without a cross term
    slope = base[0, 1:] - base[0, 0] - bend
    best = -slope / (2.0 * bend)
    assert plan.phases[0].shapes["unit.u"][1] == pytest.approx(best, rel=1e-6)
    assert plan.objective == pytest.approx(cost(best), rel=1e-8)
    assert replay(plan).at_end(unit.c) == pytest.approx(plan.objective, rel=1e-8)
