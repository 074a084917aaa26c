"""Do cross-validation and grid search work on whole batches, and does a plant predict what it should?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Estimated, Experiment, Huber, PlantRegressor, estimate, predicted, prediction_errors
from titer.flowsheets import Equations, Expression, Flowsheet, Free, Parameter, Phase, Reaches, Recipe, State, Unit
from titer.numerics import Grid, SpecificationError

times = np.array([0.5, 1.0, 2.0, 4.0])


class Decay(Unit):
    """c' = -k c, with its rate to be measured."""

    time = "h"
    c = State("g/L", start=1.0)
    k = Parameter("1/h", 0.5, lower=0.0, upper=5.0)
    n = Parameter("1", 1.0, lower=0.5, upper=2.0)
    rate = Expression("g/L/h")

    def equations(self, v):
        v.define("rate", v.k * v.n * v.c)
        return Equations(rate={"c": -v.k * v.n * v.c})


unit = Decay("tank")
plant = Flowsheet(unit, time="h")
recipe = Recipe(Phase("run", 4.0))


def batch(seed, start=1.0, noise=0.02):
    values = start * np.exp(-0.7 * times) + 0.02 * np.random.default_rng(seed).normal(size=4)
    return Experiment(pd.DataFrame({unit.c: values}, index=times), {unit.c: noise}, recipe, start={unit.c: start})


batches = [batch(seed, start) for seed, start in enumerate((1.0, 2.0, 0.5, 1.5))]


def regressor(**more):
    return PlantRegressor(plant, **{"free": [unit.k], "grid": Grid(8), **more})


def test_a_prediction_is_the_exact_solution_at_the_samples():
    frame = pd.DataFrame({unit.c: [0.0, 1.0, np.nan], unit.rate: [np.nan, 1.0, 1.0]}, index=[0.0, 1.3, 3.7])
    data = Experiment(frame, {unit.c: 1.0, unit.rate: 1.0}, recipe, start={unit.c: 3.0})
    found = predicted(plant, data, tolerance=1e-10)
    exact = 3.0 * np.exp(-0.5 * np.array([0.0, 1.3, 3.7]))
    np.testing.assert_allclose(found[unit.c], [*exact[:2], np.nan], rtol=1e-8)
    np.testing.assert_allclose(found[unit.rate], [np.nan, *0.5 * exact[1:]], rtol=1e-8)


def test_a_prediction_goes_through_phases_and_a_sample_at_a_boundary_is_of_the_earlier():
    run = Recipe(Phase("a", 1.0), Phase("b", 2.0, start={unit.c: 10.0}))
    data = Experiment(pd.DataFrame({unit.c: [1.0, 1.0]}, index=[1.0, 2.0]), {unit.c: 1.0}, run)
    np.testing.assert_allclose(predicted(plant, data)[unit.c], [np.exp(-0.5), 10.0 * np.exp(-0.5)], rtol=1e-6)


def test_a_prediction_agrees_with_the_fit():
    fit = estimate(plant, batches, [unit.k], Grid(20))
    errors = prediction_errors(plant.with_values(fit.values), batches)
    for r, own in fit.residuals.groupby("experiment"):
        rms = np.sqrt(((own["predicted"] - own["measured"]) ** 2).mean())
        assert errors.loc[r - 1, "rms"] == pytest.approx(rms, rel=1e-5)


def test_a_prediction_where_time_is_free_is_refused():
    run = Recipe(Phase("run", Free(4.0, 1.0, 9.0), until=Reaches(unit.c, 0.5, "falling")))
    data = Experiment(pd.DataFrame({unit.c: [1.0]}, index=[1.0]), {unit.c: 1.0}, run)
    with pytest.raises(SpecificationError, match="samples need fixed durations"):
        predicted(plant, data)


def test_fit_predict_and_score():
    model = regressor().fit(batches)
    assert model.plant_.values[unit.k] == pytest.approx(estimate(plant, batches, [unit.k], Grid(8)).values[unit.k])
    assert [list(frame.index) for frame in model.predict(batches[:2])] == [list(times)] * 2
    measured = np.concatenate([b.frame[unit.c] for b in batches])
    model_says = np.concatenate([frame[unit.c] for frame in model.predict(batches)])
    score = 1.0 - ((model_says - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    assert model.score(batches) == pytest.approx(score, rel=1e-9)


def test_estimated_noise_weighs_a_score_as_the_fit_does():
    data = [batch(seed, noise=Estimated()) for seed in range(3)]
    assert regressor().fit(data).score(data) == pytest.approx(regressor().fit(data).fit(data).score(data))
    assert 0.9 < regressor().fit(data).score(data[:1]) < 1.0


def test_what_a_batch_has_for_itself_is_predicted_at_its_guess():
    free = {unit.k: Free(0.5, 0.0, 5.0), unit.n: Free(1.25, 0.5, 2.0, each=True, prior=(1.0, 0.01))}
    model = regressor(free=free).fit(batches)
    assert model.plant_.values[unit.n] == 1.0


def test_arguments_are_read_and_changed():
    model = regressor(loss=Huber(2.0))
    assert model.get_params()["loss"] == Huber(2.0)
    assert model.set_params(loss=None) is model
    assert model.loss is None
    assert repr(model) == "PlantRegressor(tank.k)"
    with pytest.raises(SpecificationError, match=r"parameter 'lost' is unknown\. Did you mean 'loss'"):
        model.set_params(lost=1)


def test_bad_samples_are_refused():
    with pytest.raises(SpecificationError, match="predict needs a fit"):
        regressor().predict(batches)
    with pytest.raises(SpecificationError, match=r"fit: X is a list of Experiment\(...\), got DataFrame"):
        regressor().fit(batches[0].frame)
    with pytest.raises(SpecificationError, match="one of them is float"):
        regressor().fit([batches[0], 1.0])


def test_cross_validation_holds_back_whole_batches():
    selection = pytest.importorskip("sklearn.model_selection")
    scores = selection.cross_val_score(regressor(), batches, cv=selection.LeaveOneOut())
    for r, score in enumerate(scores):
        rest = [b for k, b in enumerate(batches) if k != r]
        assert score == pytest.approx(regressor().fit(rest).score([batches[r]]), rel=1e-9)


def test_grid_search_chooses_what_predicts_and_refits():
    """The true k is .7, the declared one .5: freeing n instead of nothing useful is what predicts."""
    selection = pytest.importorskip("sklearn.model_selection")
    tight = {unit.k: Free(0.5, 0.49, 0.51)}
    search = selection.GridSearchCV(regressor(), {"free": [tight, [unit.k]], "loss": [None, Huber(2.0)]}, cv=2)
    search.fit(np.array(batches, dtype=object))
    assert search.best_params_["free"] == [unit.k]
    assert search.best_estimator_.plant_.values[unit.k] == pytest.approx(0.7, abs=0.05)
    assert search.score(batches) > 0.99


def test_a_clone_shares_the_plant_and_forgets_the_fit():
    base = pytest.importorskip("sklearn.base")
    model = regressor().fit(batches[:2])
    copy = base.clone(model)
    assert copy.plant is model.plant
    assert not copy.__sklearn_is_fitted__()
    assert base.is_regressor(copy)
