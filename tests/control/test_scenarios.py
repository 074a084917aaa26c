"""One plan for several plants: expected value, worst case and shared first moves, against known answers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from titer.control import Mean, Scenarios, Worst, optimize, pareto, plot_scenarios, sensitivity
from titer.control.optimization import optimization_problem
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    replay,
)
from titer.numerics import Grid, Solution, SpecificationError


class Level(Unit):
    """x' = k u + b."""

    time = "s"
    x = State("m", start=0.0)
    u = Control("m/s", start=0.3, lower=-5.0, upper=5.0)
    k = Parameter("1", 1.0, lower=0.1, upper=10.0)
    b = Parameter("m/s", 0.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.u + v.b})


level = Level("level")
levels = Flowsheet(level)
SECOND = Recipe(Phase("a", 1.0))
GAINS = [{level.k: 1.0}, {level.k: 3.0}]
MISS = AtEnd(lambda v: (v.level.x - 1.0) ** 2)


def leveled(scenarios, recipe=SECOND, **more):
    """Optimize the level; one constant input where nothing else is said."""
    more = {"free": {level.u: PiecewiseConstant(1)}, "grid": Grid(2), **more}
    return optimize(levels, recipe, scenarios=scenarios, **more)


def inputs(plan, phase=0, name=level.u):
    return np.array(plan.phases[phase].shapes[name][1])


# --- expected value -------------------------------------------------------------------------------------------------


def test_weights_make_the_expected_value():
    """The mean of (k u - 1)^2 is least at u = E[k] / E[k^2]."""
    plan = leveled(Scenarios(GAINS, weights=[0.25, 0.75]), minimize=MISS)
    assert inputs(plan) == pytest.approx([2.5 / 7.0], abs=1e-7)
    assert plan.objective == pytest.approx(1.0 - 2.5**2 / 7.0, abs=1e-8)
    assert plan.certificate.ok
    assert plan.certificate.objective == pytest.approx(plan.objective, abs=1e-7)


def test_equal_weights_are_what_a_list_means():
    plans = [
        leveled(each, maximize=-1.0 * MISS)
        for each in (GAINS, Scenarios(GAINS), Scenarios(GAINS, weights=np.array([0.5, 0.5]), objective=Mean()))
    ]
    for plan in plans:
        assert plan.objective == pytest.approx(-0.2, abs=1e-8)


# --- the worst ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_worst_case_of_two_balances_them(sign):
    """max(|u - 1|, |3 u - 1|) is least at u = 1/2, whether a cost is minimized or its negative maximized."""
    wanted = {"minimize": MISS} if sign > 0.0 else {"maximize": -1.0 * MISS}
    plan = leveled(Scenarios(GAINS, objective=Worst()), **wanted)
    assert inputs(plan) == pytest.approx([0.5], abs=1e-6)
    assert plan.objective == pytest.approx(sign * 0.25, abs=1e-7)
    assert plan.certificate.ok
    assert plan.certificate.objective == pytest.approx(plan.objective, abs=1e-6)


def test_the_worst_of_integrals_is_carried_over_phases():
    """The integral of (k u t - 1)^2 over 1 s is k^2 u^2 / 3 - k u + 1; k = 1 and 3 meet at u = 3/4."""
    recipe = Recipe(Phase("a", 0.4), Phase("b", 0.6))
    plan = leveled(
        Scenarios(GAINS, objective=Worst()),
        recipe,
        free={level.u: PiecewiseLinear(1, lower=0.75, upper=0.75)},
        minimize=Integral(lambda v: (v.level.x - 1.0) ** 2),
        subject_to=[Integral(lambda v: v.level.x, upper=10.0)],
    )
    assert plan.objective == pytest.approx(0.75**2 / 3.0 - 0.75 + 1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("fraction", "weight"), [(0.3, 1.0), (0.25, 1.0), (0.9, 1.0), (0.3, 0.5), (0.0, 0.5), (0.0, 1.0)]
)
def test_the_mean_of_the_worst_fraction_by_its_own_definition(fraction, weight):
    """CVaR = min over a of a + E[max(J - a, 0)] / fraction, whose minimum lies at one of the J."""
    drifts, weights = np.array([-0.8, -0.1, 0.5, 1.0]), np.array([0.1, 0.4, 0.3, 0.2])

    def measure(u):
        costs = (2.0 * u + drifts - 1.0) ** 2
        worst = costs.max()
        if fraction:
            worst = min(a + weights @ np.maximum(costs - a, 0.0) / fraction for a in costs)
        return weight * worst + (1.0 - weight) * weights @ costs

    best = minimize_scalar(measure, bounds=(-1.0, 2.0), method="bounded", options={"xatol": 1e-10})
    cases = [{level.k: 2.0, level.b: float(b)} for b in drifts]
    plan = leveled(Scenarios(cases, weights, objective=Worst(fraction, weight)), minimize=MISS)
    assert plan.objective == pytest.approx(best.fun, rel=1e-6)
    assert inputs(plan) == pytest.approx([best.x], abs=1e-4)


