"""How does a plan do on plants other than the one it was made for? Its inputs simulated on many, and limits counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.problems.hedging import Chance
from titer.flowsheets.problems.measured import Reading, cost_of, readings
from titer.flowsheets.problems.problem import PhaseTerms, Run, named, phases_of
from titer.flowsheets.problems.start import Started
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.shapes import Shape
from titer.flowsheets.simulation import Source, StoppedRunError, run_operations
from titer.flowsheets.terms import AtTimes, Path, Sum, Term
from titer.numerics.errors import SpecificationError
from titer.numerics.segment import Profile
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
MISSED = 1e-4  # of its size, by which a limit is missed
_POINTS = 200  # of output per phase, at which paths are looked at
_TOLERANCE = 1e-7
_PROCESSES = 30.0  # seconds that processes must save: each imports and lowers for itself
_FEW = 3  # cases after which it is known how long one takes


@dataclass(frozen=True, eq=False)
class Stress:
    """A plan on many plants. `values`: a row per case with the `objective` (where the plan knows it), the value of each
    term (of a path: where it misses its limits most, or nearly), and in `failed` why a run stopped, else "".

    `missed` (cases, limits): whether each limit was missed; a run that failed missed all, and a term that is no number
    (NaN) its own. `limits`: (lower, upper, unit) by name.
    """

    values: pd.DataFrame
    missed: pd.DataFrame
    limits: Mapping[str, tuple[float, float, str]]
    seconds: float

    @property
    def violated(self) -> Array:
        """Whether any limit was missed, or the run failed (cases,)."""
        return np.array(self.missed.any(axis=1) | (self.values["failed"] != ""), dtype=bool)

    @property
    def rate(self) -> float:
        """The share of cases in which any limit was missed."""
        return float(self.violated.mean())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Where the rate over all plants lies, if the cases were drawn independently of the plan: a binomial interval
        (Clopper & Pearson, Biometrika 26 (1934) 404). It is meant for cases drawn one by one; over Latin hypercubes, as
        `sample` draws them, a rate scatters no more than that of one case fewer (Owen, SIAM J. Numer. Anal. 34 (1997)
        1884)."""
        return _interval(int(self.violated.sum()), len(self.violated), confidence)

    def table(self, confidence: float = 0.95) -> pd.DataFrame:
        """A row per limit and one for any of them: how many cases missed it, their share and its interval."""
        import pandas as pd

        columns = {**{name: np.array(self.missed[name]) for name in self.missed}, "any": self.violated}
        rows = []
        for each in columns.values():
            low, high = _interval(int(each.sum()), len(each), confidence)
            rows.append([int(each.sum()), len(each), float(each.mean()), low, high])
        names = ["violated", "cases", "rate", "lower", "upper"]
        return pd.DataFrame(rows, index=pd.Index(columns, name="limit"), columns=names)

    def __repr__(self) -> str:
        low, high = self.interval()
        failed = int((self.values["failed"] != "").sum())
        return (
            f"stress over {len(self.values)} cases: {100 * self.rate:.3g} % miss a limit "
            f"({100 * low:.3g} to {100 * high:.3g} %), {failed} runs failed\n{self.table()}"
        )


