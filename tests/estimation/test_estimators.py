"""Estimators against what linear theory says exactly, and against each other where nothing is linear."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from titer.estimation import (
    Bias,
    Drift,
    ExtendedKalman,
    MovingHorizon,
    Sample,
    Smoothing,
    UnscentedKalman,
)
from titer.flowsheets import Control, Equations, Expression, Flowsheet, Parameter, Phase, Recipe, State, Unit, simulate
from titer.flowsheets.units import BatchReactor

EVERY, SAMPLES = 0.5, 12
NOISE = np.array([0.05, 0.1])
RATES = np.array([[-0.8, 0.5], [0.0, -0.3]])


class Tanks(Unit):
    """Two levels, linear: x' = A x + (u, k), y = 2 x_1 + x_2."""

    time = "h"
    x_1 = State("1", start=1.0)
    x_2 = State("1", start=-0.5)
    u = Control("1/h", start=0.3)
    k = Parameter("1/h", 0.4)
    a = Parameter("1/h", RATES[0, 0])
    b = Parameter("1/h", RATES[0, 1])
    c = Parameter("1/h", RATES[1, 1])
    y = Expression("1")

    def equations(self, v):
        v.define("y", 2.0 * v.x_1 + v.x_2)
        return Equations(rate={"x_1": v.a * v.x_1 + v.b * v.x_2 + v.u, "x_2": v.c * v.x_2 + v.k})


tanks = Tanks("tanks")
plant = Flowsheet(tanks)
recipe = Recipe(Phase("run", EVERY * SAMPLES))
SETTINGS = {
    "noise": {tanks.x_1: NOISE[0], tanks.y: NOISE[1]},
    "start": {tanks.x_1: 0.7, tanks.x_2: 0.4},
    "process": {tanks.x_1: 0.1, tanks.x_2: 0.2},
    "disturbances": {tanks.k: Drift(0.05, start=0.3), tanks.y: Bias(0.02, start=0.2)},
    "robust": None,
}
# entries: x_1, x_2, k, bias(y)
SYSTEM = np.zeros((4, 4))
SYSTEM[:2, :2], SYSTEM[1, 2] = RATES, 1.0
READ = np.array([[1.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.0, 1.0]])
SPREAD = np.array([0.1, 0.2, 0.05, 0.02])


def van_loan(length):
    """Transition, covariance of the noise, and response to a constant input: C. Van Loan, IEEE TAC 23 (1978) 395."""
    n = len(SYSTEM)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[:n, n:], block[n:, n:] = -SYSTEM, np.diag(SPREAD**2), SYSTEM.T
    exponential = expm(block * length)
    transition = exponential[n:, n:].T
    wide = np.zeros((n + 1, n + 1))
    wide[:n, :n], wide[0, n] = SYSTEM, 1.0
    return transition, transition @ exponential[:n, n:], expm(wide * length)[:n, n]


def kalman(times, inputs, values):
    """The Kalman filter of the textbooks, with covariances: means and covariances after each sample."""
    mean, covariance = np.array([1.0, -0.5, 0.4, 0.0]), np.diag([0.7, 0.4, 0.3, 0.2]) ** 2
    found = []
    for k, value in enumerate(values):
        if k:
            transition, added, response = van_loan(times[k] - times[k - 1])
            mean = transition @ mean + response * inputs[k - 1]
            covariance = transition @ covariance @ transition.T + added
        there = np.isfinite(value)
        read, noise = READ[there], np.diag(NOISE[there] ** 2)
        gain = covariance @ read.T @ np.linalg.inv(read @ covariance @ read.T + noise)
        mean = mean + gain @ (value[there] - read @ mean)
        covariance = covariance - gain @ read @ covariance
        found.append((mean, covariance))
    return found


def data(seed=1, missing=True):
    """Times, inputs and values of two sensors, of which one speaks at every third sample only."""
    rng = np.random.default_rng(seed)
    times = EVERY * np.arange(SAMPLES + 1)
    values = np.array([1.0, 2.0]) + rng.normal(size=(len(times), 2))
    if missing:
        values[np.arange(len(times)) % 3 != 0, 1] = np.nan
        values[7] = np.nan
    return times, rng.normal(size=SAMPLES), values


