"""How does a controller come to know where the plant is? From samples that hold all states, or from an estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.nmpc.held import Held
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.signals import Rule, Simulate
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.extended_kalman import ExtendedKalman
from titer.estimation.estimators.memory import Memory as Estimated
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.operation import Decided
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array
from titer.numerics.errors import SolveError, TiterError


@dataclass(frozen=True, eq=False)
class Sensing:
    """`measured`: what is wanted in a sample, with a rule for each where it is bad.

    `model`: from sample to sample, of the `estimator`, or for states that are measured: where there is a delay, or a
    signal is bad; None where the plant has no such model, and can do without. `places` (of the model's entries that are
    states): which of all states each is. `due`: what every sample must hold; an estimator takes others as they come, a
    laboratory's too.
    """

    measured: tuple[str, ...]
    rules: Mapping[str, Rule]
    estimator: Estimator | None
    model: SampledModel | None
    places: Array
    due: frozenset[str]

    def updated(
        self,
        before: Estimated,
        durations: Mapping[str, float],
        held: Held,
        sample: Sample,
    ) -> Estimated:
        """The estimator's memory after a sample; `held`: inputs up to each time since the last one, in order."""
        assert self.estimator is not None
        assert self.model is not None
        model = self.model.with_durations(durations) if durations else self.model
        *earlier, (_, last) = held
        for until, applied in earlier:
            before = self.estimator.update(model, before, applied, Sample(until, {}))
        return self.estimator.update(model, before, last, sample)

    def ahead(
        self,
        x: Array,
        durations: Mapping[str, float],
        held: Held,
        start: float,
        estimated: Mapping[str, float],
    ) -> Array | None:
        """Where the plant will be at the end of what is `held` from `start` on; None where the model cannot say.

        `x` at the beginning of a phase has what the phase sets."""
        if self.model is None:
            return None
        model = self.model.with_durations(durations) if durations else self.model
        n = len(self.places)
        s = np.array(model.start, dtype=float)
        s[:n] = x[self.places]
        for i, name in enumerate(model.names[n:], n):
            s[i] = estimated.get(name, s[i])
        near = model.timeline.resolution
        if (np.abs(model.timeline.ends[1:] - start) <= near).any():
            start += 2.0 * near  # else the model would set it again
        try:
            for until, applied in held:
                if until > start:
                    s = model.predict(s, model.applied(applied), start, until)
                start = until
        except SolveError:
            return None
        moved = x.copy()
        moved[self.places] = s[:n]
        return moved


def sensing_of(
    wanted: Wanted, manipulated: Sequence[str], estimator: Estimator | None, signals: Mapping[str, Rule]
) -> Sensing:
    """What a controller needs to know where the plant is. Raises SpecificationError, for what cannot be seen too."""
    table = wanted.table
    given = by_element(signals, "signals")
    inputs = {name: value for name, value in wanted.inputs.items() if str(name) not in manipulated}
    order = {name: i for i, name in enumerate(wanted.states)}
    rules: dict[str, Any]
    model: SampledModel | None = None
    if estimator is not None:
        model = estimator.model(tried(wanted), wanted.recipe, table.every, manipulated, inputs, _planned(wanted))
        measured = tuple(str(name) for name in model.measured)
        rules = {name: Simulate(longest=10**9) for name in measured}
    else:
        active = {v.name for operation in wanted.planned for v in operation.lowered.dae.states}
        measured = tuple(name for name in wanted.states if name in active)
        blank = ExtendedKalman(noise=dict.fromkeys(measured, 1.0), robust=None)
        try:
            model = blank.model(tried(wanted), wanted.recipe, table.every, manipulated, inputs, _planned(wanted))
        except TiterError:
            if table.delay:
                raise
        rules = dict.fromkeys(measured, Simulate())
    places = np.array([order[name] for name in ([] if model is None else model.entries.states)], dtype=int)
    due = frozenset(given if estimator is not None else measured)
    return Sensing(measured, {**rules, **given}, estimator, model, places, due)


def tried(wanted: Wanted) -> Flowsheet:
    """The plant with controls that are decided at their guesses: the run as planned is tried with them."""
    scalars = wanted.plant.scalars
    found = {name: value for name, value in guesses(wanted).items() if name in scalars and value != scalars[name].start}
    return wanted.plant.with_values(found) if found else wanted.plant


def guesses(wanted: Wanted) -> dict[str, float]:
    """The values of inputs that are tried first."""
    found: dict[str, float] = {}
    for operation in wanted.planned:
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                guess = source.guess
                first = guess if isinstance(guess, float) else guess.left[0] if isinstance(guess, Signal) else guess[0]
                found.setdefault(variable.name, float(first))
    return found


def _planned(wanted: Wanted) -> dict[str, float]:
    table = wanted.table
    return {
        name: result.trajectory.duration
        for k, (name, result) in enumerate(zip(table.names, wanted.nominal, strict=True))
        if table.is_open(k)
    }


def without_bad(sample: Sample, bad: Sequence[str]) -> Sample:
    """The sample without values that do not count."""
    kept = {name: value for name, value in sample.values.items() if name not in bad}
    quality = {name: q for name, q in sample.quality.items() if name in kept or name in sample.late}
    return replace(sample, values=kept, quality=quality)
