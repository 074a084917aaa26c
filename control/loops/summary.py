"""What does a closed loop come to? Objective and limits on the truth; fallbacks, times, controls at limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.operation import operations
from titer.flowsheets.problems.measured import Reading, cost_of, readings
from titer.flowsheets.problems.problem import PhaseTerms, Run, named, phases_of
from titer.flowsheets.simulation import Source
from titer.flowsheets.terms import Sum, Term, as_sum, check_constraints
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.solution import PhaseResult

if TYPE_CHECKING:
    from titer.control.loops.log import Cut, Log

_AT_LIMIT = 1e-6  # of the range between two limits


@dataclass(frozen=True)
class Summary:
    """A closed loop in numbers.

    `objective`: in the user's sense, NaN where none was asked for or the recipe did not end; `values`, `missed`: of
    each limit, where it is missed most, and by how much, in its unit (negative: the room left). `statuses`: how often
    each; `fallbacks`: steps that were no solve; `at_limit`: share of the steps in which a control stood at a
    limit; `beyond`: by how much a command went beyond a limit, at most; `fastest`: the largest change of a command by
    time. `seconds`: median, 95 % and longest.
    """

    complete: bool
    end: float
    steps: int
    statuses: Mapping[str, int]
    fallbacks: int
    seconds: tuple[float, float, float]
    at_limit: Mapping[str, float]
    beyond: Mapping[str, float]
    fastest: Mapping[str, float]
    objective: float = float("nan")
    values: Mapping[str, float] | None = None
    missed: Mapping[str, float] | None = None

    def row(self) -> dict[str, Any]:
        """All of it flat, a column for each number."""
        found: dict[str, Any] = {"objective": self.objective, "complete": self.complete, "end": self.end}
        found |= {f"missed {name}": value for name, value in (self.missed or {}).items()}
        found |= {"steps": self.steps, "fallbacks": self.fallbacks}
        found |= {f"at limit {name}": value for name, value in self.at_limit.items()}
        found |= {f"beyond {name}": value for name, value in self.beyond.items()}
        found |= {f"fastest {name}": value for name, value in self.fastest.items()}
        return found | dict(zip(("seconds median", "seconds 95 %", "seconds max"), self.seconds, strict=True))

    def __str__(self) -> str:
        lines = [f"{'complete' if self.complete else 'stopped early'} at t = {self.end:.6g}, {self.steps} steps"]
        if np.isfinite(self.objective):
            lines.append(f"objective {self.objective:.6g}")
        for name, missed in (self.missed or {}).items():
            said = f"missed by {missed:.3g}" if missed > 0.0 else f"kept, with {-missed:.3g} to spare"
            lines.append(f"{name}: {said} (worst value {(self.values or {})[name]:.6g})")
        lines.append(", ".join(f"{count} {name.lower()}" for name, count in self.statuses.items()))
        lines += [f"{name}: {100.0 * share:.3g} % of steps at a limit" for name, share in self.at_limit.items()]
        median, most, longest = (milliseconds(s) for s in self.seconds)
        lines.append(f"computing a step: median {median}, 95 % {most}, longest {longest}")
        return "\n".join(lines)


def milliseconds(seconds: float) -> str:
    """Three digits, and never a power of ten that an operator must count."""
    return f"{float(f'{1e3 * seconds:.3g}'):.10g} ms"


def summary_of(log: Log, maximize: Any, minimize: Any, subject_to: Sequence[Any]) -> Summary:
    """The numbers of a log. Raises SpecificationError."""
    if maximize is not None and minimize is not None:
        raise SpecificationError("summary: give maximize= or minimize=, not both.")
    plain = _plain(log)
    if maximize is None and minimize is None and not subject_to:
        return plain
    sign = 1.0 if maximize is None else -1.0
    wanted = as_sum(minimize if maximize is None else maximize) if (maximize, minimize) != (None, None) else Sum(())
    limits = check_constraints(subject_to)
    objective, found = _on_truth(log, sign * wanted, limits)
    return replace(
        plain,
        objective=sign * objective if wanted.terms and log.complete else float("nan"),
        values={name: reading.value for name, reading in found.items()},
        missed={name: reading.missed for name, reading in found.items()},
    )


def _plain(log: Log) -> Summary:
    steps = log.steps
    seconds = steps["seconds"].to_numpy(dtype=float) if len(steps) else np.zeros(1)
    return Summary(
        complete=log.complete,
        end=float(log.truth.index[-1]) if len(log.truth) else 0.0,
        steps=len(steps),
        statuses={str(k): int(v) for k, v in steps["status"].value_counts().items()} if len(steps) else {},
        fallbacks=int((steps["fallback"] != "").sum()) if len(steps) else 0,
        seconds=(float(np.median(seconds)), float(np.quantile(seconds, 0.95)), float(seconds.max())),
        at_limit={name: _at_limit(log, name) for name in log.limits if name in log.applied},
        beyond={name: _beyond(log, name) for name in log.limits if name in log.commanded},
        fastest={name: _fastest(log, name) for name in log.limits if name in log.commanded},
    )


def _at_limit(log: Log, name: str) -> float:
    lower, upper = log.limits[name]
    values = log.applied[name].dropna().to_numpy()
    bounded = np.isfinite([lower, upper]).all()
    room = _AT_LIMIT * (upper - lower if bounded else max(float(np.abs(values).max(initial=0.0)), 1.0))
    return float(np.mean((values <= lower + room) | (values >= upper - room))) if len(values) else 0.0


def _beyond(log: Log, name: str) -> float:
    lower, upper = log.limits[name]
    values = log.commanded[name].dropna().to_numpy()
    return float(np.maximum(lower - values, values - upper).max(initial=-np.inf)) if len(values) else 0.0


def _fastest(log: Log, name: str) -> float:
    series = log.commanded[name].dropna()
    if len(series) < 2:
        return 0.0
    widths = np.diff(series.index.to_numpy())
    return float((np.abs(np.diff(series.to_numpy())) / np.where(widths > 0.0, widths, np.inf)).max())


def _on_truth(log: Log, objective: Sum, limits: Sequence[Term]) -> tuple[float, dict[str, Reading]]:
    """The minimized objective, and readings of limits by name, along what the truth did."""
    source = log.run.source
    if not isinstance(source, Source):
        raise SpecificationError(
            "summary: the log was loaded from a file, which does not hold its plant and recipe.\n"
            "  Give both: Log.load(path, truth, recipe)."
        )
    planned = operations(source.plant, source.recipe, source.inputs, source.free)
    terms = tuple(named(term, planned) for term in limits)
    phases = phases_of(Run(source.plant, source.recipe, source.inputs, objective, terms), source.free)
    if len(log.run.phases) < len(phases):
        return float("nan"), {}
    pairs = _by_parameters(phases, log.run.phases, log.cuts)
    values = source.plant.values
    asked, ran = [each for each, _ in pairs], [each for _, each in pairs]
    found, cost = readings(asked, ran, values), cost_of(asked, ran, values)
    return cost, {term.label(): found[id(term)] for term in terms if id(term) in found}


def _by_parameters(
    phases: Sequence[PhaseTerms], results: Sequence[PhaseResult], cuts: Sequence[Cut]
) -> list[tuple[PhaseTerms, PhaseResult]]:
    """Phases cut where disturbances change parameters, each part with the parameters that held in it."""
    found = []
    for k, (terms, result) in enumerate(zip(phases, results, strict=True)):
        own = [cut for cut in cuts if cut.phase == k]
        ends = [*(cut.first for cut in own[1:]), len(result.trajectory.time)]
        for i, (cut, end) in enumerate(zip(own, ends, strict=True)):
            part = replace(
                terms,
                at_start=terms.at_start if i == 0 else (),
                at_end=terms.at_end if i == len(own) - 1 else (),
            )
            known = {v.name: v.start for v in terms.operation.lowered.dae.parameters}
            shifted = {
                name: known[name] + by
                for name, by in cut.shifted.items()
                if name in known and name not in terms.operation.fixed
            }
            rows = _between(result.trajectory, cut.first, end)
            found.append((part, replace(result, trajectory=rows, held={**result.held, **shifted})))
    return found


def _between(t: Trajectory, first: int, end: int) -> Trajectory:
    return Trajectory(t.time[first:end], t.x[:, first:end], t.z[:, first:end], t.u[:, first:end], t.y[:, first:end])
