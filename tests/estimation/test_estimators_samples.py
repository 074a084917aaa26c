"""Samples that come late, not at all, or wrong; what is kept of them; and what is refused at the door."""

from __future__ import annotations

import io

import numpy as np
import pytest

from titer.estimation import (
    Drift,
    Estimation,
    ExtendedKalman,
    Huber,
    Memory,
    MovingHorizon,
    Quality,
    Rejecting,
    Sample,
    Smoothing,
    UnscentedKalman,
    observability,
)
from titer.flowsheets import Equations, Flowsheet, Parameter, Phase, Recipe, State, Unit, quantity, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import SpecificationError

reactor = BatchReactor("reactor")
plant, recipe = Flowsheet(reactor), Recipe(Phase("react", 3600.0))
SETTINGS = {
    "noise": {reactor.T: 0.2, reactor.c_B: 0.01},
    "start": {reactor.c_A: 0.1, reactor.c_B: 0.02, reactor.T: 2.0},
    "process": {reactor.c_A: 1e-4, reactor.T: 0.01},
    "disturbances": {reactor.k0_1: Drift(0.0, start=2e8)},
}
HELD = {reactor.T_j: 334.0}
ESTIMATORS = [
    ExtendedKalman(**SETTINGS),
    UnscentedKalman(**SETTINGS),
    MovingHorizon(**SETTINGS, window=5, iterations=30, tolerance=1e-9),
    MovingHorizon(**SETTINGS, window=5, iterations=30, tolerance=1e-9, arrival=Smoothing()),
]
by_kind = pytest.mark.parametrize("estimator", ESTIMATORS, ids=["extended", "unscented", "horizon", "smoothed horizon"])


@pytest.fixture(scope="module")
def model():
    return ESTIMATORS[0].model(plant, recipe, 120.0, manipulated=[reactor.T_j])


@pytest.fixture(scope="module")
def truth():
    return simulate(plant.with_values({reactor.c_A: 1.08, reactor.k0_1: 1.8e9}), recipe, HELD, points=30).frame()


def values(truth, k, *names, shift=0.0):
    return {name: truth[name].iloc[k] + shift for name in names}


def run(estimator, model, samples):
    memory = estimator.begin(model, samples[0])
    for sample in samples[1:]:
        memory = estimator.update(model, memory, HELD, sample)
    return memory


def same(one, other, tolerance=1e-8):
    sizes = np.maximum(np.abs(one.mean), 1e-3)
    assert one.mean / sizes == pytest.approx(other.mean / sizes, abs=tolerance)
    assert one.root @ one.root.T / np.outer(sizes, sizes) == pytest.approx(
        other.root @ other.root.T / np.outer(sizes, sizes), abs=tolerance
    )


@by_kind
@pytest.mark.parametrize("taken", [3, 0], ids=["at a sample", "at the first"])
def test_a_late_value_gives_the_belief_that_it_would_have_given_in_time(estimator, model, truth, taken):
    quick = [Sample(120.0 * k, values(truth, k, reactor.T)) for k in range(8)]
    both = Sample(120.0 * taken, values(truth, taken, reactor.T, reactor.c_B))
    in_time = run(estimator, model, [*quick[:taken], both, *quick[taken + 1 :]])
    found = {reactor.c_B: (120.0 * taken, truth[reactor.c_B].iloc[taken])}
    late = Sample(quick[-1].time, quick[-1].values, late=found)
    same(run(estimator, model, [*quick[:-1], late]).belief, in_time.belief)


@by_kind
def test_a_late_value_from_between_two_samples_is_put_between_them(estimator, model, truth):
    quick = [Sample(120.0 * k, values(truth, k, reactor.T)) for k in range(6)]
    between = Sample(300.0, {reactor.c_B: 0.06})
    in_time = run(estimator, model, [*quick[:3], between, *quick[3:]])
    late = Sample(quick[-1].time, quick[-1].values, late={reactor.c_B: (quantity(5.0, "min"), 0.06)})
    same(run(estimator, model, [*quick[:-1], late]).belief, in_time.belief)


def test_a_value_that_comes_too_late_is_left_out_and_said_so(model, truth):
    estimator = ExtendedKalman(**SETTINGS, history=3)
    samples = [Sample(120.0 * k, values(truth, k, reactor.T)) for k in range(6)]
    late = Sample(720.0, values(truth, 6, reactor.T), late={reactor.c_B: (120.0, 0.05)})
    memory = run(estimator, model, [*samples, late])
    assert memory.reasons == ("reactor.c_B of t = 120 came too late: the oldest sample kept is of 360",)
    same(memory.belief, run(estimator, model, [*samples, Sample(720.0, late.values)]).belief)


