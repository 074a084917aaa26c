"""How do many batches run from stage to stage at once? The steps of the model, mapped over batches.

Inputs as planned are the same for all; what differs from batch to batch stands among the entries. Batches on which a
step is not solved, or leaves the domain, are integrated alone.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO

import casadi as ca
import numpy as np

from titer.analysis.processes.integrated import integrated
from titer.estimation.estimators.model import Running, SampledModel
from titer.estimation.estimators.steps import Reading, Steps, chained
from titer.estimation.estimators.timeline import Stretch, parts, stretches
from titer.numerics.errors import SolveError

Array = np.ndarray
_AT_ONCE = 256  # batches in a call
_LEAST = 4  # and, where there are fewer, this many or a power of two times as many
_CHAIN = 16  # steps in a call, at most
_HALVINGS = 6  # of a step
_FEW = 0.05  # share of batches that may leave the domain before all take shorter steps
_OUTSIDE = 1e-5  # of the size of an entry: how far below its domain a batch may come


class March:
    """Runs batches of a model; keeps what it has compiled."""

    def __init__(self, model: SampledModel):
        self.model = model
        self._steps: dict[tuple[int, int], Steps] = {}
        self._maps: dict[tuple[ca.Function, int], ca.Function] = {}
        self._too_long: set[tuple[float, float, int]] = set()

    def through(self, s: Array, t0: float, t1: float, nominal: Array) -> Array:
        """Entries (batches, n) at t1 from those at t0; NaN where a batch cannot be run.

        `nominal` (n,): those of the planned run at t0, near which algebraic variables are looked for.
        """
        found = np.full_like(s, np.nan)
        runnable = np.flatnonzero(np.isfinite(s).all(axis=1))
        for first in range(0, len(runnable), _AT_ONCE - 1):
            rows = runnable[first : first + _AT_ONCE - 1]  # the last is the planned run
            block = np.repeat(nominal[None], _room(len(rows) + 1), axis=0)
            block[: len(rows)] = s[rows]
            try:
                with redirect_stderr(StringIO()):  # steps that fail are taken again
                    moved, again = self._mapped(block, t0, t1)
                moved, again = moved[: len(rows)], again[: len(rows)]
            except RuntimeError:
                moved, again = np.empty((len(rows), s.shape[1])), np.ones(len(rows), dtype=bool)
            found[rows[~again]] = moved[~again]
            for row in rows[again]:
                found[row] = self._alone(s[row], t0, t1)
        return found

    def _mapped(self, s: Array, t0: float, t1: float) -> tuple[Array, Array]:
        """Batches at t1, and which of them must be run alone. Raises RuntimeError."""
        apart = np.zeros(len(s), dtype=bool)
        for stretch in stretches(self.model.timeline, {}, t0, t1):
            s = self._begun(stretch, s)
            if stretch.length <= 0.0:
                continue
            phase = self.model.phases[stretch.phase]
            count = max(1, int(np.ceil(stretch.length / phase.longest - 1e-9)))
            calls = -(-count // _CHAIN)
            z = self._guesses(stretch, s)
            for part in parts(stretch, calls):
                s, z = self._stepped(phase, part, -(-count // calls), s, z, apart, _HALVINGS)
        return s, apart

    def _stepped(
        self, phase: Running, part: Stretch, count: int, s: Array, z: Array, apart: Array, halvings: int
    ) -> tuple[Array, Array]:
        """Equal steps, or shorter ones where these are not solved, or end outside the domain for more than a few.

        What was found too long once is not tried again. Batches that leave are put `apart`. Raises RuntimeError.
        """
        key = (part.start, part.length, count)
        if key not in self._too_long:
            try:
                moved, algebraics = self._taken(phase, part, count, s, z)
                leaving = ~np.isfinite(moved).all(axis=1) | self._leaving(s, moved)
                if leaving.mean() <= _FEW and not leaving[-1]:
                    apart |= leaving
                    moved[leaving], algebraics[:, leaving] = moved[-1], algebraics[:, -1:]  # they disturb no further
                    return moved, algebraics
            except RuntimeError:
                if not halvings:
                    raise
            if not halvings:
                raise RuntimeError("steps end outside the domain")
            self._too_long.add(key)
        for each in parts(part, 2):
            s, z = self._stepped(phase, each, -(-count // 2), s, z, apart, halvings - (count == 1))
        return s, z

    def _taken(self, phase: Running, part: Stretch, count: int, s: Array, z: Array) -> tuple[Array, Array]:
        """Equal steps of all batches. Raises RuntimeError."""
        key = (id(phase.steps), count)
        if key not in self._steps:
            self._steps[key] = chained(phase.steps, count)
        h, change = part.length / count, (part.right - part.left) / count
        data = np.concatenate([[part.start, h], part.left, change, phase.p])
        moved, algebraics = self._map(self._steps[key].followed[count], len(s), [2])(s.T, z, data)
        return moved.full().T, algebraics.full()

    def read(self, reading: Reading, k: int, s: Array, t: float) -> Array:
        """What a reading of phase k gives at a time in it for batches (batches, n): (batches, m); NaN where a batch is
        not a number."""
        found = np.full((len(s), reading.function.size1_out(0)), np.nan)
        runnable = np.flatnonzero(np.isfinite(s).all(axis=1))
        for first in range(0, len(runnable), _AT_ONCE):
            rows = runnable[first : first + _AT_ONCE]
            block = s[np.resize(rows, _room(len(rows)))]
            found[rows] = self._read(reading, k, block, t)[: len(rows)]
        return found

    def _begun(self, stretch: Stretch, s: Array) -> Array:
        """Batches after what a phase sets at its start. Raises RuntimeError."""
        phase = self.model.phases[stretch.phase]
        if not stretch.begins or phase.jump is None or not len(phase.set):
            return s
        s = s.copy()
        try:
            s[:, phase.set] = self._read(phase.jump, stretch.phase - 1, s, stretch.start)
        except SolveError as error:
            raise RuntimeError(str(error)) from None
        return s

    def _read(self, reading: Reading, k: int, s: Array, t: float) -> Array:
        """As `read`, of one call's batches. Raises SolveError."""
        phase = self.model.phases[k]
        u = self.model.timeline.inputs_at(k, t, {})
        z = np.zeros((0, len(s)))
        if phase.steps.dae.algebraics:
            z = np.array([list(self.model.algebraics(row, {}, t).values()) for row in s]).T
        shared = [np.repeat(np.atleast_1d(each)[:, None], len(s), axis=1) for each in (t, u, phase.p)]
        values = self._map(reading.function, len(s), [])(s.T, z, *shared).full()
        found: Array = values[:, :: 1 + s.shape[1]].T  # derivatives stand beside the values
        return found

    def _guesses(self, stretch: Stretch, s: Array) -> Array:
        """Algebraic variables to begin with (algebraics, batches): those of the planned run, from the last row."""
        if not self.model.phases[stretch.phase].steps.dae.algebraics:
            return np.zeros((0, len(s)))
        inside = stretch.start + min(0.01 * stretch.length, 3.0 * self.model.timeline.resolution)
        try:
            z = np.array(list(self.model.algebraics(s[-1], {}, inside).values()))
        except SolveError as error:
            raise RuntimeError(str(error)) from None
        return np.repeat(z[:, None], len(s), axis=1)

    def _map(self, function: ca.Function, count: int, shared: list[int]) -> ca.Function:
        """A function over batches; `shared`: arguments that are the same for all."""
        key = (function, count)
        if key not in self._maps:
            self._maps[key] = function.map("batches", "serial", count, shared, [])
        return self._maps[key]

    def _leaving(self, before: Array, after: Array) -> Array:
        least = self.model.entries.lower - _OUTSIDE * self.model.phases[0].steps.step.sizes[0]
        return np.any((after < least) & (before >= least), axis=1)

    def _alone(self, s: Array, t0: float, t1: float) -> Array:
        try:
            moved = integrated(self.model, s, t0, t1)
        except SolveError:
            return np.full(len(s), np.nan)
        gone = self._leaving(s[None], moved[None])[0]
        return np.full(len(s), np.nan) if gone else moved


def _room(rows: int) -> int:
    """How many batches a call is made for."""
    size = _LEAST
    while size < rows:
        size *= 2
    return size
