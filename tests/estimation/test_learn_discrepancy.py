"""The discrepancy of a rate over time: against its truth, against the exact posterior of a linear model; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from titer.estimation import Experiment, discrepancy
from titer.estimation.learning.profile import Prior, Span
from titer.estimation.learning.roughness import Straightened, most_likely, unlikeliness
from titer.flowsheets import (
    Additive,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Multiplicative,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    magnitude,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, SpecificationError

reactor = BatchReactor("reactor")
PLANT = Flowsheet(reactor)
REACT = Recipe(Phase("react", 3600.0))
NOISE = {reactor.c_A: 0.01, reactor.c_B: 0.01, reactor.T: 0.3}


def log_factor(b: Any, c: Any) -> Any:
    """Autocatalysis and fouling."""
    return np.log(0.6 * (1.0 + 2.0 * b) / (1.0 + 8.0 * c))


TRUTH = PLANT.corrected(
    {
        reactor.r_1: lambda v, rate: (
            rate * np.exp(log_factor(magnitude(v.reactor.c_B, "mol/L"), magnitude(v.reactor.c_C, "mol/L")))
        )
    }
)


def batch(plant: Flowsheet, T_j: float, seed: int) -> tuple[Experiment, pd.DataFrame]:
    """A noisy batch, and its true trajectories."""
    inputs = {reactor.T_j: T_j}
    true = simulate(plant, REACT, inputs).frame()
    times, rng = np.linspace(0.0, 3600.0, 13), np.random.default_rng(seed)
    frame = pd.DataFrame(
        {name: np.interp(times, true.index, true[name]) + sd * rng.normal(size=13) for name, sd in NOISE.items()},
        index=times,
    )
    return Experiment(frame, NOISE, REACT, inputs, may_leave=tuple(NOISE)), true


def test_the_band_of_the_discrepancy_covers_the_truth_in_about_95_of_100_places() -> None:
    """Points of a batch are correlated: of about 24 independent ones, 95 % +- 2 * 4.4 % lie in the band."""
    made = [batch(TRUTH, T_j, seed) for seed, T_j in enumerate((318.0, 324.0, 330.0, 334.0, 338.0, 344.0))]
    found = discrepancy(PLANT, [e for e, _ in made], reactor.r_1, form=Multiplicative(0.1, 10.0))
    scores = []
    for (_, true), (_, rows) in zip(made, found.frame.groupby("batch", sort=False), strict=True):
        b, c = (np.interp(rows["time"], true.index, true[name]) for name in (reactor.c_B, reactor.c_C))
        scores.append((rows["discrepancy"] - log_factor(b, c)) / rows["sd"])
    covered = float((np.abs(np.concatenate(scores)) < 1.96).mean())
    assert covered > 0.95 - 2.0 * 0.044
    assert (found.of(reactor.r_1)["sd"] < found.priors[reactor.r_1].amplitude).all()


def test_a_plant_that_is_right_has_no_discrepancy() -> None:
    made = [batch(PLANT, T_j, seed)[0] for seed, T_j in enumerate((324.0, 334.0, 342.0))]
    frame = discrepancy(PLANT, made, reactor.r_1).frame
    assert frame["discrepancy"].abs().max() < 0.03  # a rate known to 3 %
    assert (frame["discrepancy"].abs() < 3.0 * frame["sd"]).all()


# --- the exact answer of a linear model ---------------------------------------------------------------------------


class Line(Unit):
    """x' = r, r = k: what is missing of r is what the data of x say of its slope."""

    time = "h"
    x = State("g", start=0.0)
    k = Parameter("g/h", 1.0)
    r = Expression("g/h")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"x": v.define("r", v.k)})


def test_of_a_linear_model_the_discrepancy_is_the_exact_posterior() -> None:
    """x(t) = t + integral of g, g piecewise linear: a regression with a normal prior, solved by hand."""
    line = Line("line")
    times, sd = np.linspace(0.0, 8.0, 9)[1:], 0.05
    true = times + 1.5 * np.sin(times / 2.0)
    frame = pd.DataFrame({line.x: true + sd * np.random.default_rng(1).normal(size=len(times))}, index=times)
    found = discrepancy(
        Flowsheet(line),
        [Experiment(frame, {line.x: sd}, Recipe(Phase("run", 8.0)))],
        on=line.r,
        form=Additive(-50.0, 50.0),  # wide: the bounds bend nothing
        grid=Grid(64),
    )
    knots = found.frame["time"].to_numpy()
    fine = np.linspace(0.0, 8.0, 8001)
    hats = np.array([np.interp(fine, knots, row) for row in np.eye(len(knots))])
    areas = np.concatenate([np.zeros((len(knots), 1)), np.cumsum(0.5 * (hats[:, 1:] + hats[:, :-1]), axis=1)], axis=1)
    F = areas[:, np.searchsorted(fine, times - 1e-9)].T * (fine[1] - fine[0]) / sd
    prior = Span(0.0, 8.0, len(knots) - 1).root(found.priors[line.r])
    covariance = np.linalg.inv(F.T @ F + np.linalg.inv(prior @ prior.T))
    center = covariance @ F.T @ ((frame[line.x].to_numpy() - times) / sd)
    # what is left: corners rounded over 2 % of a piece, and bounds that bend by 1 % of their distance
    assert np.abs(found.frame["discrepancy"] - center).max() < 0.03 * np.abs(center).max()
    assert np.allclose(found.frame["sd"], np.sqrt(np.diag(covariance)), rtol=0.03)


