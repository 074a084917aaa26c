"""How is a nonlinear model corrected, linear around what is believed? The extended Kalman filter."""

from __future__ import annotations

from dataclasses import dataclass

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.filtering import Seen, linear_view, moved, triangular
from titer.estimation.estimators.memory import Record
from titer.estimation.estimators.model import SampledModel
from titer.numerics.dae import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class ExtendedKalman(Estimator):
    """The extended Kalman filter, continuous in the model and discrete in the measurements; square root covariances.

    Settings: see `Estimator`. A mean that a correction moves out of its declared domain is moved back to its limit.
    Source: Jazwinski, Stochastic Processes and Filtering Theory (1970), section 8.3.
    """

    def predicted(self, model: SampledModel, before: Gaussian, t: float, record: Record) -> tuple[Gaussian, Array]:
        return linearly_predicted(model, before, t, record)

    def seen(self, model: SampledModel, belief: Gaussian, record: Record) -> Seen:
        return linear_view(model, belief, dict(record.applied), record.time)

    def settled(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        return records


def linearly_predicted(model: SampledModel, before: Gaussian, t: float, record: Record) -> tuple[Gaussian, Array]:
    """A belief moved to a record's time, and a root (n, n) of the noise in between."""
    step = model.linearized(before.mean, record.applied, t, record.time)
    return moved(before, step), triangular(step.noise)
