"""Designs with an answer known from elsewhere: by hand, by a fit of the same data, by simulated studies."""

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Criterion, Experiment, Noise, Proposal, design, estimate, information_of
from titer.estimation.designs.planning import Plan, Planning
from titer.estimation.designs.proposing import prospect
from titer.estimation.designs.unknowns import unknowns
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.numerics import Grid, Points, SolveError, SpecificationError


class Decay(Unit):
    """x' = -k x, y = a x."""

    time = "h"
    x = State("1", start=1.0, lower=0.0)
    a = Parameter("1", 1.0, lower=0.0)
    k = Parameter("1/h", 0.5, lower=0.0, upper=10.0)
    y = Expression("1")

    def equations(self, v):
        v.define("y", v.a * v.x)
        return Equations(rate={"x": -v.k * v.x})


class Line(Unit):
    """y = a + b t."""

    time = "h"
    x = State("1", start=0.0)
    a = Parameter("1", 1.0)
    b = Parameter("1/h", 1.0)
    y = Expression("1")

    def equations(self, v):
        v.define("y", v.a + v.x)
        return Equations(rate={"x": v.b})


class Enzyme(Unit):
    """The initial rate of Michaelis and Menten at a substrate that is held."""

    time = "min"
    S = State("mmol/L", start=1.0, lower=0.0)
    v_max = Parameter("mmol/L/min", 3.0, lower=0.0)
    K = Parameter("mmol/L", 2.0, lower=0.0)
    v = Expression("mmol/L/min")

    def equations(self, v):
        v.define("v", v.v_max * v.S / (v.K + v.S))
        return Equations(rate={"S": 0.0 * v.v})


