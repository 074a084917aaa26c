"""What is an optimum worth, and what moves it? Derivatives with respect to parameters, and prices of its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.corrections.coefficients import is_coefficient
from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.assembly import Assembled
from titer.flowsheets.problems.results import moved_ends
from titer.flowsheets.problems.start import Started
from titer.flowsheets.problems.wiring import before_block
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.segment import Profile
from titer.numerics.sensitivity import Derivatives, derivatives
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_WORTHLESS = 1e-5  # scaled multiplier below which a limit has no price


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """First derivatives of an optimum with respect to parameters and initial states, limits held where they are active.

    `names` (k,): what is varied, in declared units. `objective`: dJ*/dp of the re-optimized objective. `duration`: by
    phase. `trajectories`: by name, (points, k) at the plan's own points. `one_percent`: what a change of +1 % of each
    does to the objective, to first order. `weakly_active`: limits touched without a price; derivatives may be
    one-sided there.
    """

    plan: Solution
    names: tuple[str, ...]
    objective: Array
    duration: dict[str, Array]
    trajectories: dict[str, Array]
    weakly_active: int

    def __repr__(self) -> str:
        return f"sensitivity of {self.plan!r}\n{self.table()}"

    @property
    def one_percent(self) -> Array:
        return 0.01 * np.array([self.plan.values[n] for n in self.names]) * self.objective

    def table(self) -> pd.DataFrame:
        """One row per parameter, the most influential first."""
        import pandas as pd

        rows = {
            "value": [self.plan.values[n] for n in self.names],
            "unit": [self.plan.units.get(n, "") for n in self.names],
            "d objective": self.objective,
            "objective at +1 %": self.one_percent,
        }
        rows |= {f"d duration of {phase}": values for phase, values in self.duration.items()}
        frame = pd.DataFrame(rows, index=pd.Index(self.names, name="parameter"))
        return frame.iloc[np.argsort(-np.abs(self.one_percent), kind="stable")]

    def trajectory(self, name: str) -> pd.DataFrame:
        """Derivatives of a state's or an input's trajectory: one column per parameter, over the recipe's time."""
        import pandas as pd

        if name not in self.trajectories:
            raise SpecificationError(f"sensitivity: {unknown('trajectory', name, self.trajectories)}")
        time = np.concatenate([p.trajectory.time for p in self.plan.phases])
        index = pd.Index(time, name=f"time [{self.plan.time}]")
        return pd.DataFrame(self.trajectories[name], index=index, columns=list(self.names))


def sensitivity(plan: Solution, of: Sequence[str] | None = None) -> Sensitivity:
    """Derivatives of an optimum with respect to parameters and given initial states (`of`: default all parameters).

    From the optimality conditions, not by solving again; valid while the same limits are active. Method: Fiacco (1983).
    Raises SpecificationError for a plan without its problem (a loaded one), or a name that is decided or unknown.
    """
    started = _started(plan)
    names = _varied(plan, of)
    assembled, nlp = started.assembled, started.assembled.nlp
    directions = np.zeros((len(nlp.data), len(names)))
    for j, name in enumerate(names):
        directions[_data_of(assembled, name), j] = 1.0
    limits = nlp.relaxed(started.scaling.columns, started.reached.relaxation)
    found = derivatives(started.engine.program, started.outcome, started.scaling, limits, directions)
    duration = {
        p.operation.name: _moved(assembled, found, assembled.nlp.cells[p.block.name][p.block.slot("duration").cells])[0]
        for p in assembled.runs[0]
    }
    trajectories = _trajectories(plan, assembled, found)
    sign = assembled.problem.sign
    return Sensitivity(plan, names, sign * found.objective, duration, trajectories, found.weakly_active)


