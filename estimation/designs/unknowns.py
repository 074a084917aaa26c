"""Which numbers are unknown, and what is known of them so far? Believed values, prior information, other values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.designs.criterion import Criterion
from titer.estimation.designs.planning import Aim
from titer.estimation.designs.prospect import Prospect
from titer.estimation.fit import Fit
from titer.estimation.statistics.covariance import inverse
from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.problem import FreeNumber, free_numbers
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Unknowns:
    """Unknown numbers: those that all batches share, and those of each batch alone.

    `free`: by name, with believed values as guesses. `known` (k, k): what is known of the shared ones.
    """

    plant: Flowsheet
    free: Mapping[str, Free]
    numbers: tuple[FreeNumber, ...]
    known: Array
    fit: Fit | None

    @property
    def shared(self) -> tuple[FreeNumber, ...]:
        return tuple(n for n in self.numbers if not n.each)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the shared numbers."""
        return tuple(n.name for n in self.shared)

    @property
    def values(self) -> dict[str, float]:
        """Believed values."""
        return {n.name: n.guess for n in self.numbers}

    def size(self, number: FreeNumber) -> float:
        """What an error of a number is compared with: its value; where that is zero, its nominal size, or 1."""
        nominal = self.plant.scalars[number.name].nominal
        return abs(number.guess) or (abs(nominal) if np.isfinite(nominal) and nominal else 1.0)

    def theta(self, prospect: Prospect, values: Mapping[str, float]) -> Array:
        """The values of a batch's unknown numbers."""
        start = prospect.first[prospect.theta]
        return np.array([values.get(n.name, v) for n, v in zip(prospect.numbers, start, strict=True)])

    def aim(self, prospects: Sequence[Prospect], criterion: Criterion, interest: Sequence[str] | None) -> Aim:
        """What is to be made small. Raises SpecificationError."""
        names = list(self.names)
        wanted = names if interest is None else [str(e) for name in interest for e in elements_of(name)]
        for name in wanted:
            if name not in names:
                raise SpecificationError(f"design: interest: {unknown('shared number', name, names)}")
        if not wanted:
            raise SpecificationError("design: no unknown number is shared by the batches; name some in free=[...].")
        own = [[n for n in p.numbers if n.each] for p in prospects]
        return Aim(
            criterion=criterion,
            known=self.known,
            sizes=np.array([self.size(n) for n in self.shared]),
            interest=np.array([names.index(name) for name in dict.fromkeys(wanted)], dtype=int),
            shared=tuple(np.array([-1 if n.each else names.index(n.name) for n in p.numbers]) for p in prospects),
            own_known=tuple(np.array([self._prior(n) for n in group]) for group in own),
            own_sizes=tuple(np.array([self.size(n) for n in group]) for group in own),
        )

    def _prior(self, number: FreeNumber) -> float:
        """The information of the prior of a batch's own number."""
        prior = self.free[number.name].prior
        return 0.0 if prior is None else float(prior[1]) ** -2

    def framed(self, prospects: Sequence[Prospect], informations: Sequence[Array], prior: bool = False) -> pd.DataFrame:
        """The information of all numbers by label: the shared ones first, then those of each batch.

        `prior`: with what was known before.
        """
        import pandas as pd

        labels = list(self.names)
        for b, prospect in enumerate(prospects):
            labels += [f"{n.name}, experiment {b + 1}" for n in prospect.numbers if n.each]
        matrix = np.zeros((len(labels), len(labels)))
        if prior:
            matrix[: len(self.known), : len(self.known)] = self.known
        for b, (prospect, information) in enumerate(zip(prospects, informations, strict=True)):
            own = [f"{n.name}, experiment {b + 1}" if n.each else n.name for n in prospect.numbers]
            at = [labels.index(label) for label in own]
            matrix[np.ix_(at, at)] += information
            if prior:
                extra = [self._prior(n) if n.each else 0.0 for n in prospect.numbers]
                matrix[at, at] += extra
        return pd.DataFrame(matrix, index=labels, columns=labels)

    def table(self, prospects: Sequence[Prospect], proposed: Sequence[Array], decided: Sequence[Array]) -> pd.DataFrame:
        """Value and unit of each number, and the errors in % of it: known, with the batches as proposed, as decided."""
        import pandas as pd

        nothing = [np.zeros_like(m) for m in decided]
        matrices = [self.framed(prospects, m, prior=True) for m in (nothing, proposed, decided)]
        values = {n.name: n.guess for n in self.numbers}
        sizes = {n.name: self.size(n) for n in self.numbers}
        for b, prospect in enumerate(prospects):
            for number, value in zip(prospect.numbers, prospect.first[prospect.theta], strict=True):
                values[f"{number.name}, experiment {b + 1}"] = float(value)
        labels = matrices[0].index
        rows: dict[str, list[Any]] = {"value": [values[label] for label in labels]}
        rows["unit"] = [self.plant.measures[label.split(", experiment ")[0]].label for label in labels]
        for key, matrix in zip(("known", "as proposed", "as decided"), matrices, strict=True):
            errors = np.sqrt(np.diag(inverse(matrix.to_numpy())))
            rows[key] = [100.0 * e / sizes[n.split(", experiment ")[0]] for n, e in zip(labels, errors, strict=True)]
        return pd.DataFrame(rows, index=labels)

    def scenarios(self, robust: int | Sequence[Mapping[str, float]], seed: int) -> list[dict[str, float]]:
        """The believed values of the shared parameters, and others to allow for. Raises SpecificationError."""
        believed = {n.name: n.guess for n in self.shared}
        if not isinstance(robust, int | np.integer):
            return [believed, *(believed | self._checked(values) for values in robust)]
        if not is_whole(robust, 0):
            raise SpecificationError(f"design: robust is how many values to draw, or a list of them, got {robust!r}.")
        return [believed, *(believed | drawn for drawn in self._drawn(int(robust), seed))]

    def _checked(self, values: Mapping[str, float]) -> dict[str, float]:
        if not isinstance(values, Mapping):
            raise SpecificationError(f"design: robust: expected a list of {{name: value}}, got {values!r} in it.")
        bounds = {n.name: (n.lower, n.upper) for n in self.shared}
        found = {}
        for name, value in values.items():
            if str(name) not in bounds:
                raise SpecificationError(f"design: robust: {unknown('shared number', name, bounds)}")
            lower, upper = bounds[str(name)]
            if not (isinstance(value, int | float | np.number) and lower <= value <= upper):
                raise SpecificationError(f"design: robust: {name} = {value!r} lies outside [{lower:g}, {upper:g}].")
            found[str(name)] = float(value)
        return found

    def _drawn(self, count: int, seed: int) -> list[dict[str, float]]:
        """Values drawn from what is known, inside their bounds; log-scaled ones by their logarithm."""
        if not count:
            return []
        covariance = inverse(self.known)
        if not np.isfinite(covariance).all():
            lost = [name for name, v in zip(self.names, np.diag(covariance), strict=True) if not np.isfinite(v)]
            raise SpecificationError(
                f"design: robust={count} draws from what is known, and nothing is known of {', '.join(lost)}.\n"
                f"  Give fit=, priors, or robust=[{{name: value}}, ...]."
            )
        center = np.array([n.guess for n in self.shared])
        logs = np.array([self.free[n.name].log for n in self.shared], dtype=bool)
        scale = np.where(logs, 1.0 / center, 1.0)
        draws = np.random.default_rng(seed).multivariate_normal(
            np.zeros(len(center)), covariance * np.outer(scale, scale), size=count, method="eigh"
        )
        values = np.where(logs, center * np.exp(np.where(logs, draws, 0.0)), center + draws)
        values = np.clip(values, [n.lower for n in self.shared], [n.upper for n in self.shared])
        return [dict(zip(self.names, row.tolist(), strict=True)) for row in values]