@by_kind
def test_a_sample_without_values_leaves_the_model_alone(estimator, model, truth):
    samples = [Sample(120.0 * k, values(truth, k, reactor.T, reactor.c_B)) for k in range(4)]
    memory = run(estimator, model, samples)
    for empty in (
        Sample(480.0),
        Sample(480.0, {reactor.T: np.nan, reactor.c_B: np.inf}),
        Sample(480.0, values(truth, 4, reactor.T), quality={reactor.T: Quality.BAD}),
    ):
        after = estimator.update(model, memory, HELD, empty)
        assert after.status is Estimation.PREDICTED
        assert after.innovation.degrees == 0
        if not isinstance(estimator, UnscentedKalman):
            predicted = model.predict(memory.belief.mean, model.applied(HELD), 360.0, 480.0)
            assert after.belief.mean == pytest.approx(predicted, rel=1e-9)
        assert after.belief.deviation(reactor.T) > 0.0


def test_a_suspect_value_counts_with_three_times_its_noise(model, truth):
    samples = [Sample(120.0 * k, values(truth, k, reactor.T, reactor.c_B)) for k in range(4)]
    doubted = Sample(480.0, values(truth, 4, reactor.T), quality={reactor.T: Quality.SUSPECT})
    triple = ExtendedKalman(**{**SETTINGS, "noise": {reactor.T: 0.6, reactor.c_B: 0.01}})
    other = triple.model(plant, recipe, 120.0, manipulated=[reactor.T_j])
    before = run(ESTIMATORS[0], model, samples)
    after = ESTIMATORS[0].update(model, before, HELD, doubted)
    same(after.belief, triple.update(other, before, HELD, Sample(480.0, doubted.values)).belief)


@by_kind
def test_a_gross_error_is_rejected_and_named(estimator, model, truth):
    samples = [Sample(120.0 * k, values(truth, k, reactor.T, reactor.c_B)) for k in range(8)]
    wrong = {**values(truth, 8, reactor.c_B), reactor.T: truth[reactor.T].iloc[8] + 20.0}
    before = run(estimator, model, samples)
    after = estimator.update(model, before, HELD, Sample(960.0, wrong))
    without = estimator.update(model, before, HELD, Sample(960.0, values(truth, 8, reactor.c_B)))
    same(after.belief, without.belief)
    assert after.status is Estimation.UPDATED
    assert list(after.innovation.used) == [False, True]
    assert after.reasons[0].startswith("reactor.T = 35")
    assert "is rejected" in after.reasons[0]


def test_a_sensor_that_is_always_rejected_is_believed_in_the_end(model, truth):
    """It may be the model that is wrong: after `at_most` rejections in a row a value counts."""
    estimator = ExtendedKalman(**SETTINGS, robust=Rejecting(at_most=2))
    memory = run(estimator, model, [Sample(120.0 * k, values(truth, k, reactor.T)) for k in range(4)])
    used = []
    for k in range(4, 8):
        memory = estimator.update(model, memory, HELD, Sample(120.0 * k, values(truth, k, reactor.T, shift=15.0)))
        used.append(bool(memory.innovation.used[0]))
    assert used[:3] == [False, False, True]


@pytest.mark.parametrize("kind", [ExtendedKalman, MovingHorizon])
def test_a_robust_loss_halves_what_an_outlier_does(kind, model, truth):
    samples = [Sample(120.0 * k, values(truth, k, reactor.T, reactor.c_B)) for k in range(8)]
    good, bad = (Sample(960.0, values(truth, 8, reactor.T, reactor.c_B, shift=s)) for s in (0.0, 0.1))
    moved = {}
    for robust in (None, Huber()):
        estimator = kind(**SETTINGS, robust=robust)
        before = run(estimator, model, samples)
        beliefs = [estimator.update(model, before, HELD, sample).belief for sample in (good, bad)]
        moved[robust] = abs(beliefs[1][reactor.c_B] - beliefs[0][reactor.c_B])
    assert moved[Huber()] < 0.5 * moved[None]


