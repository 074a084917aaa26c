"""What do all estimators do with a sample? Check it, predict, test it for gross errors, correct; late ones in order.

A value that comes late is put where it belongs in time, and everything from there on is filtered again: the belief is
then the one that the same value on time would have given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.building import sampled_model
from titer.estimation.estimators.deviations import Uncertain
from titer.estimation.estimators.filtering import Seen, corrected, of, triangular, within
from titer.estimation.estimators.memory import Estimation, Memory, Record, fresh_record, split
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.rejection import Rejecting, Robust, check_robust, costs, gross
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.dae import Array
from titer.numerics.errors import SolveError, SpecificationError


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimator(ABC):
    """What all estimators share: what is uncertain, and by how much (standard deviations).

    `noise`: of each measurement. `start`: of states at the start of the recipe (default: 5 % of the size of those that
    can be seen; the others follow the model). `process`: of states, per square root of the flowsheet's time, for what
    the model leaves out (default: 1 % of the size over the recipe, of states that are uncertain at the start).
    `disturbances`: what drifts: {parameter: deviation per square root of time, or Drift(...)}, a parameter that is
    estimated; {state: ...}, what is added to its rate; {measured: Bias(...)}, what its sensor adds. `robust`:
    Rejecting(...), a loss (Huber(), Cauchy()), or None. `history`: samples kept, for what comes late.
    """

    noise: Mapping[str, Any]
    start: Mapping[str, Any] | None = None
    process: Mapping[str, Any] | None = None
    disturbances: Mapping[str, Any] = field(default_factory=dict)
    robust: Robust | None = field(default_factory=Rejecting)
    history: int = 50

    def __post_init__(self) -> None:
        check_robust(self.robust, type(self).__name__)
        whole(self.history, 2, f"{type(self).__name__}: history")

    def model(
        self,
        plant: Flowsheet,
        recipe: Recipe,
        every: Any,
        manipulated: Sequence[str] = (),
        inputs: Mapping[str, Any] | None = None,
        durations: Mapping[str, Any] | None = None,
        accuracy: float = 1e-6,
    ) -> SampledModel:
        """The plant under its recipe as this estimator needs it; built once, before a loop.

        `every`: time between samples. `manipulated`: inputs whose values `update` is told; `inputs`: all others, as in
        `simulate`. `durations`: of phases as planned, {name: time} (default: the guess of a free one; needed where a
        phase ends by a condition). `accuracy`: of the model's steps on the run as planned, relative to sizes.
        Raises SpecificationError for what does not fit the plant and for what the measurements cannot see, SolveError
        where the recipe cannot be run.
        """
        uncertain = Uncertain(self.noise, self.start, self.process, self.disturbances)
        return sampled_model(plant, recipe, every, uncertain, manipulated, inputs, durations, accuracy)

    def begin(self, model: SampledModel, sample: Sample, applied: Mapping[str, Any] | None = None) -> Memory:
        """The memory after the first sample. Raises SpecificationError for a bad sample.

        `applied`: inputs up to it (default: the values that are tried first). A first sample after the recipe's start
        meets the run as planned up to there.
        """
        check_model(self, model)
        time, values, factors, late = _read(model, sample)
        held = model.tried if not applied else {**model.tried, **model.applied({**_first(model.tried), **applied})}
        if late:
            raise SpecificationError("Sample: late: nothing was kept before the first sample.")
        if time < -model.timeline.resolution:
            raise SpecificationError(f"Sample: the time {time:g} lies before the recipe, which begins at 0.")
        prior = Gaussian(model.start, np.diag(model.deviations.start))
        first = fresh_record(0.0, held, values, factors, prior)
        if time > model.timeline.resolution:
            blank = replace(first, values=np.full(len(values), np.nan))
            records = self._through(model, [blank, replace(first, time=time)], 1)[1:]
            records = [replace(records[0], arrival=records[0].predicted)]
        else:
            records = self._met(model, [replace(first, time=time)], 0)
        return _memory(model, records)

    def update(self, model: SampledModel, memory: Memory, applied: Mapping[str, Any], sample: Sample) -> Memory:
        """The memory after another sample; `applied`: {input: value held since the last, or (from, to)}.

        Raises SpecificationError for a bad sample. A model that cannot be advanced, or a window that cannot be solved,
        is told by `memory.status` and `memory.reasons`.
        """
        time, values, factors, late = _read(model, sample)
        held = model.applied(applied)
        if time <= memory.time:
            raise SpecificationError(
                f"Sample: time runs backwards: the sample is at t = {time:g} {model.plant.time}, the last one was at "
                f"{memory.time:g}.\n  What was taken before and comes now is late={{name: (taken_at, value)}}."
            )
        records = [*memory.records, fresh_record(time, held, values, factors, memory.records[-1].filtered)]
        first, reasons = len(records) - 1, []
        for name, (taken, value) in late.items():
            if taken < records[0].time - model.timeline.resolution:
                reasons.append(
                    f"{name} of t = {taken:g} came too late: the oldest sample kept is of {records[0].time:g}"
                )
                continue
            records, place = _placed(model, records, name, taken, value, sample.factor(name))
            first = min(first, place)
        for k in range(first, len(records)):
            records = self._through(model, records, k) if k else self._met(model, records, 0)
        last = records[-1]
        records[-1] = replace(last, reasons=(*last.reasons, *reasons))
        return _memory(model, records[-self.history :])

    def _through(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        """The records with record k predicted from the one before it, and corrected."""
        before, record = records[k - 1].filtered, records[k]
        try:
            predicted, noise = self.predicted(model, before, records[k - 1].time, record)
        except SolveError as error:
            return self._held(model, records, k, str(error).splitlines()[0])
        record = replace(
            record,
            predicted=predicted,
            arrival=predicted,
            noise=noise,
            smoothed=predicted.mean,
            departure=np.zeros(len(predicted.mean)),
        )
        return self._met(model, [*records[:k], record, *records[k + 1 :]], k)

    def _met(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        """The records with record k corrected by what was measured."""
        record = records[k]
        noise = model.deviations.noise * record.factors
        try:
            seen = self.seen(model, record.predicted, record)
        except SolveError as error:
            return self._held(model, records, k, str(error).splitlines()[0])
        residual, expected = record.values - seen.values, seen.deviations(noise)
        streak = records[k - 1].streak if k else np.zeros(len(residual))
        wrong = gross(self.robust, residual, expected, streak)
        used = np.isfinite(residual) & ~wrong
        reasons = tuple(
            f"{name} = {value:.6g} is rejected: {expectation:.6g} was expected, with a deviation of {deviation:.2g}"
            for name, value, expectation, deviation, far in zip(
                model.measured, record.values, seen.values, expected, wrong, strict=True
            )
            if far
        )
        streak = np.where(wrong, streak + 1.0, np.where(used, 0.0, streak))
        noise = noise / np.sqrt(costs(self.robust, np.where(used, residual / expected, 0.0))[1])
        filtered, white = corrected(record.predicted.mean, of(seen, used), residual[used], noise[used])
        record = replace(
            record,
            filtered=Gaussian(within(model, filtered.mean), filtered.root),
            smoothed=within(model, filtered.mean),
            streak=streak,
            used=used,
            residual=residual,
            expected=expected,
            nis=float(white @ white),
            status=Estimation.UPDATED if used.any() else Estimation.PREDICTED,
            reasons=reasons,
        )
        return self.settled(model, [*records[:k], record, *records[k + 1 :]], k)

    def _held(self, model: SampledModel, records: list[Record], k: int, reason: str) -> list[Record]:
        """The records with the belief before record k held at it, with the noise of the time in between added."""
        before = records[k - 1] if k else records[0]
        span = np.sqrt(max(records[k].time - before.time, 0.0))
        noise = np.diag(model.deviations.process * span)
        held = Gaussian(before.filtered.mean, triangular(np.hstack([before.filtered.root, noise])))
        record = replace(
            records[k], predicted=held, filtered=held, arrival=held, noise=noise, smoothed=held.mean,
            streak=before.streak, used=np.zeros(len(records[k].values), dtype=bool), status=Estimation.HELD,
            reasons=(reason,), nis=0.0,
        )  # fmt: skip
        return [*records[:k], record, *records[k + 1 :]]

    @abstractmethod
    def predicted(self, model: SampledModel, before: Gaussian, t: float, record: Record) -> tuple[Gaussian, Array]:
        """The belief at a record from the one at t, and a root (n, n) of the noise in between. Raises SolveError."""

    @abstractmethod
    def seen(self, model: SampledModel, belief: Gaussian, record: Record) -> Seen:
        """What a belief says of the measurements of a record. Raises SolveError."""

    @abstractmethod
    def settled(self, model: SampledModel, records: list[Record], k: int) -> list[Record]:
        """The records after record k was corrected: what else an estimator makes of them."""


def check_model(estimator: Estimator, model: SampledModel) -> None:
    """A model was made for an estimator with the same measurements. Raises SpecificationError."""
    if not isinstance(model, SampledModel):
        raise SpecificationError(f"expected the model that estimator.model(plant, recipe, ...) made, got {model!r}.")
    names = tuple(str(name) for name in model.measured)
    if set(names) != {str(e) for name in estimator.noise for e in getattr(name, "elements", (name,))}:
        raise SpecificationError(
            f"the model was made for other measurements: {', '.join(names)}.\n  Make it by this estimator's model(...)."
        )


def whole(value: Any, least: int, what: str) -> None:
    """Raises SpecificationError unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SpecificationError(f"{what} must be a whole number of at least {least}, got {value!r}.")