def shadow_prices(plan: Solution) -> pd.DataFrame:
    """What each active limit costs: the change of the objective per unit by which the limit is raised.

    One row per limit and per bound of a decision: its phase, the time at which it presses most, its value, the price in
    the objective's unit per unit of the limit (for a path: of raising it all along), and which side is active.
    """
    import pandas as pd

    started = _started(plan)
    rows = [*_limit_prices(plan, started), *_bound_prices(plan, started)]
    columns = ["limit", "phase", "time", "side", "price", "unit"]
    frame = pd.DataFrame([[row[c] for c in columns] for row in rows], columns=columns)
    order = frame["price"].abs().sort_values(ascending=False).index
    return frame.loc[order].reset_index(drop=True)


def _started(plan: Solution) -> Started:
    if not isinstance(plan.iterate, Started):
        raise SpecificationError(
            "sensitivities need the plan as optimize returned it; a simulation or a loaded plan has no program.\n"
            "  Solve again with start_from=plan."
        )
    return plan.iterate


def _varied(plan: Solution, of: Sequence[str] | None) -> tuple[str, ...]:
    scalars = plan.source.plant.scalars
    allowed = {n: s for n, s in scalars.items() if s.kind in (Parameter.kind, State.kind) and n not in plan.decided}
    if of is None:
        return tuple(n for n, s in allowed.items() if s.kind == Parameter.kind and not is_coefficient(n))
    names = [str(each) for name in of for each in elements_of(name)]
    for name in names:
        if name in plan.decided:
            raise SpecificationError(
                f"sensitivity: {name} is decided by the plan, so the plan has no derivative to it."
            )
        if name not in allowed:
            raise SpecificationError(f"sensitivity: {unknown('parameter or initial state', name, allowed)}")
    return tuple(names)


def _data_of(assembled: Assembled, name: str) -> Array:
    """Cells of the data that hold a parameter's or an initial state's value."""
    nlp = assembled.nlp
    found: list[int] = []
    parameters = [str(s.name) for s in assembled.problem.plant.scalars.values() if s.kind == Parameter.kind]
    for block, placements in zip(assembled.plants, assembled.runs, strict=True):
        if name in parameters:
            found.append(int(nlp.cells[block.name][parameters.index(name)]))
            continue
        for placement in placements:  # a state's start stands where it is first read: active, or held
            local = placement.block
            cells = nlp.cells[local.name]
            states = [v.name for v in placement.dae.states]
            others = [v.name for v in placement.dae.parameters]
            if name in states:
                earlier = nlp.cells.get(before_block(local.name))  # before the actions of the first phase
                found += [] if earlier is None else [int(earlier[states.index(name)])]
                if name not in placement.operation.resets:
                    found.append(int(cells[local.slot("start").cells[states.index(name)]]))
                break
            if name in others:
                found.append(int(cells[local.slot("parameters").cells[others.index(name)]]))
    data = np.unique(np.array(found, dtype=int)) - nlp.columns
    return data[data >= 0]


def _moved(assembled: Assembled, found: Derivatives, cells: Array) -> Array:
    """Derivatives of cells; those that are data do not move."""
    padded = np.vstack([found.decisions, np.zeros(found.decisions.shape[1])])
    return padded[np.where((cells >= 0) & (cells < assembled.nlp.columns), cells, -1)]


def _trajectories(plan: Solution, assembled: Assembled, found: Derivatives) -> dict[str, Array]:
    k = found.decisions.shape[1]
    collected: dict[str, list[Array]] = {}
    cells = np.concatenate([plan.iterate.outcome.w, assembled.nlp.data])
    names = [n for n in plan.names if any(n in (*p.states, *p.inputs) for p in plan.phases)]
    for placement, phase in zip(assembled.runs[0], plan.phases, strict=True):
        here, block = assembled.nlp.cells[placement.block.name], placement.block
        tau = phase.trajectory.tau
        grid = moved_ends(assembled, placement, cells)(placement.transcribed.tau)
        at = np.abs(grid[None, :] - tau[:, None]).argmin(axis=1)
        moved: dict[str, Array] = {}
        for i, name in enumerate(phase.states):
            moved[name] = _moved(assembled, found, here[block.ports["x"][i]])[at]
        for name, (profile, _) in phase.shapes.items():
            values = _moved(assembled, found, here[block.slot(f"input:{name}").cells])
            moved[name] = _input(profile, values, tau)
        for name in names:
            collected.setdefault(name, []).append(moved.get(name, np.zeros((len(tau), k))))
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def _input(profile: Profile, values: Array, tau: Array) -> Array:
    """Derivatives of an input at positions; where it jumps, a repeated position is first the end of the piece
    before."""
    again = np.append(np.diff(tau) <= 1e-12, False)
    piece = profile.piece_of(np.where(again | (tau >= 1.0), tau - 1e-9, tau))
    width = np.diff(profile.edges)[piece]
    share = ((tau - profile.edges[piece]) / width)[:, None]
    left, right = values[profile.left[piece]], values[profile.right[piece]]
    return left + (right - left) * share