@by_kind
def test_a_memory_from_a_file_goes_on_as_if_it_had_never_been_away(estimator, model, truth):
    samples = [Sample(120.0 * k, values(truth, k, reactor.T, reactor.c_B)) for k in range(12)]
    memory = run(estimator, model, samples[:7])
    file = io.BytesIO()
    np.savez(file, **memory.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        restored = Memory.from_arrays(arrays)
    late = Sample(1320.0, values(truth, 11, reactor.T), late={reactor.c_B: (700.0, 0.2)})
    for sample in [*samples[7:11], late]:
        memory, restored = (estimator.update(model, m, HELD, sample) for m in (memory, restored))
    assert np.array_equal(memory.belief.mean, restored.belief.mean)
    assert np.array_equal(memory.belief.root, restored.belief.root)
    assert (memory.status, memory.reasons) == (restored.status, restored.reasons)


def test_a_model_that_cannot_be_advanced_holds_the_belief_and_says_so():
    """x' = x^2 leaves every bound before the next sample; nothing is raised, and the belief grows less certain."""

    class Runaway(Unit):
        time = "s"
        x = State("1", start=1.0)
        k = Parameter("1/s", 1.0)

        def equations(self, v):
            return Equations(rate={"x": v.k * v.x**2})

    unit = Runaway("unit")
    estimator = ExtendedKalman(noise={unit.x: 0.01}, start={unit.x: 0.1}, process={unit.x: 0.2}, robust=None)
    model = estimator.model(Flowsheet(unit), Recipe(Phase("run", 0.9)), 0.3)
    memory = estimator.begin(model, Sample(0.0, {unit.x: 5.0}))
    after = estimator.update(model, memory, {}, Sample(0.3, {unit.x: 2.0}))
    assert after.status is Estimation.HELD
    assert "the model cannot be advanced in phase 'run' from t = 0.2" in after.reasons[0]
    assert after.belief[unit.x] == memory.belief[unit.x]
    assert after.belief.deviation(unit.x) ** 2 == pytest.approx(memory.belief.deviation(unit.x) ** 2 + 0.2**2 * 0.3)


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (
            lambda: Sample(960.0, {"reactor.TT": 330.0}),
            r"measurement 'reactor\.TT' is unknown\. Did you mean 'reactor\.T'",
        ),
        (lambda: Sample(960.0, {reactor.T: quantity(1.0, "mol/L")}), r"Sample: reactor\.T: .*'mol/L'"),
        (lambda: Sample(960.0, {reactor.T_j: 334.0}), r"reactor\.T_j is a control, not a measurement"),
        (lambda: Sample(960.0, {reactor.k0_1: 1.0}), r"reactor\.k0_1 is a parameter, not a measurement"),
        (
            lambda: Sample(100.0, {reactor.T: 330.0}),
            r"time runs backwards: the sample is at t = 100 s, the last .* 840",
        ),
        (lambda: Sample(840.0, {reactor.T: 330.0}), r"time runs backwards"),
        (lambda: Sample(np.nan), r"the time must be a finite number"),
        (lambda: Sample(960.0, {reactor.T: "hot"}), r"Sample: reactor\.T: expected a number in 'K', got 'hot'"),
        (lambda: Sample(960.0, quality={reactor.T: Quality.BAD}), r"quality: value 'reactor\.T' is unknown"),
        (lambda: Sample(960.0, {reactor.T: 330.0}, {reactor.T: "bad"}), r"expected one of Quality\.GOOD"),
        (lambda: Sample(960.0, late={reactor.c_B: 0.2}), r"reactor\.c_B needs \(taken_at, value\)"),
        (lambda: Sample(960.0, late={reactor.c_B: (1000.0, 0.2)}), r"was taken at t = 1000 s, after the sample's time"),
    ],
)
def test_bad_samples_are_named(model, truth, sample, text):
    memory = run(ESTIMATORS[0], model, [Sample(120.0 * k, values(truth, k, reactor.T)) for k in range(8)])
    with pytest.raises(SpecificationError, match=text):
        ESTIMATORS[0].update(model, memory, HELD, sample())


@pytest.mark.parametrize(
    ("applied", "text"),
    [
        ({}, r"applied: nothing is said of reactor\.T_j"),
        ({reactor.T: 330.0}, r"applied: reactor\.T is a state, not a control"),
        ({"reactor.T_k": 330.0}, r"applied: control 'reactor\.T_k' is unknown"),
        ({reactor.T_j: np.nan}, r"applied: reactor\.T_j must be finite"),
    ],
)
def test_bad_inputs_are_named(model, truth, applied, text):
    memory = run(ESTIMATORS[0], model, [Sample(0.0, values(truth, 0, reactor.T))])
    with pytest.raises(SpecificationError, match=text):
        ESTIMATORS[0].update(model, memory, applied, Sample(120.0))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"noise": {}}, "noise is empty"),
        ({"noise": {reactor.T: 0.0}}, r"noise of reactor\.T must be positive"),
        ({"noise": {reactor.T_j: 1.0}}, r"noise: reactor\.T_j is a control"),
        ({"start": {"reactor.c_D": 1.0}}, r"start: state 'reactor\.c_D' is unknown"),
        ({"start": {reactor.k0_1: 1.0}}, r"A parameter is estimated by disturbances="),
        ({"process": {reactor.T: -1.0}}, r"process of reactor\.T must be at least 0"),
        ({"disturbances": {reactor.T_j: 1.0}}, r"disturbances: reactor\.T_j is a control"),
        ({"disturbances": {reactor.k0_1: "much"}}, r"needs a deviation per square root of time"),
    ],
)
def test_bad_settings_are_named(settings, text):
    with pytest.raises(SpecificationError, match=text):
        ExtendedKalman(**{**SETTINGS, **settings}).model(plant, recipe, 120.0, manipulated=[reactor.T_j])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MovingHorizon(**SETTINGS, window=0), "window must be a whole number of at least 1"),
        (lambda: MovingHorizon(**SETTINGS, window=60), "the window of 60 samples does not fit into a history of 50"),
        (lambda: MovingHorizon(**SETTINGS, arrival="filtering"), r"arrival is Filtering\(\) or Smoothing\(\)"),
        (lambda: UnscentedKalman(**SETTINGS, kappa=-1.0), "kappa must be a number of at least 0"),
        (lambda: ExtendedKalman(**SETTINGS, robust="huber"), "robust is Rejecting"),
        (lambda: Rejecting(probability=0.1), "probability must lie between 0.5 and 1"),
        (lambda: Drift(-1.0), "Drift: deviation must be a number of at least 0"),
    ],
)
def test_bad_estimators_are_named(make, text):
    with pytest.raises(SpecificationError, match=text):
        make()


