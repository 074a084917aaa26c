"""What came out? A `Solution`: trajectories by name, with how they were found and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.segment import Profile
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from titer.numerics.explaining.explanation import Explanation


@dataclass(frozen=True, eq=False)
class PhaseResult:
    """One phase: names and values of what has a trajectory, states held at rest, and the shape of the inputs."""

    name: str
    trajectory: Trajectory
    states: tuple[str, ...]
    algebraics: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    held: Mapping[str, float]
    shapes: Mapping[str, tuple[Profile, Array]] = field(default_factory=dict)

    def columns(self) -> Iterator[tuple[str, Array]]:
        """Names with their values (points,)."""
        t = self.trajectory
        for names, rows in (
            (self.states, t.x), (self.algebraics, t.z), (self.inputs, t.u), (self.outputs, t.y),
        ):  # fmt: skip
            yield from zip(names, rows, strict=True)
        for name, value in self.held.items():
            yield name, np.full(len(t.time), value)

    def value(self, name: str) -> Array:
        """Values (points,) of one name, NaN where the phase does not know it."""
        return self.table().get(name, np.full(len(self.trajectory.time), np.nan))

    def table(self) -> dict[str, Array]:
        """Values (points,) by name."""
        return dict(self.columns())


@dataclass(frozen=True)
class Rung:
    """One step of the start ladder: what was done, in how many seconds, with what result."""

    name: str
    seconds: float
    result: str


class StartReport(tuple[Rung, ...]):
    """The rungs of the start ladder; printed, a line each."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(f"{rung.seconds:8.3f} s  {rung.name}: {rung.result}" for rung in self)


