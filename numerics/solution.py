"""What came out? A `Solution`: trajectories by name, phase by phase, with how they were found and how far to trust them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.integrate import Trajectory
from titer.numerics.segment import Profile
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class PhaseResult:
    """One phase: names and values of everything that has a trajectory, states held at rest, and the shape of the inputs."""

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
        """Values of one name, NaN where the phase does not know it."""
        for key, values in self.columns():
            if key == name:
                return values
        return np.full(len(self.trajectory.time), np.nan)


@dataclass(frozen=True)
class Rung:
    """One step of the start ladder: what was done, in how many seconds, with what result."""

    name: str
    seconds: float
    result: str


@dataclass(frozen=True, eq=False)
class Certificate:
    """How far an optimum can be trusted; `ok` says whether all of it holds to the tolerances of its solve.

    `deviation`: largest difference of each state from a replay by IDAS, relative to its size (the trajectory's largest
    magnitude). `violation`: largest violation of a path constraint on the replay, grid points and between, by name, in
    the constraint's unit. `stationarity`, `feasibility`, `complementarity`: scaled residuals of the optimality conditions,
    recomputed outside the solver. `relaxed`: by how much physical domains were allowed to be left (fraction of nominal)
    and by how much they were.
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
    """A simulation or an optimum. `run[name]` is a Series over time; `frame()`, `at_end(name)`, `duration`, `plot()`, `save(path)`.

    Times are the recipe's, in `time`; where a phase resets a state or an input jumps, a time stands twice.
    `values`: parameters and initial states, decided ones included. `source`: what replays it (not saved).
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
    start_report: tuple[Rung, ...] = ()
    certificate: Certificate | None = None
    message: str = ""
    source: Any = None
    iterate: Any = None

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
        elements = getattr(name, "elements", None)
        if elements is not None:
            return self.frame()[[str(e) for e in elements]]
        if name not in self.names:
            raise SpecificationError(f"solution: {unknown('name', name, self.names)}")
        import pandas as pd

        time = np.concatenate([phase.trajectory.time for phase in self.phases])
        values = np.concatenate([phase.value(str(name)) for phase in self.phases])
        return pd.Series(values, index=pd.Index(time, name=f"time [{self.time}]"), name=str(name))

    def frame(self, phase: str | None = None) -> pd.DataFrame:
        """Everything over time, of all phases or of one."""
        import pandas as pd

        chosen = [p for p in self.phases if phase is None or p.name == phase]
        if not chosen:
            raise SpecificationError(f"frame: {unknown('phase', phase, [p.name for p in self.phases])}")
        names = list(dict.fromkeys(name for p in chosen for name, _ in p.columns()))
        time = np.concatenate([p.trajectory.time for p in chosen])
        index = pd.Index(time, name=f"time [{self.time}]")
        columns = {}
        for name in names:
            columns[name] = np.concatenate([p.value(name) for p in chosen])
        return pd.DataFrame(columns, index=index)

    def at_end(self, name: str, phase: str | None = None) -> float:
        """A value at the end of the recipe, or of a phase."""
        chosen = [p for p in self.phases if phase is None or p.name == phase]
        if not chosen:
            raise SpecificationError(f"at_end: {unknown('phase', phase, [p.name for p in self.phases])}")
        if name not in self.names:
            raise SpecificationError(f"at_end: {unknown('name', name, self.names)}")
        return float(chosen[-1].value(str(name))[-1])

    def plot(self, names: Sequence[str] | None = None) -> Figure:
        """A picture: one panel per unit of measure, all named trajectories (default: states, algebraics and inputs)."""
        from titer.numerics.plot import plot_solution

        return plot_solution(self, names)

    def save(self, path: str | Path) -> Path:
        """Write one file (NumPy's .npz with a JSON of the facts, no pickle); `Solution.load` reads it."""
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        arrays: dict[str, Array] = {}
        phases = []
        for k, phase in enumerate(self.phases):
            t = phase.trajectory
            for key in ("time", "x", "z", "u", "y"):
                arrays[f"{k}.{key}"] = getattr(t, key)
            for i, (profile, values) in enumerate(phase.shapes.values()):
                for key, array in zip(
                    ("edges", "left", "right"), (profile.edges, profile.left, profile.right), strict=True
                ):
                    arrays[f"{k}.shape{i}.{key}"] = array
                arrays[f"{k}.shape{i}.values"] = np.asarray(values, dtype=float)
            phases.append(
                {
                    "name": phase.name, "states": phase.states, "algebraics": phase.algebraics,
                    "inputs": phase.inputs, "outputs": phase.outputs, "held": dict(phase.held),
                    "shapes": list(phase.shapes), "reached": bool(t.reached),
                }
            )  # fmt: skip
        certificate = None
        if self.certificate is not None:
            certificate = {k: _plain(getattr(self.certificate, k)) for k in Certificate.__dataclass_fields__}
        facts = {
            "format": 1, "kind": self.kind, "time": self.time, "units": dict(self.units), "phases": phases,
            "values": _plain(self.values), "status": self.status.name, "objective": self.objective,
            "decided": _plain(self.decided), "stats": _plain(self.stats), "message": self.message,
            "start_report": [[r.name, r.seconds, r.result] for r in self.start_report],
            "certificate": certificate,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
        return path

    @staticmethod
    def load(path: str | Path) -> Solution:
        """Read what `save` wrote. Raises SpecificationError where the file is something else."""
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            facts = json.loads(str(arrays["facts"]))
        except (OSError, ValueError, KeyError) as error:
            raise SpecificationError(f"{path.name} is no saved titer solution: {error}") from None
        phases = []
        for k, entry in enumerate(facts["phases"]):
            parts = {key: arrays[f"{k}.{key}"] for key in ("time", "x", "z", "u", "y")}
            shapes = {}
            for i, name in enumerate(entry["shapes"]):
                profile = Profile(*(arrays[f"{k}.shape{i}.{key}"] for key in ("edges", "left", "right")))
                shapes[name] = (profile, arrays[f"{k}.shape{i}.values"])
            groups = (tuple(entry[key]) for key in ("states", "algebraics", "inputs", "outputs"))
            phases.append(
                PhaseResult(
                    entry["name"],
                    Trajectory(**parts, reached=entry["reached"]),
                    *groups,
                    held=entry["held"],
                    shapes=shapes,
                )
            )
        certificate = facts["certificate"]
        if certificate is not None:
            certificate = Certificate(**{**certificate, "relaxed": tuple(certificate["relaxed"])})
        return Solution(
            kind=facts["kind"], time=facts["time"], units=facts["units"], phases=tuple(phases),
            values=facts["values"], status=Status[facts["status"]], objective=facts["objective"],
            decided=facts["decided"], stats=facts["stats"], message=facts["message"],
            start_report=tuple(Rung(*rung) for rung in facts["start_report"]), certificate=certificate,
        )  # fmt: skip

    def with_(self, **changes: Any) -> Solution:
        """The same with some fields replaced."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        durations = ", ".join(f"{k} {v:.6g}" for k, v in self.duration.items())
        objective = "" if np.isnan(self.objective) else f", objective {self.objective:.8g}"
        return f"<{self.kind}: {self.status.name.lower()}{objective}; {durations} {self.time}>"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value
