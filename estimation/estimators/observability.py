"""Can what is to be estimated be seen at all? The Gramian of what measurements say of the start, along the plan.

With M_k the derivatives of the entries at sample k along those at the start, C_k those of the measurements, D the
deviations that the entries have and R that of the noise, the rows R^-1 C_k M_k D say by how many deviations of its
noise a measurement moves when an entry is off by its own. A direction that moves all of them by less than a thousandth
is one that the measurements do not see: its deviation shrinks by less than a millionth of itself.
Source: Krener & Ide, IEEE CDC (2009) 6401, for the empirical local Gramian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.estimation.estimators.model import SampledModel
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError

_SEEN = 1e-3  # deviations of the noise: a direction that moves measurements by less is not seen
_PART = 0.1  # of the largest component of a direction: what takes part in it


@dataclass(frozen=True, eq=False)
class Observability:
    """What measurements see of the entries that are uncertain (`names`), over the recipe as planned.

    `strengths` (k,): by how many deviations of its noise the direction k moves what is measured, falling. `unseen`:
    for each direction that is not seen the entries that take part in it.
    """

    names: tuple[str, ...]
    measured: tuple[str, ...]
    strengths: Array
    unseen: tuple[tuple[str, ...], ...]

    @property
    def ok(self) -> bool:
        return not self.unseen

    @property
    def condition(self) -> float:
        """The ratio of the largest to the smallest strength."""
        least = float(self.strengths.min(initial=np.inf))
        return float(self.strengths.max(initial=0.0) / least) if least > 0.0 else np.inf

    def __str__(self) -> str:
        by = _listed(self.measured)
        if self.ok:
            return f"{_listed(self.names)}: seen by {by} (strengths {self.strengths.min():.2g} and more)"
        lines = []
        for group in self.unseen:
            if len(group) == 1:
                lines.append(f"{group[0]} cannot be seen by {by}.")
            else:
                lines.append(f"{_listed(group)} cannot be told apart by {by}.")
        named = self.unseen[0][-1]
        mend = (
            f"Measure {named} or what depends on it (noise={{...}}), or leave it out of start, process and "
            f"disturbances: then it follows the model."
        )
        return "\n  ".join([*lines, mend])


def observability(model: SampledModel) -> Observability:
    """What is seen of all entries that are uncertain in a model, over the recipe as planned.

    Raises SpecificationError for what is no model, SolveError where the recipe cannot be run as planned.
    """
    if not isinstance(model, SampledModel):
        raise SpecificationError(
            f"observability: expected a model, got {type(model).__name__}.\n"
            "  Make one: estimator.model(plant, recipe, every=..., manipulated=[...], inputs={...})."
        )
    return observable(model, model.planned_times, np.ones(len(model.names), dtype=bool))


def observable(model: SampledModel, times: Array, which: Array) -> Observability:
    """What is seen of some entries (n,) at the given times."""
    uncertain = np.flatnonzero(which & (_deviations(model, times) > 0.0))
    names = tuple(model.names[i] for i in uncertain)
    if not len(uncertain):
        return Observability(names, model.measured, np.zeros(0), ())
    values, directions = np.linalg.svd(_rows(model, times)[:, uncertain])[1:]
    strengths = np.zeros(len(uncertain))
    strengths[: len(values)] = values
    missed = _sparse(directions[strengths < _SEEN])
    unseen = tuple(
        tuple(name for name, share in zip(names, np.abs(row), strict=True) if share > _PART * np.abs(row).max())
        for row in missed
    )
    return Observability(names, model.measured, strengths, unseen)


def unseen_by_default(model: SampledModel, times: Array, said: Array) -> list[int]:
    """Entries without which all others are seen, next to those that must be estimated (`said`)."""
    from scipy.linalg import qr

    rows = _rows(model, times)
    uncertain = _deviations(model, times) > 0.0
    fixed, rest = np.flatnonzero(said & uncertain), np.flatnonzero(~said & uncertain)
    basis = np.linalg.qr(rows[:, fixed])[0] if len(fixed) else np.zeros((len(rows), 0))
    left = rows[:, rest] - basis @ (basis.T @ rows[:, rest])
    triangle, order = qr(left, mode="r", pivoting=True)
    strengths = np.zeros(len(rest))
    diagonal = np.abs(np.diag(triangle))
    strengths[: len(diagonal)] = diagonal
    return [int(rest[k]) for k, strength in zip(order, strengths, strict=True) if strength < _SEEN]


def _rows(model: SampledModel, times: Array) -> Array:
    """(at least n, n): R^-1 C_k M_k D of all samples, reduced to a triangle."""
    s = model.start
    slope = np.diag(_deviations(model, times))
    rows = np.zeros((0, len(s)))
    applied = model.tried
    for k, t in enumerate(times.tolist()):
        if k:
            step = model.linearized(s, applied, float(times[k - 1]), t)
            s, slope = step.mean, step.transition @ slope
        value, along = model.outputs(s, applied, t)
        there = np.isfinite(value)
        new = (along @ slope)[there] / model.deviations.noise[there, None]
        rows = np.asarray(np.linalg.qr(np.vstack([rows, new]), mode="r"))
    return np.vstack([rows, np.zeros((max(0, len(s) - len(rows)), len(s)))])


def _deviations(model: SampledModel, times: Array) -> Array:
    """How far each entry is off: at the start, or by what it wanders over the recipe."""
    return np.maximum(model.deviations.start, model.deviations.process * np.sqrt(times[-1]))


def _sparse(directions: Array) -> Array:
    """The same space by directions with as few components as elimination with full pivoting leaves."""
    rows = directions.copy()
    for i in range(len(rows)):
        below = np.abs(rows[i:])
        r, c = np.unravel_index(int(below.argmax()), below.shape)
        rows[[i, i + int(r)]] = rows[[i + int(r), i]]
        rows[i] /= rows[i, c]
        others = np.arange(len(rows)) != i
        rows[others] -= np.outer(rows[others, c], rows[i])
    return rows


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
