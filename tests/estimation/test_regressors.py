"""Does a lowered regressor predict what `predict` predicts, on numbers and on CasADi, and are the others refused?"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
import pytest

from titer.estimation.regressors import Lowered, lowered, lowers
from titer.flowsheets.corrections.layers import Affine
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import CASADI, Symbol, symbol_array
from titer.numerics.errors import SpecificationError

pytest.importorskip("sklearn", reason="scikit-learn is the extra titer[learn]")

from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    TheilSenRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVR, LinearSVR, NuSVR
from sklearn.tree import DecisionTreeRegressor

EXACT = 1e-10  # of the spread of the predictions
SAMPLES = 30


def data() -> tuple[np.ndarray, np.ndarray]:
    """Features as of a reactor, of very different sizes, and a positive target."""
    rng = np.random.default_rng(7)
    X = np.column_stack([rng.uniform(300, 340, SAMPLES), rng.uniform(0.1, 1, SAMPLES), rng.uniform(5, 9, SAMPLES)])
    y = 1.5 + np.sin((X[:, 0] - 300) / 10) * X[:, 1] + 0.1 * X[:, 2] + 0.02 * rng.normal(size=SAMPLES)
    return X, y


def gp(kernel: Any = None, **options: Any) -> GaussianProcessRegressor:
    return GaussianProcessRegressor(kernel, alpha=1e-4, optimizer=None, **options)


def scaled(*steps: Any) -> Pipeline:
    return make_pipeline(StandardScaler(), *steps)


def network(activation: str) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6, 5), activation=activation, solver="lbfgs", max_iter=60, random_state=0)


LINEAR = [
    LinearRegression(),
    LinearRegression(fit_intercept=False),
    Ridge(0.3),
    RidgeCV(),
    Lasso(0.01),
    LassoCV(cv=3),
    ElasticNet(0.01),
    ElasticNetCV(cv=3),
    BayesianRidge(),
    ARDRegression(),
    HuberRegressor(max_iter=1000),
    TheilSenRegressor(random_state=0, max_subpopulation=200),
    LinearSVR(C=0.5, max_iter=100000, random_state=0),
]
PREPARED = [
    make_pipeline(MinMaxScaler((-1, 2)), Ridge()),
    make_pipeline(RobustScaler(), Ridge()),
    make_pipeline(RobustScaler(with_centering=False), Ridge()),
    make_pipeline(MaxAbsScaler(), Ridge()),
    make_pipeline(StandardScaler(with_mean=False, with_std=False), Ridge()),
    scaled(PolynomialFeatures(3), Ridge()),
    scaled(PolynomialFeatures(2, interaction_only=True, include_bias=False), Ridge()),
    scaled(PCA(2), LinearRegression()),
    scaled(PCA(2, whiten=True), "passthrough", LinearRegression()),
    make_pipeline(FunctionTransformer(np.log), StandardScaler(), Ridge()),
    make_pipeline(FunctionTransformer(), Ridge()),
    PLSRegression(2),
    TransformedTargetRegressor(scaled(Ridge()), func=np.log, inverse_func=np.exp),
    TransformedTargetRegressor(scaled(Ridge()), transformer=StandardScaler()),
    TransformedTargetRegressor(scaled(Ridge())),
    GridSearchCV(scaled(Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=3),
]
KERNELS = [
    scaled(KernelRidge(0.1, kernel="linear")),
    scaled(KernelRidge(0.1, kernel="rbf")),
    scaled(KernelRidge(0.1, kernel="rbf", gamma=0.7)),
    scaled(KernelRidge(0.1, kernel="polynomial", degree=3)),
    scaled(KernelRidge(0.1, kernel="sigmoid", gamma=0.1)),
    scaled(SVR(kernel="linear")),
    scaled(SVR(C=10.0)),
    scaled(SVR(kernel="poly", degree=2, coef0=1.0)),
    scaled(SVR(kernel="sigmoid", gamma=0.1)),
    scaled(NuSVR(gamma="auto")),
    scaled(network("tanh")),
    scaled(network("logistic")),
    scaled(network("identity")),
]
GAUSSIAN = [
    scaled(gp()),
    scaled(gp(RBF([1.0, 2.0, 3.0]), normalize_y=True)),
    scaled(gp(2.0 * Matern(1.5, nu=1.5) + WhiteKernel(0.01), normalize_y=True)),
    scaled(gp(Matern([1.0, 2.0, 3.0], nu=2.5))),
    scaled(gp(Matern(1.5, nu=np.inf))),
    scaled(gp(ConstantKernel(2.0) * RationalQuadratic(1.2, 0.8))),
    scaled(gp(DotProduct(0.7) + RBF(1.0) * Matern(2.0, nu=2.5))),
    scaled(gp(DotProduct(1.0) ** 2 + WhiteKernel(0.1))),
    TransformedTargetRegressor(scaled(gp(RBF(1.5))), transformer=StandardScaler()),
]


def named(estimator: Any) -> str:
    return re.sub(r"\s+", "", repr(estimator))[:60]


def fitted(estimator: Any) -> Any:
    X, y = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an optimizer that is stopped early: any coefficients will do
        return estimator.fit(X, y)


def points() -> np.ndarray:
    """Points within the data and around them, and one of the data itself."""
    rng = np.random.default_rng(11)
    X, _ = data()
    spread = rng.uniform([295.0, 0.05, 4.0], [345.0, 1.1, 10.0], size=(12, 3))
    return np.vstack([spread, X[:1]])


def on_casadi(layer: Any, numbers: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A layer as a CasADi function, coefficients as symbols too."""
    x, c = ca.SX.sym("x", layer.inputs), ca.SX.sym("c", layer.count)
    arrays = [symbol_array([Symbol(s, DIMENSIONLESS, CASADI) for s in ca.vertsplit(v)]) for v in (x, c)]
    result = layer(*arrays)[0]
    function = ca.Function("model", [x, c], [result.value if isinstance(result, Symbol) else result])
    return lambda X: np.array(function.map(len(X))(X.T, np.tile(numbers[:, None], len(X)))).ravel()