def filtered(estimator, times, inputs, values, accuracy=1e-11):
    """Beliefs after each sample."""
    model = estimator.model(plant, recipe, EVERY, manipulated=[tanks.u], accuracy=accuracy)
    memory = estimator.begin(model, Sample(times[0], {tanks.x_1: values[0, 0], tanks.y: values[0, 1]}))
    found = [memory.belief]
    for k, time in enumerate(times[1:]):
        sample = Sample(time, {tanks.x_1: values[k + 1, 0], tanks.y: values[k + 1, 1]})
        memory = estimator.update(model, memory, {tanks.u: inputs[k]}, sample)
        found.append(memory.belief)
    return found


@pytest.mark.parametrize(
    "estimator",
    [
        ExtendedKalman(**SETTINGS),
        UnscentedKalman(**SETTINGS),
        UnscentedKalman(**SETTINGS, kappa=1.0),
        MovingHorizon(**SETTINGS, window=SAMPLES + 1),
        MovingHorizon(**SETTINGS, window=4),
        MovingHorizon(**SETTINGS, window=4, arrival=Smoothing()),
        MovingHorizon(**SETTINGS, window=1),
    ],
    ids=["extended", "cubature", "unscented", "full window", "filtered arrival", "smoothed arrival", "window of one"],
)
def test_for_a_linear_plant_every_estimator_is_the_kalman_filter(estimator):
    """With parameters and biases that walk at random, samples missing, and windows shorter than the data."""
    times, inputs, values = data()
    for belief, (mean, covariance) in zip(filtered(estimator, times, inputs, values), kalman(*data()), strict=True):
        assert belief.names == ("tanks.x_1", "tanks.x_2", "tanks.k", "bias(tanks.y)")
        assert belief.mean == pytest.approx(mean, abs=1e-8)
        assert belief.covariance == pytest.approx(covariance, abs=1e-8)


def test_what_a_full_window_says_of_the_past_is_the_smoothed_estimate():
    """Weighted least squares over all states at once, solved by the normal equations."""
    times, inputs, values = data()
    estimator = MovingHorizon(**SETTINGS, window=SAMPLES + 1)
    model = estimator.model(plant, recipe, EVERY, manipulated=[tanks.u], accuracy=1e-11)
    memory = estimator.begin(model, Sample(0.0, {tanks.x_1: values[0, 0], tanks.y: values[0, 1]}))
    for k in range(SAMPLES):
        sample = Sample(times[k + 1], {tanks.x_1: values[k + 1, 0], tanks.y: values[k + 1, 1]})
        memory = estimator.update(model, memory, {tanks.u: inputs[k]}, sample)
    n = 4
    transition, added, response = van_loan(EVERY)
    rows = [np.linalg.inv(np.diag([0.7, 0.4, 0.3, 0.2])) @ np.eye(n, n * len(times))]
    right = [rows[0][:, :n] @ np.array([1.0, -0.5, 0.4, 0.0])]
    white = np.linalg.inv(np.linalg.cholesky(added))
    for k in range(len(times)):
        there = np.isfinite(values[k])
        block = np.zeros((there.sum(), n * len(times)))
        block[:, n * k : n * k + n] = READ[there] / NOISE[there, None]
        rows, right = [*rows, block], [*right, values[k][there] / NOISE[there]]
        if k:
            block = np.zeros((n, n * len(times)))
            block[:, n * k : n * k + n], block[:, n * (k - 1) : n * k] = white, -white @ transition
            rows, right = [*rows, block], [*right, white @ response * inputs[k - 1]]
    best = np.linalg.lstsq(np.vstack(rows), np.concatenate(right), rcond=None)[0].reshape(-1, n)
    assert np.array([belief.mean for belief in memory.smoothed]) == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_noise_of_a_step_has_the_order_of_its_method(steps):
    """Covariance after one interval against the matrix exponential: order 5, as the state itself."""
    model = ExtendedKalman(**SETTINGS).model(plant, recipe, EVERY, manipulated=[tanks.u], accuracy=0.9)
    coarse = model.phases[0].longest
    transition, added, _ = van_loan(coarse * steps)
    step = model.linearized(model.start, model.tried, 0.0, coarse * steps)
    assert step.transition == pytest.approx(transition, abs=1e-6)
    assert step.noise @ step.noise.T == pytest.approx(added, abs=1e-7)
    half = model.linearized(model.start, model.tried, 0.0, coarse / 4.0)
    transition, added, _ = van_loan(coarse / 4.0)
    assert half.noise @ half.noise.T == pytest.approx(added, abs=1e-7 / 4.0**5)


