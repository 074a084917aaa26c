"""Optima with an answer known from elsewhere: analytic ones, published ones, and what is said when there is none."""

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    AtStart,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    replay,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Fatrop, Grid, Ipopt, Points, Solution, SolveError, SpecificationError, Status
from titer.numerics.explaining.explanation import Verdict


class Cart(Unit):
    """x'' = u: everything about it is known."""

    time = "s"
    x = State("m", start=0.0)
    w = State("m/s", start=0.0)
    u = Control("m/s^2", start=0.5, lower=-1.0, upper=1.0)
    g = Parameter("m/s^2", 0.0)

    def equations(self, v):
        return Equations(rate={"x": v.w, "w": v.u + v.g})


class Level(Unit):
    """x' = u."""

    time = "s"
    x = State("m", start=0.0)
    u = Control("m/s", start=0.3, lower=-5.0, upper=5.0)
    k = Parameter("1", 1.0, lower=0.1, upper=10.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.u})


class Ray(Unit):
    """The published benchmark: 2A -> B -> C, temperature decided."""

    time = "h"
    x_1 = State("1", start=1.0, lower=0.0)
    x_2 = State("1", start=0.0, lower=0.0)
    T = Control("K", start=340.0, lower=298.0, upper=398.0)
    a_1 = Parameter("1/h", 4000.0)
    a_2 = Parameter("1/h", 620000.0)
    e_1 = Parameter("K", 2500.0)
    e_2 = Parameter("K", 5000.0)

    def equations(self, v):
        k_1, k_2 = v.a_1 * np.exp(-v.e_1 / v.T), v.a_2 * np.exp(-v.e_2 / v.T)
        return Equations(rate={"x_1": -k_1 * v.x_1**2, "x_2": k_1 * v.x_1**2 - k_2 * v.x_2})


cart, level, ray = Cart("cart"), Level("level"), Ray("ray")
carts, levels, rays = Flowsheet(cart), Flowsheet(level), Flowsheet(ray)


def published(pieces, **more):
    return optimize(
        rays,
        Recipe(Phase("react", 1.0)),
        free={ray.T: PiecewiseConstant(pieces)},
        maximize=AtEnd(lambda v: v.ray.x_2),
        **more,
    )


@pytest.mark.parametrize(("pieces", "best"), [(10, 0.610070), (20, 0.610454), (50, 0.610708), (100, 0.610792)])
def test_the_published_temperature_benchmark(pieces, best):
    plan = published(pieces, grid=Grid(max(pieces, 40)))
    assert plan.objective == pytest.approx(best, abs=1.5e-6)
    assert plan.certificate.ok
    assert plan.certificate.largest_deviation < 1e-5


@pytest.mark.parametrize("points", [Points.RADAU, Points.LEGENDRE])
def test_fatrop_and_ipopt_agree_on_it(points):
    grid = Grid(20, points=points)
    ours, other = published(20, grid=grid), published(20, grid=grid, solver=Fatrop())
    assert other.objective == pytest.approx(ours.objective, abs=1e-8)


def test_minimum_time_of_a_double_integrator():
    """From rest to rest over 1 m with |u| <= 1: two seconds, switching in the middle."""
    plan = optimize(
        carts,
        Recipe(Phase("go", Free(5.0, 0.5, 20.0))),
        free={cart.u: PiecewiseConstant(2)},
        minimize=AtEnd(lambda v: v.time),
        subject_to=[
            AtEnd(lambda v: v.cart.x, lower=1.0, upper=1.0, name="distance"),
            AtEnd(lambda v: v.cart.w, lower=0.0, upper=0.0, name="rest"),
        ],
    )
    assert plan.objective == pytest.approx(2.0, abs=1e-7)
    assert plan.duration["go"] == pytest.approx(2.0, abs=1e-7)
    assert plan.phases[0].shapes[cart.u][1] == pytest.approx([1.0, -1.0], abs=1e-6)


