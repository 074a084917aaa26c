"""Corrections learned from batches: how they predict batches not seen, how they are chosen, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Experiment, Learned, discrepancy, learn
from titer.estimation.learning.learn import data_hash
from titer.estimation.learning.regression import Candidate, called, candidates_of, fitted, regressed
from titer.flowsheets import Correction, Flowsheet, Multiplicative, Phase, Recipe, magnitude, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import SpecificationError

pytest.importorskip("sklearn", reason="scikit-learn is the extra titer[learn]")

from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

reactor = BatchReactor("reactor")
PLANT = Flowsheet(reactor)
REACT = Recipe(Phase("react", 3600.0))
NOISE = {reactor.c_A: 0.01, reactor.c_B: 0.01, reactor.T: 0.3}
FEATURES = [reactor.T, reactor.c_A, reactor.c_B]
FORM = Multiplicative(0.1, 10.0)


def factor(b: Any, c: Any) -> Any:
    """Autocatalysis and fouling."""
    return 0.6 * (1.0 + 2.0 * b) / (1.0 + 8.0 * c)


TRUTH = PLANT.corrected(
    {reactor.r_1: lambda v, rate: rate * factor(magnitude(v.reactor.c_B, "mol/L"), magnitude(v.reactor.c_C, "mol/L"))}
)


def polynomial(alpha: float = 0.1, degree: int = 2) -> Any:
    return make_pipeline(StandardScaler(), PolynomialFeatures(degree, include_bias=False), Ridge(alpha))


def batch(T_j: float, seed: int) -> Experiment:
    inputs = {reactor.T_j: T_j}
    true = simulate(TRUTH, REACT, inputs).frame()
    times, rng = np.linspace(0.0, 3600.0, 13), np.random.default_rng(seed)
    frame = pd.DataFrame(
        {name: np.interp(times, true.index, true[name]) + sd * rng.normal(size=13) for name, sd in NOISE.items()},
        index=times,
    )
    return Experiment(frame, NOISE, REACT, inputs, may_leave=tuple(NOISE))


BATCHES = [batch(T_j, seed) for seed, T_j in enumerate((318.0, 324.0, 330.0, 334.0, 338.0, 344.0))]


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn(PLANT, BATCHES, on=[reactor.r_1], features=FEATURES, model=[polynomial(1e3), polynomial()], form=FORM)


# --- what it is good for ------------------------------------------------------------------------------------------


def missed(plant: Flowsheet, T_j: float) -> float:
    """The largest distance of c_B from the truth, in a batch that was not learned from."""
    true, run = (simulate(p, REACT, {reactor.T_j: T_j})[reactor.c_B] for p in (TRUTH, plant))
    return float(np.abs(np.interp(true.index, run.index, run) - true).max())


def test_batches_not_seen_are_predicted_with_at_most_a_third_of_the_error(learned: Learned) -> None:
    better = PLANT.corrected(learned)
    for T_j in (321.0, 328.0, 336.0, 341.0):
        assert missed(better, T_j) < missed(PLANT, T_j) / 3.0
    assert learned.ratio < 1.0 / 3.0  # of batches left out, noise and all


def test_moles_of_a_corrected_plant_close(learned: Learned) -> None:
    run = simulate(PLANT.corrected(learned), REACT, {reactor.T_j: 336.0}).frame()
    total = run[reactor.c_A] + run[reactor.c_B] + run[reactor.c_C]
    assert np.abs(total - 1.0).max() < 1e-9


def test_the_candidate_that_predicts_batches_best_is_taken(learned: Learned) -> None:
    summary = learned.validation.summary()
    assert learned.model == summary.index[0] == "PolynomialFeatures + Ridge, 2"
    assert summary["outputs"].is_monotonic_increasing
    assert set(summary.index) == {"PolynomialFeatures + Ridge, 1", "PolynomialFeatures + Ridge, 2"}
    assert list(learned.table().index) == [f"experiment {k}" for k in range(1, 7)]
    assert learned.validation.by_rate(learned.model).loc[reactor.r_1, "ratio"] < 0.5
    assert summary.loc[learned.model, "rates in sd"] < 2.0


def test_what_was_learned_is_saved_with_its_card(learned: Learned, tmp_path: Any) -> None:
    learned.save(tmp_path / "card")
    again = Correction.load(tmp_path / "card")
    X = learned.discrepancy.frame[FEATURES].to_numpy()
    assert np.array_equal(again.terms[0].at(X).value, learned.terms[0].at(X).value)
    assert again.about["data hash"] == data_hash(BATCHES) != data_hash(BATCHES[:5])
    assert again.about["batches"] == 6
    assert again.about["held-out error, corrected by mechanistic"] == learned.ratio


def test_the_points_of_batches_left_out_lie_mostly_in_the_domain(learned: Learned) -> None:
    distance = learned.terms[0].at(learned.discrepancy.frame[FEATURES].to_numpy()).distance
    assert distance.max() <= 1.0 + 1e-12  # all that was learned from
    far = learned.terms[0].at(np.array([[365.0, 0.5, 0.3]])).distance[0]
    assert far > 1.5


def test_a_picture_has_a_panel_for_each_batch_and_one_of_parity(learned: Learned) -> None:
    axes = learned.plot().axes
    assert len(axes) == 7
    assert "reactor.r_1" in axes[0].get_ylabel()
    assert axes[-1].get_ylabel() == "predicted without that batch"


def test_refining_mends_a_regression_that_was_too_stiff() -> None:
    """Weights shrunk by a ridge of 300 are estimated again from the batches: those left out are predicted better."""
    stiff = learn(
        PLANT, BATCHES[1:5], reactor.r_1, FEATURES, polynomial(300.0), FORM, splitter=GroupKFold(2), refine=True
    )
    errors = stiff.validation.summary()["outputs"]
    assert stiff.model == "PolynomialFeatures + Ridge, refined"
    assert errors[stiff.model] < errors["PolynomialFeatures + Ridge"]
    rough = regressed(PLANT, stiff.discrepancy, Candidate("rough", polynomial(300.0))).correction
    assert missed(PLANT.corrected(stiff), 328.0) < missed(PLANT.corrected(rough), 328.0)


def test_without_a_model_few_data_give_a_polynomial_and_many_a_process() -> None:
    assert candidates_of(None, 30, 3)[0].name.startswith("Ridge")
    process = candidates_of(None, 90, 3)[0]
    assert (process.name, process.points) == ("Gaussian process (default)", 60)


# --- weights ------------------------------------------------------------------------------------------------------


RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X @ [1.0, -2.0] + 0.1 * RNG.normal(size=40)
VARIANCE = RNG.uniform(0.1, 4.0, size=40)


def test_variances_become_weights_inside_a_pipeline() -> None:
    model, how = fitted(make_pipeline(PolynomialFeatures(1), Ridge(0.5)), X, Y, VARIANCE)
    weights = 1.0 / VARIANCE / np.mean(1.0 / VARIANCE)
    expected = Ridge(0.5).fit(PolynomialFeatures(1).fit_transform(X), Y, sample_weight=weights)
    assert how == "weights"
    assert np.allclose(model.predict(X), expected.predict(np.column_stack([np.ones(40), X])), rtol=1e-12)


def test_variances_are_the_noise_of_each_point_of_a_process() -> None:
    for normalizes in (False, True):
        process = GaussianProcessRegressor(optimizer=None, normalize_y=normalizes)
        model, how = fitted(make_pipeline(StandardScaler(), process), X, Y, VARIANCE)
        scale = np.var(Y) if normalizes else 1.0
        assert how == "noise of each point"
        assert np.allclose(model[-1].alpha, VARIANCE / scale)


def test_an_estimator_without_weights_says_so() -> None:
    assert fitted(PLSRegression(1), X, Y, VARIANCE)[1] == "not weighted"


def test_names_of_candidates_are_those_of_their_steps() -> None:
    assert called(polynomial()) == "PolynomialFeatures + Ridge"
    assert called(Ridge()) == "Ridge"


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(match: str, **how: Any) -> None:
    given: dict[str, Any] = {"experiments": BATCHES[:2], "on": reactor.r_1, "features": FEATURES, "model": Ridge()}
    with pytest.raises(SpecificationError, match=match):
        learn(PLANT, **(given | how))


def test_features_are_asked_for_with_a_proposal() -> None:
    refused(r"features names what reactor\.r_1.*None.*\n.*reactor\.c_A, reactor\.c_B", features=None)


def test_features_that_are_not_there_or_depend_on_the_rate_are_refused() -> None:
    refused(r"feature 'reactor\.X' is unknown", features=["reactor.X"])
    refused(r"feature reactor\.Q_r depends on what is corrected", features=[reactor.Q_r])
    refused("cannot be its own feature", features=[reactor.r_1])


def test_too_few_batches_for_the_splitter_are_refused() -> None:
    refused("GroupKFold cannot split 2 batches", splitter=GroupKFold(3))
    refused("LeaveOneGroupOut cannot split 1 batch:", experiments=BATCHES[:1])
    refused("splitter is one of scikit-learn's", splitter=5)


def test_a_regressor_without_derivatives_is_named_with_what_would_do() -> None:
    refused("RandomForestRegressor predicts in steps.*\n.*GaussianProcessRegressor", model=RandomForestRegressor())
    refused("RandomForest", model=[Ridge(), make_pipeline(StandardScaler(), RandomForestRegressor())])
    refused("model is a scikit-learn regressor such as Ridge", model=Ridge)
    refused("empty list", model=[])


def test_a_regressor_that_does_not_fit_the_features_is_refused_before_any_work() -> None:
    refused("PLSRegression cannot be fitted to 3 features", model=PLSRegression(7))


def test_a_choice_by_points_of_one_batch_is_refused() -> None:
    refused("RidgeCV chooses by points", model=make_pipeline(StandardScaler(), RidgeCV()))
    refused("GridSearchCV chooses by points", model=GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}))


def test_two_rates_are_learned_at_once() -> None:
    """Both rates are off; each is found, within four of its standard deviations."""
    slower = {reactor.r_1: 0.7, reactor.r_2: 1.5}
    truth = PLANT.corrected({on: lambda v, rate, by=by: by * rate for on, by in slower.items()})
    noise = {reactor.c_A: 0.01, reactor.c_B: 0.01, reactor.c_C: 0.005}
    made = []
    for T_j in (326.0, 336.0):
        frame = simulate(truth, REACT, {reactor.T_j: T_j}).frame()[list(noise)].iloc[::15]
        made.append(Experiment(frame, noise, REACT, {reactor.T_j: T_j}, may_leave=tuple(noise)))
    found = discrepancy(PLANT, made, list(slower))
    for on, by in slower.items():
        rows = found.of(on)
        assert (np.abs(rows["discrepancy"] - np.log(by)) < 4.0 * rows["sd"]).all()
        sure = rows[rows["known"] > 0.9]
        assert np.abs(sure["discrepancy"] - np.log(by)).max() < 0.15
