"""How is a nonlinear model corrected by all of the last samples at once? Moving horizon estimation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.estimator import Estimator, whole
from titer.estimation.estimators.extended_kalman import linearly_predicted
from titer.estimation.estimators.filtering import Seen, corrected, linear_view, moved, of
from titer.estimation.estimators.memory import Estimation, Record
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.rejection import costs
from titer.estimation.estimators.window import Guess, settle, window_of
from titer.numerics.dae import Array
from titer.numerics.errors import SolveError, SpecificationError


@dataclass(frozen=True)
class Filtering:
    """What is known as a window begins is what was predicted when its first sample was the newest."""


@dataclass(frozen=True)
class Smoothing:
    """What is known as a window begins is moved on with it, linear around what later samples say of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MovingHorizon(Estimator):
    """Moving horizon estimation over the last `window` samples, states and parameters within their declared domains.

    Settings: see `Estimator`; parameters that are estimated are slow states. `arrival`: Filtering() or Smoothing().
    `iterations`: the most Gauss-Newton steps an update takes, `tolerance`: the step, in standard deviations, below
    which it ends. Covariances take no note of limits that are reached. Where a window cannot be solved, the belief is
    that of an extended Kalman filter, and the status says so.
    Source: Rao, Rawlings & Mayne, IEEE Trans. Autom. Control 48 (2003) 246; for the arrival Tenny & Rawlings, American
    Control Conference (2002) 4475 and Kühl et al., Comput. Chem. Eng. 35 (2011) 71.
    """

    window: int = 8
    arrival: Filtering | Smoothing = field(default_factory=Filtering)
    iterations: int = 10
    tolerance: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.window, 1, "MovingHorizon: window")
        whole(self.iterations, 1, "MovingHorizon: iterations")
        if not isinstance(self.arrival, Filtering | Smoothing):
            raise SpecificationError(f"MovingHorizon: arrival is Filtering() or Smoothing(), got {self.arrival!r}.")
        if not isinstance(self.tolerance, float) or not 0.0 < self.tolerance < 1.0:
            raise SpecificationError(
                f"MovingHorizon: tolerance must be a number between 0 and 1, such as 1e-2, got {self.tolerance!r}."
            )
        if self.history <= self.window:
            raise SpecificationError(
                f"MovingHorizon: the window of {self.window} samples does not fit into a history of {self.history}.\n"
                f"  Give history={self.window + 1} or more; what comes late needs as many more as it is late."
            )

    def predicted(self, model: SampledModel, before: Gaussian, t: float, record: Record) -> tuple[Gaussian, Array]:
        return linearly_predicted(model, before, t, record)

    def seen(self, model: SampledModel, belief: Gaussian, record: Record) -> Seen:
        return linear_view(model, belief, dict(record.applied), record.time)

    def settled(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        first = max(0, k + 1 - self.window)
        inside = records[first : k + 1]
        window = window_of(model, inside, self.robust)
        try:
            guess = Guess(inside[0].smoothed, np.array([record.departure for record in inside[1:]]))
            found = settle(window, guess, self.iterations, self.tolerance)
        except SolveError as error:
            reasons = (*records[k].reasons, str(error).splitlines()[0])
            return [*records[:k], replace(records[k], status=Estimation.LIMITED, reasons=reasons), *records[k + 1 :]]
        departures = [inside[0].departure, *found.departures]
        inside = [
            replace(record, smoothed=node, departure=departure)
            for record, node, departure in zip(inside, found.nodes, departures, strict=True)
        ]
        newest = replace(inside[-1], filtered=Gaussian(found.nodes[-1], found.root))
        if not found.converged:
            reason = f"the window was left after {found.steps} steps"
            newest = replace(newest, status=Estimation.LIMITED, reasons=(*newest.reasons, reason))
        inside[-1] = newest
        if isinstance(self.arrival, Smoothing) and len(inside) == self.window > 1:
            inside[1] = self._moved_on(model, inside[0], inside[1])
        return [*records[:first], *inside, *records[k + 1 :]]

    def _moved_on(self, model: SampledModel, first: Record, second: Record) -> Record:
        """The second record of a window with what is known there from the first, linear around the smoothed entries."""
        node, known, used = first.smoothed, first.arrival, first.used
        noise = model.deviations.noise * first.factors
        at_node = linear_view(model, Gaussian(node, known.root), dict(first.applied), first.time)
        values, slope = model.outputs(node, first.applied, first.time)
        apart = np.where(used, (first.values - values) / noise, 0.0)
        noise = noise / np.sqrt(costs(self.robust, apart)[1])
        residual = first.values - values - slope @ (known.mean - node)
        after, _ = corrected(known.mean, of(at_node, used), residual[used], noise[used])
        step = model.linearized(node, second.applied, first.time, second.time)
        onward = moved(after, step)
        return replace(second, arrival=replace(onward, mean=step.mean + step.transition @ (after.mean - node)))
