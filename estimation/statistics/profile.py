"""How far can one number move before the fit is significantly worse, all others fitted again? Profile likelihood.

With J the objective, -2 log likelihood + constant, the profile is J(a) = min over all other numbers with theta = a, and
the interval is where J(a) <= J_min + c: c a quantile of chi2 with one degree of freedom where the noise is known, of F
where standard deviations were estimated; of a robust loss times A^-1 B A^-1 / A^-1 of `covariance`, as J is no
likelihood then (Kent, Biometrika 69 (1982) 19). It is followed in r = +-sqrt(J - J_min), which is a straight line
where the problem is linear: steps are those that should raise r by a share of sqrt(c), started from the tangent of the
solution, and the end is found by Newton's method with the exact slope of J, the multiplier of the held number.
Sources: Venzon & Moolgavkar, Appl. Statist. 37 (1988) 87; Bates & Watts, Nonlinear Regression Analysis (1988),
chapter 6; Raue et al., Bioinformatics 25 (2009) 1923.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.work import Number, Work
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from titer.estimation.fit import Fit

Array = np.ndarray
_GROWTH = 2.5  # of a step from one point to the next
_FIRST = 0.25  # of a number's size: no first step is longer
_FAR = 1e4  # sizes from the fit, or factors of a logarithm: beyond, a flat profile is called so
_MOST = 60  # points on a side
_CLOSE = 1e-5  # of c: so near is the end of an interval
_NEAR = 1e-2  # of sqrt(c): an end that is not found so closely is none
_REFINEMENTS = 20
_HALVINGS = 5  # of a step that could not be solved
_LOWER = 1e-5  # of c: a fall of the objective that is no rounding


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile likelihood of one number.

    `lower`, `upper`: ends of the interval at `level`, infinite where the data do not bound the number on that side;
    `below`, `above` then say why. `value`, `objective`: the fit's; `threshold`: by how much the objective may rise.
    `linear`: the interval from the covariance. `table`: value, objective, and all other numbers as fitted again.
    `doubt`: why the fit behind it is not to be trusted, if so: a better one was met, or what its message says.
    """

    label: str
    unit: str
    value: float
    objective: float
    level: float
    threshold: float
    lower: float
    upper: float
    below: str
    above: str
    linear: tuple[float, float]
    table: pd.DataFrame
    doubt: str = ""

    @property
    def bounded(self) -> bool:
        """Whether the data bound the number on both sides."""
        return not (self.below or self.above)

    @property
    def solves(self) -> int:
        """How many points were solved."""
        return len(self.table) - 1

    def plot(self) -> Figure:
        """The profile with its threshold, and the parabola of the covariance beside it."""
        from titer.estimation.statistics.pictures import plot_profile

        return plot_profile(self)

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        ends = [f"{self.lower:.6g}" if not self.below else "...", f"{self.upper:.6g}" if not self.above else "..."]
        lines = [f"{self.label} = {self.value:.6g}{unit}; {100 * self.level:g} % profile interval {' to '.join(ends)}"]
        lines += [f"  unbounded below: {self.below}"] if self.below else []
        lines += [f"  unbounded above: {self.above}"] if self.above else []
        lines += [f"  doubtful: {self.doubt}"] if self.doubt else []
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Point:
    """A solved point: position (the value or its logarithm), r, dr/dposition, and the solution's tangent."""

    at: float
    r: float
    slope: float
    tangent: Array
    work: Work


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of a profile: its points, outwards; its end, or why it has none."""

    points: tuple[_Point, ...]
    end: float
    reason: str


def profile(fit: Fit, name: str, level: float = 0.95, points: int = 6, experiment: int | None = None) -> Profile:
    """Profile one number of a fit, on both sides of its value.

    `name`: a decided number, or its label ("tank.X, experiment 2"); `experiment` (from 1): whose, where each has one.
    `points`: about how many between the fit and each end. Nothing is rebuilt: each point is a solve from the one
    before. Raises SpecificationError for an unknown name, level or count.
    """
    number = number_of(fit, name, experiment)
    if not is_whole(points, 1):
        raise SpecificationError(f"profile: points must be a whole number of at least 1, got {points!r}.")
    threshold = fit.quantile(level) ** 2
    path = _Path(fit.work, number, threshold, points)
    if fit.loss is not None and not number.bound:
        path.threshold = threshold = threshold * _adjustment(fit, path)
    down, up = path.side(-1.0), path.side(1.0)
    return Profile(
        label=number.label,
        unit=fit.plant.measures[number.name].label,
        value=number.value,
        objective=fit.objective,
        level=level,
        threshold=threshold,
        lower=path.value(down.end),
        upper=path.value(up.end),
        below=down.reason,
        above=up.reason,
        linear=_linear(fit, number, level),
        table=_table(path, (*reversed(down.points), path.start, *up.points)),
        doubt=_better(path, (*down.points, *up.points)) or fit.message,
    )


def number_of(fit: Fit, name: str, experiment: int | None = None) -> Number:
    """The decided number of a name (or label), of an experiment (from 1). Raises SpecificationError."""
    labels = [n.label for n in fit.numbers]
    found = [n for n in fit.numbers if str(name) in (n.name, n.label)]
    if not found:
        raise SpecificationError(f"profile: {unknown('number', name, labels)}")
    if experiment is not None:
        own = [n for n in found if n.experiment == experiment - 1]
        if not own:
            raise SpecificationError(
                f"profile: {name} is not a number of experiment {experiment}.\n"
                f"  It is: {', '.join(n.label for n in found)}."
            )
        found = own
    if len(found) > 1:
        raise SpecificationError(
            f"profile: each experiment has {name} for itself.\n  Say which: experiment=1 to {len(found)}."
        )
    return found[0]


class _Path:
    """The way along which a number is moved: positions are its values, or their logarithms."""

    def __init__(self, work: Work, number: Number, threshold: float, points: int):
        self.number, self.threshold, self.points = number, threshold, points
        self.log = number.log and number.value > 0.0
        self.objective = work.outcome.objective
        at = float(np.log(number.value)) if self.log else number.value
        guesses = {n.name: abs(n.guess) for n in work.solved.started.assembled.numbers}
        self.size = 1.0 if self.log else abs(at) or guesses[number.name] or 1.0
        curvature, tangent = self._seen(work, at)
        self.start = _Point(at, 0.0, float(np.sqrt(max(0.5 * curvature, 0.0))), tangent, work)

    def value(self, at: float) -> float:
        """The number at a position."""
        if not np.isfinite(at):
            return at
        return float(np.exp(at)) if self.log else at

    def side(self, sign: float) -> _Side:
        """Follow the profile from the fit until r is that of the threshold, or nothing more comes."""
        bound = self._bound(sign)
        found: list[_Point] = []
        here, step = self.start, _FIRST * self.size
        root = float(np.sqrt(self.threshold))
        wanted, longest = root / self.points, abs(bound - here.at) / self.points
        while len(found) < _MOST:
            if sign * (bound - here.at) <= 1e-9 * self.size:
                return _Side(tuple(found), sign * np.inf, self._at_bound(sign, here))
            if abs(here.at - self.start.at) > (np.log(_FAR) if self.log else _FAR * self.size):
                return _Side(tuple(found), sign * np.inf, self._flat(here))
            slope = max(sign * here.slope, 0.0) if here is not self.start else here.slope
            step = min(step, 1.05 * min(wanted, root - here.r + 0.05 * root) / slope) if slope > 0.0 else step
            there = self._ahead(here, sign, min(step, longest), bound)
            if there is None:
                return _Side(tuple(found), sign * np.inf, self._stuck(here))
            found.append(there)
            if there.r >= root:
                return self._ended(found, here, there, root, sign)
            step, here = _GROWTH * abs(there.at - here.at), there
        return _Side(tuple(found), sign * np.inf, self._flat(here))

    def _ended(self, found: list[_Point], inside: _Point, outside: _Point, root: float, sign: float) -> _Side:
        """The end of an interval between two points; none where the objective jumps there from a plateau."""
        tried = [inside, outside, *self._narrowed(inside, outside, root, sign)]
        points = tuple(sorted({id(p): p for p in [*found, *tried[2:]]}.values(), key=lambda p: sign * p.at))
        best = min(tried, key=lambda p: abs(p.r - root))
        if abs(best.r - root) < _NEAR * root:
            return _Side(points, best.at, "")
        last = max((p for p in tried if p.r < root), key=lambda p: sign * p.at)
        return _Side(points, sign * np.inf, f"{self._flat(last)}; beyond, it jumps")

    def _ahead(self, here: _Point, sign: float, step: float, bound: float) -> _Point | None:
        """The next point; a step that cannot be solved is halved. None where none can."""
        for _ in range(_HALVINGS):
            at = here.at + sign * step
            there = self._solved(here, bound if sign * (at - bound) > -1e-3 * step else at)
            if there is not None:
                return there
            step *= 0.5
        return None

    def _narrowed(self, inside: _Point, outside: _Point, root: float, sign: float) -> Iterator[_Point]:
        """Points ever closer to where r is `root`: Newton's steps, kept between the two that enclose it."""
        best = outside
        for _ in range(_REFINEMENTS):
            if abs(best.r**2 - self.threshold) <= _CLOSE * self.threshold:
                return
            near = min(inside, outside, key=lambda p: abs(p.r - root))
            slope = sign * near.slope if near is self.start else near.slope
            guess = near.at + (root - near.r) / slope if slope else np.nan
            low, high = sorted((inside.at, outside.at))
            if not low < guess < high:
                guess = 0.5 * (low + high)
            found = self._solved(near, guess)
            if found is None:
                return
            yield found
            best = found
            inside, outside = (found, outside) if found.r < root else (inside, found)

    def _solved(self, start: _Point, at: float) -> _Point | None:
        """The profile at a position, solved from the tangent of a point nearby."""
        work, value = start.work, self.value(at)
        w = work.outcome.w + start.tangent * (value - self.value(start.at))
        outcome = work.again(held={self.number.column: value}, w=self._inside(work, w))
        if not outcome.status.ok:
            outcome = work.again(held={self.number.column: value})
        if not outcome.status.ok:
            return None
        there = work.with_solve(outcome)
        try:
            tangent = self._seen(there, at)[1]
        except np.linalg.LinAlgError:
            return None
        slope = -float(outcome.bound_multipliers[self.number.column]) * (value if self.log else 1.0)
        rise = outcome.objective - self.objective
        r = float(np.sqrt(max(rise, 0.0)))
        return _Point(at, r, 0.5 * slope / r if r else 0.0, tangent, there)

    def _inside(self, work: Work, w: Array) -> Array:
        started = work.solved.started
        lower, upper = started.engine.nlp.relaxed(started.scaling.columns, started.reached.relaxation)
        return np.clip(w, lower, upper)

    def _seen(self, work: Work, at: float) -> tuple[float, Array]:
        """d2J/dposition2 along the profile, and the tangent of all columns in the value."""
        numbers = work.numbers
        mine = [n for n in numbers if n.column == self.number.column]
        others = [n for n in numbers if not n.bound and n.column != self.number.column]
        seen = work.reduced([*mine, *others])
        k = 1 + len(others)
        follow, bend = seen.follow[:, :k], seen.hessian[:k, :k]
        along = np.concatenate([[1.0], -_solve(bend[1:, 1:], bend[1:, 0])])
        curvature = float(along @ bend @ along)
        if self.log:
            value = float(np.exp(at))
            curvature = curvature * value**2 + float(seen.gradient[0]) * value
        return curvature, follow @ along

    def _bound(self, sign: float) -> float:
        bound = self.number.lower if sign < 0 else self.number.upper
        if not self.log:
            return bound
        return float(np.log(bound)) if bound > 0.0 else -np.inf

    def _at_bound(self, sign: float, here: _Point) -> str:
        bound = self.number.lower if sign < 0 else self.number.upper
        side = "lower" if sign < 0 else "upper"
        return f"at its {side} bound {bound:g} the objective has risen by {here.r**2:.3g} only, of {self.threshold:.3g}"

    def _flat(self, here: _Point) -> str:
        return (
            f"a plateau: up to {self.value(here.at):.3g} the objective has risen by {here.r**2:.3g} only, "
            f"of {self.threshold:.3g}"
        )

    def _stuck(self, here: _Point) -> str:
        return (
            f"not known: beyond {self.value(here.at):.6g} it could not be solved; there the objective has risen by "
            f"{here.r**2:.3g}, of {self.threshold:.3g}"
        )