def test_an_integral_with_a_limit_is_counted_over_all_phases():
    """max x(2) with the integral of u^2 <= 2 over two phases of one second: u = 1 throughout."""
    plan = optimize(
        levels,
        Recipe(Phase("a", 1.0), Phase("b", 1.0)),
        free={level.u: PiecewiseConstant(3)},
        maximize=AtEnd(lambda v: v.level.x),
        subject_to=[Integral(lambda v: v.level.u**2, upper=2.0, name="effort")],
    )
    assert plan.objective == pytest.approx(2.0, abs=1e-6)
    assert plan[level.u].to_numpy() == pytest.approx(1.0, abs=1e-4)
    assert "integral effort" not in plan.names


def test_an_integral_of_the_objective_is_exact_for_polynomials():
    """min of the integral of (x - 1)^2 + u^2 from a free start: x = 1 throughout; from x(0) = 0 with u = c: known."""
    free = {level.u: PiecewiseConstant(1)}
    wanted = Integral(lambda v: (v.level.x - 1.0) ** 2) + Integral(lambda v: v.level.u**2)
    plan = optimize(levels, Recipe(Phase("a", 1.0)), free=free | {level.x: Free(0.7, -1.0, 2.0)}, minimize=wanted)
    assert plan.objective == pytest.approx(0.0, abs=1e-8)
    assert plan.decided[level.x] == pytest.approx(1.0, abs=1e-4)
    held = optimize(levels, Recipe(Phase("a", 1.0)), free=free, minimize=wanted, grid=Grid(4))
    c = 0.5 / (1.0 / 3.0 + 1.0)  # minimum of 1 - c + c^2 / 3 + c^2
    assert held.objective == pytest.approx(1.0 - c + c**2 / 3.0 + c**2, abs=1e-9)


def test_linear_pieces_are_continuous_across_phases_and_keep_their_rate():
    plan = optimize(
        levels,
        Recipe(Phase("a", 1.0), Phase("b", 2.0)),
        free={level.u: PiecewiseLinear(4, rate=0.5, guess=0.0)},
        maximize=AtEnd(lambda v: v.level.x),
        subject_to=[AtStart(lambda v: v.level.u, upper=0.0, name="from rest")],
    )
    u = plan[level.u]
    assert plan.objective == pytest.approx(0.5 * 0.5 * 3.0**2, abs=1e-6)  # u = t / 2
    assert u.to_numpy() == pytest.approx(0.5 * u.index.to_numpy(), abs=1e-5)


def test_every_keeps_its_length_where_the_duration_is_fixed():
    plan = optimize(
        levels,
        Recipe(Phase("a", 1.0)),
        free={level.u: PiecewiseConstant(every=0.4)},
        maximize=AtEnd(lambda v: v.level.x) - Integral(lambda v: v.level.u**2),
    )
    assert plan.phases[0].shapes[level.u][0].edges == pytest.approx([0.0, 0.4, 0.8, 1.0])
    assert plan.objective == pytest.approx(0.25, abs=1e-7)  # u = 1/2


def test_a_free_parameter_and_its_logarithm_give_the_same():
    plans = [
        optimize(
            levels,
            Recipe(Phase("a", 1.0)),
            free={level.k: Free(2.0, 0.5, 8.0, log=log)},
            minimize=AtEnd(lambda v: (v.level.x - 3.0) ** 2),
            inputs={level.u: 1.0},
        )
        for log in (False, True)
    ]
    for plan in plans:
        assert plan.decided[level.k] == pytest.approx(3.0, abs=1e-4)


def test_scenarios_share_decisions_and_average_the_objective():
    """x = k u: mean over k in {1, 3} of -(k u - 1)^2 is best at u = 4 / 10."""
    plan = optimize(
        levels,
        Recipe(Phase("a", 1.0)),
        free={level.u: PiecewiseConstant(1)},
        minimize=AtEnd(lambda v: (v.level.x - 1.0) ** 2),
        scenarios=[{level.k: 1.0}, {level.k: 3.0}],
    )
    assert plan.phases[0].shapes[level.u][1][0] == pytest.approx(0.4, abs=1e-6)
    assert plan.objective == pytest.approx(0.5 * (0.6**2 + 0.2**2), abs=1e-8)


def test_a_later_phase_knows_the_elapsed_time_though_durations_are_free():
    plan = optimize(
        levels,
        Recipe(Phase("a", Free(1.0, 0.5, 2.0)), Phase("b", Free(1.0, 0.5, 2.0))),
        free={level.u: PiecewiseConstant(1)},
        minimize=AtEnd(lambda v: (v.time - 2.5) ** 2) + AtEnd(lambda v: (v.level.x - 1.0) ** 2, phase="a"),
    )
    assert sum(plan.duration.values()) == pytest.approx(2.5, abs=1e-4)
    assert plan.at_end(level.x, "a") == pytest.approx(1.0, abs=1e-4)


