"""What came out of a fit, and how sure is it? Values, covariance, intervals, and the residuals they rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.experiment import Experiment
from titer.estimation.losses import Loss
from titer.estimation.resampled.bootstrap import Bootstrap
from titer.estimation.statistics.covariance import Information, information, taken
from titer.estimation.work import Number, Work
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import Certificate, Solution
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from titer.estimation.resampled.bootstrap import Replicates
    from titer.estimation.statistics.diagnostics import Diagnostics
    from titer.estimation.statistics.identifiability import Estimability
    from titer.estimation.statistics.profile import Profile
    from titer.estimation.statistics.selection import LeftOut

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted values with the covariance, the residuals and the trajectories of each experiment.

    `plant`, `experiments`, `free`, `loss`: what was fitted; `work`: the program behind it, for further statistics.
    """

    plant: Flowsheet
    experiments: tuple[Experiment, ...]
    free: Mapping[str, Free]
    loss: Loss | None
    work: Work

    @property
    def values(self) -> dict[str, float]:
        """The parameters that all experiments share."""
        return {n.name: n.value for n in self.work.numbers if n.experiment is None}

    @property
    def own(self) -> tuple[dict[str, float], ...]:
        """The parameters that each experiment has for itself (each=True), by experiment."""
        return self._of_experiments(lambda kind: kind != State.kind)

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        """The initial states that were decided, by experiment."""
        return self._of_experiments(lambda kind: kind == State.kind)

    @property
    def objective(self) -> float:
        """The sum of the costs of all weighted residuals, with the squares of priors."""
        return self.work.outcome.objective

    @property
    def solutions(self) -> tuple[Solution, ...]:
        """The trajectories of each experiment."""
        return self.work.solved.solutions

    @property
    def status(self) -> Status:
        """What the solver says, on the mesh it was given."""
        return self.work.outcome.status

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Whether the replay of each experiment agrees."""
        return tuple(s.certificate for s in self.solutions if s.certificate is not None)

    @property
    def ok(self) -> bool:
        """Whether the fit was solved and can be trusted."""
        return not self.message

    @property
    def message(self) -> str:
        """What does not hold; empty where all of it does."""
        if not self.status.ok:
            return self.status.value
        missed = (f"{self.experiments[i].label(i)}: {c.message}" for i, c in enumerate(self.certificates) if not c.ok)
        return next(missed, "")

    @property
    def numbers(self) -> tuple[Number, ...]:
        """All decided numbers, with their bounds and which of them hold."""
        return self.work.numbers

    @cached_property
    def information(self) -> Information:
        """What the data say of the numbers that no bound holds."""
        return information(self.work)

    @cached_property
    def covariance(self) -> pd.DataFrame:
        """Covariance of all decided numbers, in their units; numbers that a bound holds have none (zero)."""
        return self._framed(self.information.covariance)

    @property
    def correlation(self) -> pd.DataFrame:
        """Correlation of the numbers that no bound holds."""
        kept = [n.label for n in self.information.numbers]
        covariance = self.covariance.loc[kept, kept]
        deviations = np.sqrt(np.diag(covariance))
        return covariance / np.outer(deviations, deviations)

    @property
    def standard_errors(self) -> pd.Series:
        """Standard errors of all decided numbers, by label."""
        import pandas as pd

        return pd.Series(np.sqrt(np.diag(self.covariance)), index=self.covariance.index, name="standard error")

    @property
    def count(self) -> int:
        """How many measurements were fitted."""
        return sum(len(s.times) for s in self.information.samples)

    @property
    def freedom(self) -> int:
        """Measurements less numbers that no bound holds."""
        return self.count - len(self.information.numbers)

    def interval(self, level: float = 0.95) -> pd.DataFrame:
        """Intervals from the covariance: columns lower, upper, by label; of a log-scaled number, even in its logarithm.

        Student's t where standard deviations were estimated, the normal distribution where they are known. An interval
        may go beyond a bound. Raises SpecificationError for a level outside 0 to 1.
        """
        import pandas as pd

        width = self.quantile(level) * self.standard_errors
        rows = {}
        for number in self.numbers:
            half = float(width[number.label])
            if number.log and number.value > 0.0:
                factor = np.exp(half / number.value)
                rows[number.label] = (number.value / factor, number.value * factor)
            else:
                rows[number.label] = (number.value - half, number.value + half)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["lower", "upper"])

    def quantile(self, level: float) -> float:
        """How many standard errors an interval of this level reaches to either side."""
        from scipy.stats import norm, t

        if not (isinstance(level, float) and 0.0 < level < 1.0):
            raise SpecificationError(f"level must be a number between 0 and 1, such as 0.95, got {level!r}.")
        share = 0.5 * (1.0 + level)
        if any(experiment.estimated for experiment in self.experiments):
            return float(t.ppf(share, max(self.count - float(taken(self.work).sum()), 1.0)))
        return float(norm.ppf(share))

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """What an engineer reads: value, standard error, relative error in %, interval, unit, and what holds it."""
        import pandas as pd

        errors, intervals = self.standard_errors, self.interval(level)
        rows = []
        for number in self.numbers:
            error = float(errors[number.label])
            rows.append(
                {
                    "value": number.value,
                    "unit": self.plant.measures[number.name].label,
                    "standard error": np.nan if number.bound else error,
                    "relative error %": np.nan if number.bound or not number.value else 100 * error / abs(number.value),
                    "lower": np.nan if number.bound else float(intervals.loc[number.label, "lower"]),
                    "upper": np.nan if number.bound else float(intervals.loc[number.label, "upper"]),
                    "note": self._note(number, error),
                }
            )
        return pd.DataFrame(rows, index=[n.label for n in self.numbers])

    @cached_property
    def residuals(self) -> pd.DataFrame:
        """Every measurement: experiment (from 1), name, time, measured, predicted, deviation, weighted residual."""
        import pandas as pd

        frames = [
            pd.DataFrame(
                {
                    "experiment": s.experiment + 1,
                    "name": s.name,
                    "time": s.times,
                    "measured": s.measured,
                    "predicted": s.predicted,
                    "deviation": s.deviations,
                    "residual": s.residuals,
                }
            )
            for s in self.work.samples()
        ]
        return pd.concat(frames, ignore_index=True)

    def outliers(self, level: float = 0.95) -> pd.DataFrame:
        """Measurements whose residual is too large for their noise: experiment, row, time, name, ..., score, limit.

        `level`: how sure one is that a fit without outliers flags none. None is dropped. Raises SpecificationError.
        """
        from titer.estimation.data.outliers import outliers_of_fit

        return outliers_of_fit(self, level)

    def estimability(self, collinear: float = 15.0) -> Estimability:
        """Which numbers these data can tell: a ranking, groups that cannot be told apart, and advice.

        `collinear`: the collinearity index from which a group is called so. Raises SpecificationError.
        """
        from titer.estimation.statistics.identifiability import estimability

        return estimability(self, collinear)

    def profile(self, name: str, level: float = 0.95, points: int = 6, experiment: int | None = None) -> Profile:
        """Profile likelihood of one number: its interval at `level`, even or not, or on which side there is none.

        `experiment` (from 1): whose number, where each experiment has its own. Raises SpecificationError.
        """
        from titer.estimation.statistics.profile import profile

        return profile(self, name, level, points, experiment)

    def bootstrap(
        self,
        count: int = 200,
        kind: Bootstrap = Bootstrap.PARAMETRIC,
        seed: int = 0,
        folder: str | Path | None = None,
        jobs: int | None = None,
        progress: Callable[[str], None] | None = None,
        around: Mapping[str, float] | None = None,
    ) -> Replicates:
        """The fit repeated with resampled data; replicate k depends on `seed` and k only.

        `folder`: keeps every finished replicate, and goes on from there. `jobs`: processes; None: as many as pay.
        `progress` is told of every replicate. `around`: values the noise is drawn around instead of the fitted ones.
        Failures are kept, counted and explained. Raises SpecificationError.
        """
        from titer.estimation.resampled.bootstrap import bootstrap

        return bootstrap(self, count, kind, seed, folder, jobs, progress, around)

    def leave_one_batch_out(self) -> LeftOut:
        """How well each experiment is predicted by a fit to all others. Raises SpecificationError."""
        from titer.estimation.statistics.selection import left_out

        return left_out(self)

    def diagnostics(self, largest: int = 5) -> Diagnostics:
        """Whether the residuals look like noise: runs, normality, sum of squares, lack of fit; in words too.

        `largest`: how many of the residuals farthest out are shown. Raises SpecificationError.
        """
        from titer.estimation.statistics.diagnostics import diagnostics

        return diagnostics(self, largest)

    def bands(
        self,
        level: float = 0.95,
        points: int | Sequence[float] | Array | None = None,
        names: Sequence[str] | str | None = None,
    ) -> pd.DataFrame:
        """Bands along time, by experiment and name: of the prediction (lower, upper) and of a new measurement.

        `points`: None for the grid's, how many evenly spaced, or the times; `names`: those measured, or any of the
        plant. Raises SpecificationError.
        """
        from titer.estimation.statistics.bands import bands

        return bands(self, level, points, names)

    def plot(
        self,
        experiments: Sequence[int] | int | None = None,
        names: Sequence[str] | str | None = None,
        level: float = 0.95,
    ) -> Figure:
        """Data and fit with bands: a row for each measured name, a column for each experiment (from 1)."""
        from titer.estimation.statistics.pictures import plot_fit

        return plot_fit(self, experiments, names, level)

    def plot_residuals(self) -> Figure:
        """Weighted residuals over time, and against a normal distribution."""
        from titer.estimation.statistics.pictures import plot_residuals

        return plot_residuals(self)

    def plot_correlation(self) -> Figure:
        """Correlations of the numbers that no bound holds."""
        from titer.estimation.statistics.pictures import plot_correlation

        return plot_correlation(self)

    def __repr__(self) -> str:
        doubt = f"; {self.message.splitlines()[0]}" if self.message else ""
        count = sum(len(s.times) for s in self.work.samples())
        return (
            f"<fit: {self.status.name.lower()}, {len(self.numbers)} numbers, {count} measurements, "
            f"objective {self.objective:.6g}{doubt}>"
        )

    def __str__(self) -> str:
        return f"{self!r}\n{self.table().to_string()}" if self.status.ok else repr(self)

    def _framed(self, covariance: Array) -> pd.DataFrame:
        import pandas as pd

        labels = [n.label for n in self.numbers]
        place = [labels.index(n.label) for n in self.information.numbers]
        full = np.zeros((len(labels), len(labels)))
        full[np.ix_(place, place)] = covariance
        return pd.DataFrame(full, index=labels, columns=labels)

    def _note(self, number: Number, error: float) -> str:
        if number.bound:
            return f"held by its {number.bound} bound"
        if not np.isfinite(error):
            return "not determined by these data"
        return ""

    def _of_experiments(self, wanted) -> tuple[dict[str, float], ...]:  # type: ignore[no-untyped-def]
        kinds = {name: scalar.kind for name, scalar in self.plant.scalars.items()}
        found: list[dict[str, float]] = [{} for _ in self.experiments]
        for number in self.numbers:
            if number.experiment is not None and wanted(kinds[number.name]):
                found[number.experiment][number.name] = number.value
        return tuple(found)
