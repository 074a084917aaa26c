"""What are statistics made of? `Work`: the program of a fit with its last solve, built once and solved at will."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.problems.placing import Sampled
from titer.flowsheets.problems.problem import FreeNumber
from titer.flowsheets.problems.solving import Solved
from titer.flowsheets.problems.wiring import starts_block
from titer.flowsheets.terms import AtTimes
from titer.numerics.reduced import Reduced, reduced, reduced_by_steps
from titer.numerics.solvers import Manner, Outcome, Status

Array = np.ndarray
_AT_BOUND = 1e-3  # of a number's size: so close to a bound that presses, it lies on it
_PRESSES = 1e-4  # relative change of the objective with the number's size, from which a bound is said to press


@dataclass(frozen=True)
class Number:
    """A decided number: its name, whose experiment it is (None: all share it), its column, and its bounds.

    `bound`: "lower" or "upper" where that bound holds it, else empty. `log`: its logarithm is what is normal.
    """

    name: str
    experiment: int | None
    column: int
    value: float
    lower: float
    upper: float
    log: bool
    bound: str

    @property
    def label(self) -> str:
        """The name, with the experiment where it has one: "tank.X, experiment 2"."""
        return self.name if self.experiment is None else f"{self.name}, experiment {self.experiment + 1}"


@dataclass(frozen=True, eq=False)
class Samples:
    """Measurements of one name in one experiment: times, measured, deviations, predicted (n,), and where they stand.

    `jacobian` (n, k): derivatives of the predictions in the free numbers that were asked for.
    """

    experiment: int
    name: str
    times: Array
    measured: Array
    deviations: Array
    predicted: Array
    data: Array  # (3, n) numbers of the data that hold times, measured values and deviations
    loss: Any
    jacobian: Array

    @property
    def residuals(self) -> Array:
        """(predicted - measured) / deviation."""
        return (self.predicted - self.measured) / self.deviations


@dataclass(frozen=True, eq=False)
class Work:
    """A program, the numbers that stand in it, and its last solve."""

    solved: Solved
    data: Array
    outcome: Outcome

    @staticmethod
    def of(solved: Solved) -> Work:
        return Work(solved, solved.started.assembled.nlp.data, solved.started.outcome)

    @property
    def runs(self) -> int:
        return len(self.solved.solutions)

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """The decided numbers, shared parameters first, then those of each experiment."""
        assembled = self.solved.started.assembled
        plant = assembled.problem.plant
        parameters = [str(s.name) for s in plant.scalars.values() if s.kind == Parameter.kind]
        states = [n.name for n in assembled.numbers if n.kind == State.kind]
        found = []
        for r in range(self.runs):
            for number in assembled.numbers:
                if number.kind == State.kind:
                    column = assembled.nlp.cells[starts_block(r)][states.index(number.name)]
                else:
                    column = assembled.nlp.cells[assembled.plants[r].name][parameters.index(number.name)]
                if number.each or r == 0:
                    found.append(self._number(number, r if number.each else None, int(column)))
        return tuple(sorted(found, key=lambda n: -1 if n.experiment is None else n.experiment))

    def _number(self, number: FreeNumber, experiment: int | None, column: int) -> Number:
        value, pull = float(self.outcome.w[column]), float(self.outcome.bound_multipliers[column])
        size = max(abs(value), abs(number.guess), 1e-300)
        pressed = abs(pull) * size > _PRESSES * max(1.0, abs(self.outcome.objective))
        bound = ""
        if pressed and pull < 0.0 and value - number.lower <= _AT_BOUND * size:
            bound = "lower"
        elif pressed and pull > 0.0 and number.upper - value <= _AT_BOUND * size:
            bound = "upper"
        return Number(number.name, experiment, column, value, number.lower, number.upper, number.log, bound)

    def reduced(self, numbers: Sequence[Number]) -> Reduced:
        """The solution seen from decided numbers. Raises LinAlgError."""
        started = self.solved.started
        held = [n.column for n in self.numbers if n not in numbers]
        free = np.array([*(n.column for n in numbers), *held], dtype=int)
        if started.engine.shot is not None:
            return reduced_by_steps(started.engine.shot.march, self.outcome, free, self.data)
        return reduced(started.engine.program, self.outcome, started.scaling, free, self.data)

    def samples(self, follow: Array | None = None) -> list[Samples]:
        """Measurements and predictions; `follow` (columns, k): derivatives of all columns, for those of predictions."""
        assembled = self.solved.started.assembled
        cells = np.concatenate([self.outcome.w, self.data])
        found = []
        for r, placements in enumerate(assembled.runs):
            for placement in placements:
                where = assembled.nlp.cells[placement.block.name]
                found += [self._samples(r, sampled, where, cells, follow) for sampled in placement.samples]
        return found

    def _samples(self, r: int, sampled: Sampled, where: Array, cells: Array, follow: Array | None) -> Samples:
        term, n = sampled.placed.term, len(self.outcome.w)
        assert isinstance(term, AtTimes)
        at, stored = where[sampled.index], where[sampled.data]
        count = at.shape[1]
        points = cells[at]
        predicted = np.array(sampled.model.map(count)(points)).ravel()
        slopes = np.zeros((count, 0 if follow is None else follow.shape[1]))
        if follow is not None:
            gradient = np.array(sampled.model.jacobian().map(count)(points, predicted[None, :]))
            gradient = gradient.reshape(count, len(at))
            for j in range(len(at)):
                moves = at[j] < n
                slopes[moves] += gradient[moves, j, None] * follow[at[j][moves]]
        times, measured, deviations = cells[stored]
        name = term.label().removeprefix("data of ")
        return Samples(r, name, times, measured, deviations, predicted, stored - n, term.loss, slopes)

    def again(
        self,
        data: Array | None = None,
        held: Mapping[int, float] | None = None,
        w: Array | None = None,
    ) -> Outcome:
        """Solve with other data, or with columns held at values, started from the last solve or from `w`."""
        started = self.solved.started
        lower, upper = started.engine.nlp.relaxed(started.scaling.columns, started.reached.relaxation)
        start = (self.outcome.w if w is None else w).copy()
        lower, upper = lower.copy(), upper.copy()
        for column, value in (held or {}).items():
            start[column] = lower[column] = upper[column] = value
        numbers = self.data if data is None else data
        multipliers = (self.outcome.row_multipliers, self.outcome.bound_multipliers)
        for manner in (Manner.WARM, Manner.NEAR, Manner.FAR):
            outcome = started.engine.solve(start, started.scaling, lower, upper, numbers, multipliers, manner)
            if outcome.status.ok or outcome.status in (Status.TIME, Status.INTERRUPTED):
                break
        return outcome

    def with_solve(self, outcome: Outcome, data: Array | None = None) -> Work:
        """The same program after another solve."""
        return replace(self, outcome=outcome, data=self.data if data is None else data)