def test_a_path_limit_holds_between_grid_points():
    reactor = BatchReactor("reactor")
    plan = optimize(
        Flowsheet(reactor),
        Recipe(Phase("react", Free(3600, 600, 7200))),
        free={reactor.T_j: PiecewiseConstant(10)},
        maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
        subject_to=[
            Path(lambda v: v.reactor.T, upper=360.0, name="wall temperature"),
            AtEnd(lambda v: v.reactor.c_C, upper=0.15, name="impurity"),
        ],
        grid=Grid(elements=20, degree=3),
    )
    assert plan.certificate.ok
    assert plan.certificate.violation["wall temperature"] < 0.01
    assert plan.at_end(reactor.c_C) == pytest.approx(0.15, abs=1e-6)
    assert replay(plan).at_end(reactor.c_C) == pytest.approx(0.15, abs=1e-5)


def test_the_open_grid_is_refined_until_the_replay_agrees():
    reactor = BatchReactor("reactor")
    plan = optimize(
        Flowsheet(reactor),
        Recipe(Phase("react", 3600.0)),
        free={reactor.T_j: PiecewiseConstant(10)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
    )
    assert plan.objective == pytest.approx(0.730835, abs=1e-6)  # the independent reference
    assert plan.certificate.largest_deviation < 1e-5


def test_a_plan_starts_another_and_survives_a_file(tmp_path):
    first = published(20, grid=Grid(20))
    again = published(20, grid=Grid(40), start_from=first)
    assert again.objective == pytest.approx(first.objective, abs=1e-6)
    loaded = Solution.load(first.save(tmp_path / "plan"))
    assert loaded.objective == first.objective
    assert replay(loaded, rays, Recipe(Phase("react", 1.0))).at_end(ray.x_2) == pytest.approx(first.objective, abs=1e-6)


def test_what_cannot_be_reached_is_named_and_the_iterate_is_kept():
    with pytest.raises(SolveError) as caught:
        published(10, subject_to=[AtEnd(lambda v: v.ray.x_2, lower=0.9, name="yield of B")], grid=Grid(20))
    assert str(caught.value).splitlines()[0] == "no decisions were found that meet yield of B (at least 0.9)"
    explanation = caught.value.solution.explain()
    assert explanation.verdict is Verdict.MODEL_INFEASIBLE
    (_, amount), *others = explanation.relaxation.changes
    assert not others
    assert 0.9 - amount == pytest.approx(0.61007, abs=2e-5)  # the best yield there is with ten pieces
    assert caught.value.solution.status is Status.INFEASIBLE
    assert np.isfinite(caught.value.solution[ray.x_2].to_numpy()).all()
    assert not caught.value.solution.certificate.ok


def test_a_start_outside_a_path_is_refused_before_any_solve():
    with pytest.raises(SpecificationError, match="purity: the given start violates this limit"):
        published(10, subject_to=[Path(lambda v: v.ray.x_1, upper=0.9, name="purity")])


def test_a_path_on_decisions_holds_from_the_first_instant():
    """min u(0) on a straight line whose mean is 1, with u >= 0.4 along it: u(0) is 0.4, not what the points allow."""
    plan = optimize(
        levels,
        Recipe(Phase("a", 1.0)),
        free={level.u: PiecewiseLinear(1)},
        minimize=AtStart(lambda v: v.level.u),
        subject_to=[
            Path(lambda v: v.level.u, lower=0.4, name="least flow"),
            AtEnd(lambda v: v.level.x, lower=1.0, upper=1.0),
        ],
        grid=Grid(1, degree=2),
    )
    assert plan.objective == pytest.approx(0.4, abs=1e-7)


def test_a_time_or_iteration_limit_keeps_the_iterate():
    plan = published(20, grid=Grid(20), solver=Ipopt(iterations=2), strict=False, starts=1)
    assert plan.status is Status.ITERATIONS
    assert np.isfinite(plan[ray.x_2].to_numpy()).all()


def test_a_domain_that_binds_is_said_to():
    class Limited(Level):
        x = State("m", start=0.0, upper=1.0)

    unit = Limited("level")
    plan = optimize(
        Flowsheet(unit),
        Recipe(Phase("a", 1.0)),
        free={unit.u: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.level.x),
    )
    assert plan.objective == pytest.approx(1.0, abs=1e-4)
    assert not plan.certificate.ok
    assert "level.x" in plan.certificate.message
    assert "Path" in plan.certificate.message


def test_the_start_report_names_its_rungs():
    plan = published(10, grid=Grid(20))
    names = [rung.name for rung in plan.start_report]
    assert names[:6] == ["structure", "simulation", "transcription", "derivatives", "scaling", "NLP"]
    assert names[-2:] == ["starts", "certificate"]
    assert plan.stats["starts_agree"]


def test_a_start_that_nobody_decides_is_no_objective():
    for objective in (AtStart(lambda v: v.ray.x_1), AtStart(lambda v: v.ray.x_1) + AtEnd(lambda v: v.ray.x_2 * 0.0)):
        with pytest.raises(SpecificationError, match=r"the objective depends on no decision: it reads ray\.x_1"):
            optimize(
                rays, Recipe(Phase("react", Free(0.5, 0.1, 1.0))), {ray.T: PiecewiseConstant(2)}, maximize=objective
            )


def test_a_control_that_every_phase_fixes_is_not_decided():
    with pytest.raises(SpecificationError, match=r"free: ray\.T is decided, but every phase fixes it"):
        optimize(
            rays,
            Recipe(Phase("react", 1.0, fixed={ray.T: 340.0})),
            {ray.T: PiecewiseConstant(2)},
            maximize=AtEnd(lambda v: v.ray.x_2),
        )


def test_a_bad_number_of_starts_is_refused():
    for starts in (0, -3, 2.5, True, "x"):
        with pytest.raises(SpecificationError, match="starts must be a whole number"):
            published(2, starts=starts)


def test_an_objective_that_no_decision_reaches_is_refused():
    """x_1 of another unit does not know this unit's temperature, nor does a number."""
    other = Ray("other")
    both = Flowsheet(ray, other)
    for objective in (AtEnd(lambda v: v.other.x_2), Integral(lambda v: v.other.x_1), AtEnd(lambda v: 3.0)):
        with pytest.raises(SpecificationError, match="the objective depends on no decision"):
            optimize(
                both,
                Recipe(Phase("react", 1.0)),
                {ray.T: PiecewiseConstant(2)},
                maximize=objective,
                inputs={other.T: 340.0},
            )
    plan = optimize(  # a free duration reaches it
        both,
        Recipe(Phase("react", Free(0.5, 0.1, 1.0))),
        {ray.T: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.other.x_2),
        inputs={other.T: 340.0},
        grid=Grid(10),
    )
    assert plan.status.ok


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "give either maximize= or minimize="),
        ({"maximize": 3.0}, "an objective is made of"),
        ({"maximize": Path(lambda v: v.ray.x_2)}, "a Path is a constraint"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "grid": 20}, "grid must be a Grid"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "scenarios": []}, "scenarios is empty"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "free": {}, "inputs": {ray.T: 340.0}}, "nothing is free"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "free": {"ray.TT": PiecewiseConstant(2)}}, "'ray.TT' is unknown"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "free": {ray.T: 340.0}}, "ray.T needs PiecewiseConstant"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "free": {ray.T: Free(340.0)}}, "ray.T is a control"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "free": {ray.x_1: PiecewiseConstant(2)}}, "ray.x_1 is a state"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2), "subject_to": [AtEnd(lambda v: v.ray.x_1)]}, "has no limit"),
        ({"maximize": AtEnd(lambda v: v.ray.x_2, phase="cool")}, "phase 'cool' is unknown"),
        ({"maximize": AtEnd(lambda v: v.ray.y)}, "'y' is unknown"),
    ],
)
def test_bad_problems_are_refused_before_any_solve(more, text):
    arguments = {"free": {ray.T: PiecewiseConstant(2)}} | more
    with pytest.raises(SpecificationError, match=text):
        optimize(rays, Recipe(Phase("react", 1.0)), **arguments)