def unknowns(plant: Flowsheet, free: Sequence[str] | Mapping[str, Free] | None, fit: Fit | None) -> Unknowns:
    """Unknown numbers, believed at the fit's values, else at their guesses. Raises SpecificationError."""
    chosen = _chosen(plant, free, fit)
    if fit is not None:
        chosen = {n: _at(f, fit.values[n]) if n in fit.values else f for n, f in chosen.items()}
    numbers = free_numbers(plant, chosen)
    known = np.zeros((0, 0)) if not numbers else _known([n for n in numbers if not n.each], chosen, fit)
    return Unknowns(plant, chosen, numbers, known, fit)


def _at(free: Free, value: float) -> Free:
    return replace(free, guess=value, lower=min(free.lower, value), upper=max(free.upper, value))


def _chosen(plant: Flowsheet, free: Sequence[str] | Mapping[str, Free] | None, fit: Fit | None) -> dict[str, Free]:
    if free is None:
        if fit is None:
            raise SpecificationError("design: give free=[...], the unknown numbers, or fit=, what is known of them.")
        kinds = {name: scalar.kind for name, scalar in plant.scalars.items()}
        return {n: f for n, f in fit.free.items() if kinds[n] == Parameter.kind and not f.each}
    if isinstance(free, Mapping):
        return {str(each): value for name, value in free.items() for each in elements_of(name)}
    names = [free] if isinstance(free, str) else free
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise SpecificationError(f"free is a list of names, or a dict from names to Free(...), got {free!r}.")
    found = {}
    for each in (str(each) for name in names for each in elements_of(name)):
        if each not in plant.scalars or plant.scalars[each].kind not in (Parameter.kind, State.kind):
            known = [n for n, s in plant.scalars.items() if s.kind in (Parameter.kind, State.kind)]
            raise SpecificationError(f"free: {unknown('parameter', each, known)}")
        scalar = plant.scalars[each]
        before = fit.free.get(each) if fit is not None else None
        found[each] = before or Free(scalar.start, scalar.lower, scalar.upper)
    return found


def _known(shared: Sequence[FreeNumber], free: Mapping[str, Free], fit: Fit | None) -> Array:
    """The information on the shared numbers: of a fit (its other numbers marginalized), else of priors."""
    names = [n.name for n in shared]
    if fit is None:
        priors = [free[name].prior for name in names]
        return np.diag([0.0 if prior is None else float(prior[1]) ** -2 for prior in priors])
    seen = fit.information
    matrix = seen.gauss_newton + np.diag([_precision(fit.free[n.name]) for n in seen.numbers])
    labels = [n.name if n.experiment is None else "" for n in seen.numbers]
    wanted = [i for i, label in enumerate(labels) if label in names]
    others = [i for i in range(len(labels)) if i not in wanted]
    kept = matrix[np.ix_(wanted, wanted)]
    if others:
        across = matrix[np.ix_(wanted, others)]
        kept = kept - across @ np.linalg.pinv(matrix[np.ix_(others, others)], rcond=1e-14, hermitian=True) @ across.T
    place = [names.index(labels[i]) for i in wanted]
    known = np.zeros((len(names), len(names)))
    known[np.ix_(place, place)] = kept
    missing = [i for i, name in enumerate(names) if name not in labels]
    known[missing, missing] = [_precision(free[names[i]]) for i in missing]
    return known


def _precision(free: Free) -> float:
    return 0.0 if free.prior is None else float(free.prior[1]) ** -2
