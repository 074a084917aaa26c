"""How far are a plant's rates off, when, and how sure is that? `discrepancy(plant, experiments, on=[reactor.r_1])`.

Each batch is fitted by collocation with a free profile on every named rate, whose size and roughness all batches decide
together; the curvature of the fit says how sure the profile is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.estimate import estimate
from titer.estimation.experiment import Experiment
from titer.estimation.fit import Fit
from titer.estimation.learning.profile import Prior, Span, decisions, profiled
from titer.estimation.learning.roughness import Straightened, change, most_likely
from titer.flowsheets import Flowsheet, Multiplicative
from titer.flowsheets.corrections.forms import Form
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import operations
from titer.numerics.errors import SolveError, SpecificationError, unknown
from titer.numerics.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Progress = Callable[[str], None]
_FEWEST, _MOST = 6, 16  # pieces of a profile
_FIRST = 0.3  # of the smaller bound: the amplitude tried first
_ROUNDS = 8  # of priors and fits in turn
_SETTLED = 0.05  # relative change of amplitudes and memories that is called none
_ZERO = 1e-6  # of the largest: so small a rate has no sign


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """What the named rates are off by, over every batch.

    `frame`: a row for each batch, rate and knot: batch, rate, time, every feature, `value` of the corrected rate,
    `discrepancy` (of a factor its logarithm, else what is added, in the rate's unit), its standard deviation `sd`, and
    `known`, the share of the variance before data that data explain. `forms` and `priors` by rate; `fits` by batch.
    """

    frame: pd.DataFrame
    forms: Mapping[str, Form]
    priors: Mapping[str, Prior]
    fits: tuple[Fit, ...]
    features: tuple[str, ...]

    def of(self, rate: str) -> pd.DataFrame:
        """The rows of one rate."""
        return self.frame[self.frame["rate"] == str(rate)]


def discrepancy(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    on: Sequence[str] | str,
    features: Sequence[str] = (),
    form: Form | Mapping[str, Form] | None = None,
    grid: Grid | None = None,
    progress: Progress | None = None,
) -> Discrepancy:
    """How far the named rates are off over each batch, with standard deviations.

    `on`: named expressions; `features`: names whose values are read beside. `form`: `Multiplicative()` by default, for
    rates of one sign, or `Additive(lower, upper)`, for all or {rate: form}. `grid`: elements end at knots and samples
    besides. Raises SpecificationError for data or names that do not fit, for a batch whose duration is not fixed, and
    for a rate of both signs under a multiplicative form; SolveError where a fit fails.

    Size and memory of the discrepancy are those that make the data most likely (MacKay, Neural Comput. 4 (1992) 415);
    the standard deviation is that of the posterior, from the curvature of the fit.
    """
    forms = forms_of(plant, on, form)
    batches = checked(plant, experiments)
    durations = [_durations(plant, batch) for batch in batches]
    spans = [span_of(batch, lasts) for batch, lasts in zip(batches, durations, strict=True)]
    grids = [span.grid(lasts, grid or Grid()) for span, lasts in zip(spans, durations, strict=True)]
    length = float(np.mean([span.length for span in spans]))
    largest = {on: min(-f.ends[0], f.ends[1]) for on, f in forms.items()}
    priors = {on: Prior(_FIRST * largest[on], 0.5 * length) for on in forms}
    fits = _fits(plant, batches, spans, grids, forms, priors)
    for name in (name for name, its in forms.items() if isinstance(its, Multiplicative)):
        _check_one_sign(np.concatenate([fit.solutions[0].frame()[name] for fit in fits]), name)
    for k in range(_ROUNDS):
        straight = [_straightened(fit, span, priors) for fit, span in zip(fits, spans, strict=True)]
        newer = most_likely(straight, priors, largest)
        moved = change(priors, newer)
        if progress is not None:
            told = ", ".join(f"{on}: {p.amplitude:.3g} over {p.memory:.4g} {plant.time}" for on, p in newer.items())
            progress(f"discrepancy, round {k + 1}: {told}")
        priors = newer
        fits = _fits(plant, batches, spans, grids, forms, priors)
        if moved < _SETTLED:
            break
    frame = _framed(batches, spans, fits, priors, tuple(map(str, features)))
    return Discrepancy(frame, forms, priors, tuple(fits), tuple(map(str, features)))


def forms_of(plant: Flowsheet, on: Sequence[str] | str, form: Form | Mapping[str, Form] | None) -> dict[str, Form]:
    """The form of each rate. Raises SpecificationError."""
    given = [on] if isinstance(on, str) else on
    if not isinstance(given, Sequence) or not given:
        raise SpecificationError(f"learn: on is a list of named expressions such as reactor.r_1, got {on!r}.")
    names = [str(each) for name in given for each in elements_of(name)]
    for name in names:
        if name not in plant.expressions:
            raise SpecificationError(f"learn: on: {unknown('expression', name, plant.expressions)}")
    forms = {name: form.get(name, Multiplicative()) if isinstance(form, Mapping) else form or Multiplicative()
             for name in names}  # fmt: skip
    for wrong in (x for x in forms.values() if not isinstance(x, Form)):
        raise SpecificationError(
            f"learn: form is Multiplicative(lower, upper), Additive(lower, upper), or one for each rate, got {wrong!r}."
        )
    for name in form if isinstance(form, Mapping) else ():
        if name not in forms:
            raise SpecificationError(f"learn: form: {unknown('rate', name, forms)}")
    return forms


def checked(plant: Flowsheet, experiments: Sequence[Experiment]) -> tuple[Experiment, ...]:
    """The batches in the units of the plant. Raises SpecificationError."""
    if isinstance(experiments, Experiment) or not all(isinstance(e, Experiment) for e in experiments):
        raise SpecificationError(f"learn: experiments is a list of Experiment(...), got {experiments!r}.")
    if not experiments:
        raise SpecificationError("learn: no experiment was given.")
    return tuple(e.converted(plant) for e in experiments)


def span_of(batch: Experiment, durations: Mapping[str, float]) -> Span:
    """The time of a batch whose phases last so long, with about as many pieces as there are samples."""
    pieces = int(np.clip(len(np.unique(batch.frame.index)) - 1, _FEWEST, _MOST))
    return Span(0.0, sum(durations.values()), pieces)


def _check_one_sign(values: Array, name: str) -> None:
    """Raise SpecificationError where a rate under a multiplicative form has both signs."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < -_ZERO * max(-low, high) and high > _ZERO * max(-low, high):
        raise SpecificationError(
            f"learn: {name} has both signs in these batches ({low:.4g} to {high:.4g}), and a factor cannot change "
            f"where it is zero.\n  Use form={{{name}: Additive(lower=, upper=)}}, bounds in the rate's unit."
        )


def _durations(plant: Flowsheet, batch: Experiment) -> dict[str, float]:
    found = {}
    for operation in operations(plant.with_values(batch.start), batch.recipe, dict(batch.inputs)):
        if operation.duration.free or operation.event is not None:
            raise SpecificationError(
                f"{batch.who}: phase {operation.name!r} has no fixed duration.\n"
                "  Give how long it lasted: recipe.with_durations({...})."
            )
        found[operation.name] = float(operation.duration.guess)
    return found


def _fits(
    plant: Flowsheet,
    batches: Sequence[Experiment],
    spans: Sequence[Span],
    grids: Sequence[Grid],
    forms: Mapping[str, Form],
    priors: Mapping[str, Prior],
) -> list[Fit]:
    found = []
    for r, (batch, span, own) in enumerate(zip(batches, spans, grids, strict=True)):
        free_plant, free = profiled(plant, span, forms, priors)
        try:
            found.append(estimate(free_plant, [batch], free, own, starts=1))
        except SolveError as error:
            raise SolveError(f"learn: the discrepancy of {batch.label(r)}: {error}", error.solution) from None
    return found


def _straightened(fit: Fit, span: Span, priors: Mapping[str, Prior]) -> Straightened:
    """Weighted residuals as straight lines in the knots, from those in the decisions."""
    known = fit.information
    residuals = np.concatenate([s.residuals for s in known.samples])
    column = {n.name: j for j, n in enumerate(known.numbers)}
    slopes, moved = {}, np.zeros(len(residuals))
    for on, prior in priors.items():
        names = decisions(on, span)
        own = np.column_stack([
            known.jacobian[:, column[n]] if n in column else np.zeros(len(residuals)) for n in names
        ])  # fmt: skip
        moved = moved + own @ np.array([fit.values[n] for n in names])
        slopes[on] = np.linalg.solve(span.root(prior).T, own.T).T
    return Straightened(span, moved - residuals, slopes)


def _framed(
    batches: Sequence[Experiment],
    spans: Sequence[Span],
    fits: Sequence[Fit],
    priors: Mapping[str, Prior],
    features: Sequence[str],
) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for r, (batch, span, fit) in enumerate(zip(batches, spans, fits, strict=True)):
        along = {name: _along(fit, name, span, batch) for name in features}
        for on, prior in priors.items():
            center, sd = _posterior(fit, on, span, prior)
            head = {"batch": batch.label(r), "rate": on, "time": span.knots}
            value = _along(fit, on, span, batch)
            known = 1.0 - (sd / prior.amplitude) ** 2
            tail = {"value": value, "discrepancy": center, "sd": sd, "known": np.clip(known, 0.0, 1.0)}
            rows = pd.DataFrame({**head, **{n: x for n, x in along.items() if n != "time"}, **tail})
            parts.append(rows[np.isfinite(value)])
    frame = pd.concat(parts, ignore_index=True)
    for name in features:
        if not np.isfinite(frame[name]).all():
            bad = frame[~np.isfinite(frame[name])].iloc[0]
            raise SpecificationError(
                f"learn: feature {name} is {bad[name]} in {bad['batch']} at t = {bad['time']:.6g}, where "
                f"{bad['rate']} acts.\n  Take features that are known wherever the rate acts."
            )
    return frame


def _posterior(fit: Fit, on: str, span: Span, prior: Prior) -> tuple[Array, Array]:
    """Profile and standard deviation at the knots. A decision that a bound holds counts as not known."""
    names = decisions(on, span)
    column = {n.name: j for j, n in enumerate(fit.information.numbers)}
    here = [k for k, name in enumerate(names) if name in column]
    chosen = [column[names[k]] for k in here]
    covariance = np.eye(len(names))
    covariance[np.ix_(here, here)] = fit.information.covariance[np.ix_(chosen, chosen)]
    root = span.root(prior)
    center = root @ np.array([fit.values[name] for name in names])
    return center, np.sqrt(np.maximum(np.diag(root @ covariance @ root.T), 0.0))


def _along(fit: Fit, name: str, span: Span, batch: Experiment) -> Array:
    """Values at the knots, of what changes over time or of a parameter."""
    if name == "time":
        return span.knots
    frame = fit.solutions[0].frame()
    if name not in frame.columns:  # a parameter; or nothing, of a unit operation that is at rest
        return np.full(span.pieces + 1, float(batch.start.get(name, fit.plant.values.get(name, np.nan))))
    series = frame[name][~frame.index.duplicated()]
    return np.interp(span.knots, series.index.to_numpy(dtype=float), series.to_numpy(dtype=float))


__all__ = ["Discrepancy", "checked", "discrepancy", "forms_of", "span_of"]
