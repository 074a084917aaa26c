"""Which plants may be the real one? Uncertain parameters, drawn evenly over what is believed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.names import elements_of
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Uniform:
    """Equally likely between two values, in the parameter's declared unit."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.lower, self.upper]).all() and self.lower < self.upper):
            raise SpecificationError(f"Uniform: expected finite lower < upper, got {self.lower!r} and {self.upper!r}.")

    def ppf(self, probability: Array) -> Array:
        """The values below which these shares lie."""
        return self.lower + (self.upper - self.lower) * probability


def sample(
    uncertain: Mapping[str, Any], count: int, seed: int = 0, correlation: Array | None = None
) -> list[dict[str, float]]:
    """Plants that may be the real one: `sample({reactor.mu_max: (0.4, 0.04), reactor.Y: Uniform(0.4, 0.6)}, 20)`.

    `uncertain`: for parameters and initial states, in declared units, (mean, standard deviation) of a normal
    distribution, `Uniform`, or a frozen distribution of scipy.stats. `correlation` (n, n), in their order: of the
    normal scores behind them (a fit's covariance gives it). Returns `count` dicts of values, as `scenarios` and
    `stress` take them. A normal tail may leave a parameter's bounds, which the plant then refuses; a lognormal stays
    positive. Raises SpecificationError. Method: Latin hypercube, by scipy.stats.qmc (McKay, Beckman & Conover,
    Technometrics 21 (1979) 239); where they are correlated, the draws of the first parameter alone stay evenly spread.
    """
    from scipy.stats import norm, qmc  # slow to import, and seldom wanted

    if not isinstance(uncertain, Mapping) or not uncertain:
        raise SpecificationError(f"sample: expected a dict from names to distributions, got {uncertain!r}.")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise SpecificationError(f"sample: count must be a whole number of at least 1, got {count!r}.")
    quantiles = {str(name): _quantile(name, value, norm) for name, value in uncertain.items()}
    shares = qmc.LatinHypercube(len(quantiles), seed=np.random.default_rng(seed)).random(count)
    if correlation is not None:
        shares = norm.cdf(norm.ppf(shares) @ _root(correlation, len(quantiles)).T)
    columns = [np.asarray(ppf(shares[:, i]), dtype=float) for i, ppf in enumerate(quantiles.values())]
    return [{name: float(column[k]) for name, column in zip(quantiles, columns, strict=True)} for k in range(count)]


def _quantile(name: str, value: Any, norm: Any) -> Any:
    """The quantile function of what was given for a name."""
    if elements_of(name) != (name,):
        raise SpecificationError(f"sample: {name} is an array; name its elements, such as {elements_of(name)[0]}.")
    if isinstance(value, tuple | list):
        numbers = len(value) == 2 and all(isinstance(x, int | float | np.number) for x in value)
        if not numbers or not np.isfinite(value).all() or value[1] <= 0.0:
            raise SpecificationError(f"sample: {name} is (mean, standard deviation > 0), got {value!r}.")
        return norm(*value).ppf
    ppf = getattr(value, "ppf", None)
    if not callable(ppf):
        raise SpecificationError(
            f"sample: {name} needs (mean, standard deviation), Uniform(lower, upper) or a frozen distribution of "
            f"scipy.stats, got {value!r}."
        )
    return ppf


def _root(correlation: Array, n: int) -> Array:
    """The lower triangular root of a correlation matrix."""
    matrix = np.asarray(correlation, dtype=float)
    if matrix.shape != (n, n) or not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1.0):
        raise SpecificationError(f"sample: correlation must be a symmetric ({n}, {n}) matrix with a diagonal of ones.")
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise SpecificationError("sample: correlation is not positive definite; no numbers are related so.") from None