class Fermenter(Unit):
    """Monod in fed-batch, the specific rate by an equation of its own."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=8.0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    mu = Algebraic("1/h", start=0.2)
    F = Control("L/h", start=0.02, lower=0.0, upper=0.2)
    mu_max = Parameter("1/h", 0.4, lower=0.01, upper=2.0)
    K = Parameter("g/L", 0.5, lower=0.01, upper=5.0)
    Y = Parameter("1", 0.5, lower=0.1, upper=1.0)
    S_in = Parameter("g/L", 50.0, lower=10.0, upper=100.0)

    def equations(self, v):
        growth, dilution = v.mu * v.X, v.F / v.V
        return Equations(
            rate={"X": growth - dilution * v.X, "S": dilution * (v.S_in - v.S) - growth / v.Y, "V": v.F},
            zero={"mu": v.mu * (v.K + v.S) - v.mu_max * v.S},
        )


unit = Decay("u")
plant = Flowsheet(unit)
run = Recipe(Phase("run", 10.0))
fermenter = Fermenter("f")
vessel = Flowsheet(fermenter)
kinetics = [fermenter.mu_max, fermenter.K, fermenter.Y]


def test_one_sample_of_a_decay_is_best_at_the_time_constant():
    # x = exp(-k t): (dx/dk)^2 = t^2 exp(-2 k t) is largest at t = 1 / k
    found = design(plant, [Proposal(run, {unit.x: 0.1}, times=1)], [unit.k], starts=1)
    assert found.proposals[0].times == pytest.approx([2.0], abs=1e-4)
    assert found.after == pytest.approx(0.1 * np.e / 2.0 / 0.5, rel=1e-7)
    assert found.without == np.inf
    assert found.after < found.before
    assert found.message == ""


def test_two_samples_of_an_exponential_are_best_at_the_first_time_and_one_time_constant_later():
    # Box and Lucas, Biometrika 46 (1959) 77
    found = design(plant, [Proposal(run, {unit.y: 0.1}, times=2, window=(0.3, 10.0))], [unit.a, unit.k], starts=1)
    assert found.proposals[0].times == pytest.approx([0.3, 2.3], abs=1e-4)


def test_many_samples_of_an_exponential_are_replicates_of_two_and_a_spacing_keeps_them_apart():
    free = [unit.a, unit.k]
    found = design(plant, [Proposal(run, {unit.y: 0.1}, times=6)], free, starts=1)
    assert found.proposals[0].times == pytest.approx([0.0] * 3 + [2.0] * 3, abs=1e-3)
    apart = design(plant, [Proposal(run, {unit.y: 0.1}, times=6, spacing=0.5)], free, starts=1)
    assert np.diff(apart.proposals[0].times).min() >= 0.5 - 1e-9
    assert found.after < apart.after < apart.before


def test_michaelis_and_menten_at_the_two_concentrations_of_theory():
    # constant noise: the highest S, and K S / (2 K + S) (Duggleby, J. Theor. Biol. 81 (1979) 671)
    enzyme = Enzyme("e")
    batch = Proposal(Recipe(Phase("assay", 1.0)), {enzyme.v: 0.1}, times=[1.0], free={enzyme.S: Free(3.0, 0.01, 10.0)})
    found = design(Flowsheet(enzyme), [batch, batch], [enzyme.v_max, enzyme.K], seed=1)
    levels = sorted(p.start[enzyme.S] for p in found.proposals)
    assert levels == pytest.approx([2.0 * 10.0 / (4.0 + 10.0), 10.0], rel=1e-4)


@pytest.mark.parametrize(
    ("criterion", "count", "at_end", "value"),
    [
        # of a line on 0 to 1, share w of the samples at 1, the others at 0: M = n [[1, w], [w, w]]
        (Criterion.D, 10, 5, (10.0 * 5.0 - 5.0**2) ** -0.25),
        (Criterion.A, 10, 4, np.sqrt((2.0 / 6.0 + 1.0 / 4.0) / 2.0)),  # least 2/(1 - w) + 1/w: w = .414
        (Criterion.E, 10, 4, np.sqrt(0.5)),  # smallest eigenvalue .2 n at w = 2/5
        (Criterion.MODIFIED_E, 9, 3, np.sqrt((2.0 + np.sqrt(2.0)) / (2.0 - np.sqrt(2.0)))),  # w = 1/3
    ],
)
def test_criteria_of_a_straight_line(criterion, count, at_end, value):
    line = Line("l")
    batch = Proposal(Recipe(Phase("run", 1.0)), {line.y: 1.0}, times=count)
    found = design(Flowsheet(line), [batch], [line.a, line.b], criterion, grid=Grid(2), starts=1)
    assert found.proposals[0].times == pytest.approx([0.0] * (count - at_end) + [1.0] * at_end, abs=1e-5)
    assert found.after == pytest.approx(value, rel=1e-6)


def test_what_matters_alone_moves_the_samples():
    # variance of the slope alone: half of the samples at either end; of the level alone: all at 0
    line = Line("l")
    lines, batch = Flowsheet(line), Proposal(Recipe(Phase("run", 1.0)), {line.y: 1.0}, times=4)
    slope = design(lines, [batch], [line.a, line.b], interest=[line.b], grid=Grid(2), starts=1)
    assert slope.proposals[0].times == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=1e-5)
    level = design(lines, [batch], [line.a, line.b], interest=[line.a], grid=Grid(2), starts=1)
    assert level.after == pytest.approx(0.5, rel=1e-6)


def test_robust_over_values_that_the_parameter_may_have():
    # the mean of log(t^2 exp(-2 k t)) is largest at 1 / (mean of k)
    batch = Proposal(run, {unit.x: 0.1}, times=1)
    found = design(plant, [batch], [unit.k], robust=[{unit.k: 0.3}, {unit.k: 1.0}], starts=1)
    assert found.proposals[0].times == pytest.approx([1.0 / np.mean([0.5, 0.3, 1.0])], abs=1e-3)


def test_robust_over_a_prior_is_drawn_by_the_seed():
    batch = Proposal(run, {unit.x: 0.1}, times=1)
    free = {unit.k: Free(0.5, 0.0, 10.0, prior=(0.5, 0.1))}
    one, two = (unknowns(plant, free, None).scenarios(20, seed) for seed in (3, 3))
    assert one == two
    drawn = [values["u.k"] for values in one[1:]]
    assert np.std(drawn) == pytest.approx(0.1, rel=0.4)
    with pytest.raises(SpecificationError, match=r"nothing is known of u\.k"):
        design(plant, [batch], [unit.k], robust=5)


def _batch():
    """Everything that a batch may be: an end by a condition, a reset, lines, a free duration, relative noise."""
    recipe = Recipe(
        Phase("batch", until=Reaches(fermenter.S, 4.0, "falling"), duration=Free(5, 1, 12), inputs={fermenter.F: 0.0}),
        Phase("feed", Free(4.0, 2.0, 6.0)),
        Phase("harvest", 2.0, start={fermenter.X: lambda v: 0.9 * v.f.X}),
    )
    return Proposal(
        recipe,
        {fermenter.X: Noise(0.05, 0.05), fermenter.mu: 0.01, fermenter.S: 0.1},
        times={fermenter.X: 4, fermenter.mu: 3, fermenter.S: [2.0, 7.0]},
        free={
            fermenter.F: PiecewiseLinear(2),
            fermenter.S: Free(8.0, 5.0, 12.0),
            fermenter.S_in: Free(50.0, 30.0, 80.0),
        },
    )


@pytest.mark.parametrize("points", list(Points))
def test_gradients_are_those_of_differences(points):
    free = {name: Free(vessel.values[name], 0.01, 2.0) for name in kinetics}
    free[fermenter.X] = Free(0.5, 0.1, 2.0, prior=(0.5, 0.1))  # each batch's own
    known = unknowns(vessel, free, None)
    batch = prospect(vessel, _batch(), known.free, known.values, Grid(6, degree=4, points=points))
    scenarios = [[known.theta(batch, values)] for values in known.scenarios([{fermenter.K: 0.7}], 0)]
    aim = known.aim([batch], Criterion.MODIFIED_E, kinetics[:2])
    planning = Planning([batch], scenarios, aim)
    plan = planning.spread([batch.first[batch.decided]])
    (decided,), (times,) = plan.decided, plan.times
    by_decision, by_time = planning.smooth(plan, 8.0)[1][0]

    def difference(step, change):
        values = [planning.smooth(Plan((d,), (t,)), 8.0)[0] for d, t in (change(step), change(-step))]
        return (values[0] - values[1]) / (2.0 * step)

    for i, slope in enumerate(by_decision):
        e = np.eye(len(decided))[i]
        step = 1e-5 * max(abs(decided[i]), 0.1)
        assert slope == pytest.approx(difference(step, lambda h, e=e: (decided + h * e, times)), rel=1e-5, abs=1e-8)
    for i, slope in enumerate(by_time[0]):
        e = np.eye(len(times[0]))[i]
        moved = difference(1e-5, lambda h, e=e: (decided, (times[0] + h * e, *times[1:])))
        assert slope == pytest.approx(moved, rel=1e-6, abs=1e-8)


def _measured(times, noise=None):
    """Readings of a batch that was fed in steps, with its recipe and inputs."""
    recipe = Recipe(Phase("batch", 4.0, inputs={fermenter.F: 0.0}), Phase("feed", 6.0))
    inputs = {fermenter.F: PiecewiseConstant(values=[0.02, 0.06, 0.01])}
    solution = simulate(vessel, recipe, inputs, tolerance=1e-10, points=1000)
    columns = {name: np.interp(times, solution[name].index, solution[name]) for name in (fermenter.X, fermenter.S)}
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(columns, index=times)
    return recipe, inputs, frame + 0.05 * rng.standard_normal(frame.shape)


@pytest.mark.parametrize("grid", [Grid(12), None])
def test_information_is_that_of_a_fit_of_the_same_data(grid):
    times = np.array([1.0, 2.5, 4.0, 5.5, 7.0, 8.5, 10.0])
    recipe, inputs, frame = _measured(times)
    noise = {fermenter.X: 0.05, fermenter.S: 0.1}
    free = {name: Free(vessel.values[name], 0.05, 2.0) for name in kinetics} | {fermenter.X: Free(0.5, 0.1, 1.0)}
    fit = estimate(vessel, [Experiment(frame, noise, recipe, inputs)] * 2, free, grid=grid or Grid(40, degree=5))
    believed = {name: Free(fit.values[name], 0.05, 2.0) for name in kinetics}
    batches = [Proposal(recipe, noise, times, inputs, start={fermenter.X: s[fermenter.X]}) for s in fit.starts]
    found = information_of(vessel, batches, believed | {fermenter.X: Free(0.5, 0.1, 1.0)}, grid=grid)
    labels = [number.label for number in fit.information.numbers]
    expected = fit.information.gauss_newton
    size = np.sqrt(np.diag(expected))
    difference = (found.loc[labels, labels].to_numpy() - expected) / np.outer(size, size)
    assert np.abs(difference).max() < 1e-6


def test_a_fit_is_what_is_known_before():
    recipe, inputs, frame = _measured(np.array([2.0, 4.0, 6.0, 8.0, 10.0]))
    noise = {fermenter.X: 0.05, fermenter.S: 0.1}
    fit = estimate(vessel, [Experiment(frame, noise, recipe, inputs)], kinetics, grid=Grid(12))
    batch = Proposal(
        recipe, noise, times=4, inputs=inputs, free={fermenter.F: PiecewiseConstant(2, upper=0.1)}, spacing=0.5
    )
    found = design(vessel, [batch], fit=fit, starts=2, grid=Grid(8))
    relative = fit.information.gauss_newton * np.outer(*[list(fit.values.values())] * 2)
    assert found.without == pytest.approx(np.linalg.det(relative) ** (-1.0 / 6.0), rel=1e-8)
    assert found.after < found.before < found.without
    assert (found.table["as decided"] < found.table["known"]).all()


@pytest.mark.slow
def test_a_design_decides_everything_at_once():
    found = design(vessel, [_batch()], kinetics, starts=1)
    assert found.after < 0.4 * found.before
    assert found.message == ""
    _check_that_it_can_be_run(found)


def test_what_is_decided_can_be_run_and_says_as_much():
    batch = Proposal(
        Recipe(Phase("grow", Free(4.0, 2.0, 6.0))),
        {fermenter.X: 0.05, fermenter.S: Noise(0.05, 0.02)},
        times=3,
        inputs={fermenter.F: 0.01},
        free={fermenter.F: PiecewiseConstant(2), fermenter.X: Free(1.0, 0.5, 2.0)},
    )
    found = design(vessel, [batch], kinetics[:2], starts=1)
    assert found.after < 0.5 * found.before
    assert found.message == ""
    _check_that_it_can_be_run(found)
    text = str(found)
    for word in ("batch 1", "phase grow", "f.F", "samples of f.X", "as decided"):
        assert word in text
    assert len(found.plot().axes) >= 3


def _check_that_it_can_be_run(found):
    names = list(found.information.index)
    again = information_of(vessel, found.proposals, names)
    size = np.sqrt(np.diag(found.information))
    assert np.abs((again - found.information) / np.outer(size, size)).to_numpy().max() < 1e-3
    (solution,), (proposal,) = found.simulations, found.proposals
    times = proposal.times if isinstance(proposal.times, np.ndarray) else proposal.times[fermenter.X]
    assert times[-1] <= solution.phases[-1].trajectory.time[-1] * (1.0 + 1e-9)
    assert solution.status.ok


def test_a_grid_that_is_too_coarse_is_said():
    recipe = Recipe(Phase("batch", 6.0, inputs={fermenter.F: 0.0}))
    batch = Proposal(recipe, {fermenter.S: 0.05}, times=2)
    found = design(vessel, [batch], kinetics[:2], starts=1, grid=Grid(2))
    assert "too coarse" in found.message
    assert found.message in str(found)


def test_limits_of_a_batch_are_kept():
    recipe = Recipe(Phase("feed", 6.0))
    batch = Proposal(recipe, {fermenter.S: 0.1}, times=5, free={fermenter.F: PiecewiseConstant(3)})
    free = design(vessel, [batch], kinetics[:2], starts=1, grid=Grid(12))
    held = design(
        vessel,
        [Proposal(recipe, {fermenter.S: 0.1}, times=5, free=batch.free, subject_to=[
            Path(lambda v: v.f.S, lower=2.0)])],
        kinetics[:2], starts=1, grid=Grid(12),
    )  # fmt: skip
    solution = held.simulations[0]
    assert free.simulations[0][fermenter.S].min() < 1.0
    assert solution[fermenter.S].min() >= 2.0 - 1e-4
    assert free.after < held.after


def test_expected_errors_come_true_in_a_simulated_study():
    deviation, count = 0.01, 200
    batch = Proposal(run, {unit.y: deviation}, times=6)
    found = design(plant, [batch], [unit.a, unit.k], starts=1)
    (decided,) = found.proposals
    truth = np.exp(-0.5 * decided.times)
    experiment = decided.experiment(pd.DataFrame({unit.y: truth}, index=decided.times))
    fit = estimate(plant, [experiment], [unit.a, unit.k], grid=Grid(4))
    rng, values = np.random.default_rng(5), []
    for _ in range(count):
        data = fit.work.data.copy()
        for samples in fit.work.samples():
            data[samples.data[1]] = samples.measured + deviation * rng.standard_normal(len(samples.times))
        outcome = fit.work.again(data)
        values.append([outcome.w[number.column] for number in fit.numbers])
    errors = np.std(values, axis=0, ddof=1)
    assert errors == pytest.approx(found.standard_errors.to_numpy(), rel=3.0 / np.sqrt(2.0 * count))


def _proposal(**changes):
    return Proposal(**{"recipe": run, "measured": {unit.x: 0.1}, "times": 2} | changes)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: _proposal(times=0), "times is how many samples"),
        (lambda: _proposal(times=[-1.0]), "times is how many samples"),
        (lambda: _proposal(times={unit.y: 3}), "measured name 'u.y' is unknown"),
        (lambda: _proposal(measured={}), "measured is empty"),
        (lambda: _proposal(window=(3.0, 1.0)), "window is"),
        (lambda: _proposal(spacing=-1.0), "spacing is"),
        (lambda: information_of(plant, [_proposal(times=[11.0])], [unit.k]), "11, lies outside the recipe"),
        (lambda: information_of(plant, [_proposal(measured={unit.x: 0.0})], [unit.k]), "standard deviation above 0"),
        (lambda: information_of(plant, [_proposal(measured={"u.z": 1.0})], [unit.k]), "name 'u.z' is unknown"),
        (lambda: information_of(plant, _proposal(), [unit.k]), "proposals is a list"),
        (lambda: information_of(plant, [_proposal()], ["u.q"]), "parameter 'u.q' is unknown"),
        (lambda: design(plant, [_proposal()]), "give free="),
        (lambda: design(plant, [_proposal(times=[1.0])], [unit.k]), "nothing is to be decided"),
        (lambda: design(plant, [_proposal(spacing=20.0)], [unit.k]), "2 samples 20 apart do not fit"),
        (lambda: design(plant, [_proposal(free={unit.k: Free(1.0)})], [unit.k]), "to be estimated and to be decided"),
        (lambda: design(plant, [_proposal()], [unit.k], "D"), "criterion is one of"),
        (lambda: design(plant, [_proposal()], [unit.k], interest=[unit.a]), "shared number 'u.a' is unknown"),
        (lambda: design(plant, [_proposal()], [unit.k], robust=[{unit.k: 99.0}]), "lies outside"),
    ],
)
def test_bad_input_is_named(make, text):
    with pytest.raises(SpecificationError, match=text.replace(".", r"\.").replace("(", r"\(")):
        make()


def test_a_number_that_the_batches_do_not_tell_is_infinite_in_the_table():
    found = design(plant, [_proposal(measured={unit.x: 0.1})], [unit.a, unit.k], starts=1)
    assert found.after == np.inf
    assert found.table.loc["u.a", "as decided"] == np.inf
    assert found.message.startswith("u.a: not determined")
    assert np.isfinite(found.table.loc["u.k", "as decided"])


def test_a_batch_that_does_not_run_is_said():
    class Bursting(Unit):
        """x' = k x^2."""

        time = "h"
        x = State("1", start=1.0)
        k = Parameter("1/h", 1.0)

        def equations(self, v):
            return Equations(rate={"x": v.k * v.x**2})

    bursting = Bursting("b")
    batch = Proposal(Recipe(Phase("run", 3.0)), {bursting.x: 0.1}, times=2)
    with pytest.raises(SolveError):
        design(Flowsheet(bursting), [batch], [bursting.k])
