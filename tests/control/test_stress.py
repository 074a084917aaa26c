"""What becomes of a plan on other plants: draws that keep their distributions, and rates that are known beforehand."""

import numpy as np
import pytest
from scipy import stats

from titer.control import Chance, Scenarios, Uniform, optimize, plot_stress, sample, stress
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
    Reaches,
    Recipe,
    State,
    Unit,
    quantity,
    replay,
    simulate,
)
from titer.numerics import DeclarationError, Grid, Solution, SpecificationError


class Level(Unit):
    """x' = k u + b."""

    time = "s"
    x = State("m", start=0.0)
    u = Control("m/s", start=0.3, lower=-5.0, upper=5.0)
    k = Parameter("1", 1.0, lower=0.1, upper=10.0)
    b = Parameter("m/s", 0.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.u + v.b})


class Escape(Unit):
    """y' = c y^2: it runs away at t = 1 / (c y0)."""

    time = "s"
    y = State("1", start=1.0)
    c = Parameter("1/s", 0.5)

    def equations(self, v):
        return Equations(rate={"y": v.c * v.y**2})


level, escape = Level("level"), Escape("escape")
levels, escapes = Flowsheet(level), Flowsheet(escape)
FREE = {level.u: PiecewiseConstant(2)}
TOP = AtEnd(lambda v: v.level.x, upper=1.0, name="top")


def to_the_top(**more):
    terms = {"maximize": AtEnd(lambda v: v.level.x), "subject_to": [TOP], **more}
    return optimize(levels, Recipe(Phase("a", 1.0)), free=FREE, grid=Grid(2), **terms)


# --- draws ----------------------------------------------------------------------------------------------------------


def test_every_tenth_of_a_distribution_is_drawn_once():
    cases = sample(
        {level.b: (2.0, 0.5), level.k: Uniform(1.0, 3.0), level.x: stats.lognorm(0.3, scale=2.0)}, 10, seed=4
    )
    drawn = {name: np.array([case[name] for case in cases]) for name in cases[0]}
    shares = {
        level.b: stats.norm(2.0, 0.5).cdf(drawn[level.b]),
        level.k: (drawn[level.k] - 1.0) / 2.0,
        level.x: stats.lognorm(0.3, scale=2.0).cdf(drawn[level.x]),
    }
    for each in shares.values():
        assert sorted(np.floor(10.0 * each)) == list(range(10))
    assert cases == sample(
        {level.b: (2.0, 0.5), level.k: Uniform(1.0, 3.0), level.x: stats.lognorm(0.3, scale=2.0)}, 10, 4
    )


def test_draws_are_correlated_as_asked():
    cases = sample({level.b: (0.0, 1.0), level.k: (5.0, 0.1)}, 2000, correlation=np.array([[1.0, -0.8], [-0.8, 1.0]]))
    drawn = np.array([[case[level.b], case[level.k]] for case in cases])
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(-0.8, abs=0.03)
    assert drawn.std(axis=0) == pytest.approx([1.0, 0.1], rel=0.05)


@pytest.mark.parametrize(
    ("uncertain", "more", "said"),
    [
        ({}, {}, "expected a dict from names"),
        ({level.k: (1.0, 0.0)}, {}, r"standard deviation > 0\), got \(1.0, 0.0\)"),
        ({level.k: 1.0}, {}, "frozen distribution"),
        ({level.k: (1.0, 0.1)}, {"count": 0}, "at least 1, got 0"),
        ({level.k: (1.0, 0.1)}, {"correlation": np.eye(2)}, r"symmetric \(1, 1\) matrix"),
        ({level.k: (1.0, 0.1), level.b: (0.0, 1.0)}, {"correlation": np.array([[1.0, 2.0], [2.0, 1.0]])}, "definite"),
    ],
)
def test_bad_distributions_are_refused(uncertain, more, said):
    with pytest.raises(SpecificationError, match=said):
        sample(uncertain, **{"count": 3, **more})
    with pytest.raises(SpecificationError, match="lower < upper"):
        Uniform(1.0, 1.0)


# --- plans on other plants ------------------------------------------------------------------------------------------


def test_a_rate_that_is_known():
    """x = 1 + b with b even in [-1, 1]: every second plant is over the top."""
    plan = to_the_top()
    tested = stress(plan, sample({level.b: Uniform(-1.0, 1.0)}, 200, seed=1))
    missed = int(tested.violated.sum())
    assert tested.rate == pytest.approx(0.5, abs=1.5 / 200.0)
    exact = stats.beta.ppf([0.025, 0.975], [missed, missed + 1], [201 - missed, 200 - missed])
    assert tested.interval() == pytest.approx(tuple(exact), rel=1e-6)
    drifts = [case[level.b] for case in sample({level.b: Uniform(-1.0, 1.0)}, 200, seed=1)]
    assert tested.values["top"].to_numpy() == pytest.approx(1.0 + np.array(drifts), abs=1e-6)
    assert tested.values["objective"].to_numpy() == pytest.approx(tested.values["top"].to_numpy(), abs=1e-9)
    assert list(tested.table().index) == ["top", "any"]
    assert tested.table().loc["any", "violated"] == missed
    assert "% miss a limit" in repr(tested)


