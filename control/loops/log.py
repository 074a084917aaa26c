"""What happened in a closed loop? Frames of what was true, seen, believed and done, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.simulation import Source
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from titer.control.loops.summary import Summary


class Cut(NamedTuple):
    """From point `first` of a phase on, parameters are `shifted` {name: by how much} from what they should be."""

    phase: int
    first: int
    shifted: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Log:
    """A closed loop, written down. Frames are indexed by the times of the steps, on the recipe's clock.

    `run`: the truth all along, with the inputs it got; `truth`: everything of it at the steps and at the end;
    `measured`: what the controller saw; `commanded`, and `applied` until the next step, on average; `wanted`: set
    points; `estimates` and their `deviations`; `steps`: phase, status, age, fallback, manual, seconds, reasons;
    `laboratory`: name, value, times taken and arrived; `events`: time, kind and text; `plans`: one for each step, None
    where nothing was planned, `plan(k)` its frame; `limits` {control: (lower, upper)} of the actuators; `complete`:
    whether the recipe came to its end.
    """

    run: Solution
    truth: pd.DataFrame
    measured: pd.DataFrame
    commanded: pd.DataFrame
    applied: pd.DataFrame
    wanted: pd.DataFrame
    estimates: pd.DataFrame
    deviations: pd.DataFrame
    steps: pd.DataFrame
    laboratory: pd.DataFrame
    events: pd.DataFrame
    plans: tuple[Any, ...] = field(repr=False)
    limits: Mapping[str, tuple[float, float]]
    cuts: tuple[Cut, ...] = field(repr=False)
    complete: bool = True

    def frame(self) -> pd.DataFrame:
        """All of it by step: the truth under the names of the plant, beside it `measured NAME`, `estimate NAME`,
        `wanted NAME`, `applied NAME`, `commanded NAME`, `planned NAME` (what the plan of the step before expected now)
        and the columns of `steps`. All that was planned at a step: `plan(step)`."""
        import pandas as pd

        parts = [self.truth.loc[:].iloc[: len(self.steps)]]
        for word in ("measured", "estimates", "wanted", "commanded", "applied"):
            label = "estimate" if word == "estimates" else word
            parts.append(getattr(self, word).rename(columns=lambda name, label=label: f"{label} {name}"))
        parts.append(self._expected())
        return pd.concat([*(part.reset_index(drop=True) for part in (*parts, self.steps))], axis=1).set_index(
            self.steps.index
        )

    def _expected(self) -> pd.DataFrame:
        """What the plan of the step before expected at each step; NaN where there was none, or it ended before."""
        import pandas as pd

        times = self.steps.index.to_numpy()
        rows: list[dict[str, float]] = [{} for _ in times]
        for k, t in enumerate(times[1:]):
            plan = self.plan(k)
            if plan is not None and plan.index[0] <= t <= plan.index[-1]:
                near = plan.index.to_numpy(dtype=float)
                rows[k + 1] = {
                    f"planned {name}": float(np.interp(t, near, plan[name])) for name in plan if name in self.truth
                }
        return pd.DataFrame(rows, index=self.steps.index)

    def plan(self, step: int) -> pd.DataFrame | None:
        """What was planned at a step, over the recipe's time; None where nothing was. Raises SpecificationError."""
        import pandas as pd

        if not is_whole(step, -len(self.plans)) or step >= len(self.plans):
            raise SpecificationError(f"plan: the log has steps 0 to {len(self.plans) - 1}, got {step!r}.")
        plan = self.plans[step]
        return plan if plan is None or isinstance(plan, pd.DataFrame) else plan.frame()  # a loaded log holds frames

    def summary(self, maximize: Any = None, minimize: Any = None, subject_to: Sequence[Any] = ()) -> Summary:
        """What the loop comes to: the objective and limits on the truth, fallbacks, times, inputs at their limits.

        `maximize` or `minimize`, `subject_to`: terms, as in `optimize`, of the truth's variables. Raises
        SpecificationError for terms that do not fit, and for a loaded log without its truth.
        """
        from titer.control.loops.summary import summary_of

        return summary_of(self, maximize, minimize, subject_to)

    def plot(
        self,
        names: Sequence[str] | None = None,
        setpoints: Mapping[str, Any] | None = None,
        limits: Mapping[str, tuple[float | None, float | None]] | None = None,
    ) -> Figure:
        """Trajectories with what was measured and believed of them, set points, and inputs between their limits.

        `names`: default: what was measured, then what was commanded. `setpoints`: {name: number or function of time},
        besides those that the loop was given as previews; `limits`: {name: (lower or None, upper or None)}, besides
        those of the actuators.
        """
        from titer.control.loops.pictures import plot_log

        return plot_log(self, names, setpoints or {}, limits or {})

    def plot_plans(self, name: str, every: int = 1) -> Figure:
        """What the controller expected of a variable, from each `every`-th step on, over what came true."""
        from titer.control.loops.pictures import plot_plans

        return plot_plans(self, name, every)

    def plot_times(self) -> Figure:
        """How long the steps took to compute: a histogram, with median, 95 % and the longest."""
        from titer.control.loops.pictures import plot_times

        return plot_times(self)

    def save(self, path: str | Path) -> Path:
        """Write one file, `path` with the ending .npz, and return where it is; no pickle."""
        from titer.control.loops.filing import save

        return save(self, path)

    @staticmethod
    def load(
        path: str | Path,
        truth: Flowsheet | None = None,
        recipe: Recipe | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Log:
        """Read what `save` wrote. `truth`, `recipe`, and those of `inputs` that are functions of time, are not in the
        file: they are needed for objective and limits.

        Raises SpecificationError where there is no such file, or it is something else.
        """
        from titer.control.loops.filing import load

        log = load(path)
        if truth is None or recipe is None:
            return log
        given = {**(inputs or {}), **{name: 0.0 for phase in log.run.phases for name in phase.inputs}}
        return replace(log, run=replace(log.run, source=Source(truth, recipe, given, {})))

    def __repr__(self) -> str:
        ended = "complete" if self.complete else "stopped early"
        solved = int((self.steps["fallback"] == "").sum()) if len(self.steps) else 0
        end = float(self.truth.index[-1]) if len(self.truth) else 0.0
        return f"<log: {len(self.steps)} steps, {solved} without fallback; {ended} at t = {end:.6g} {self.run.time}>"