# A batch reactor whose jacket exchanges little heat: only the product is measured, the start is wrong in c_A and T.
reactor = BatchReactor("reactor", UA_V=5.0)
batch, react = Flowsheet(reactor), Recipe(Phase("react", 2400.0))
FLAGSHIP = {
    "noise": {reactor.c_B: 0.005},
    "start": {reactor.c_A: 0.3, reactor.T: 15.0},
    "process": {},
    "robust": None,
}
TIMES = np.linspace(0.0, 2400.0, 13)


def truths(number):
    """Seeded runs of CVODES from starts around the believed one, inside the domains, with measurements of c_B."""
    rng = np.random.default_rng(7)
    found = []
    while len(found) < number:
        start = {reactor.c_A: rng.normal(1.0, 0.3), reactor.T: rng.normal(330.0, 15.0)}
        noise = rng.normal(0.0, 0.005, len(TIMES))
        if start[reactor.c_A] < 0.0 or abs(start[reactor.T] - 350.0) > 60.0:
            continue
        run = simulate(batch.with_values(start), react, {reactor.T_j: 334.0}, points=12).frame()
        states = run[[reactor.c_A, reactor.c_B, reactor.c_C, reactor.T]].to_numpy()
        found.append((states, states[:, 1] + noise))
    return found


def followed(estimator, model, measured):
    memory = estimator.begin(model, Sample(0.0, {reactor.c_B: measured[0]}))
    memories = [memory]
    for time, value in zip(TIMES[1:], measured[1:], strict=True):
        memory = estimator.update(model, memory, {reactor.T_j: 334.0}, Sample(time, {reactor.c_B: value}))
        memories.append(memory)
    return memories


@pytest.fixture(scope="module")
def runs():
    return truths(20)


def test_a_moving_horizon_beats_the_extended_filter_which_beats_prediction(runs):
    """Mean error over 20 seeded runs with a wrong start, in units of 1 mol/L and 10 K."""
    believed = batch.with_values({reactor.T: 330.0})
    sizes = np.array([1.0, 1.0, 1.0, 10.0])
    model = ExtendedKalman(**FLAGSHIP).model(believed, react, 200.0, manipulated=[reactor.T_j])
    errors = {}
    for name, estimator in (
        ("filter", ExtendedKalman(**FLAGSHIP)),
        ("unscented", UnscentedKalman(**FLAGSHIP)),
        ("horizon", MovingHorizon(**FLAGSHIP, window=8)),
    ):
        means = [np.array([m.belief.mean for m in followed(estimator, model, y)]) for _, y in runs]
        apart = [(mean - x) / sizes for mean, (x, _) in zip(means, runs, strict=True)]
        errors[name] = np.mean([np.sqrt(np.mean(each**2)) for each in apart])
    predicted = simulate(believed, react, {reactor.T_j: 334.0}, points=12).frame()
    predicted = predicted[[reactor.c_A, reactor.c_B, reactor.c_C, reactor.T]].to_numpy()
    errors["prediction"] = np.mean([np.sqrt(np.mean(((predicted - x) / sizes) ** 2)) for x, _ in runs])
    assert errors["horizon"] < 0.95 * errors["filter"]
    assert errors["unscented"] < 0.9 * errors["prediction"]
    assert errors["filter"] < 0.9 * errors["prediction"]


def test_innovations_of_the_right_model_are_as_large_as_they_should_be():
    """Both temperature and product measured: the normalized square lies in its 95 % band 90 to 98 % of the time."""
    settings = {**FLAGSHIP, "noise": {reactor.T: 0.3, reactor.c_B: 0.005}, "start": {reactor.c_A: 0.1, reactor.T: 2.0}}
    inside = []
    for estimator in (ExtendedKalman(**settings), MovingHorizon(**settings)):
        model = estimator.model(batch, react, 200.0, manipulated=[reactor.T_j])
        rng = np.random.default_rng(3)
        for _ in range(25):
            start = {reactor.c_A: rng.normal(1.0, 0.1), reactor.T: rng.normal(320.0, 2.0)}
            run = simulate(batch.with_values(start), react, {reactor.T_j: 334.0}, points=12).frame()
            seen = run[[reactor.T, reactor.c_B]].to_numpy() + rng.normal(size=(13, 2)) * [0.3, 0.005]
            memory = estimator.begin(model, Sample(0.0, dict(zip((reactor.T, reactor.c_B), seen[0], strict=True))))
            for time, values in zip(TIMES[1:], seen[1:], strict=True):
                sample = Sample(time, dict(zip((reactor.T, reactor.c_B), values, strict=True)))
                memory = estimator.update(model, memory, {reactor.T_j: 334.0}, sample)
                assert memory.innovation.degrees == 2
                inside.append(memory.innovation.inside)
    assert 0.90 <= np.mean(inside) <= 0.98