def stress(
    plan: Solution, cases: Sequence[Mapping[str, float]], subject_to: Sequence[Term | Chance] | None = None
) -> Stress:
    """Run a plan's inputs and durations on many plants, and say what becomes of its objective and limits.

    `cases`: parameter values and initial states, as `sample` draws them; what a case does not name is as in the plan,
    which of a plan for scenarios is the first of them: its parameters, and its inputs where the scenarios part. A phase
    with `until` ends by its condition, with the inputs at the plan's times. `subject_to`: terms with limits, which are
    counted, and without, whose values are wanted; None: the limits of the plan, chances included. A limit is missed by
    more than 1e-4 of its size; a path is looked at in 200 points of a phase. A run that fails is a row that says so.
    Plans are simulated one after another by CVODES, in processes where that saves time.

    Raises SpecificationError for a plan without its plant (a loaded one: give `replay(plan, plant, recipe)`), for an
    unknown name, and for a term that is no single number; DeclarationError for a value outside its bounds.
    """
    began = time.perf_counter()
    task = _task(plan, subject_to)
    if isinstance(cases, Mapping | str) or not isinstance(cases, Sequence) or not cases:
        raise SpecificationError(f"stress: expected a list of dicts of values, at least one, got {cases!r}.")
    plants = [task.plant.with_values(case) for case in cases]
    found = list(_each(task, plants))
    return _collected(task, found, time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is run on each plant, and read from it: the objective in the user's sense, and terms, each with a name."""

    plant: Flowsheet
    recipe: Recipe
    inputs: Mapping[str, Any]
    free: Mapping[str, Any]
    shapes: Mapping[str, Mapping[str, Shape]]
    durations: Mapping[str, float]
    objective: Sum | None
    terms: tuple[Term, ...]

    def prepared(self) -> tuple[tuple[PhaseTerms, ...], dict[str, dict[str, Shape]]]:
        """Phases with their terms, lowered once for all plants, and inputs at the plan's times."""
        values = tuple((0.0, term) for term in self.terms if term.lower is None and term.upper is None)
        limits = tuple(term for term in self.terms if term.lower is not None or term.upper is not None)
        wanted = Sum(values + (() if self.objective is None else self.objective.terms))
        phases = phases_of(Run(self.plant, self.recipe, self.inputs, wanted, limits), self.free)
        shapes = {
            phase.operation.name: {
                name: self._in_time(phase.operation, shape)
                for name, shape in self.shapes.get(phase.operation.name, {}).items()
            }
            for phase in phases
        }
        return phases, shapes

    def _in_time(self, operation: Operation, shape: Shape) -> Shape:
        """An input as a fraction of the longest that its phase may last, its last value held."""
        if operation.event is None:
            return shape
        profile, values = shape
        share = self.durations[operation.name] / operation.duration.upper
        if share >= 1.0:
            return shape
        last = profile.right[-1]
        edges = np.append(profile.edges * share, 1.0)
        return Profile(edges, np.append(profile.left, last), np.append(profile.right, last)), values


@dataclass(frozen=True)
class _Case:
    """What was read of one run, by the number of the term; the objective; why it failed."""

    readings: tuple[Reading | None, ...]
    objective: float
    failed: str


def _task(plan: Solution, subject_to: Sequence[Term | Chance] | None) -> _Task:
    source = plan.source
    if not isinstance(source, Source):
        raise SpecificationError(
            "stress: the plan was loaded from a file, which does not hold its plant.\n"
            "  Give replay(plan, plant, recipe) in its place."
        )
    own = plan.iterate.assembled.problem if isinstance(plan.iterate, Started) else None
    objective = None if own is None else own.runs[0].objective * own.scale(0)
    if subject_to is None:
        chances = () if own is None or own.hedge is None else tuple(chance.term for chance in own.hedge.chances)
        posed = () if own is None else own.runs[0].constraints
        terms = (*(t for t in posed if all(t is not term for term in chances)), *chances)
    else:
        terms = tuple(term.term if isinstance(term, Chance) else term for term in subject_to)
    for term in terms:
        _check(term)
    if objective is None and not terms:
        raise SpecificationError("stress: nothing is asked of this plan; give subject_to=[...].")
    plant = source.plant.with_values(plan.decided)
    planned = operations(plant, source.recipe, source.inputs, source.free)
    return _Task(
        plant=plant,
        recipe=source.recipe,
        inputs=source.inputs,
        free=source.free,
        shapes={phase.name: phase.shapes for phase in plan.phases},
        durations=plan.duration,
        objective=objective,
        terms=_told_apart([named(term, planned) for term in terms]),
    )


def _check(term: Any) -> None:
    if not isinstance(term, Term) or isinstance(term, AtTimes):
        raise SpecificationError(f"stress: expected AtStart, AtEnd, Path or Integral, got {term!r}.")
    if isinstance(term, Path) and term.lower is None and term.upper is None:
        raise SpecificationError(f"stress: {term.label()} has many values; give it a limit, or use AtEnd or Integral.")


def _told_apart(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Terms with a name each; later ones of one name are numbered."""
    names = [term.label() for term in terms]
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return tuple(
        replace(term, name=name if count == 1 else f"{name} ({count})")
        for term, name, count in zip(terms, names, counts, strict=True)
    )


def _each(task: _Task, plants: Sequence[Flowsheet]) -> Iterator[_Case]:
    """The cases in their order: here, or in processes from where that pays."""
    from joblib import cpu_count

    cores = cpu_count()
    phases, shapes = task.prepared()
    began = time.perf_counter()
    for done, plant in enumerate(plants, start=1):
        yield _case(task, phases, shapes, plant)
        left = (time.perf_counter() - began) / done * (len(plants) - done)
        if cores > 1 and done >= _FEW and len(plants) > done and left * (1.0 - 1.0 / cores) > _PROCESSES:
            yield from _in_processes(task, plants[done:], cores)
            return


def _in_processes(task: _Task, plants: Sequence[Flowsheet], jobs: int) -> Iterator[_Case]:
    from joblib import Parallel, delayed

    chunks = [plants[i : i + len(plants) // jobs + 1] for i in range(0, len(plants), len(plants) // jobs + 1)]
    values = [[plant.values for plant in chunk] for chunk in chunks]
    for found in Parallel(n_jobs=jobs)(delayed(_some)(task, chunk) for chunk in values):
        yield from found


def _some(task: _Task, values: Sequence[Mapping[str, float]]) -> list[_Case]:
    """Cases in a process of their own, which lowers the plant for itself."""
    phases, shapes = task.prepared()
    return [_case(task, phases, shapes, task.plant.with_values(each)) for each in values]


def _case(
    task: _Task, phases: Sequence[PhaseTerms], shapes: Mapping[str, Mapping[str, Shape]], plant: Flowsheet
) -> _Case:
    planned = [phase.operation for phase in phases]
    durations = {p.name: task.durations[p.name] for p in planned if p.event is None}
    try:
        results = run_operations(plant, planned, shapes, durations, points=_POINTS, tolerance=_TOLERANCE)
    except StoppedRunError as stop:
        return _Case((None,) * len(task.terms), float("nan"), stop.message.splitlines()[0])
    except SpecificationError as error:  # a phase that begins with a number that is none
        return _Case((None,) * len(task.terms), float("nan"), str(error).splitlines()[0])
    found = readings(phases, results, plant.values)
    objective = float("nan") if task.objective is None else cost_of(phases, results, plant.values)
    return _Case(tuple(found[id(term)] for term in task.terms), objective, "")


def _collected(task: _Task, cases: Sequence[_Case], seconds: float) -> Stress:
    import pandas as pd

    limits = _limits(task)
    values: dict[str, Any] = {} if task.objective is None else {"objective": [case.objective for case in cases]}
    missed: dict[str, Any] = {}
    for i, term in enumerate(task.terms):
        name, own = term.label(), [case.readings[i] for case in cases]
        values[name] = [float("nan") if reading is None else reading.value for reading in own]
        if name in limits:
            lower, upper, _ = limits[name]
            size = max(abs(b) for b in (lower, upper) if np.isfinite(b))
            missed[name] = [r is None or not r.missed <= MISSED * max(size, abs(r.value)) for r in own]
    values["failed"] = [case.failed for case in cases]
    index = pd.RangeIndex(len(cases), name="case")
    return Stress(pd.DataFrame(values, index=index), pd.DataFrame(missed, index=index), limits, seconds)


def _limits(task: _Task) -> dict[str, tuple[float, float, str]]:
    found = {}
    for phase in task.prepared()[0]:
        for placed in (*phase.paths, *phase.at_start, *phase.at_end, *phase.totals):
            if np.isfinite(placed.lower) or np.isfinite(placed.upper):
                found[placed.term.label()] = (placed.lower, placed.upper, placed.measure.label)
    return found


def _interval(k: int, n: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest  # slow to import, and seldom wanted

    found = binomtest(k, n).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)
