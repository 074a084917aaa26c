"""A learned rate in a plant: fitted from scikit-learn, refined by `estimate`, optimized, at a cost that is measured."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from titer.control import optimize
from titer.estimation import Experiment, estimate
from titer.estimation.regressors import lowered
from titer.flowsheets import (
    AtEnd,
    Correction,
    Domain,
    Flowsheet,
    Free,
    LearnedTerm,
    Multiplicative,
    Phase,
    PiecewiseConstant,
    Recipe,
    magnitude,
    replay,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid

pytest.importorskip("sklearn", reason="scikit-learn is the extra titer[learn]")

from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

reactor = BatchReactor("reactor")
BATCH = Flowsheet(reactor)
FEATURES = [reactor.T, reactor.c_A]
REACT = Recipe(Phase("react", 3600.0))


def log_factor(X: np.ndarray) -> np.ndarray:
    """What the mechanistic rate misses: it is autocatalytic, and hardly slower when hot."""
    return 0.5 * np.tanh(2.0 * (1.0 - X[:, 1])) - 0.2 - 0.004 * (X[:, 0] - 325.0)


def true_rate(v: Any, rate: Any) -> Any:
    """The same on symbols."""
    c_A, T = magnitude(v.reactor.c_A, "mol/L"), magnitude(v.reactor.T, "K")
    return rate * np.exp(0.5 * np.tanh(2.0 * (1.0 - c_A)) - 0.2 - 0.004 * (T - 325.0))


TRUTH = BATCH.corrected({reactor.r_1: true_rate})


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(4).uniform([312.0, 0.02], [345.0, 1.0], size=(count, 2))


def ridge() -> LearnedTerm:
    X = samples(30)
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(1e-6)).fit(X, log_factor(X))
    return LearnedTerm(reactor.r_1, FEATURES, lowered(model), Multiplicative(0.3, 3.0), Domain.of_data(X, limit=4.0))


def process(count: int = 50) -> LearnedTerm:
    X = samples(count)
    kernel = RBF([1.5, 1.5]) + WhiteKernel(1e-5)
    model = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True))
    learned = lowered(model.fit(X, log_factor(X)))
    return LearnedTerm(reactor.r_1, FEATURES, learned, Multiplicative(0.3, 3.0), Domain.of_variance(learned))


def network() -> LearnedTerm:
    X = samples(60)
    model = MLPRegressor(hidden_layer_sizes=(16, 16), activation="tanh", solver="lbfgs", max_iter=400, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopped before it converged: close enough
        fitted = make_pipeline(StandardScaler(), model).fit(X, log_factor(X))
    return LearnedTerm(reactor.r_1, FEATURES, lowered(fitted), Multiplicative(0.3, 3.0), Domain.of_data(X, limit=4.0))


@pytest.mark.parametrize("term", [ridge(), process(), network()], ids=["ridge", "process", "network"])
def test_a_learned_rate_gives_the_truth_back(term: LearnedTerm) -> None:
    inputs = {reactor.T_j: 332.0}
    true, plain, better = (simulate(p, REACT, inputs) for p in (TRUTH, BATCH, BATCH.corrected(Correction(term))))
    missed = [np.abs(run[reactor.c_B] - np.interp(run[reactor.c_B].index, true[reactor.c_B].index, true[reactor.c_B]))
              for run in (plain, better)]  # fmt: skip
    assert missed[1].max() < 0.05 * missed[0].max()


def test_coefficients_of_a_learned_rate_are_estimated_from_batches() -> None:
    """A linear correction of which one coefficient is wrong: two batches give it back."""
    X = samples(30)
    fitted = make_pipeline(StandardScaler(), Ridge(1e-6)).fit(X, 0.02 * (X[:, 0] - 325.0) + 0.3 * X[:, 1])
    term = LearnedTerm(reactor.r_1, FEATURES, lowered(fitted), Multiplicative(0.1, 10.0))
    true = BATCH.corrected(Correction(term))
    name = true.unit("reactor").correction.r_1[5]
    slope = true.values[name]
    experiments = []
    for T_j in (325.0, 338.0):
        run = simulate(true, REACT, {reactor.T_j: T_j}, tolerance=1e-11)
        frame = run.frame()[[reactor.c_A, reactor.c_B]].iloc[::20]
        experiments.append(Experiment(frame, noise=dict.fromkeys(frame, 0.01), recipe=REACT, inputs={reactor.T_j: T_j}))
    wrong = true.with_values({name: 0.2 * slope})
    fits = [estimate(wrong, experiments, {name: Free(0.2 * slope, -1.0, 1.0)}, grid=Grid(n)) for n in (40, 80)]
    errors = [abs(fit.values[name] / slope - 1.0) for fit in fits]
    assert errors[0] < 1e-4
    assert errors[1] < errors[0] / 8.0  # what is left is the error of collocation


def test_all_coefficients_are_refined_in_one_fit() -> None:
    """A polynomial of half the right size, refined on four noisy batches, predicts a fifth one."""
    rng, experiments = np.random.default_rng(0), []
    for T_j in (318.0, 326.0, 334.0, 342.0):
        frame = simulate(TRUTH, REACT, {reactor.T_j: T_j}).frame()[[reactor.c_A, reactor.c_B]].iloc[::10]
        noisy = frame + 0.003 * rng.normal(size=frame.shape)
        experiments.append(Experiment(noisy, dict.fromkeys(noisy, 0.003), recipe=REACT, inputs={reactor.T_j: T_j}))
    X = samples(30)
    fitted = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(30.0)).fit(X, 0.5 * log_factor(X))
    term = LearnedTerm(reactor.r_1, FEATURES, lowered(fitted), Multiplicative(0.3, 3.0), Domain.of_data(X, limit=4.0))
    rough = BATCH.corrected(Correction(term))
    names = list(rough.unit("reactor").correction.r_1)[5:]  # behind the scaler and the weight of a constant
    fit = estimate(rough, experiments, free=names, grid=Grid(30))
    true, *others = (
        simulate(plant, REACT, {reactor.T_j: 330.0}).at_end(reactor.c_B)
        for plant in (TRUTH, BATCH, rough, rough.with_values(fit.values))
    )
    missed = [abs(end - true) for end in others]
    assert missed[2] < 0.05 * missed[1] < 0.05 * missed[0]


def test_a_process_in_a_plan_is_solved_and_certified() -> None:
    """The corrected plan is nearly as good on the true plant as that of the true plant itself."""
    how: dict[str, Any] = {
        "free": {reactor.T_j: PiecewiseConstant(6)},
        "maximize": AtEnd(lambda v: v.reactor.c_B),
        "grid": Grid(48),
    }
    correction = Correction(process(25))
    plans = [optimize(plant, REACT, **how) for plant in (TRUTH, BATCH, BATCH.corrected(correction))]
    assert all(plan.status.ok for plan in plans)
    assert all(plan.certificate.ok for plan in plans)
    reached = [replay(plan, TRUTH).at_end(reactor.c_B) for plan in plans]
    assert reached[0] - reached[2] < 0.1 * (reached[0] - reached[1])
