"""Fronts against closed forms."""

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
    Recipe,
    State,
    Unit,
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


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"maximize": {"distance": distance}}, "two or three aims"),
        ({"maximize": {"a": distance}, "minimize": {"a": effort}}, "both maximized and minimized"),
        ({"maximize": {"a": distance}, "minimize": {"b": AtStart(lambda v: v.mover.x)}}, "must be an AtEnd"),
        ({"maximize": {"a": distance}, "minimize": {"b": effort}, "points": 1}, "points must be"),
    ],
)
def test_bad_aims_are_refused(more, text):
    with pytest.raises(SpecificationError, match=text):
        pareto(plant, Recipe(Phase("go", 1.0)), free, **more)
