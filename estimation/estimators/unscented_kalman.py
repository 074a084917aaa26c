"""How is a nonlinear model corrected without its derivatives? By points that spread as the belief does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.filtering import Seen, triangular, within
from titer.estimation.estimators.memory import Record
from titer.estimation.estimators.model import SampledModel
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False, kw_only=True)
class UnscentedKalman(Estimator):
    """The unscented Kalman filter, in square roots; settings as in `Estimator`.

    2 n points at sqrt(n + kappa) deviations along the columns of the root, and the mean with weight kappa / (n +
    kappa): with `kappa` >= 0 no weight is negative, and roots follow by QR alone (0: the cubature rule of degree 3).
    Points that leave a declared domain are moved to its limit, so that the model is only asked where it means
    something. The noise of the model is added as its linearization at the mean has it.
    Source: Julier & Uhlmann, Proc. IEEE 92 (2004) 401; Arasaratnam & Haykin, IEEE Trans. Autom. Control 54 (2009) 1254;
    for the limits Kandepu, Foss & Imsland, J. Process Control 18 (2008) 753.
    """

    kappa: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number = isinstance(self.kappa, int | float | np.number) and not isinstance(self.kappa, bool)
        if not number or not 0.0 <= self.kappa < np.inf:
            raise SpecificationError(f"UnscentedKalman: kappa must be a number of at least 0, got {self.kappa!r}.")

    def predicted(self, model: SampledModel, before: Gaussian, t: float, record: Record) -> tuple[Gaussian, Array]:
        noise = triangular(model.linearized(before.mean, record.applied, t, record.time).noise)
        points, weights = self._points(model, before)
        ends = np.array([model.predict(point, record.applied, t, record.time) for point in points])
        mean = weights @ ends
        spread = ((ends - mean) * np.sqrt(weights)[:, None]).T
        return Gaussian(mean, triangular(np.hstack([spread, noise]))), noise

    def seen(self, model: SampledModel, belief: Gaussian, record: Record) -> Seen:
        points, weights = self._points(model, belief)
        images = np.array([model.outputs(point, record.applied, record.time)[0] for point in points])
        mean = weights @ images
        root = np.sqrt(weights)[:, None]
        return Seen(mean, ((images - mean) * root).T, ((points - weights @ points) * root).T)

    def settled(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        return records

    def _points(self, model: SampledModel, belief: Gaussian) -> tuple[Array, Array]:
        """Points (2 n + 1, n) and weights (2 n + 1,); of directions without spread none."""
        columns = belief.root.T[np.abs(belief.root).max(axis=0) > 0.0]
        n = len(columns)
        total = n + self.kappa
        if not total:
            return belief.mean[None, :], np.ones(1)
        away = np.sqrt(total) * columns
        points = np.vstack([belief.mean, belief.mean + away, belief.mean - away])
        weights = np.concatenate([[self.kappa / total], np.full(2 * n, 0.5 / total)])
        return np.array([within(model, point) for point in points]), weights