def test_the_marginal_likelihood_is_that_of_a_normal_vector() -> None:
    rng, span, prior = np.random.default_rng(2), Span(0.0, 2.0, 5), Prior(0.7, 0.9)
    F, y = rng.normal(size=(8, 6)), rng.normal(size=8)
    root = span.root(prior)
    exact = -2.0 * multivariate_normal(cov=np.eye(8) + F @ root @ root.T @ F.T).logpdf(y)
    mine = unlikeliness([Straightened(span, y, {"a.r": F})], {"a.r": prior})
    assert mine == pytest.approx(exact - 8.0 * np.log(2.0 * np.pi), rel=1e-10)


def test_size_and_memory_are_found_from_many_batches() -> None:
    """Profiles drawn from a prior, seen through noise, give the prior back, to the spread of 200 draws."""
    rng, span, prior = np.random.default_rng(3), Span(0.0, 10.0, 12), Prior(0.5, 3.0)
    root = span.root(prior)
    seen = [
        Straightened(span, 20.0 * root @ rng.normal(size=13) + rng.normal(size=13), {"a.r": 20.0 * np.eye(13)})
        for _ in range(200)
    ]
    found = most_likely(seen, {"a.r": Prior(0.2, 5.0)}, {"a.r": 5.0})["a.r"]
    assert found.amplitude == pytest.approx(0.5, rel=0.1)
    assert found.memory == pytest.approx(3.0, rel=0.15)


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(match: str, experiments: Any = None, **how: Any) -> None:
    data = [batch(TRUTH, 330.0, 0)[0]] if experiments is None else experiments
    with pytest.raises(SpecificationError, match=match):
        discrepancy(PLANT, data, **({"on": [reactor.r_1]} | how))


def test_a_rate_of_both_signs_needs_a_summand() -> None:
    refused(r"reactor\.Q_j has both signs.*\n.*Additive", on=[reactor.Q_j])


def test_names_and_forms_that_do_not_fit_are_refused() -> None:
    refused(r"expression 'reactor\.r_7' is unknown.*reactor\.r_[12]", on=["reactor.r_7"])
    refused("form is Multiplicative", form="factor")
    refused(r"form: rate 'reactor\.r_2' is unknown", form={reactor.r_2: Multiplicative()})
    refused("experiments is a list", experiments=batch(TRUTH, 330.0, 0)[0])
    refused("no experiment was given", experiments=[])


def test_a_batch_needs_a_fixed_duration() -> None:
    data, _ = batch(TRUTH, 330.0, 0)
    open_end = Experiment(data.frame, NOISE, Recipe(Phase("react", Free(3600.0, 1800.0, 7200.0))), data.inputs)
    refused("no fixed duration", experiments=[open_end])


def test_data_outside_of_their_domain_are_refused() -> None:
    data, _ = batch(TRUTH, 330.0, 0)
    frame = data.frame.copy()
    frame.loc[frame.index[3], reactor.T] = 500.0
    refused(r"reactor\.T.*500", experiments=[Experiment(frame, NOISE, REACT, data.inputs)])


def test_a_feature_that_is_not_known_is_named_with_its_batch_and_time() -> None:
    other = BatchReactor("other")
    frame = batch(TRUTH, 330.0, 0)[0].frame
    rest = Recipe(Phase("react", 3600.0, idle=[other], inputs={reactor.T_j: 330.0}))
    data = Experiment(frame, NOISE, rest, may_leave=tuple(NOISE))
    with pytest.raises(SpecificationError, match=r"feature other\.r_1 is nan in experiment 1 at t = 0"):
        discrepancy(Flowsheet(reactor, other), [data], reactor.r_1, features=[other.r_1])
