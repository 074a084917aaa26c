"""Where is the plant at the next sample? A plant under its recipe as a map from sample to sample, with derivatives.

Built once for an estimator; nothing is traced or compiled after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import StringIO
from typing import Any, NamedTuple

import numpy as np

from titer.estimation.estimators.deviations import Deviations
from titer.estimation.estimators.entries import Entries
from titer.estimation.estimators.steps import Reading, Steps
from titer.estimation.estimators.timeline import (
    Applied,
    Stretch,
    Timeline,
    applied_of,
    parts,
    stretches,
    with_durations,
)
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.dae import Array, starts
from titer.numerics.errors import SolveError
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics

_HALVINGS = 6  # of a step on which Newton's method does not converge
_OUTSIDE = 1e-3  # of the size of an entry: how far below its domain a step may end before shorter ones are tried
_MOST_SAMPLES = 400


@dataclass(frozen=True, eq=False)
class Linear:
    """A step of the model: entries at its end (n,), their derivatives along those at its start (n, n), and a square
    root (n, k) of the covariance that noise has added."""

    mean: Array
    transition: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class Running:
    """A phase ready to run: its `steps` and their longest, what is `measured` in it, its parameters, and what is set
    when it begins (`jump`, a reading of the phase before it, at the entries `set`)."""

    steps: Steps
    longest: float
    measured: Reading
    p: Array
    jump: Reading | None
    set: Array


class Passed(NamedTuple):
    """Equal steps that were taken: the entries and algebraic variables at their end; where asked for, derivatives
    along the entries at their start, and the noise of unit intensity per square root of a step."""

    s: Array
    z: Array
    h: float
    steps: int
    transition: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class SampledModel:
    """A plant under a recipe, from sample to sample: made by `estimator.model(plant, recipe, every=...)`.

    `entries`: what is estimated (n), with what it starts from; `measured`: what is read at samples (m); `every`: the
    longest time between samples that is expected. Methods are pure; `s` (n,) is in the order of `names`.
    """

    plant: Flowsheet
    recipe: Recipe
    every: float
    entries: Entries
    measured: tuple[str, ...]
    timeline: Timeline
    phases: tuple[Running, ...]
    start: Array
    noisy: Array  # entries with noise in their rate
    deviations: Deviations
    seen: tuple[tuple[float, Array], ...] = field(default=(), repr=False)  # algebraics of the nominal run, by time
    simulated: tuple[str, ...] = ()  # states that measurements cannot see: they follow the model

    @property
    def names(self) -> tuple[str, ...]:
        return self.entries.names

    def with_durations(self, durations: Mapping[str, Any]) -> SampledModel:
        """The same under other durations of its phases: nothing is built again. Raises SpecificationError."""
        return replace(self, timeline=with_durations(self.timeline, self.plant, durations))

    def applied(self, given: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        """What was applied, checked: {input: (value at the start, at the end of the interval)}."""
        return applied_of(self.plant, self.timeline, given)

    @property
    def tried(self) -> dict[str, tuple[float, float]]:
        """Manipulated inputs at the values they are tried at."""
        return {name: (value, value) for name, value in self.timeline.manipulated.items()}

    @property
    def planned_times(self) -> Array:
        """Times of samples along the recipe as planned, at most some hundreds."""
        end = float(self.timeline.ends[-1])
        count = min(max(1, int(np.ceil(end / self.every - 1e-9))), _MOST_SAMPLES)
        return np.linspace(0.0, end, count + 1)

    def predict(self, s: Array, applied: Applied, t0: float, t1: float) -> Array:
        """The entries at t1. Raises SolveError."""
        z = None
        for stretch in stretches(self.timeline, applied, t0, t1):
            s, z = self._begun(stretch, s, z, applied)
            for passed in self._through(stretch, s, z, False):
                s, z = passed.s, passed.z
        return s

    def linearized(self, s: Array, applied: Applied, t0: float, t1: float) -> Linear:
        """The entries at t1, their derivatives, and the noise that came in between. Raises SolveError."""
        n = len(s)
        transition, noise = np.eye(n), np.zeros((n, 0))
        z = None
        for stretch in stretches(self.timeline, applied, t0, t1):
            if stretch.begins:
                slope = self._jump_slope(stretch, s, applied)
                transition, noise = slope @ transition, slope @ noise
            s, z = self._begun(stretch, s, z, applied)
            spread = self._spreads[stretch.phase]
            for passed in self._through(stretch, s, z, True):
                s, z = passed.s, passed.z
                added = (passed.noise.reshape(n, passed.steps, -1) * (np.sqrt(passed.h) * spread)).reshape(n, -1)
                transition, noise = passed.transition @ transition, np.hstack([passed.transition @ noise, added])
        if not np.isfinite(transition).all() or not np.isfinite(noise).all():
            raise SolveError(f"{self._who(t0, t1)}: a derivative is not finite.{_MEND}")
        return Linear(s, transition, noise)

    def outputs(self, s: Array, applied: Applied, t: float) -> tuple[Array, Array]:
        """What is measured (m,), NaN for what is at rest, and its derivatives (m, n). Raises SolveError."""
        k = self.timeline.phase_at(t)
        phase = self.phases[k]
        value, slope = self._read(phase.measured, k, s, applied, t)
        for i, name in enumerate(self.entries.biases):
            k = self.measured.index(name)
            value[k] += s[len(s) - len(self.entries.biases) + i]
            slope[k, len(s) - len(self.entries.biases) + i] += 1.0
        return np.where(phase.measured.present, value, np.nan), slope

    def algebraics(self, s: Array, applied: Applied, t: float) -> dict[str, float]:
        """Algebraic variables by name. Raises SolveError."""
        k = self.timeline.phase_at(t)
        z = self._consistent(k, s, self.timeline.inputs_at(k, t, applied), t, None)
        return {v.name: float(x) for v, x in zip(self.phases[k].steps.dae.algebraics, z, strict=True)}

    def _through(self, stretch: Stretch, s: Array, z: Array, with_slopes: bool) -> list[Passed]:
        """The steps of a stretch, at once where they are as many as planned. Raises SolveError."""
        if stretch.length <= 0.0:
            return []
        phase = self.phases[stretch.phase]
        count = max(1, int(np.ceil(stretch.length / phase.longest - 1e-9)))
        if count in phase.steps.followed:
            try:
                taken = _taken(phase, stretch, count, s, z, with_slopes)
                if not self._leaves(stretch.phase, s, taken.s):
                    return [taken]
            except RuntimeError:  # one of the steps is too long
                pass
        found: list[Passed] = []
        for each in parts(stretch, count):
            found += self._step(each, s, z, with_slopes, _HALVINGS)
            s, z = found[-1].s, found[-1].z
        return found

    def _step(self, stretch: Stretch, s: Array, z: Array, with_slopes: bool, halvings: int) -> list[Passed]:
        """A step, or its halves where Newton's method does not converge on it, or converges to a solution outside the
        domain: where a substrate runs out, the equations of a long step have one beyond the pole of its saturation.
        Raises SolveError."""
        try:
            taken = _taken(self.phases[stretch.phase], stretch, 1, s, z, with_slopes)
            if not halvings or not self._leaves(stretch.phase, s, taken.s):
                return [taken]
        except RuntimeError:
            if not halvings:
                who = self._who(stretch.start, stretch.start + stretch.length)
                raise SolveError(f"{who}: its equations were not solved.{_MEND}") from None
        found: list[Passed] = []
        for half in parts(stretch, 2):
            found += self._step(half, s, z, with_slopes, halvings - 1)
            s, z = found[-1].s, found[-1].z
        return found

    def _leaves(self, k: int, before: Array, after: Array) -> bool:
        """Whether a step of phase k leads from the domain to below it."""
        least = self.entries.lower - _OUTSIDE * self.phases[k].steps.step.sizes[0]
        return bool(((after < least) & (before >= least)).any())

    def _begun(self, stretch: Stretch, s: Array, z: Array | None, applied: Applied) -> tuple[Array, Array]:
        """Entries after what the phase sets at its start, and consistent algebraic variables."""
        phase = self.phases[stretch.phase]
        if stretch.begins and phase.jump is not None and len(phase.set):
            s = s.copy()
            s[phase.set] = self._read(phase.jump, stretch.phase - 1, s, applied, stretch.start)[0]
            z = None
        if z is not None and len(z) != len(phase.steps.dae.algebraics):
            z = None
        return s, self._consistent(stretch.phase, s, stretch.left, stretch.start, z)

    def _jump_slope(self, stretch: Stretch, s: Array, applied: Applied) -> Array:
        """Derivatives of the entries after the start of a phase along those before it."""
        phase, slope = self.phases[stretch.phase], np.eye(len(s))
        if phase.jump is not None and len(phase.set):
            slope[phase.set] = self._read(phase.jump, stretch.phase - 1, s, applied, stretch.start)[1]
        return slope

    def _read(self, reading: Reading, k: int, s: Array, applied: Applied, t: float) -> tuple[Array, Array]:
        """What a reading of phase k gives at a time in it."""
        u = self.timeline.inputs_at(k, t, applied)
        z = self._consistent(k, s, u, t, None)
        found = reading.function(s, z, t, u, self.phases[k].p).full()
        return found[:, 0], found[:, 1:]

    def _consistent(self, k: int, s: Array, u: Array, t: float, z: Array | None) -> Array:
        """Algebraic variables that belong to the entries. Raises SolveError."""
        steps = self.phases[k].steps
        if not steps.dae.algebraics:
            return np.zeros(0)
        if z is None:
            z = self._guess(k, t)
        try:
            return consistent_algebraics(
                steps.dae, t, s[steps.places.active], z, u, steps.parameters(s, self.phases[k].p)
            )
        except InconsistentError as error:
            raise SolveError(f"{self._who(t, t)}: {error}.{_MEND}") from None

    def _guess(self, k: int, t: float) -> Array:
        """Algebraic variables of the nominal run nearest in time, in the phase."""
        algebraics = self.phases[k].steps.dae.algebraics
        near = [(abs(when - t), i) for i, (when, z) in enumerate(self.seen) if self.timeline.phase_at(when) == k]
        return self.seen[min(near)[1]][1] if near else starts(algebraics)

    @cached_property
    def _spreads(self) -> tuple[Array, ...]:
        """Deviations of the noise of each phase's steps, point by point of the collocation; at rest there is none."""
        found = []
        for phase in self.phases:
            acting = np.ones(len(self.start), dtype=bool)
            acting[: len(self.entries.states)] = False
            acting[phase.steps.places.active] = True
            found.append(np.tile(np.where(acting, self.deviations.process, 0.0)[self.noisy], phase.steps.degree))
        return tuple(found)

    def _who(self, t0: float, t1: float) -> str:
        phase = self.timeline.operations[self.timeline.phase_at(t1)].name
        return f"the model cannot be advanced in phase {phase!r} from t = {t0:g} to {t1:g} {self.plant.time}"


_MEND = "\n  Check what is believed of its states there, and the bounds of its estimated parameters."


def _taken(phase: Running, stretch: Stretch, count: int, s: Array, z: Array, with_slopes: bool) -> Passed:
    """A stretch in equal steps. Raises RuntimeError where one of them was not solved."""
    functions = phase.steps.linearized if with_slopes else phase.steps.followed
    h, change = stretch.length / count, (stretch.right - stretch.left) / count
    with redirect_stderr(StringIO()):  # a step that fails is taken again, in halves: that is no news
        found = functions[count](s, z, np.concatenate([[stretch.start, h], stretch.left, change, phase.p]))
    moved, z = found[0].full(), found[1].full().ravel() if len(z) else z
    if not (np.isfinite(moved).all() and np.isfinite(z).all()):
        raise RuntimeError("a value is not finite")
    n = len(s)
    return Passed(moved[:, 0], z, h, count, moved[:, 1 : n + 1], moved[:, n + 1 :])