# --- shared first moves ---------------------------------------------------------------------------------------------


def two_stage(gains, effort):
    """min mean over k of (k (u + w_k) - 1)^2 + effort (u^2 + w_k^2): linear equations in u and each w_k."""
    n = len(gains)
    rows, sides = [], []
    for s, k in enumerate(gains):
        own = np.zeros(n + 1)
        own[[0, s + 1]] = k
        first, last = np.zeros(n + 1), np.zeros(n + 1)
        first[0], last[s + 1] = np.sqrt(effort), np.sqrt(effort)
        rows += [own, first, last]
        sides += [1.0, 0.0, 0.0]
    return np.linalg.lstsq(np.array(rows), np.array(sides), rcond=None)[0]


RECOURSE = {"minimize": AtEnd(lambda v: (v.level.x - 1.0) ** 2) + 0.2 * Integral(lambda v: v.level.u**2)}


@pytest.mark.parametrize(
    ("recipe", "pieces", "until"),
    [
        (Recipe(Phase("first", 1.0), Phase("then", 1.0)), 1, "then"),
        (Recipe(Phase("first", 1.0), Phase("then", 1.0)), 1, 1.0),
        (Recipe(Phase("both", 2.0)), 2, 1.0),
        (Recipe(Phase("both", 2.0)), 2, 0.3),  # the piece that begins before it is shared
    ],
)
def test_moves_are_shared_until_the_scenarios_part(recipe, pieces, until):
    gains = [0.5, 1.0, 2.0]
    plan = leveled(
        Scenarios([{level.k: k} for k in gains], shared_until=until),
        recipe,
        free={level.u: PiecewiseConstant(pieces)},
        **RECOURSE,
    )
    expected = two_stage(gains, 0.2)
    for s, each in enumerate(plan.scenarios):
        found = np.concatenate([inputs(each, k) for k in range(len(recipe))])
        assert found == pytest.approx([expected[0], expected[s + 1]], abs=1e-6)
    assert plan.certificate.ok


def test_sharing_all_is_the_robust_plan_and_sharing_nothing_each_ones_own():
    recipe, free = Recipe(Phase("both", 2.0)), {level.u: PiecewiseConstant(4)}
    robust, all_shared, parted, nothing = (
        leveled(scenarios, recipe, free=free, **RECOURSE)
        for scenarios in (
            GAINS,
            Scenarios(GAINS, shared_until=2.0),
            Scenarios(GAINS, shared_until=1.0),
            Scenarios(GAINS, shared_until=0.0),
        )
    )
    alone = [leveled([case], recipe, free=free, **RECOURSE).objective for case in GAINS]
    assert all_shared.objective == pytest.approx(robust.objective, abs=1e-8)
    assert nothing.objective == pytest.approx(np.mean(alone), abs=1e-7)
    assert nothing.objective < parted.objective - 1e-4 < robust.objective - 2e-4


def test_a_linear_input_is_shared_up_to_the_end_of_its_piece():
    plan = leveled(
        Scenarios(GAINS, shared_until=0.6),
        Recipe(Phase("both", 2.0)),
        free={level.u: PiecewiseLinear(4, rate=3.0)},
        **RECOURSE,
    )
    one, other = (inputs(each) for each in plan.scenarios)
    assert one[:3] == pytest.approx(other[:3], abs=1e-12)
    assert np.all(np.abs(one[3:] - other[3:]) > 1e-3)
    assert plan.certificate.ok