# What cannot be seen.


def test_a_state_that_nothing_depends_on_is_named():
    """C is made and acts on nothing: a thermometer does not see it."""
    estimator = ExtendedKalman(noise={reactor.T: 0.2}, start={reactor.c_A: 0.1, reactor.c_C: 0.1}, process={})
    text = r"reactor\.c_C cannot be seen by reactor\.T\.\n  Measure reactor\.c_C or what depends on it"
    with pytest.raises(SpecificationError, match=text):
        estimator.model(plant, recipe, 120.0, manipulated=[reactor.T_j])


def test_two_parameters_that_act_as_their_product_are_named():
    """Heat comes as dH_1 k0_1 c_A: from temperature alone the three are one, where little is used up."""
    settings = {
        "noise": {reactor.T: 0.2},
        "start": {reactor.T: 1.0},
        "process": {},
        "disturbances": {reactor.UA_V: Drift(0.0, start=5.0), reactor.rhoCp: Drift(0.0, start=400.0)},
    }
    cold = plant.with_values({reactor.k0_1: 0.0, reactor.k0_2: 0.0})
    with pytest.raises(
        SpecificationError, match=r"reactor\.rhoCp and reactor\.UA_V cannot be told apart by reactor\.T|"
        r"reactor\.UA_V and reactor\.rhoCp cannot be told apart by reactor\.T"
    ):  # fmt: skip
        ExtendedKalman(**settings).model(cold, recipe, 120.0, manipulated=[reactor.T_j])
    warm = ExtendedKalman(**settings).model(
        plant, recipe, 120.0, manipulated=[reactor.T_j]
    )  # the reaction's heat is known
    assert observability(warm).ok


def test_by_default_what_cannot_be_seen_follows_the_model():
    estimator = MovingHorizon(noise={reactor.T: 0.2})
    model = estimator.model(plant, recipe, 120.0, manipulated=[reactor.T_j])
    assert model.simulated == (reactor.c_C,)
    seen = observability(model)
    assert seen.ok
    assert set(seen.names) == {reactor.c_A, reactor.c_B, reactor.T}
    assert 1.0 < seen.condition < 1e6


def test_a_first_sample_in_mid_recipe_meets_the_run_as_planned(model, truth):
    """As if samples without values had come before it."""
    estimator = ESTIMATORS[0]
    first = Sample(600.0, values(truth, 5, reactor.T))
    empty = [Sample(120.0 * k) for k in range(5)]
    same(estimator.begin(model, first, HELD).belief, run(estimator, model, [*empty, first]).belief)
    with pytest.raises(SpecificationError, match="lies before the recipe"):
        estimator.begin(model, Sample(-5.0))
    with pytest.raises(SpecificationError, match="nothing was kept before the first sample"):
        estimator.begin(model, Sample(600.0, late={reactor.c_B: (300.0, 0.1)}))


def test_an_estimator_with_other_measurements_is_refused(model):
    other = ExtendedKalman(noise={reactor.T: 0.2})
    with pytest.raises(SpecificationError, match=r"made for other measurements: reactor\.T, reactor\.c_B"):
        other.begin(model, Sample(0.0))


def test_what_is_no_model_and_no_memory_is_named():
    with pytest.raises(SpecificationError, match=r"^observability: expected a model, got MovingHorizon"):
        observability(MovingHorizon(noise={reactor.T: 0.2}))
    with pytest.raises(SpecificationError, match=r"^Memory: these arrays are of no estimator: facts, time, values"):
        Memory.from_arrays({"a": np.zeros(2)})