def test_a_moving_horizon_keeps_states_in_their_domain():
    """The sensor of the product reads low: what explains it best without a limit is a negative concentration."""
    settings = {"noise": {reactor.c_B: 0.05}, "start": {reactor.c_A: 0.01, reactor.c_B: 0.1}, "process": {}}
    estimator = MovingHorizon(**settings, robust=None)
    model = estimator.model(batch, react, 200.0, manipulated=[reactor.T_j])
    memories = followed(estimator, model, np.full(len(TIMES), -0.2))
    first = memories[6].smoothed[0]
    assert first["reactor.c_B"] == pytest.approx(0.0, abs=1e-12)
    assert all(memory.belief["reactor.c_B"] >= 0.0 for memory in memories)
    assert all(memory.status.ok for memory in memories)


class Basin(Unit):
    """A level that drains, with a loss that the estimator's model leaves out: x' = u - x / tau - loss."""

    time = "h"
    x = State("m", start=1.0)
    u = Control("m/h", start=0.5)
    tau = Parameter("h", 2.0)
    loss = Parameter("m/h", 0.0)
    gauge = Expression("m")

    def equations(self, v):
        v.define("gauge", v.x)
        return Equations(rate={"x": v.u - v.x / v.tau - v.loss})


basin = Basin("basin")


@pytest.mark.parametrize("kind", [ExtendedKalman, UnscentedKalman, MovingHorizon])
@pytest.mark.parametrize("where", ["rate", "parameter"])
def test_a_constant_disturbance_leaves_no_offset(kind, where):
    """A loss of 0.1 m/h that the model does not have, exact gauges: found, and predictions are right again."""
    drift = {basin.x: Drift(0.05)} if where == "rate" else {basin.loss: Drift(0.05, start=0.1)}
    estimator = kind(noise={basin.x: 0.01}, start={basin.x: 0.1}, process={basin.x: 0.01}, disturbances=drift)
    long = Recipe(Phase("run", 40.0))
    model = estimator.model(Flowsheet(basin), long, 0.5, manipulated=[basin.u], accuracy=1e-10)
    levels = 0.8 + 0.2 * np.exp(-0.5 * np.arange(81) / 2.0)  # u tau - loss tau = 0.8, from 1
    memory = estimator.begin(model, Sample(0.0, {basin.x: 1.0}))
    for k, level in enumerate(levels[1:], start=1):
        memory = estimator.update(model, memory, {basin.u: 0.5}, Sample(0.5 * k, {basin.x: level}))
    sign, name = (-1.0, "rate(basin.x)") if where == "rate" else (1.0, "basin.loss")
    assert memory.belief[name] == pytest.approx(sign * 0.1, abs=1e-6)
    ahead = model.predict(memory.belief.mean, {basin.u: (0.7, 0.7)}, 40.0, 44.0)[0]
    assert ahead == pytest.approx(1.2 - 0.4 * np.exp(-2.0), abs=1e-6)


def test_the_bias_of_a_sensor_is_told_from_the_level():
    estimator = ExtendedKalman(
        noise={basin.x: 0.01, basin.gauge: 0.01}, start={basin.x: 0.1}, process={},
        disturbances={basin.gauge: Bias(0.0, start=0.2)},
    )  # fmt: skip
    model = estimator.model(Flowsheet(basin), Recipe(Phase("run", 20.0)), 0.5, manipulated=[basin.u], accuracy=1e-10)
    memory = estimator.begin(model, Sample(0.0, {basin.x: 1.0, basin.gauge: 1.15}))
    for k in range(1, 41):
        sample = Sample(0.5 * k, {basin.x: 1.0, basin.gauge: 1.15})
        memory = estimator.update(model, memory, {basin.u: 0.5}, sample)
    assert memory.belief["bias(basin.gauge)"] == pytest.approx(0.15, abs=2e-4)
    best = 0.01 / np.sqrt(41)  # of a bias where the level is known, and of one between two gauges
    assert best < memory.belief.deviation("bias(basin.gauge)") < best * np.sqrt(2.0)