def test_later_durations_are_each_scenarios_own():
    """Two seconds at 0.1 are shared; then each goes to x = 1 at full speed, 5 k."""
    recipe = Recipe(Phase("wait", 2.0, fixed={level.u: 0.1}), Phase("go", Free(1.0, 0.01, 10.0)))
    plan = leveled(
        Scenarios(GAINS, objective=Worst(), shared_until="go"),
        recipe,
        minimize=AtEnd(lambda v: v.time),
        subject_to=[AtEnd(lambda v: v.level.x, lower=1.0, name="there")],
    )
    assert plan.objective == pytest.approx(2.0 + 0.8 / 5.0, abs=1e-6)
    slow, fast = (each.duration["go"] for each in plan.scenarios)
    assert slow == pytest.approx(0.8 / 5.0, abs=1e-6)
    assert 0.4 / 15.0 - 1e-6 <= fast <= slow + 1e-6


# --- what comes with a plan -----------------------------------------------------------------------------------------


def test_a_plan_has_the_trajectories_of_all_scenarios(tmp_path):
    plan = leveled(Scenarios(GAINS, shared_until=0.5), minimize=MISS)
    assert len(plan.scenarios) == 2
    assert plan.scenarios[0].at_end(level.x) == plan.at_end(level.x)
    assert plan.scenarios[1].values[level.k] == 3.0
    again = Solution.load(plan.save(tmp_path / "plan"))
    assert [each.at_end(level.x) for each in again.scenarios] == [each.at_end(level.x) for each in plan.scenarios]
    for each in plan.scenarios:
        assert replay(each).at_end(level.x) == pytest.approx(each.at_end(level.x), abs=1e-8)
    warm = leveled(Scenarios(GAINS, shared_until=0.5), minimize=MISS, start_from=plan)
    assert warm.objective == pytest.approx(plan.objective, abs=1e-9)
    assert optimize(levels, SECOND, {level.u: PiecewiseConstant(1)}, minimize=MISS).scenarios == ()


def test_the_certificate_looks_at_every_scenario():
    """Too few elements for the second scenario alone: e^(-40 t) where the first is e^(-t)."""

    class Decay(Unit):
        """x' = u - k x."""

        time = "s"
        x = State("m", start=1.0)
        u = Control("m/s", start=0.0, lower=0.0, upper=1.0)
        k = Parameter("1/s", 1.0)

        def equations(self, v):
            return Equations(rate={"x": v.u - v.k * v.x})

    decay = Decay("decay")
    wanted = {"free": {decay.u: PiecewiseConstant(1)}, "minimize": AtEnd(lambda v: (v.decay.x - 0.5) ** 2)}
    worst = "in scenario 3, decay.x deviates"
    for rates, ok, said in (((1.0, 1.1), True, ""), ((1.0, 10.0, 40.0), False, worst)):
        cases = [{decay.k: rate} for rate in rates]
        plan = optimize(Flowsheet(decay), SECOND, scenarios=cases, grid=Grid(3), **wanted)
        assert plan.certificate.ok is ok
        assert plan.certificate.message.startswith(said)


def test_derivatives_of_the_worst_case():
    """The worst case is (x0 + u - 1)^2 = (x0 + 3 u - 1)^2 at u = (1 - x0) / 2, so J = (1 - x0)^2 / 4."""
    plan = leveled(Scenarios(GAINS, objective=Worst()), minimize=MISS)
    assert sensitivity(plan, [level.x]).objective == pytest.approx([-0.5], abs=1e-4)


def test_scenarios_are_drawn_over_each_other():
    plan = leveled(Scenarios(GAINS, shared_until=0.0), minimize=MISS)
    figure = plot_scenarios(plan, [level.u, level.x])
    assert [len(ax.lines) for ax in figure.axes] == [3, 3]  # two scenarios, and where they part
    assert len(plot_scenarios(plan).axes) == 2
    with pytest.raises(SpecificationError, match=r"level\.y.*level\.x"):
        plot_scenarios(plan, ["level.y"])
    with pytest.raises(SpecificationError, match="no scenarios"):
        plot_scenarios(replace(plan, scenarios=()))