@dataclass(frozen=True, eq=False)
class Certificate:
    """How far an optimum can be trusted; `ok` says whether all of it holds to the tolerances of its solve.

    `deviation`: largest difference of each state from a replay by IDAS, relative to its size (the trajectory's largest
    magnitude). `violation`: largest violation of a path constraint on the replay, grid points and between, by name, in
    the constraint's unit. `stationarity`, `feasibility`, `complementarity`: scaled residuals of the optimality
    conditions, recomputed outside the solver. `relaxed`: by how much physical domains were allowed to be left (fraction
    of nominal) and by how much they were.
    """

    deviation: Mapping[str, float]
    violation: Mapping[str, float]
    stationarity: float
    feasibility: float
    complementarity: float
    relaxed: tuple[float, float]
    ok: bool
    seconds: float = 0.0
    message: str = ""
    largest_violation: float = 0.0  # of any limit, relative to its size
    objective: float = float("nan")  # on the replay
    objective_deviation: float = 0.0  # of it from the program's, relative

    @property
    def largest_deviation(self) -> float:
        return max(self.deviation.values(), default=0.0)

    def __str__(self) -> str:
        worst = max(self.deviation, key=lambda k: self.deviation[k], default="none")
        lines = [
            f"certificate: {'holds' if self.ok else 'DOES NOT HOLD'}{': ' + self.message if self.message else ''}",
            f"  replay deviation  {self.largest_deviation:.2e} ({worst})",
            f"  optimality        stationarity {self.stationarity:.1e}, feasibility {self.feasibility:.1e}, "
            f"complementarity {self.complementarity:.1e}",
            f"  domains           relaxed by {self.relaxed[0]:.0e} of nominal, left by {self.relaxed[1]:.1e}",
        ]
        lines += [f"  {name}: largest violation {v:.2e}" for name, v in self.violation.items()]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Solution:
    """A simulation or an optimum: `run[name]` is a Series over time.

    `frame()`, `at_end(name)`, `duration`, `plot()`, `save(path)`. Times are the recipe's, in `time`; where a phase
    resets a state or an input jumps, a time stands twice. `values`: parameters and initial states, decided ones
    included. `scenarios`: the solution of each scenario of a plan, this one's own first. `source` (what replays it) and
    `iterate` (the solver's last point) are not saved.
    """

    kind: str
    time: str
    units: Mapping[str, str]
    phases: tuple[PhaseResult, ...]
    values: Mapping[str, float]
    status: Status
    objective: float = float("nan")
    decided: Mapping[str, float] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)
    start_report: StartReport = field(default_factory=StartReport)
    certificate: Certificate | None = None
    message: str = ""
    source: Any = None
    iterate: Any = None
    scenarios: tuple[Solution, ...] = ()

    @property
    def duration(self) -> dict[str, float]:
        """Duration of each phase."""
        return {phase.name: phase.trajectory.duration for phase in self.phases}

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that has a trajectory."""
        return tuple(dict.fromkeys(name for phase in self.phases for name, _ in phase.columns()))

    def __getitem__(self, name: str) -> Any:
        """Series over time; for an array's name, a frame of its elements. Raises SpecificationError."""
        elements = _elements(name)
        for each in elements:
            if each not in self.names:
                raise SpecificationError(f"solution: {unknown('name', each, self.names)}")
        frame = self._frame(self.phases, elements)
        return frame if hasattr(name, "elements") else frame[elements[0]]

    def frame(self, phase: str | None = None) -> pd.DataFrame:
        """Everything over time, of all phases or of one. Raises SpecificationError for an unknown phase."""
        chosen = self._chosen(phase, "frame")
        return self._frame(chosen, tuple(dict.fromkeys(name for p in chosen for name, _ in p.columns())))

    def at_end(self, name: str, phase: str | None = None) -> Any:
        """A value at the end of the recipe, or of a phase; for an array's name, an array of them (elements,).

        NaN for what a unit operation at rest does not have. Raises SpecificationError for an unknown name or phase.
        """
        chosen = self._chosen(phase, "at_end")
        for each in _elements(name):
            if each not in self.names:
                raise SpecificationError(f"at_end: {unknown('name', each, self.names)}")
        table = chosen[-1].table()
        ends = [float(table[each][-1]) if each in table else float("nan") for each in _elements(name)]
        return np.array(ends) if hasattr(name, "elements") else ends[0]

    def plot(self, names: Sequence[str] | None = None) -> Figure:
        """A picture: one panel per unit of measure, all named trajectories (default: states, algebraics and inputs)."""
        from titer.numerics.plot import plot_solution

        return plot_solution(self, names)

    def explain(self) -> Explanation:
        """Why the solve ended as it did: a verdict and the facts behind it, in names, units and times.

        After a failure: what is missed where, the least change of limits that makes the problem feasible, where a
        number stopped being finite. After a success: what holds the optimum, at what price, and what is doubtful.
        """
        from titer.numerics.explaining.explanation import explain_solution

        return explain_solution(self)

    def save(self, path: str | Path) -> Path:
        """Write one file, `path` with the ending .npz, and return where it is; `Solution.load` reads it."""
        from titer.numerics.archive import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> Solution:
        """Read what `save` wrote, or what a failed solve left (`.titer`): its trajectories start another by start_from.

        Raises SpecificationError where there is no such file, or it is something else.
        """
        from titer.numerics.archive import load

        return load(path)

    def _chosen(self, phase: str | None, what: str) -> tuple[PhaseResult, ...]:
        names = [p.name for p in self.phases]
        if phase is not None and phase not in names:
            raise SpecificationError(f"{what}: {unknown('phase', phase, names)}")
        if not self.phases:
            raise SpecificationError(f"{what}: the run stopped before its first step.\n  {self.message}")
        return tuple(p for p in self.phases if phase in (None, p.name))

    def _frame(self, phases: Sequence[PhaseResult], names: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        tables = [(p.table(), np.full(len(p.trajectory.time), np.nan)) for p in phases]
        time = np.concatenate([p.trajectory.time for p in phases])
        columns = {name: np.concatenate([table.get(name, empty) for table, empty in tables]) for name in names}
        return pd.DataFrame(columns, index=pd.Index(time, name=f"time [{self.time}]"))

    def __repr__(self) -> str:
        durations = ", ".join(f"{k} {v:.6g}" for k, v in self.duration.items())
        objective = "" if np.isnan(self.objective) else f", objective {self.objective:.8g}"
        doubt = f"; {self.message.splitlines()[0]}" if self.kind == "simulation" and self.message else ""
        if self.status.ok and self.certificate is not None and not self.certificate.ok:
            doubt = f"; the certificate does not hold: {self.certificate.message}"
        return f"<{self.kind}: {self.status.name.lower()}{objective}; {durations} {self.time}{doubt}>"


def _elements(name: str) -> tuple[str, ...]:
    """The names that a name stands for: an array's elements, else itself."""
    return tuple(str(each) for each in getattr(name, "elements", (name,)))
