"""What does a controller intend? The trajectories of a plan on the recipe's clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from titer.control.nmpc.program import Program
from titer.flowsheets.problems.results import read
from titer.numerics.dae import Array
from titer.numerics.solution import Solution
from titer.numerics.solvers import Outcome, Status

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan that begins at `time`, as its program says it in decisions `w` and data; read when it is looked at.

    `plan[name]` is a Series on the recipe's clock, `frame()` all of them; `branches` are the plans of all scenarios.
    """

    program: Program
    time: float
    w: Array
    data: Array
    objective: float = float("nan")

    def frame(self, scenario: int = 0) -> pd.DataFrame:
        """Everything over the recipe's time."""
        return self._solutions[scenario].frame()

    def __getitem__(self, name: str) -> pd.Series:
        return self.frame()[str(name)]

    @property
    def times(self) -> Array:
        """Grid of the plan on the recipe's clock."""
        return np.asarray(self.frame().index, dtype=float)

    @property
    def branches(self) -> int:
        """How many scenarios it covers."""
        return len(self.program.assembled.runs)

    @cached_property
    def _solutions(self) -> tuple[Solution, ...]:
        nlp = replace(self.program.assembled.nlp, data=self.data)
        assembled = replace(self.program.assembled, nlp=nlp)
        none = np.zeros(0)
        outcome = Outcome(Status.SOLVED, self.w, none, none, self.objective, 0, 0.0, "", 0.0, 0.0, 0.0)
        return tuple(read(assembled, r, outcome, (), {}, self.time) for r in range(self.branches))
