"""How is a regressor fitted to a discrepancy that is surer in some places than in others? Weighted by its variance.

A Gaussian process takes the variance of each point as noise (`alpha`), other estimators weights 1 / variance, of mean 1
(`sample_weight`), in pipelines and with transformed targets too; one that takes neither is fitted without, and says so.
What a profile's prior adds is not data: the variance that counts is 1 / (1 / sd^2 - 1 / amplitude^2).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.learning.discrepancy import Discrepancy
from titer.estimation.learning.nearness import near_batches
from titer.estimation.regressors import lowered
from titer.flowsheets import Correction, Flowsheet, LearnedTerm
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_LEAST_KNOWN = 1e-3  # share that data explain, below which a point counts as this little
_PROCESS_POINTS = 60  # of the Gaussian process that is taken by default
_FEW = 20  # points for which a polynomial is taken
_TRIAL = 24  # made-up samples on which an estimator is tried


@dataclass(frozen=True, eq=False)
class Candidate:
    """A regressor that may be learned, what tables call it, and on how many points at most it is fitted."""

    name: str
    estimator: Any
    points: int | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A correction with how each rate's regressor was fitted: `weighted` by rate, and what it warned of."""

    correction: Correction
    weighted: dict[str, str]
    warned: tuple[str, ...]


def regressed(
    plant: Flowsheet, found: Discrepancy, candidate: Candidate, batches: Sequence[str] | None = None
) -> Fitted:
    """A correction of all rates, learned from the discrepancy of some batches (default: all)."""
    terms, weighted, warned = [], {}, []
    for on, form in found.forms.items():
        rows = found.of(on)
        rows = rows if batches is None else rows[rows["batch"].isin(list(batches))]
        X, y, variance = table_of(rows, found)
        kept = _spread(len(X), candidate.points)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            regressor, how = fitted(candidate.estimator, X[kept], y[kept], variance[kept])
        weighted[on] = how
        warned += [f"{on}: {str(w.message).splitlines()[0]}" for w in said]
        ranges = list(zip(X.min(axis=0), X.max(axis=0), strict=True))
        domain = near_batches(X, rows["batch"].to_numpy())
        term = LearnedTerm(on, found.features, lowered(regressor), form, domain, ranges=ranges)
        terms.append(term.fitted_to(plant))
    return Fitted(Correction(*terms), weighted, tuple(dict.fromkeys(warned)))


def table_of(rows: pd.DataFrame, found: Discrepancy) -> tuple[Array, Array, Array]:
    """Features (n, features), discrepancies (n,), and their variances by data alone (n,)."""
    X = rows[list(found.features)].to_numpy(dtype=float)
    known = np.clip(rows["known"].to_numpy(dtype=float), _LEAST_KNOWN, 1.0)
    return X, rows["discrepancy"].to_numpy(dtype=float), rows["sd"].to_numpy(dtype=float) ** 2 / known


def fitted(estimator: Any, X: Array, y: Array, variance: Array) -> tuple[Any, str]:
    """A fitted clone, and how the variances (n,) entered: "noise of each point", "weights" or "not weighted"."""
    from sklearn.base import clone
    from sklearn.utils.validation import has_fit_parameter

    regressor = clone(estimator)
    where = _process_in(regressor)
    if where is not None:
        path, normalizes = where
        regressor.set_params(**{f"{path}alpha": variance / (np.var(y) if normalizes and np.var(y) else 1.0)})
        return regressor.fit(X, y), "noise of each point"
    weights = (1.0 / variance) / np.mean(1.0 / variance)
    last, prefix = regressor, ""
    while type(last).__name__ in ("Pipeline", "TransformedTargetRegressor"):
        if type(last).__name__ == "Pipeline":
            name, inner = last.steps[-1]
            prefix, last = f"{prefix}{name}__", inner
        else:
            last = last.regressor
    if last is not None and has_fit_parameter(last, "sample_weight"):
        return regressor.fit(X, y, **{f"{prefix}sample_weight": weights}), "weights"
    return regressor.fit(X, y), "not weighted"


def candidates_of(model: Any, rows: int, inputs: int) -> tuple[Candidate, ...]:
    """What may be learned: the estimators that were given, or a default. Raises SpecificationError for one that has no
    derivatives or would be chosen by points of one batch."""
    from sklearn.base import BaseEstimator

    if model is None:
        return (_default(rows, inputs),)
    given = list(model) if isinstance(model, Sequence) else [model]
    for each in given:
        if not isinstance(each, BaseEstimator):
            raise SpecificationError(
                f"learn: model is a scikit-learn regressor such as Ridge(), or a list of them, got {each!r}."
            )
        _check_no_splits(each)
        _check_lowered(each, inputs)
    if not given:
        raise SpecificationError("learn: model is an empty list; leave it out for a default.")
    names = [called(each) for each in given]
    return tuple(
        Candidate(name if names.count(name) == 1 else f"{name}, {names[: k + 1].count(name)}", each)
        for k, (name, each) in enumerate(zip(names, given, strict=True))
    )


def called(estimator: Any) -> str:
    """What tables call an estimator: its class, of a pipeline its steps but for scalers."""
    if type(estimator).__name__ != "Pipeline":
        return type(estimator).__name__
    kept = [called(step) for _, step in estimator.steps if not type(step).__name__.endswith("Scaler")]
    return " + ".join(kept) or "Pipeline"


def _default(rows: int, inputs: int) -> Candidate:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    if rows < _FEW * inputs:
        polynomial = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), Ridge(1.0))
        return Candidate("Ridge of second order (default)", polynomial)
    kernel = ConstantKernel(0.1, (1e-4, 1e2)) * RBF([2.0] * inputs, (0.3, 30.0)) + WhiteKernel(1e-3, (1e-6, 1.0))
    process = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, random_state=0))
    return Candidate("Gaussian process (default)", process, _PROCESS_POINTS)


def _process_in(regressor: Any) -> tuple[str, bool] | None:
    """Where a Gaussian process stands that takes the noise of each point, and whether it normalizes its target."""
    if type(regressor).__name__ == "Pipeline":
        name, last = regressor.steps[-1]
        inner = _process_in(last)
        return None if inner is None else (f"{name}__{inner[0]}", inner[1])
    if type(regressor).__name__ == "GaussianProcessRegressor":
        return "", bool(regressor.normalize_y)
    return None


def _check_no_splits(estimator: Any) -> None:
    """No estimator in it may choose by cross-validation: it would split points of one batch."""
    parts = [estimator, *(value for value in estimator.get_params(deep=True).values())]
    for part in parts:
        name = type(part).__name__
        if name.endswith("CV"):
            raise SpecificationError(
                f"learn: {name} chooses by points, of which neighbours in one batch say the same.\n"
                "  Give the candidates, model=[Ridge(0.1), Ridge(1.0), ...]: they are compared on batches left out."
            )


def _check_lowered(estimator: Any, inputs: int) -> None:
    """Raise SpecificationError, before anything is inferred, for what cannot become an expression."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(_TRIAL, inputs)), rng.normal(size=_TRIAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # made-up data: only whether it can be lowered is asked
        try:
            regressor, _ = fitted(estimator, X, y, np.ones(_TRIAL))
        except ValueError as error:
            raise SpecificationError(
                f"learn: {called(estimator)} cannot be fitted to {inputs} features: {error}"
            ) from None
    lowered(regressor)


def _spread(count: int, most: int | None) -> Array:
    """Positions of so many rows at most, evenly through all batches."""
    if most is None or count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


__all__ = ["Candidate", "Fitted", "called", "candidates_of", "fitted", "regressed", "table_of"]
