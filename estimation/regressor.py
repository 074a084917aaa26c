"""How does a plant go through cross-validation? `PlantRegressor`: fit, predict and score, in scikit-learn's manners.

A sample is a batch: X is a list of experiments, and y is in them. So `cross_val_score`, `GridSearchCV` and `clone` hold
back and choose whole batches. scikit-learn itself is needed only by those who call it: pip install titer[learn].
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.noise import Estimated, deviations
from titer.estimation.estimate import estimate
from titer.estimation.experiment import Experiment
from titer.estimation.losses import Loss
from titer.estimation.statistics.prediction import predicted
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import Grid
from titer.numerics.solvers import Ipopt

if TYPE_CHECKING:
    from titer.estimation.fit import Fit

Array = np.ndarray


class PlantRegressor:
    """A plant whose free numbers are fitted to experiments.

    Arguments as of `estimate`; `free`, `loss`, `grid` and numbers can be searched over. After `fit`: `fit_` (a
    `Fit`, with all its statistics) and `plant_` (the plant with the fitted values; numbers that every experiment has
    for itself stand at the mean of their prior, or at their guess).
    """

    def __init__(
        self,
        plant: Flowsheet,
        free: Sequence[str] | Mapping[str, Free],
        grid: Grid | None = None,
        solver: Ipopt | None = None,
        loss: Loss | None = None,
        starts: int | None = None,
        seed: int = 0,
    ):
        # Kept as they came, unchecked: scikit-learn's clone relies on it.
        self.plant = plant
        self.free = free
        self.grid = grid
        self.solver = solver
        self.loss = loss
        self.starts = starts
        self.seed = seed

    def fit(self, X: Sequence[Experiment], y: Any = None) -> PlantRegressor:
        """Fit to experiments; y is not read. Raises as `estimate` does."""
        experiments = _experiments(X, "fit")
        self.fit_: Fit = estimate(
            self.plant, experiments, self.free, self.grid, self.solver, self.loss, self.starts, self.seed
        )
        numbers = self.fit_.work.solved.started.assembled.numbers
        guesses = {n.name: n.guess if n.prior is None else n.prior[0] for n in numbers}
        self.plant_ = self.plant.with_values({**guesses, **self.fit_.values})
        return self

    def predict(self, X: Sequence[Experiment]) -> Array:
        """Simulated predictions (experiments,): a frame as that of each experiment, in declared units.

        NaN where nothing was measured. Raises SpecificationError before `fit`, SolveError where a run stops early.
        """
        self._check_fitted("predict")
        experiments = _experiments(X, "predict")
        found = np.empty(len(experiments), dtype=object)
        for k, experiment in enumerate(experiments):
            found[k] = predicted(self.plant_, experiment)
        return found

    def score(self, X: Sequence[Experiment], y: Any = None) -> float:
        """Coefficient of determination over all names: 1 - sum of weighted squares / that about the mean of each name.

        Weights are those of the noise, so that names of any unit add up; where it was estimated, of the fit. At best 1;
        0 is no better than the means of these experiments, NaN says that no name varies.
        """
        errors: dict[str, list[Array]] = {}
        for experiment, frame in zip(X, self.predict(X), strict=True):
            data = experiment.converted(self.plant)
            for name in data.frame.columns:
                values = data.frame[name].to_numpy(dtype=float)
                known = np.isfinite(values)
                sizes = self._sizes(data, name, values)
                rows = np.stack([frame[name].to_numpy(dtype=float), values, sizes])[:, known]
                errors.setdefault(name, []).append(rows)
        missed = about = 0.0
        for parts in errors.values():
            model, measured, sizes = np.concatenate(parts, axis=1)
            if not len(measured):
                continue
            weights = sizes**-2.0
            mean = (weights * measured).sum() / weights.sum()
            missed += float((weights * (model - measured) ** 2).sum())
            about += float((weights * (measured - mean) ** 2).sum())
        return 1.0 - missed / about if about > 0.0 else float("nan")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments it was made with."""
        return {name: getattr(self, name) for name in _arguments()}

    def set_params(self, **params: Any) -> PlantRegressor:
        """Change arguments; a fit that is there stays until the next. Raises SpecificationError for unknown ones."""
        for name, value in params.items():
            if name not in _arguments():
                raise SpecificationError(f"PlantRegressor: {unknown('parameter', name, _arguments())}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=False),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=False, allow_nan=True),
        )

    def __sklearn_clone__(self) -> PlantRegressor:
        # A plant is frozen and is shared: a deep copy would lower it again, and need not be possible.
        return PlantRegressor(**self.get_params())

    def __sklearn_is_fitted__(self) -> bool:
        return "fit_" in vars(self)

    def __repr__(self) -> str:
        free = ", ".join(str(name) for name in ([self.free] if isinstance(self.free, str) else self.free))
        return f"PlantRegressor({free})"

    def _sizes(self, data: Experiment, name: str, values: Array) -> Array:
        """Standard deviations of measured values; estimated ones as fitted, where the fit had that name."""
        if isinstance(data.noise[name], Estimated):
            seen = self.fit_.residuals
            own = seen.loc[seen["name"] == name, "deviation"]
            if len(own):
                return np.full(len(values), float(own.iloc[0]))
        return deviations(data.noise[name], values)

    def _check_fitted(self, what: str) -> None:
        if not self.__sklearn_is_fitted__():
            raise SpecificationError(f"PlantRegressor: {what} needs a fit; call fit(experiments) first.")


def _arguments() -> tuple[str, ...]:
    return tuple(inspect.signature(PlantRegressor.__init__).parameters)[1:]


def _experiments(X: Any, what: str) -> list[Experiment]:
    if isinstance(X, Experiment) or not isinstance(X, Sequence | np.ndarray):
        raise SpecificationError(f"PlantRegressor: {what}: X is a list of Experiment(...), got {type(X).__name__}.")
    wrong = [x for x in X if not isinstance(x, Experiment)]
    if wrong:
        raise SpecificationError(
            f"PlantRegressor: {what}: X is a list of Experiment(...); one of them is {type(wrong[0]).__name__}."
        )
    return list(X)