def test_a_robust_plan_keeps_what_its_scenarios_promise():
    """A chance of 80 % over 40 even drifts of [-1, 1] leaves 20 % of the plants over the top, within a scenario."""
    cases = sample({level.b: Uniform(-1.0, 1.0)}, 40, seed=2)
    robust = to_the_top(subject_to=[Chance(TOP, at_least=0.8)], scenarios=Scenarios(cases))
    tested = stress(robust, sample({level.b: Uniform(-1.0, 1.0)}, 200, seed=3))
    assert tested.rate == pytest.approx(0.2, abs=1.0 / 40.0 + 1.0 / 200.0)
    figure = plot_stress({"nominal": stress(to_the_top(), cases), "robust": tested}, "top")
    assert len(figure.axes[0].get_legend().get_texts()) == 2
    with pytest.raises(SpecificationError, match="bottom"):
        plot_stress({"robust": tested}, "bottom")


def test_terms_are_read_as_a_replay_has_them():
    """Paths at their worst, integrals over all phases, values without a limit; on the plan's own plant."""
    plan = to_the_top(subject_to=[TOP, AtEnd(lambda v: v.level.u, lower=-1.0, upper=2.0)])
    terms = [
        Path(lambda v: v.level.x, lower=-1.0, upper=0.4),
        Integral(lambda v: v.level.x**2, name="square"),
        AtEnd(lambda v: 3.0 * v.level.x, name="thrice"),
        Path(lambda v: v.level.x, upper=0.4),
    ]
    other = {level.k: 1.5, level.b: 0.2}
    again = replay(plan, levels.with_values(other))
    x, time = again[level.x].to_numpy(), again[level.x].index.to_numpy()
    (row,) = stress(plan, [other], terms).values.to_dict("records")
    assert row["Path of level.x"] == pytest.approx(x.max(), abs=1e-7)
    assert row["Path of level.x (2)"] == pytest.approx(x.max(), abs=1e-7)
    assert row["thrice"] == pytest.approx(3.0 * x[-1], abs=1e-7)
    assert row["square"] == pytest.approx(np.trapezoid(x**2, time), rel=1e-4)
    assert list(stress(plan, [{}]).missed.any(axis=1)) == [False]  # limits that hold exactly are kept


def test_a_phase_ends_by_its_condition_on_every_plant():
    """Until x = 1 at speed u + b: the input goes on at the plan's times, whenever the phase ends."""
    recipe = Recipe(
        Phase("fill", Free(1.0, 0.1, 10.0), until=Reaches(level.x, 1.0, "rising")),
        Phase("rest", 1.0, fixed={level.u: 0.0}),
    )
    run = simulate(levels, recipe, inputs={level.u: PiecewiseConstant(values=[0.5, 1.5])})
    end = AtEnd(lambda v: v.time, name="end")
    tested = stress(run, [{level.b: 0.0}, {level.b: -0.25}, {level.b: 2.0}], [end])
    # 1/2 s at 0.5 and then 1.5; at 0.25 and then 1.25; at 2.5 from the first instant
    assert run.duration["fill"] == pytest.approx(1.0, abs=1e-6)
    assert tested.values["end"].to_numpy() == pytest.approx([2.0, 1.0 + 0.5 + 0.875 / 1.25, 1.4], abs=1e-6)


def test_a_run_that_fails_is_a_row_that_says_so():
    """y' = c y^2 from 1 runs away within a second for c > 1."""
    run = simulate(escapes, Recipe(Phase("a", 1.0)))
    high = AtEnd(lambda v: v.escape.y, upper=3.0, name="high")
    tested = stress(run, [{escape.c: 0.5}, {escape.c: 0.7}, {escape.c: 1.5}], [high])
    assert tested.values["high"].to_numpy() == pytest.approx([2.0, 1.0 / 0.3, np.nan], rel=1e-4, nan_ok=True)
    assert list(tested.violated) == [False, True, True]
    assert tested.values["failed"].iloc[1] == ""
    assert "t = " in tested.values["failed"].iloc[2]


def test_a_limit_on_what_is_no_number_is_missed():
    plan = to_the_top()
    root = Path(lambda v: np.sqrt(v.level.x - v.level.b * quantity(1.0, "s")), upper=9.0, name="root")
    tested = stress(plan, [{level.b: -1.0}, {level.b: 1.0}], [root])  # under the root x + 1 s, and x - 1 s < 0 at first
    assert tested.missed["root"].tolist() == [False, True]
    assert np.isnan(tested.values["root"][1])
    assert tested.rate == 0.5


def test_many_plants_take_little_time():
    """Tracing and building happens once: a plant costs its integration."""
    plan = to_the_top()
    assert stress(plan, [{}] * 300).seconds < 30.0


def test_bad_input_is_refused(tmp_path):
    plan = to_the_top()
    loaded = Solution.load(plan.save(tmp_path / "plan"))
    for call, said in (
        (lambda: stress(loaded, [{}]), "loaded from a file"),
        (lambda: stress(plan, []), "at least one"),
        (lambda: stress(plan, [{"level.q": 1.0}]), r"level\.q"),
        (lambda: stress(plan, [{}], [Path(lambda v: v.level.x)]), "many values"),
        (lambda: stress(plan, [{}], [TOP * 2.0]), "expected AtStart"),
        (lambda: stress(simulate(levels, Recipe(Phase("a", 1.0)), {level.u: 1.0}), [{}]), "nothing is asked"),
    ):
        with pytest.raises(SpecificationError, match=said):
            call()
    with pytest.raises(DeclarationError, match=r"level.*k"):
        stress(plan, [{level.k: 20.0}])
    again = replay(loaded, levels, Recipe(Phase("a", 1.0)))
    assert stress(again, [{}], [TOP]).values["top"].to_numpy() == pytest.approx([1.0], abs=1e-6)
