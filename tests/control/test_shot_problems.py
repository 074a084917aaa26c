"""Large models stand in the same problems as small ones: shot, with few decisions, and the same optimum."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.estimation import Experiment, estimate
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.symbols.symbol import symbol_array
from titer.numerics import Grid, Ipopt, Shooting, Simultaneous, SpecificationError, Status
from titer.numerics.marching import March


class Cascade(Unit):
    """Tanks in series with a reaction: dc_i/dt = F (c_i-1 - c_i) - k c_i^2. Source: textbook."""

    time: ClassVar[str] = "h"

    tanks: int = 4

    c = State("g/L", start=0.0, lower=0.0, nominal=1.0, over="cells")
    feed = Control("g/L", start=1.0, lower=0.0, upper=2.0)
    F = Parameter("1/h", 8.0, lower=0.1, upper=50.0)
    k = Parameter("L/g/h", 0.5, lower=0.0, upper=5.0)

    @property
    def cells(self) -> tuple[int, ...]:
        return tuple(range(self.tanks))

    def equations(self, v: Any) -> Equations:
        rates = []
        for i in self.cells:
            arriving = v.feed if i == 0 else v.c[i - 1]
            rates.append(v.F * (arriving - v.c[i]) - v.k * v.c[i] ** 2)
        return Equations(rate={"c": symbol_array(rates)})


small, large = Cascade("line"), Cascade("line", tanks=110)
LAST = {4: f"line.c[{3}]", 110: f"line.c[{109}]"}


def recipe(method: Any = None, last: float = 0.5) -> Recipe:
    return Recipe(
        Phase("fill", Free(0.6, 0.2, 2.0), method=method),
        Phase("hold", last, fixed={small.feed: 0.3}, method=method),
    )


def problem(unit: Cascade, method: Any = None, **more: Any) -> dict[str, Any]:
    """As much as possible in the last tank, less what feeding and time cost."""
    tanks = unit.tanks
    return {
        "plant": Flowsheet(unit),
        "recipe": recipe(method),
        "free": {unit.feed: {"fill": PiecewiseConstant(3)}},
        "maximize": AtEnd(lambda v: v.line.c[min(tanks, 4) - 1])
        - 0.1 * Integral(lambda v: v.line.feed**2, name="cost"),
        "subject_to": [AtEnd(lambda v: v.line.c[0], upper=0.5, name="first tank")],
        "starts": 1,
        **more,
    }


def test_the_optimum_is_that_of_collocation():
    shot = optimize(**problem(small, Shooting()))
    collocated = optimize(**problem(small, Simultaneous(), grid=Grid(12)))
    assert shot.stats["decisions"] == 4
    assert collocated.stats["decisions"] == collocated.stats["variables"] > 100
    assert shot.objective == pytest.approx(collocated.objective, rel=1e-6)
    assert shot.duration["fill"] == pytest.approx(collocated.duration["fill"], rel=1e-3)
    assert shot.certificate.ok
    assert shot.certificate.largest_deviation < 1e-6


def test_a_large_model_is_shot_without_being_asked():
    plan = optimize(**problem(large))
    assert plan.status is Status.SOLVED
    assert plan.stats["decisions"] == 4
    assert "shooting, for a model has 110 states" in str(plan.start_report)
    assert plan.certificate.ok
    first = simulate(
        Flowsheet(large),
        recipe().with_durations(plan.duration),
        inputs={large.feed: plan[large.feed]},
        tolerance=1e-9,
    )
    assert plan.at_end("line.c[3]") == pytest.approx(first.at_end("line.c[3]"), abs=1e-4)


def test_a_small_model_is_collocated_and_the_report_says_why():
    plan = optimize(**problem(small, grid=Grid(8)))
    assert "collocation, for no model has 100 states" in str(plan.start_report)


def test_the_plan_is_seen_between_the_ends_of_intervals():
    plan = optimize(**problem(small, Shooting()))
    assert len(plan["line.c[3]"]) > 100
    assert plan["line.c[3]"].is_monotonic_increasing or plan["line.c[3]"].max() > 0.0


def test_a_path_is_kept_at_the_ends_of_intervals():
    limit = Path(lambda v: v.line.c[3], upper=0.45, name="limit")
    free = optimize(**problem(small, Shooting(intervals=6)))
    held = optimize(**problem(small, Shooting(intervals=6), subject_to=[limit]))
    assert free["line.c[3]"].max() > 0.46
    assert held["line.c[3]"].max() <= 0.45 + 5e-3  # between the ends it may be missed a little
    assert held.objective < free.objective


def test_what_is_set_from_before_and_the_elapsed_time_follow_too():
    """A phase that begins with half of what was there, and an objective in time: no equations are left for them."""
    halved = Recipe(
        Phase("fill", Free(0.6, 0.2, 2.0)),
        Phase("hold", 0.5, fixed={small.feed: 0.3}, start={"line.c[0]": lambda v: 0.5 * v.line.c[0]}),
    )

    def posed(method: Any) -> dict[str, Any]:
        phases = Recipe(*(halved.replaced(p.name, method=method)[p.name] for p in halved))
        aim = AtEnd(lambda v: v.line.c[3] / (v.time + 0.5))
        return {**problem(small, grid=Grid(12)), "recipe": phases, "maximize": aim, "subject_to": []}

    shot, collocated = optimize(**posed(Shooting())), optimize(**posed(Simultaneous()))
    assert shot.stats["decisions"] == 4
    assert shot.objective == pytest.approx(collocated.objective, rel=1e-6)


def test_a_fit_is_that_of_collocation_with_its_deviations():
    true = Flowsheet(small)
    given = {small.feed: 1.0}
    still = Recipe(Phase("run", 2.0))
    run = simulate(true, still, inputs=given, points=200)
    times = np.linspace(0.1, 2.0, 20)
    series = run["line.c[3]"]
    values = np.interp(times, series.index, series) + np.random.default_rng(0).normal(0.0, 5e-3, 20)
    frame = pd.DataFrame({"line.c[3]": values}, index=times)
    fits = []
    for method in (Shooting(), Simultaneous()):
        own = Recipe(Phase("run", 2.0, method=method))
        experiment = Experiment(frame, noise={"line.c[3]": 5e-3}, recipe=own, inputs=given)
        start = true.with_values({small.F: 6.0, small.k: 1.0})
        fits.append(estimate(start, [experiment], [small.F, small.k], grid=Grid(30)))
    shot, collocated = fits
    assert shot.ok
    for name in (small.F, small.k):
        assert shot.values[name] == pytest.approx(collocated.values[name], rel=1e-4)
    assert np.diag(shot.covariance) == pytest.approx(np.diag(collocated.covariance), rel=0.05)  # by Gauss and Newton


def test_ctrl_c_leaves_the_iterate(monkeypatch):
    calls = []
    whole = March.run

    def interrupted(self, free, data):
        calls.append(free)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(self, free, data)

    monkeypatch.setattr(March, "run", interrupted)
    plan = optimize(**problem(small, Shooting()), strict=False)
    assert plan.status is Status.INTERRUPTED
    assert np.isfinite(plan["line.c[3]"]).all()
    assert plan.duration["fill"] != 0.6


def test_a_time_limit_leaves_the_iterate():
    plan = optimize(**problem(large), solver=Ipopt(seconds=1e-3), strict=False)
    assert plan.status is Status.TIME
    assert np.isfinite(plan["line.c[109]"]).all()


def test_a_method_that_is_none_is_refused():
    with pytest.raises(
        SpecificationError, match=r"method is Shooting\(...\), Simultaneous\(\) or None, got 'shooting'"
    ):
        Phase("fill", 1.0, method="shooting")


def test_limits_that_no_decision_meets_are_no_solution():
    far = AtEnd(lambda v: v.line.c[3], lower=5.0, name="far")
    plan = optimize(**problem(small, Shooting(), subject_to=[far]), solver=Ipopt(seconds=2.0), strict=False)
    assert not plan.status.ok
    assert not plan.certificate.ok
    assert plan.certificate.violation["far"] > 1.0


@pytest.mark.parametrize("method", [Shooting(), Shooting(4, 1e-6), Simultaneous()], ids=str)
def test_the_method_is_written_with_the_recipe_and_read_back(method):
    text = Recipe(Phase("run", 2.0, method=method)).to_yaml()
    assert Recipe.from_yaml(text)["run"].method == method
