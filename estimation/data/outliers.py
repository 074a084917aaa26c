"""Which measurements stand apart? Flagged before a fit against their neighbours, after it against the model.

Nothing is dropped: a flagged measurement is looked at, and made NaN by the one who knows why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.noise import Estimated, Noise, deviations
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.experiment import Experiment
    from titer.estimation.fit import Fit

Array = np.ndarray
_FEWEST = 5  # times of a name below which a smooth says nothing
_MAD = 1.4826  # of the median absolute deviation to a standard deviation, for a normal distribution
_MEAN = 1.2533  # of the mean absolute deviation


def outliers_of_data(experiment: Experiment, limit: float = 3.5) -> pd.DataFrame:
    """Measurements that no smooth curve through their neighbours comes near, by robust z-scores beyond `limit`.

    A value is compared with the lines and the cubic through its neighbours before, after and on both sides; where there
    are three or more replicates, with their median instead. It stands apart where it lies beyond all of these, on the
    same side, so that neither growth nor a sudden change is taken for an error. Distances are in units of their spread,
    which is estimated robustly from the data; the noise says only how it differs from sample to sample. Names measured
    at fewer than five times are not judged, but for their replicates.
    Columns: row (from 1), time, name, value, expected, score.
    Source: Gasser, Sroka & Jennen-Steinmetz, Biometrika 73 (1986) 625; Iglewicz & Hoaglin (1993): 3.5.
    """
    import pandas as pd

    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0.0:
        raise SpecificationError(f"outliers: limit must be a positive number of standard deviations, got {limit!r}.")
    rows = []
    times = experiment.frame.index.to_numpy(dtype=float)
    for name in experiment.frame.columns:
        values = experiment.frame[name].to_numpy(dtype=float)
        known = np.flatnonzero(np.isfinite(values))
        sizes = _sizes(experiment.noise[name], values)[known]
        scores, expected = _scores(times[known], values[known], sizes)
        for k in np.flatnonzero(np.abs(scores) > limit):
            i = known[k]
            rows.append((int(i) + 1, times[i], name, values[i], expected[k], scores[k]))
    return pd.DataFrame(rows, columns=["row", "time", "name", "value", "expected", "score"])


def outliers_of_fit(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """Measurements whose residual is too large for their noise.

    Studentized residuals, r / sqrt(1 - leverage), against the quantile that the largest of all n residuals stays below
    with probability `level`: in a fit without outliers nothing is flagged that often. Where the standard deviation was
    estimated, each residual is judged by the spread of the others (Student's t).
    Columns: experiment, row (from 1), time, name, measured, predicted, deviation, score, limit.
    Source: Cook & Weisberg, Residuals and Influence in Regression (1982), chapter 2. Raises SpecificationError.
    """
    from scipy.stats import norm, t

    if not (isinstance(level, float) and 0.0 < level < 1.0):
        raise SpecificationError(f"level must be a number between 0 and 1, such as 0.95, got {level!r}.")
    found = fit.residuals.copy()
    found.insert(1, "row", _rows(fit))
    leverage = _leverage(fit)
    free = np.maximum(1.0 - leverage, 1e-9)
    raw = found.pop("residual").to_numpy(dtype=float)
    scores = raw / np.sqrt(free)
    scores[leverage > 1.0 - 1e-9] = 0.0  # what one measurement alone determines has no residual
    share = 1.0 - 0.5 * (1.0 - level) / len(found)
    limits = np.full(len(found), float(norm.ppf(share)))
    for name in found["name"].unique():
        estimated = [k for k, e in enumerate(fit.experiments) if isinstance(e.noise.get(name), Estimated)]
        own = ((found["name"] == name) & found["experiment"].isin([k + 1 for k in estimated])).to_numpy()
        left = float(free[own].sum())
        if not own.any() or left <= 2.0:
            limits[own] = np.inf  # too few to tell
            continue
        square = np.minimum(scores[own] ** 2 * left / float((raw[own] ** 2).sum()), left * (1.0 - 1e-12))
        scores[own] = np.sign(raw[own]) * np.sqrt(square * (left - 1.0) / (left - square))
        limits[own] = float(t.ppf(share, left - 1.0))
    found["score"], found["limit"] = scores, limits
    return found[np.abs(scores) > limits].reset_index(drop=True)


def _rows(fit: Fit) -> Array:
    """The row (from 1) of each measurement in its experiment's frame: samples of a name keep their order."""
    order = fit.residuals.groupby(["experiment", "name"], sort=False).cumcount().to_numpy()
    rows = np.zeros(len(order), dtype=int)
    for (i, name), members in fit.residuals.groupby(["experiment", "name"], sort=False).indices.items():
        known = np.flatnonzero(fit.experiments[int(i) - 1].frame[name].notna().to_numpy())
        rows[members] = known[order[members]] + 1
    return rows


def _leverage(fit: Fit) -> Array:
    """How much of each residual its own measurement decides, (n,)."""
    jacobian, numbers = fit.information.jacobian, fit.information.numbers
    if not numbers:
        return np.zeros(len(jacobian))
    priors = [fit.free[n.name].prior for n in numbers]
    known = np.diag([0.0 if prior is None else 1.0 / prior[1] for prior in priors])
    rows = np.concatenate([jacobian, known])
    size = np.linalg.norm(rows, axis=0)
    left, singular, _ = np.linalg.svd(rows / np.where(size > 0.0, size, 1.0), full_matrices=False)
    return (left[: len(jacobian), singular > 1e-10 * singular.max()] ** 2).sum(axis=1)


def _sizes(noise: Any, values: Array) -> Array:
    """Standard deviations relative to one another (n,); all one where the noise is a quantity."""
    absolute = noise.absolute if isinstance(noise, Noise) else noise.guess if isinstance(noise, Estimated) else noise
    if isinstance(absolute, Symbol):
        return np.ones(len(values))
    sizes = deviations(noise, values)
    usable = np.isfinite(sizes) & (sizes > 0.0)
    return np.where(usable, sizes, np.median(sizes[usable]) if usable.any() else 1.0)


# --- against neighbours -------------------------------------------------------------------------------------


def _scores(times: Array, values: Array, sizes: Array) -> tuple[Array, Array]:
    """Robust z-scores (n,), zero where a value does not stand apart, and what was expected in its place (n,)."""
    scores, expected = np.zeros(len(times)), values.copy()
    instants, group = np.unique(times, return_inverse=True)
    members = [np.flatnonzero(group == g) for g in range(len(instants))]
    means = np.array([np.median(values[m]) for m in members])
    spread = np.array([np.median(sizes[m]) / np.sqrt(len(m)) for m in members])
    curve = _curve_scale(instants, means, spread)
    pairs = [(values[i] - values[j]) / np.hypot(sizes[i], sizes[j]) for m in members for i in m for j in m if i < j]
    among = _scale(np.array(pairs)) if len(pairs) >= 3 else 0.0
    for g, m in enumerate(members):
        scale = among if len(m) >= 3 else curve
        smooth = _neighbours(instants, g, means, spread) if len(m) < 3 and scale > 0.0 else []
        for i in m if scale > 0.0 else []:
            if len(m) >= 3:  # the median of so many is not misled by one
                choices = [(float(means[g]), float(sizes[i]) * scale)]
            else:
                choices = [(c, float(np.hypot(np.hypot(sizes[i], size) * scale, doubt))) for c, size, doubt in smooth]
                choices += [(float(values[j]), float(np.hypot(sizes[i], sizes[j])) * scale) for j in m if j != i]
            scores[i], expected[i] = _apart(float(values[i]), choices)
    return scores, expected


def _apart(value: float, choices: list[tuple[float, float]]) -> tuple[float, float]:
    """The score against the nearest of what could stand here; zero where they lie on both sides."""
    scores = np.array([(value - centre) / size for centre, size in choices])
    if not (np.all(scores > 0.0) or np.all(scores < 0.0)):
        return 0.0, value
    k = int(np.argmin(np.abs(scores)))
    return float(scores[k]), choices[k][0]


def _neighbours(t: Array, g: int, means: Array, spread: Array) -> list[tuple[float, float, float]]:
    """What a smooth curve may be at instant g without it: values, standard deviations, and the doubt about the curve.

    Polynomials through neighbours on both sides, and lines through those on one, which are in doubt by as much as they
    differ from the parabola.
    """
    n, found = len(t), []

    def value(at: list[int]) -> tuple[float, float]:
        w = _lagrange(t[at], float(t[g]))
        return float(w @ means[at]), _size(w * spread[at])

    for both in ([g - 1, g + 1], [g - 2, g - 1, g + 1, g + 2]):
        if both[0] >= 0 and both[-1] < n:
            found.append((*value(both), 0.0))
    for side in (-1, 1):
        near = [k for k in (g + side, g + 2 * side, g + 3 * side) if 0 <= k < n]
        if len(near) < 3:
            continue
        line = value(near[:2])
        doubt = abs(line[0] - value(near)[0])
        found.append((*line, doubt))
        if g in (0, n - 1):
            found.append((*value(near[:1]), doubt))
    return found


def _curve_scale(t: Array, values: Array, sizes: Array) -> float:
    """The spread about a smooth curve, in units of `sizes`: about the cubics through neighbours, or about the lines.

    Lines are misled where the curve bends, cubics by a value that stands apart in few: the smaller of both counts.
    """
    if len(t) < _FEWEST:
        return 0.0
    return min(_scale(_about_neighbours(t, values, sizes, reach)) for reach in (1, 2))


def _about_neighbours(t: Array, values: Array, sizes: Array, reach: int) -> Array:
    """Standardized distances of inner values from the polynomial through so many neighbours on either side."""
    residuals = []
    for g in range(1, len(t) - 1):
        at = np.array([k for k in range(g - reach, g + reach + 1) if k != g and 0 <= k < len(t)])
        w = _lagrange(t[at], float(t[g]))
        residuals.append((values[g] - w @ values[at]) / np.hypot(sizes[g], _size(w * sizes[at])))
    return np.array(residuals)


def _size(vector: Array) -> float:
    return float(np.linalg.norm(vector))


def _scale(residuals: Array) -> float:
    """A robust standard deviation; by the mean where more than half are zero."""
    sizes = np.abs(residuals)
    middle = float(np.median(sizes))
    return _MAD * middle if middle > 1e-12 * float(sizes.max(initial=0.0)) else _MEAN * float(sizes.mean())


def _lagrange(t: Array, at: float) -> Array:
    """Weights (n,) of the polynomial through n points, at another."""
    gaps = t[:, None] - t[None, :]
    np.fill_diagonal(gaps, 1.0)
    shares = np.where(np.eye(len(t), dtype=bool), 1.0, (at - t)[None, :] / gaps)
    return shares.prod(axis=1)