def _limit_prices(plan: Solution, started: Started) -> list[dict[str, Any]]:
    """Prices of the terms with limits, from the multipliers of their rows."""
    nlp, outcome, sign = started.assembled.nlp, started.outcome, started.assembled.problem.sign
    placed = [
        entry
        for placements in started.assembled.runs
        for p in placements
        for entry in (*p.terms.paths, *p.terms.at_start, *p.terms.at_end, *p.terms.totals)
    ]
    units = {entry.term.label(): entry.measure.label for entry in placed}
    rows: list[dict[str, Any]] = []
    first = 0
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for batch in nlp.batches:
        count = batch.rows * batch.copies
        own = outcome.row_multipliers[first : first + count]
        scaled = own / started.scaling.rows[first : first + count] * started.scaling.objective
        first += count
        for i in np.flatnonzero(np.abs(scaled) > _WORTHLESS):
            text = str(batch.labels.texts[i])
            if text in units:
                side = "upper" if own[i] > 0.0 else "lower"
                key = (text, batch.labels.phase, side)
                found.setdefault(key, []).append((float(batch.labels.tau[i]), float(own[i])))
    for (text, phase, side), entries in found.items():
        rows.append(_row(plan, text, phase, side, entries, sign, units[text]))
    return rows


def _bound_prices(plan: Solution, started: Started) -> list[dict[str, Any]]:
    """Prices of the bounds of decided inputs, durations and numbers."""
    nlp, outcome, sign = started.assembled.nlp, started.outcome, started.assembled.problem.sign
    scaled = outcome.bound_multipliers * started.scaling.columns * started.scaling.objective
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    first = 0
    for labels in nlp.labels:
        for i in range(len(labels.texts)):
            j = first + i
            if abs(scaled[j]) > _WORTHLESS and not nlp.domain[j]:
                side = "upper" if outcome.bound_multipliers[j] > 0.0 else "lower"
                key = (str(labels.texts[i]), labels.phase, side)
                found.setdefault(key, []).append((float(labels.tau[i]), float(outcome.bound_multipliers[j])))
        first += len(labels.texts)
    rows = []
    for (text, phase, side), entries in found.items():
        unit = plan.units.get(text, plan.time if text.startswith("duration") else "")
        rows.append(_row(plan, f"bound of {text}", phase, side, entries, sign, unit))
    return rows


def _row(  # type: ignore[no-untyped-def]
    plan: Solution, limit: str, phase: str, side: str, entries: list[tuple[float, float]], sign: float, unit: str
) -> dict[str, Any]:
    """Minimized f with g <= b has df*/db = -y, with b <= g likewise (y is negative there)."""
    tau = max(entries, key=lambda e: abs(e[1]))[0]
    begin, duration = 0.0, 0.0
    for p in plan.phases:
        if p.name == phase.split("/")[-1]:
            begin, duration = float(p.trajectory.time[0]), p.trajectory.duration
    return {
        "limit": limit,
        "phase": phase,
        "time": begin + tau * duration if np.isfinite(tau) else np.nan,
        "side": side,
        "price": -sign * sum(y for _, y in entries),
        "unit": unit,
    }