@pytest.mark.parametrize("estimator", [*LINEAR, *PREPARED, *KERNELS, *GAUSSIAN], ids=named)
def test_a_lowered_regressor_predicts_what_it_predicted(estimator: Any) -> None:
    regressor, X = fitted(estimator), points()
    expected = np.ravel(regressor.predict(X))
    model = lowered(regressor)
    size = np.ptp(expected) + np.abs(expected).max()
    assert np.abs(model.predict(X) - expected).max() <= EXACT * size
    assert np.abs(on_casadi(model.mean, model.coefficients)(X) - expected).max() <= EXACT * size


@pytest.mark.parametrize("estimator", GAUSSIAN[:-1], ids=named)
def test_a_gaussian_process_says_how_sure_it_is_as_before(estimator: Any) -> None:
    regressor, X = fitted(estimator), points()
    expected = regressor.predict(X, return_std=True)[1]
    model = lowered(regressor)
    assert model.deviation(X) == pytest.approx(expected, rel=EXACT)
    assert model.variance is not None
    on_symbols = on_casadi(model.variance, model.variance_coefficients)(X)
    assert np.sqrt(on_symbols) == pytest.approx(expected, rel=EXACT)


def test_a_scaled_target_scales_the_deviation() -> None:
    _, y = data()
    plain = lowered(fitted(scaled(gp(RBF(1.5)))))
    behind = lowered(fitted(TransformedTargetRegressor(scaled(gp(RBF(1.5))), transformer=StandardScaler())))
    assert behind.deviation(points()) == pytest.approx(plain.deviation(points()) * y.std(), rel=1e-12)
    assert lowered(fitted(TransformedTargetRegressor(scaled(gp()), func=np.log, inverse_func=np.exp))).variance is None


@pytest.mark.parametrize("nu", [1.5, 2.5])
def test_derivatives_of_a_matern_kernel_are_finite_at_its_own_data(nu: float) -> None:
    X, _ = data()
    model = lowered(fitted(gp(Matern([10.0, 0.5, 2.0], nu=nu), normalize_y=True)))
    x, c = ca.SX.sym("x", 3), model.coefficients
    traced = model.mean(symbol_array([Symbol(s, DIMENSIONLESS, CASADI) for s in ca.vertsplit(x)]), c)[0].value
    gradient = ca.Function("g", [x], [ca.gradient(traced, x)])
    hessian = ca.Function("h", [x], [ca.hessian(traced, x)[0]])
    steps = np.diag([1e-4, 1e-6, 1e-5])
    central = [(model.predict(X[:1] + h)[0] - model.predict(X[:1] - h)[0]) / (2.0 * h.max()) for h in steps]
    assert np.array(gradient(X[0])).ravel() == pytest.approx(np.array(central), rel=1e-4)
    assert np.isfinite(np.array(hessian(X[0]))).all()


def test_two_fits_of_one_shape_have_one_structure() -> None:
    X, y = data()
    first, second = (lowered(scaled(gp(RBF(1.0))).fit(X + shift, y + shift)) for shift in (0.0, 0.1))
    assert first.mean == second.mean
    assert first.variance == second.variance
    assert hash(first.mean) == hash(second.mean)
    assert not np.allclose(first.coefficients, second.coefficients)
    assert lowered(scaled(gp(RBF(1.0))).fit(X[1:], y[1:])).mean != first.mean