def _first(tried: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    return {name: pair[1] for name, pair in tried.items()}


def _read(model: SampledModel, sample: Sample) -> tuple[float, Array, Array, dict[str, tuple[float, float]]]:
    """Time, values and noise factors of a sample, and what came late of what is measured."""
    if not isinstance(sample, Sample):
        raise SpecificationError(f"expected Sample(time, {{name: value}}), got {type(sample).__name__} {sample!r}.")
    numbers, late = sample.numbers(model.plant), sample.arrived(model.plant)
    values = np.array([numbers.get(name, np.nan) for name in model.measured])
    factors = np.array([sample.factor(name) if name in numbers else 1.0 for name in model.measured])
    useful = {name: pair for name, pair in late.items() if name in model.measured and np.isfinite(pair[1])}
    return sample.clock(model.plant), values, factors, useful


def _placed(
    model: SampledModel, records: list[Record], name: str, taken: float, value: float, factor: float
) -> tuple[list[Record], int]:
    """The records with a late value at the time it was taken, and which of them has it."""
    times = np.array([record.time for record in records])
    near = int(np.abs(times - taken).argmin())
    if abs(times[near] - taken) > model.timeline.resolution:
        near = int(np.searchsorted(times, taken))
        records = split(records, near - 1, taken)
    i = model.measured.index(name)
    record = records[near]
    values, factors = record.values.copy(), record.factors.copy()
    values[i], factors[i] = value, factor
    return [*records[:near], replace(record, values=values, factors=factors), *records[near + 1 :]], near


def _memory(model: SampledModel, records: Sequence[Record]) -> Memory:
    """The memory of records, with the algebraic variables that belong to the last of them."""
    entries, last = model.entries, records[-1]
    algebraics: dict[str, float] = {}
    try:
        algebraics = model.algebraics(last.filtered.mean, last.applied, last.time)
    except SolveError as error:
        reasons = (*last.reasons, str(error).splitlines()[0])
        records = [*records[:-1], replace(last, status=Estimation.HELD, reasons=reasons)]
    counts = (len(entries.states), len(entries.parameters))
    return Memory(entries.names, counts, model.measured, tuple(records), algebraics)


__all__ = ["Estimator", "check_model", "whole"]
