"""Meshes that prove themselves, switches that are found, starts that disagree."""

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, SpecificationError


class Cart(Unit):
    """x'' = u, with a brake half as strong as the drive."""

    time = "s"
    x = State("m", start=0.0)
    w = State("m/s", start=0.0)
    u = Control("m/s^2", start=0.5, lower=-1.0, upper=2.0)

    def equations(self, v):
        return Equations(rate={"x": v.w, "w": v.u})


cart = Cart("cart")


def fastest(pieces, **more):
    return optimize(
        Flowsheet(cart),
        Recipe(Phase("go", Free(5.0, 0.5, 20.0))),
        {cart.u: pieces},
        minimize=AtEnd(lambda v: v.time),
        subject_to=[
            AtEnd(lambda v: v.cart.x, lower=1.0, upper=1.0, name="distance"),
            AtEnd(lambda v: v.cart.w, lower=0.0, upper=0.0, name="rest"),
        ],
        **more,
    )


@pytest.mark.parametrize("pieces", [7, 10, 16])
def test_minimum_time_with_its_switch_inside_a_piece(pieces):
    """Time sqrt(3), the switch at a third of it."""
    plan = fastest(PiecewiseConstant(pieces), refine=1e-8)
    assert plan.objective == pytest.approx(np.sqrt(3.0), abs=1e-8)
    profile, values = plan.phases[0].shapes[cart.u]
    assert profile.edges[1] * plan.objective == pytest.approx(np.sqrt(3.0) / 3.0, abs=1e-6)
    assert values == pytest.approx([2.0, -1.0], abs=1e-6)
    assert plan.certificate.ok
    assert "placed on element ends in cart.u" in plan.start_report[-1].result


def test_ends_of_pieces_may_be_decided_directly():
    plan = fastest(PiecewiseConstant(2, switching=True))
    assert plan.objective == pytest.approx(np.sqrt(3.0), abs=1e-7)


def test_without_refine_the_pieces_stay_as_asked():
    plan = fastest(PiecewiseConstant(10))
    assert len(plan.phases[0].shapes[cart.u][1]) == 10
    assert plan.objective > np.sqrt(3.0) + 1e-3


@pytest.mark.parametrize("refine", [1e-4, 1e-6, 1e-8])
def test_the_replay_agrees_to_what_was_asked(refine):
    reactor = BatchReactor("reactor")
    plan = optimize(
        Flowsheet(reactor),
        Recipe(Phase("react", 3600.0)),
        {reactor.T_j: PiecewiseConstant(10)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
        refine=refine,
    )
    assert plan.certificate.largest_deviation <= refine
    assert plan.objective == pytest.approx(0.730835, abs=max(refine, 1e-6))
    assert plan.stats["elements"]["react"] < 200


class Relaxing(Unit):
    """A fast transient at the start, and little after it."""

    time = "s"
    x = State("1", start=1.0)
    u = Control("1", start=0.5, lower=0.0, upper=1.0)
    tau = Parameter("s", 0.01)

    def equations(self, v):
        return Equations(rate={"x": (v.u - v.x) / v.tau})


def test_a_mesh_is_refined_where_something_happens_and_coarsened_elsewhere():
    unit = Relaxing("unit")
    plan = optimize(
        Flowsheet(unit),
        Recipe(Phase("a", 1.0)),
        {unit.u: PiecewiseConstant(1)},
        minimize=AtEnd(lambda v: (v.unit.x - 0.3) ** 2),
        grid=Grid(100),
        refine=1e-6,
    )
    time = plan.phases[0].trajectory.time
    assert plan.certificate.largest_deviation <= 1e-6
    assert plan.stats["elements"]["a"] < 80
    assert np.median(time) < 0.2


def test_bad_refinements_are_refused():
    for refine in (0.0, 2.0, -1e-6, True, "fine"):
        with pytest.raises(SpecificationError, match="refine must be a replay deviation"):
            fastest(PiecewiseConstant(2), refine=refine)


class TwoHills(Unit):
    """x' = u; the value of x has two maxima, the higher one behind a valley."""

    time = "s"
    x = State("1", start=0.0)
    u = Control("1/s", start=-0.5, lower=-1.0, upper=1.0)

    def equations(self, v):
        return Equations(rate={"x": v.u})


def test_starts_that_disagree_are_said_to_and_the_best_is_taken():
    hills = TwoHills("hills")

    def value(v):
        x = v.hills.x
        return -((x**2 - 0.64) ** 2) + 0.1 * x

    plans = [
        optimize(
            Flowsheet(hills),
            Recipe(Phase("a", 1.0)),
            {hills.u: PiecewiseConstant(2)},
            maximize=AtEnd(value),
            starts=starts,
            seed=3,
            grid=Grid(4),
        )
        for starts in (1, None, 8)
    ]
    assert plans[0].at_end(hills.x) < 0.0  # the trap
    for plan in plans[1:]:
        assert plan.at_end(hills.x) > 0.0
        assert plan.stats["starts_agree"] is False
        report = next(r.result for r in plan.start_report if r.name == "starts")
        assert report.startswith("DISAGREE")
        assert "hills.u" in report
    assert len(plans[2].stats["starts"]) == 8
    again = optimize(
        Flowsheet(hills),
        Recipe(Phase("a", 1.0)),
        {hills.u: PiecewiseConstant(2)},
        maximize=AtEnd(value),
        starts=8,
        seed=3,
        grid=Grid(4),
    )
    assert again.stats["starts"] == pytest.approx(plans[2].stats["starts"])  # the seed decides