@pytest.mark.parametrize(
    "estimator", [scaled(SVR(C=10.0)), scaled(KernelRidge(0.1, kernel="rbf")), GAUSSIAN[2]], ids=named
)
def test_models_of_fewer_points_are_filled_up_to_one_shape(estimator: Any) -> None:
    X, y = data()
    models = []
    for count in (SAMPLES, SAMPLES - 5):
        regressor = estimator.fit(X[:count], y[:count])
        model = lowered(regressor, points=40)
        plain = lowered(regressor)
        assert model.predict(points()) == pytest.approx(plain.predict(points()), rel=1e-12)
        if model.variance is not None:
            assert model.deviation(points()) == pytest.approx(plain.deviation(points()), rel=1e-12)
        models.append(model)
    assert models[0].mean == models[1].mean
    assert models[0].variance == models[1].variance
    with pytest.raises(SpecificationError, match=r"has \d+ points, which points=3 cannot hold"):
        lowered(regressor, points=3)
    with pytest.raises(SpecificationError, match="Ridge is no sum over points"):
        lowered(fitted(Ridge()), points=3)


def test_one_result_of_several_is_chosen() -> None:
    X, y = data()
    targets = np.column_stack([y, np.sqrt(X[:, 1])])
    for estimator in (scaled(Ridge()), PLSRegression(2), scaled(network("tanh")), scaled(gp(RBF(1.0)))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regressor = estimator.fit(X, targets)
        for k in (0, 1):
            model = lowered(regressor, output=k)
            assert model.predict(X) == pytest.approx(regressor.predict(X)[:, k], rel=EXACT, abs=EXACT)
        with pytest.raises(SpecificationError, match="predicts 2 results, and output=None names none of them"):
            lowered(regressor)
    _, deviations = regressor.predict(X[:3] + 0.1, return_std=True)
    assert lowered(regressor, 1).deviation(X[:3] + 0.1) == pytest.approx(deviations[:, 1], rel=1e-9)


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (RandomForestRegressor(3), "RandomForestRegressor predicts in steps, so that solvers find no derivative"),
        (DecisionTreeRegressor(), "Use GaussianProcessRegressor, KernelRidge"),
        (GradientBoostingRegressor(n_estimators=2), "GradientBoostingRegressor predicts in steps"),
        (KNeighborsRegressor(), "KNeighborsRegressor jumps from one neighbour to another"),
        (scaled(RandomForestRegressor(3)), "RandomForestRegressor predicts in steps"),
        (scaled(PoissonRegressor()), "estimator 'PoissonRegressor' is unknown"),
        (network("relu"), 'activation="relu" has kinks'),
        (KernelRidge(kernel="laplacian"), "with a kernel 'laplacian' cannot be lowered"),
        (gp(Matern(nu=0.5)), "Matern as a kernel with nu=0.5 cannot be lowered"),
        (gp(ExpSineSquared() + WhiteKernel(9.0)), "ExpSineSquared as a kernel cannot be lowered"),
        (make_pipeline(MinMaxScaler(clip=True), Ridge()), "MinMaxScaler with clip=True has kinks"),
        (make_pipeline(QuantileTransformer(n_quantiles=5), Ridge()), "estimator 'QuantileTransformer' is unknown"),
        (make_pipeline(FunctionTransformer(np.abs), Ridge()), "calls absolute, which is no elementary function"),
        (
            TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=5)),
            "QuantileTransformer as a transformer of targets cannot be lowered",
        ),
    ],
    ids=named,
)
def test_what_has_no_derivatives_is_refused_with_what_would_do(estimator: Any, text: str) -> None:
    with pytest.raises(SpecificationError, match=re.escape(text)):
        lowered(fitted(estimator))


def test_an_estimator_that_is_not_fitted_is_refused() -> None:
    for estimator in (Ridge(), scaled(Ridge()), gp()):
        with pytest.raises(SpecificationError, match=r"is not fitted|Call its fit"):
            lowered(estimator)


def test_features_are_finite_and_as_many_as_were_learned() -> None:
    model = lowered(fitted(Ridge()))
    with pytest.raises(SpecificationError, match="Ridge takes 3 features, got 2"):
        model.predict([[1.0, 2.0]])
    with pytest.raises(SpecificationError, match="feature 1 of sample 0 is nan"):
        model.predict([[1.0, np.nan, 3.0]])
    with pytest.raises(SpecificationError, match="Ridge does not say how sure it is"):
        model.deviation([[1.0, 2.0, 3.0]])


def test_an_estimator_of_ones_own_is_registered_by_its_class() -> None:
    class Slope:
        slope = 2.5

    key = f"{Slope.__module__.partition('.')[0]}.Slope"

    @lowers(key)
    def _slope(estimator: Any) -> Lowered:
        return Lowered(Affine(1, 1), np.array([estimator.slope, 1.0]))

    assert lowered(Slope()).predict([[2.0]]) == pytest.approx([6.0])
