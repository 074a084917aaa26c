"""Is the covariance that of statistics, of curved models too? Closed forms, differences, how often intervals hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as t_distribution

from titer.estimation import Cauchy, Estimated, Experiment, estimate
from titer.estimation.resampled.refit import Refit
from titer.estimation.statistics import covariance as module
from titer.flowsheets import Equations, Expression, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt

TIGHT = Ipopt(tolerance=1e-12)
FINE = Grid(12, degree=5)


class Two(Unit):
    """x' = a, z' = b with x + z measured too: linear in a, b and both starts."""

    time = "h"
    x = State("1", start=0.0, nominal=10.0)
    z = State("1", start=0.0, nominal=10.0)
    a = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)
    both = Expression("1")

    def equations(self, v):
        v.define("both", v.x + v.z)
        return Equations(rate={"x": v.a, "z": v.b})


class Chain(Unit):
    """A -> B -> C, first order: y_B = k_1 / (k_2 - k_1) (exp(-k_1 t) - exp(-k_2 t))."""

    time = "h"
    y_A = State("1", start=1.0, lower=-1.0)
    y_B = State("1", start=0.0, lower=-1.0)
    k_1 = Parameter("1/h", 2.0, lower=0.0, upper=50.0)
    k_2 = Parameter("1/h", 1.0, lower=0.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"y_A": -v.k_1 * v.y_A, "y_B": v.k_1 * v.y_A - v.k_2 * v.y_B})


chain = Chain("chain")
TIMES = np.linspace(0.1, 2.0, 12)
NOISE = 0.02


def solved(k):
    """y_A and y_B, (times, 2)."""
    k_1, k_2 = k
    first, second = np.exp(-k_1 * TIMES), np.exp(-k_2 * TIMES)
    return np.column_stack([first, k_1 / (k_2 - k_1) * (first - second)])


def fitted(seed=3, log=False, grid=FINE):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        solved((2.2, 0.8)) + NOISE * rng.standard_normal((12, 2)), index=TIMES, columns=[chain.y_A, chain.y_B]
    )
    experiment = Experiment(frame, {chain.y_A: NOISE, chain.y_B: NOISE}, Recipe(Phase("run", 2.0)))
    free = {chain.k_1: Free(2.0, 0.1, 20.0, log=log), chain.k_2: Free(1.0, 0.1, 20.0, log=log)}
    return estimate(Flowsheet(chain, time="h"), [experiment], free, grid, TIGHT, starts=1), frame.to_numpy()


def bend(function, at, step):
    """Second derivatives by central differences of fourth order."""
    k = len(at)
    found = np.zeros((k, k))
    weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    for i in range(k):
        for j in range(k):
            for p, u in weights.items():
                for q, v in weights.items():
                    moved = np.array(at, dtype=float)
                    moved[i] += p * step[i]
                    moved[j] += q * step[j]
                    found[i, j] += u * v * function(moved) / step[i] / step[j]
    return found


def test_several_experiments_names_deviations_starts_and_a_prior_are_the_closed_form():
    unit = Two("two")
    rng = np.random.default_rng(7)
    columns = [unit.x, unit.z, unit.both]
    deviations = [0.3, 0.1, 0.7]
    times = [np.array([1.0, 2.5, 4.0]), np.array([0.5, 3.0, 6.0, 8.0])]
    experiments = [
        Experiment(
            pd.DataFrame(rng.normal(size=(len(t), 3)) + t[:, None], index=t, columns=columns),
            dict(zip(columns, deviations, strict=True)),
            Recipe(Phase("run", 8.0)),
        )
        for t in times
    ]
    free = {
        unit.a: Free(1.0, -50.0, 50.0, prior=(0.9, 0.05)),
        unit.b: Free(1.0, -50.0, 50.0),
        unit.x: Free(0.0, -50.0, 50.0),
        unit.z: Free(0.0, -50.0, 50.0),
    }
    fit = estimate(Flowsheet(unit, time="h"), experiments, free, Grid(4), TIGHT)
    labels = [unit.a, unit.b] + [f"{s}, experiment {r}" for r in (1, 2) for s in (unit.x, unit.z)]
    rows = []
    for r, t in enumerate(times):
        start = np.zeros((len(t), 4))
        start[:, 2 * r] = 1.0
        zero, z_start = np.zeros_like(t), np.roll(start, 1, axis=1)
        x, z = np.column_stack([t, zero, start]), np.column_stack([zero, t, z_start])
        rows += [x / 0.3, z / 0.1, (x + z) / 0.7]
    design = np.concatenate(rows)
    expected = np.linalg.inv(design.T @ design + np.diag([1 / 0.05**2, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(fit.covariance.loc[labels, labels].to_numpy(), expected, rtol=1e-8, atol=1e-12)


def test_of_a_curved_model_it_is_that_of_differences_of_the_solution():
    fit, measured = fitted()
    values = np.array([fit.values[chain.k_1], fit.values[chain.k_2]])
    exact = bend(lambda k: ((solved(k) - measured) ** 2).sum() / NOISE**2, values, 2e-3 * values)
    np.testing.assert_allclose(fit.covariance.to_numpy(), 2.0 * np.linalg.inv(exact), rtol=1e-4)
    assert fit.information.by == "exact second derivatives"
    slopes = [(solved(values + d) - solved(values - d)) / 2e-6 / NOISE for d in 1e-6 * np.eye(2)]
    jacobian = np.column_stack([s.T.ravel() for s in slopes])
    np.testing.assert_allclose(fit.information.jacobian, jacobian, rtol=1e-4, atol=1e-4)


def test_a_logarithm_that_is_decided_changes_neither_values_nor_covariance():
    plain, logarithmic = fitted()[0], fitted(log=True)[0]
    assert logarithmic.values == pytest.approx(plain.values, rel=1e-7)
    np.testing.assert_allclose(logarithmic.covariance, plain.covariance, rtol=1e-6)


def test_of_the_flagship_it_is_that_of_differences_of_the_collocated_objective():
    """Parameters over thirteen decades, held at values around the fit and all else solved again: no derivatives."""
    reactor = BatchReactor("reactor")
    plant, recipe = Flowsheet(reactor, time="s"), Recipe(Phase("react", 1800.0))
    frame = pd.DataFrame({reactor.c_B: [0.08, 0.22, 0.45, 0.58]}, index=[300.0, 600.0, 1200.0, 1800.0])
    frame[reactor.c_C] = [0.004, 0.012, 0.04, 0.085]
    experiment = Experiment(frame, {reactor.c_B: 0.01, reactor.c_C: 0.004}, recipe, {reactor.T_j: 345.0})
    free = {reactor.k0_1: Free(2e9, 1e8, 1e11), reactor.k0_2: Free(1e10, 1e8, 1e12)}
    fit = estimate(plant, [experiment], free, Grid(16), TIGHT, starts=1)
    numbers = fit.numbers
    values = np.array([n.value for n in numbers])

    def objective(at):
        outcome = fit.work.again(held={n.column: value for n, value in zip(numbers, at, strict=True)})
        assert outcome.status.ok
        return outcome.objective

    exact = bend(objective, values, 5e-3 * values)
    np.testing.assert_allclose(fit.covariance.to_numpy(), 2.0 * np.linalg.inv(exact), rtol=1e-4)


def test_a_number_that_its_bound_holds_is_no_longer_free():
    """The covariance of the other is that of a fit without the held one."""
    _, measured = fitted()
    frame = pd.DataFrame(measured, index=TIMES, columns=[chain.y_A, chain.y_B])
    experiment = Experiment(frame, {chain.y_A: NOISE, chain.y_B: NOISE}, Recipe(Phase("run", 2.0)))
    free = {chain.k_1: Free(2.0, 0.1, 20.0), chain.k_2: Free(0.6, 0.1, 0.7)}
    plant = Flowsheet(chain, time="h")
    bounded = estimate(plant, [experiment], free, FINE, TIGHT, starts=1)
    alone = estimate(plant.with_values({chain.k_2: 0.7}), [experiment], {chain.k_1: free[chain.k_1]}, FINE, TIGHT)
    assert bounded.table().loc[chain.k_2, "note"] == "held by its upper bound"
    assert bounded.covariance.loc[chain.k_1, chain.k_1] == pytest.approx(
        alone.covariance.loc[chain.k_1, chain.k_1], rel=1e-6
    )
    assert bounded.covariance.loc[chain.k_2, chain.k_2] == 0.0


@pytest.mark.slow
def test_intervals_of_95_percent_hold_the_truth_in_92_to_98_percent_of_200_data_sets():
    truth = np.array([2.2, 0.8])
    fit, measured = fitted(grid=Grid(12))
    work, rng = fit.work, np.random.default_rng(2026)
    places = np.stack([s.data[1] for s in work.samples()])
    covered = np.zeros(2)
    for _ in range(200):
        data = work.data.copy()
        data[places] = (solved(truth) + NOISE * rng.standard_normal(measured.shape)).T
        outcome = work.again(data)
        assert outcome.status.ok
        again = type(fit)(fit.plant, fit.experiments, fit.free, None, work.with_solve(outcome, data))
        interval = again.interval(0.95).loc[[chain.k_1, chain.k_2]].to_numpy()
        covered += (interval[:, 0] <= truth) & (truth <= interval[:, 1])
    share = covered / 200
    assert (share >= 0.92).all()
    assert (share <= 0.98).all()


def test_an_estimated_deviation_with_priors_counts_only_what_they_do_not_know():
    """Against a line solved by hand: deviation^2 = squares / (n - trace of the hat matrix), t of as many degrees."""
    unit, t = Two("two"), np.array([1.0, 3.0])
    rng = np.random.default_rng(4)
    measured = [2.0 * t + rng.normal(scale=0.3, size=2) for _ in range(4)]
    data = [
        Experiment(pd.DataFrame({unit.x: y}, index=t), {unit.x: Estimated()}, Recipe(Phase("run", 3.0)))
        for y in measured
    ]
    free = {unit.a: Free(2.0, -50.0, 50.0, prior=(2.0, 0.05)), unit.x: Free(0.0, -50.0, 50.0, prior=(0.0, 0.1))}
    fit = estimate(Flowsheet(unit, time="h"), data, free, Grid(3), TIGHT, starts=1)
    design = np.column_stack([np.tile(t, 4), np.kron(np.eye(4), np.ones((2, 1)))])
    y, known, mean = np.concatenate(measured), np.diag([0.05**-2] + 4 * [0.1**-2]), np.array([2.0] + 4 * [0.0])
    variance = 0.1
    for _ in range(300):
        covariance = np.linalg.inv(design.T @ design / variance + known)
        values = covariance @ (design.T @ y / variance + known @ mean)
        freedom = 8 - np.trace(covariance @ design.T @ design) / variance
        variance = ((y - design @ values) ** 2).sum() / freedom
    assert fit.residuals["deviation"].iloc[0] == pytest.approx(np.sqrt(variance), rel=1e-4)
    assert fit.standard_errors.iloc[0] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-3)
    assert fit.quantile(0.95) == pytest.approx(t_distribution.ppf(0.975, freedom), rel=1e-3)
    refit = Refit.of(fit)
    assert refit.repeated().w[refit.columns] == pytest.approx([n.value for n in fit.numbers], rel=1e-3, abs=1e-4)


def test_without_exact_second_derivatives_a_robust_loss_has_its_weights_in_both_parts(monkeypatch):
    monkeypatch.setattr(module, "_definite", lambda matrix: False)
    unit, t = Two("two"), np.arange(1.0, 7.0)
    y = 2.0 * t + np.array([0.1, -0.3, 0.2, 4.0, -0.2, 0.3])
    data = Experiment(pd.DataFrame({unit.x: y}, index=t), {unit.x: 0.3}, Recipe(Phase("run", 6.0)))
    fit = estimate(Flowsheet(unit, time="h"), [data], [unit.a], Grid(3), TIGHT, loss=Cauchy(2.0), starts=1)
    residuals = (fit.values[unit.a] * t - y) / 0.3
    weights, slopes = 1.0 / (1.0 + residuals**2 / 4.0), t / 0.3
    expected = (weights**2 * residuals**2 * slopes**2).sum() / (weights * slopes**2).sum() ** 2
    assert fit.covariance.iloc[0, 0] == pytest.approx(expected, rel=1e-6)
