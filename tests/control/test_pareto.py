"""Fronts against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from titer.control import optimize, pareto
from titer.flowsheets import (
    AtEnd,
    AtStart,
    Control,
    Equations,
    Flowsheet,
    Free,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    quantity,
)
from titer.numerics import SpecificationError


class Mover(Unit):
    """x' = u, e' = u^2: distance against effort."""

    time = "s"
    x = State("m", start=0.0)
    e = State("m^2/s", start=0.0)
    u = Control("m/s", start=0.3, lower=0.0, upper=2.0)

    def equations(self, v):
        return Equations(rate={"x": v.u, "e": v.u**2})


mover = Mover("mover")
plant = Flowsheet(mover)
free = {mover.u: PiecewiseConstant(3)}
distance, effort = AtEnd(lambda v: v.mover.x), AtEnd(lambda v: v.mover.e)


@pytest.fixture(scope="module")
def front():
    told = []
    front = pareto(
        plant,
        Recipe(Phase("go", 1.0)),
        free,
        maximize={"distance": distance},
        minimize={"effort": effort},
        points=9,
        report=told.append,
    )
    assert len(told) == 11
    return front


def test_the_front_is_the_parabola(front):
    """In one second at constant u: distance u, effort u^2."""
    assert len(front.values) >= 8
    assert front.values[:, 1] == pytest.approx(front.values[:, 0] ** 2, abs=1e-6)
    assert not front.failed
    assert front.units == ("m", "m^2/s")


def test_its_ends_are_the_single_optima(front):
    best = optimize(plant, Recipe(Phase("go", 1.0)), free, maximize=distance)
    assert front.values[:, 0].max() == pytest.approx(best.objective, rel=1e-6)
    assert front.values[:, 1].min() == pytest.approx(0.0, abs=1e-6)


def test_points_are_certified_and_drawn(front):
    assert all(solution.certificate.largest_deviation < 1e-5 for solution in front.solutions)
    assert list(front.table().columns) == ["distance [m]", "effort [m^2/s]", "certificate"]
    ax = front.plot().axes[0]
    assert "distance [m]" in ax.get_ylabel()
    assert "less is better" in ax.get_xlabel()


def test_three_aims_give_a_surface():
    """Distance x at speed u in time T: effort = x^2 / T."""
    front = pareto(
        plant,
        Recipe(Phase("go", Free(1.0, 0.5, 2.0))),
        {mover.u: PiecewiseConstant(1)},
        maximize={"distance": distance},
        minimize={"effort": effort, "time": AtEnd(lambda v: v.time)},
        points=4,
    )
    x, e, t = front.values.T
    assert e == pytest.approx(x**2 / t, abs=1e-5)
    assert len(np.unique(np.round(t, 6))) >= 3


class Autocatalysis(Unit):
    """A + B -> 2 B, then B -> P: the first phase ends as A runs out, which takes its time."""

    time = "h"
    A = State("g/L", start=5.0, lower=0.0)
    B = State("g/L", start=0.1, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    k = Control("1/h", start=0.1, lower=0.0, upper=1.0)

    def equations(self, v):
        r = quantity(0.6, "1/h") * v.A / (v.A + 0.05) * v.B
        return Equations(rate={"A": -2.0 * r, "B": r - v.k * v.B, "P": v.k * v.B})


def test_the_shortest_plan_is_a_point_although_a_condition_ends_a_phase():
    """What the shortest plan takes is the front's last level, which the other plans must be able to reach."""
    unit = Autocatalysis("unit")
    front = pareto(
        Flowsheet(unit),
        Recipe(
            Phase("grow", Free(10.0, 1.0, 20.0), until=Reaches(unit.A, 0.1, "falling"), fixed={unit.k: 0.0}),
            Phase("make", Free(5.0, 1.0, 20.0)),
        ),
        {unit.k: PiecewiseConstant(2)},
        maximize={"product": AtEnd(lambda v: v.unit.P)},
        minimize={"time": AtEnd(lambda v: v.time)},
        points=3,
    )
    assert not front.failed
    assert len(front.values) == 3
    shortest = front.solutions[0]
    assert shortest.duration["make"] == pytest.approx(1.0, abs=1e-3)


def test_a_front_says_which_points_are_not_certified_and_which_were_not_solved(front):
    held = front.solutions[2]
    poor = replace(held, certificate=replace(held.certificate, ok=False, message="effort is missed"))
    plans = (*front.solutions[:2], poor, *front.solutions[3:])
    said = repr(replace(front, solutions=plans, failed=("effort 0: no point was found",)))
    assert "point 2 is not certified: effort is missed" in said
    assert "not solved: effort 0: no point was found" in said
    assert "not certified" not in repr(front)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"maximize": {"distance": distance}}, "two or three aims"),
        ({"maximize": distance}, "maximize is a dict from names to terms"),
        ({"maximize": {"a": distance}, "minimize": {"a": effort}}, "both maximized and minimized"),
        ({"maximize": {"a": distance}, "minimize": {"b": AtStart(lambda v: v.mover.x)}}, "must be an AtEnd"),
        ({"maximize": {"a": distance}, "minimize": {"b": effort}, "points": 1}, "points must be"),
    ],
)
def test_bad_aims_are_refused(more, text):
    with pytest.raises(SpecificationError, match=text):
        pareto(plant, Recipe(Phase("go", 1.0)), free, **more)