def _adjustment(fit: Fit, path: _Path) -> float:
    """The variance of an M-estimator over that of a likelihood with the same curvature; 1 where there is neither."""
    error = float(fit.standard_errors[path.number.label]) / (path.number.value if path.log else 1.0)
    ratio = (error * path.start.slope) ** 2
    return ratio if np.isfinite(ratio) and ratio > 0.0 else 1.0


def _solve(matrix: Array, right: Array) -> Array:
    """The least solution of a symmetric system that may be singular, scaled to a unit diagonal."""
    if not len(matrix):
        return np.zeros(0)
    size = np.sqrt(np.abs(np.diag(matrix)))
    size[size == 0.0] = 1.0
    return np.linalg.lstsq(matrix / np.outer(size, size), right / size, rcond=1e-12)[0] / size


def _linear(fit: Fit, number: Number, level: float) -> tuple[float, float]:
    if number.bound:
        return (np.nan, np.nan)
    lower, upper = fit.interval(level).loc[number.label]
    return float(lower), float(upper)


def _table(path: _Path, points: tuple[_Point, ...]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for point in points:
        others = {n.label: n.value for n in point.work.numbers if n.column != path.number.column}
        rows.append({"value": path.value(point.at), "objective": point.work.outcome.objective, **others})
    return pd.DataFrame(rows)


def _better(path: _Path, points: tuple[_Point, ...]) -> str:
    """Whether the profile fell below the fit, which then was not the best."""
    lowest = min(points, key=lambda p: p.work.outcome.objective, default=path.start)
    fall = path.objective - lowest.work.outcome.objective
    if fall <= _LOWER * path.threshold + 1e-7 * abs(path.objective):
        return ""
    return (
        f"the fit is not the best: at {path.value(lowest.at):.6g} the objective is lower by {fall:.3g}; "
        f"estimate again with that guess"
    )
