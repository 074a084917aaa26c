"""Where a correction holds, and how it ends: distances, fading, bounds, and plans that stay where the data are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import casadi as ca
import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    Additive,
    AtEnd,
    Correction,
    Domain,
    Flowsheet,
    LearnedTerm,
    Multiplicative,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    simulate,
)
from titer.flowsheets.corrections.domain import Nearest, faded
from titer.flowsheets.corrections.kernels import Dot, Gaussian, KernelSum, KernelVariance
from titer.flowsheets.corrections.layers import Affine, Chain, Chosen, Elementwise, Monomials, Scale, chained
from titer.flowsheets.corrections.model import LoweredModel
from titer.flowsheets.pyomo import solve_pyomo, value_of
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import CASADI, Symbol, symbol_array
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

reactor = BatchReactor("reactor")
BATCH = Flowsheet(reactor)


def cloud(count: int = 40) -> np.ndarray:
    """Correlated samples of two features of very different sizes."""
    rng = np.random.default_rng(2)
    a = rng.normal(size=count)
    return np.column_stack([330.0 + 8.0 * a, 0.5 + 0.2 * (0.8 * a + 0.6 * rng.normal(size=count))])


def gaussian_process(noise: float = 0.0) -> LoweredModel:
    """Of three points on a line, with unit prior, by the formulas of the book."""
    points, length = np.array([0.0, 1.0, 2.0]), 0.7
    covariance = np.exp(-0.5 * ((points[:, None] - points) / length) ** 2)
    inverse = np.linalg.inv(np.linalg.cholesky(covariance + noise * np.eye(3)))
    own = np.concatenate([points, [length]])
    weights = inverse.T @ inverse @ np.sin(points)
    kernel = Gaussian(1)
    numbers = np.concatenate([own, inverse[np.tril_indices(3)]])
    mean = np.concatenate([own, weights, [0.0]])
    return LoweredModel(KernelSum(1, kernel, 3), mean, KernelVariance(1, kernel, 3), numbers, (0.0, 1.0), "a process")


def on_casadi(layer: Any, numbers: np.ndarray) -> tuple[ca.SX, ca.SX]:
    x = ca.SX.sym("x", layer.inputs)
    arrays = [symbol_array([Symbol(s, DIMENSIONLESS, CASADI) for s in ca.vertsplit(v)]) for v in (x, ca.SX(numbers))]
    return x, layer(*arrays)[0].value


# --- distances ----------------------------------------------------------------------------------------------------


def test_the_distance_to_the_middle_is_mahalanobis_and_gives_the_leverage():
    X = cloud()
    domain = Domain.of_data(X, limit=1.0)
    away = X - X.mean(axis=0)
    squared = np.einsum("ij,jk,ik->i", away, np.linalg.inv(np.cov(X, rowvar=False)), away)
    assert domain.distances(X) ** 2 == pytest.approx(squared, rel=1e-5)  # 1e-6 is added to the correlation matrix
    design = np.column_stack([np.ones(len(X)), X])
    leverage = np.diag(design @ np.linalg.inv(design.T @ design) @ design.T)
    assert 1.0 / len(X) + domain.distances(X) ** 2 / (len(X) - 1.0) == pytest.approx(leverage, rel=1e-5)
    assert Domain.of_data(X).limit == pytest.approx(np.sqrt(squared.max()), rel=1e-5)
    assert Domain.of_data(X).distances(X).max() == pytest.approx(1.0, rel=1e-12)


def test_a_feature_that_does_not_vary_counts_by_a_thousandth_of_its_size():
    X = cloud()
    X[:, 1] = 0.5
    domain = Domain.of_data(X, limit=3.0)
    assert domain.distances(X).max() < 1.5
    assert domain.distances([[330.0, 0.55]])[0] > 30.0


def test_the_distance_to_the_nearest_sample_follows_a_curve():
    t = np.linspace(0.0, 1.0, 20)
    curve = np.column_stack([np.cos(np.pi * t), np.sin(np.pi * t)])
    near, middle = Domain.near_data(curve, width=0.2), Domain.of_data(curve)
    inside_the_bow = np.array([[0.0, 0.3]])
    assert middle.distances(inside_the_bow)[0] < 1.0 < near.distances(inside_the_bow)[0]
    assert near.distances(curve).max() < 1.0
    sizes = 0.2 * curve.std(axis=0, ddof=1)
    others = [replace(near, square=Nearest(2, 19), coefficients=np.append(np.delete(curve, i, 0), sizes))
              for i in range(20)]  # fmt: skip
    assert max(d.distances(x)[0] for d, x in zip(others, curve, strict=True)) == pytest.approx(1.0, rel=1e-12)
    for x in ([0.4, 0.2], [2.0, 5.0], [1e3, -1e4]):
        nearest = np.sqrt((((x - curve) / sizes) ** 2).sum(axis=1).min())
        found = near.distances([x])[0] * near.limit
        assert nearest <= found <= np.sqrt(20 ** (1 / 8) * (1.0 + nearest**2) - 1.0) * (1.0 + 1e-12)


def test_few_points_stand_for_many_samples_and_keep_the_shape():
    t = np.linspace(0.0, 1.0, 200)
    curve = np.column_stack([np.cos(np.pi * t), np.sin(np.pi * t)])
    thinned, of_few = (Domain.near_data(X, width=0.2, points=15) for X in (curve, curve[::30]))
    assert thinned.square == of_few.square
    assert thinned.square.points == 15
    assert thinned.distances(curve).max() < 1.0
    ends = thinned.coefficients[:30].reshape(15, 2)
    assert np.diff(np.sort(np.arctan2(ends[:, 1], ends[:, 0]))).max() < 2.0 * np.pi / 14
    assert thinned.distances([[0.0, 0.3]])[0] > 1.5


def test_what_a_process_leaves_unexplained_is_its_distance():
    model = gaussian_process()
    domain = Domain.of_variance(model, limit=1.0)
    assert domain.distances([[0.0], [1.0], [2.0]]) == pytest.approx(np.zeros(3), abs=1e-6)
    assert domain.distances([[9.0]]) == pytest.approx([1.0], abs=1e-12)
    assert domain.distances([[0.5]]) == pytest.approx(model.deviation([[0.5]]), rel=1e-9)
    assert Domain.of_variance(gaussian_process(0.1)).limit == 0.5


@pytest.mark.parametrize(
    "domain",
    [Domain.of_data(cloud()), Domain.near_data(cloud(12)), Domain.of_data(cloud(), limit=0.1)],
)
def test_derivatives_of_a_distance_are_finite_at_every_sample_and_far_away(domain: Domain):
    x, square = on_casadi(domain.square, domain.coefficients)
    fade = faded(Symbol(square / domain.limit**2, DIMENSIONLESS, CASADI)).value
    derivatives = ca.Function("d", [x], [ca.gradient(fade, x), ca.hessian(fade, x)[0]])
    for at in (*cloud(12), cloud().mean(axis=0), [1e4, -1e3]):
        assert all(np.isfinite(np.array(found)).all() for found in derivatives(at))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Domain.of_data([[1.0, 2.0]]), "two samples at least, got 1"),
        (lambda: Domain.of_data([[1.0, np.nan], [1.0, 2.0]]), "feature 1 of sample 0 is nan"),
        (
            lambda: Domain.near_data(cloud(), width=0.0),
            "width is positive, in standard deviations, and points at least 1, got 0.0",
        ),
        (lambda: Domain.of_data(cloud(), limit=0.0), "limit is a positive distance, got 0.0"),
        (lambda: Domain.of_variance(LoweredModel(Affine(1, 1), [1.0, 0.0])), "does not say how sure it is"),
        (
            lambda: Domain.of_variance(
                LoweredModel(Affine(1, 1), [1.0, 0.0], KernelVariance(1, Dot(1), 1), [0.0, 1.0, 1.0, 1.0])
            ),
            "the variance of the model has no upper end",
        ),
        (lambda: LoweredModel(Affine(2, 1), [1.0]), "mean needs 3 finite coefficients, got 1"),
        (lambda: LoweredModel(Affine(1, 1), [1.0, np.nan]), "needs 2 finite coefficients, got some that are not"),
        (lambda: LoweredModel(Affine(1, 2), np.zeros(4)), "mean has one result, got layers with 2"),
        (lambda: chained(Affine(1, 2), Scale(1)), "Scale takes 1 inputs, but 2 come to it"),
        (lambda: Elementwise(1, "abs"), "function 'abs' is unknown"),
        (lambda: Multiplicative(1.1, 2.0), "a factor's bounds are 0 < lower < 1 < upper, got 1.1"),
        (lambda: Additive(0.0, 2.0), "bounds are lower < 0 < upper"),
        (lambda: Multiplicative().target([1.0, -1.0], [1.0, 1.0]), "have different signs, or are 0"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, text: str):
    with pytest.raises(SpecificationError, match=re.escape(text)):
        make()


def test_layers_are_what_they_say():
    x = np.array([2.0, 3.0])
    assert Monomials(2, ((0, 0), (1, 0), (2, 1)))(x, None).tolist() == [1.0, 2.0, 12.0]
    assert Chosen(2, (1, 1))(x, None).tolist() == [3.0, 3.0]
    assert Chain(2, ())(x, np.zeros(0)) is x
    assert chained(Scale(2), chained(Affine(2, 2), Affine(2, 1))).count == 4 + 6 + 3


# --- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Multiplicative(0.5, 3.0), Additive(-0.2, 5.0), Additive(-1.0, 1.0)])
def test_a_prediction_stays_between_the_bounds_and_is_itself_far_from_them(form: Any):
    low, high = form.ends
    g = np.concatenate([np.linspace(-50, 50, 2001) * max(high, -low), [0.0]])
    bounded = form.bounded(g)
    assert bounded[-1] == 0.0
    assert (bounded > low).all()
    assert (bounded < high).all()
    assert (np.diff(bounded[:-1]) > 0.0).all()
    small = np.linspace(0.5 * low, 0.5 * high, 50)
    assert np.abs(form.bounded(small) - small).max() < 0.006 * max(high, -low)
    value = np.array([1.0, 2.0])
    corrected = form.applied(value, np.array([0.1, 0.2]))
    assert form.target(value, corrected) == pytest.approx([0.1, 0.2], rel=1e-12)


def test_a_correction_fades_smoothly_to_the_mechanistic_model():
    distance = np.sqrt([0.0, 1.0, 2.0, 3.0, 5.0])
    assert faded(distance**2) == pytest.approx([1.0, 0.982, 0.5, 0.018, 0.0], abs=1e-3)
    model = LoweredModel(Affine(1, 1), [0.0, 0.4])
    domain = Domain.of_data([[320.0], [330.0]])
    term = LearnedTerm(reactor.r_1, [reactor.T], model, domain=domain)
    inside, beyond = term.at([[325.0]])[0][0], term.at([[370.0]])[0][0]
    assert inside == pytest.approx(term.form.bounded(0.4) * (1.0 + np.tanh(4.0)) / 2.0, rel=1e-9)
    assert abs(beyond) < 1e-10
    kept = LearnedTerm(reactor.r_1, [reactor.T], model, domain=Domain.of_data([[320.0], [330.0]], fades=False))
    assert kept.at([[370.0]])[0][0] == term.form.bounded(0.4)


def test_far_from_its_data_a_corrected_plant_is_the_mechanistic_one():
    hot = Flowsheet(BatchReactor("reactor", T=369.0))
    model = LoweredModel(Affine(1, 1), [0.0, 0.4])
    correction = Correction(LearnedTerm(reactor.r_1, [reactor.T], model, domain=Domain.of_data([[320.0], [330.0]])))
    recipe, inputs = Recipe(Phase("go", 60.0)), {reactor.T_j: 369.0}
    ends = [simulate(p, recipe, inputs, tolerance=1e-11).at_end(reactor.c_A) for p in (hot, hot.corrected(correction))]
    assert ends[1] == pytest.approx(ends[0], rel=1e-9)


# --- plans --------------------------------------------------------------------------------------------------------


RECIPE = Recipe(Phase("react", 1800.0))
MOST_B = {"free": {reactor.T_j: PiecewiseConstant(5)}, "maximize": AtEnd(lambda v: v.reactor.c_B), "grid": Grid(40)}


def plan_with(correction: Correction, *limits: Any) -> Any:
    return optimize(BATCH.corrected(correction), RECIPE, subject_to=limits, **MOST_B)


def test_a_plan_is_kept_where_the_data_are():
    """A correction that promises more the hotter it is: without a limit the plan runs out of its data."""
    model = LoweredModel(Affine(1, 1), [0.05, -0.05 * 325.0])
    domain = Domain.of_data([[318.0], [325.0], [332.0]], fades=False)
    correction = Correction(LearnedTerm(reactor.r_1, [reactor.T], model, domain=domain))
    exploited, guarded = plan_with(correction), plan_with(correction, *correction.within())
    reached = [correction.along(plan.frame())[reactor.r_1, "distance"].max() for plan in (exploited, guarded)]
    assert exploited.status.ok
    assert guarded.status.ok
    assert reached[0] > 1.5
    assert reached[1] == pytest.approx(1.0, abs=1e-4)
    assert guarded.certificate.ok
    same = BATCH.corrected(correction).to_pyomo(RECIPE, subject_to=correction.within(), **MOST_B)
    assert solve_pyomo(same).success
    assert value_of(same, reactor.c_B) == pytest.approx(guarded.objective, rel=1e-7)
    (limit,) = correction.within(0.5)
    assert isinstance(limit, Path)
    assert (limit.name, limit.upper) == ("data of reactor.r_1", 0.25)


def test_without_a_domain_there_is_nothing_to_stay_within():
    correction = Correction(LearnedTerm(reactor.r_1, [reactor.T], LoweredModel(Affine(1, 1), [0.0, 0.1])))
    with pytest.raises(SpecificationError, match=r"the correction of reactor.r_1 has no domain"):
        correction.within()