def test_pyomo_takes_weights_and_refuses_the_rest():
    pytest.importorskip("pyomo.environ")
    terms = {"free": {level.u: PiecewiseConstant(1)}, "minimize": MISS}
    model = levels.to_pyomo(SECOND, Grid(2), scenarios=Scenarios(GAINS, weights=[0.25, 0.75]), **terms)
    assert len(model.run) == 2
    for refused in (Scenarios(GAINS, objective=Worst()), Scenarios(GAINS, shared_until=0.0)):
        with pytest.raises(SpecificationError, match="not part of a Pyomo model"):
            levels.to_pyomo(SECOND, Grid(2), scenarios=refused, **terms)
        with pytest.raises(SpecificationError, match="not part of a Pyomo model"):
            optimization_problem(levels, SECOND, scenarios=refused, **terms).to_pyomo()


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Scenarios([]), "scenarios is empty"),
        (lambda: Scenarios({level.k: 1.0}), "expected a list of dicts"),
        (lambda: Scenarios([1.0]), "each is a dict"),
        (lambda: Scenarios(GAINS, weights=[0.5, 0.6]), "must have the sum 1, theirs is 1.1"),
        (lambda: Scenarios(GAINS, weights=[1.5, -0.5]), "positive numbers, got -0.5"),
        (lambda: Scenarios(GAINS, weights=[1.0]), "2 scenarios need as many weights, got 1"),
        (lambda: Scenarios(GAINS, weights=[0.5, np.nan]), "positive numbers, got nan"),
        (lambda: Scenarios(GAINS, objective="worst"), r"Mean\(\) or Worst"),
        (lambda: Worst(1.0), r"fraction must lie in \[0, 1\)"),
        (lambda: Worst(0.1, weight=0.0), r"weight must lie in \(0, 1\]"),
        (lambda: leveled([{"level.q": 1.0}], minimize=MISS), r"'level\.q'"),
        (lambda: leveled(Scenarios(GAINS, shared_until=1.5), minimize=MISS), "beyond the recipe, which ends after 1 s"),
        (lambda: leveled(Scenarios(GAINS, shared_until=-1.0), minimize=MISS), "a time of the recipe, got -1 s"),
        (lambda: leveled(Scenarios(GAINS, shared_until="b"), minimize=MISS), "(?s)phase 'b'.*known: a"),
        (
            lambda: leveled(Scenarios(GAINS, shared_until=0.5), Recipe(Phase("a", Free(1.0, 0.5, 2.0))), minimize=MISS),
            "lies in or after phase 'a', whose duration is free",
        ),
        (
            lambda: leveled(
                Scenarios(GAINS, shared_until=0.5),
                free={level.u: PiecewiseConstant(2, switching=True)},
                minimize=MISS,
            ),
            "switching=True moves ends",
        ),
    ],
)  # fmt: skip
def test_bad_scenarios_are_refused(make, said):
    with pytest.raises(SpecificationError, match=said):
        make()


def test_a_front_and_an_until_go_on_as_before():
    """Scenarios end by their own condition; a Pareto front is made of plans without scenarios."""
    recipe = Recipe(Phase("fill", Free(1.0, 0.01, 20.0), until=Reaches(level.x, 1.0, "rising")))
    plan = leveled(GAINS, recipe, minimize=AtEnd(lambda v: v.time) + Integral(lambda v: v.level.u**2))
    durations = [each.duration["fill"] for each in plan.scenarios]
    assert durations[0] == pytest.approx(3.0 * durations[1], rel=1e-6)
    front = pareto(
        levels,
        SECOND,
        {level.u: PiecewiseConstant(1)},
        maximize={"height": AtEnd(lambda v: v.level.x)},
        minimize={"effort": AtEnd(lambda v: v.level.u**2)},
        points=3,
    )
    assert len(front.values) == 3
