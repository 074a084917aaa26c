"""What was measured, under which operation? `Experiment`: a frame of data with its noise, recipe, inputs and start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.checks import (
    cells_of,
    check_deviations,
    check_domains,
    check_noise,
    check_order,
    check_within,
    times_of,
)
from titer.estimation.data.conversion import Conversion, conversion, inputs_in, numbers_in, units_of_columns
from titer.estimation.data.interpolated import Interpolated
from titer.estimation.data.noise import Estimated, aligned, declared, deviations
from titer.estimation.losses import Loss
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.names import elements_of
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.terms import AtTimes, Sum
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimated", "Experiment", "Interpolated"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Experiment:
    """A run of the plant with its measurements.

    `frame`: one column per measured name (a state, an algebraic or an expression), indexed by time; NaN: not measured.
    `noise`: the standard deviation of each name: a number, `Noise(absolute=, relative=)`, one for each row of the frame
    (array or Series), or `Estimated()`. `recipe`, `inputs`: what was run; a Series of readings is a step at each of its
    times, `Interpolated(series)` goes in straight lines. `start`: known initial states, where they differ from the
    plant's; one that is not known is freed in `estimate(free={name: Free(...)})`. `name`: what reports call it.

    `columns`: {column of the frame: name}, where the frame has headers of its own; two columns of one name are
    replicates. A column that it does not mention is left out, unless `noise` names it. `units`: {name: unit} of the
    numbers that this experiment gives for a name (its column, its noise, its input, its start); by default of a column
    with a header what stands there in brackets, "glucose [mM]", and of all others the declared unit. A unit may be a
    quantity, what a reading of 1 means: `quantity(0.18, "g/L")`. Quantities are converted in any case. `time_unit`: of
    the frame's times and of those of Series in `inputs` (default: the flowsheet's). `replicates`: rows with the same
    time are measurements of their own. `may_leave`: names whose values may lie outside their declared domain, by more
    than the four standard deviations that noise may take them.

    Nothing is repaired or dropped: bad cells, times and values raise SpecificationError, with their row (from 1), time
    and column; `outliers()` flags what stands apart. Units, domains and the recipe's length are checked where the plant
    is known: by `converted(plant)`, and so by `estimate`.
    """

    frame: pd.DataFrame
    noise: Mapping[str, Any]
    recipe: Recipe
    inputs: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, Any] = field(default_factory=dict)
    time_unit: str | None = None
    replicates: bool = False
    may_leave: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_fields(self)
        table = _table(self)
        for key, value in table.items():
            object.__setattr__(self, key, value)

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"Experiment {self.name!r}" if self.name else "Experiment"

    def label(self, index: int) -> str:
        """What reports call it as one of several, the first of which has index 0: "experiment 2 (170506F3)"."""
        return f"experiment {index + 1} ({self.name})" if self.name else f"experiment {index + 1}"

    @property
    def count(self) -> int:
        """How many measurements there are."""
        return int(np.isfinite(self.frame.to_numpy(dtype=float)).sum())

    @property
    def estimated(self) -> frozenset[str]:
        """Names whose standard deviation is estimated."""
        return frozenset(str(name) for name, noise in self.noise.items() if isinstance(noise, Estimated))

    def outliers(self, limit: float = 3.5) -> pd.DataFrame:
        """Measurements that stand apart from their neighbours or replicates: row (from 1), time, name, value, expected,
        score; none is dropped. `limit`: of the robust z-score. How they are found: `estimation.outliers`."""
        from titer.estimation.data.outliers import outliers_of_data

        return outliers_of_data(self, limit)

    def converted(self, plant: Flowsheet) -> Experiment:
        """The same in the declared units and the flowsheet's time. Raises SpecificationError for what does not fit the
        plant: names, units, values outside their domain, times outside the recipe."""
        import pandas as pd

        measures, who = plant.measures, self.who
        for name in self.frame.columns:
            if name not in measures:
                raise SpecificationError(f"{who}: {unknown('column', name, measures)}")
        change: dict[str, Conversion] = {}
        for name, unit in self.units.items():
            if name not in measures:
                raise SpecificationError(f"{who}: units: {unknown('name', name, measures)}")
            change[name] = conversion(unit, measures[name], f"{who}: units of {name}")
        clock = conversion(self.time_unit, plant.measure_of_time, f"{who}: time_unit")
        none = Conversion()
        frame = pd.DataFrame(
            {name: change.get(name, none)(self.frame[name].to_numpy(dtype=float)) for name in self.frame.columns},
            index=pd.Index(clock(self.frame.index.to_numpy(dtype=float)), name=self.frame.index.name),
        )
        noise = {
            name: declared(given, change.get(name, none), measures[name], f"{who}: the noise of {name}")
            for name, given in self.noise.items()
            if name in frame.columns
        }
        length = check_within(frame, self.recipe, plant, who)
        check_domains(frame, noise, plant, self.may_leave, who)
        inputs = inputs_in(self.inputs, plant, change, clock, who)
        for name, value in inputs.items():
            if isinstance(value, Interpolated):
                value.check_fineness(length, f"{who}: inputs: {name}")
        start = numbers_in(self.start, plant, change, f"{who}: the start")
        return replace(self, frame=frame, noise=noise, inputs=inputs, start=start, units={}, time_unit=None)

    def residuals(self, plant: Flowsheet, loss: Loss | None = None) -> Sum:
        """The weighted squares of (model - data) as a term, or what they cost. Raises SpecificationError as `converted`
        does, and for a noise that is not positive."""
        data = self.converted(plant)
        times = data.frame.index.to_numpy(dtype=float)
        terms = []
        for name in data.frame.columns:
            values = data.frame[name].to_numpy(dtype=float)
            known = np.isfinite(values)
            if not known.any():
                continue
            sizes = deviations(data.noise[name], values)
            check_deviations(sizes, known, times, name, self.who)
            term = AtTimes(
                _reader(name),
                name=f"data of {name}",
                times=times[known],
                measured=values[known],
                deviations=sizes[known],
                loss=loss,
            )
            terms.append((1.0, term))
        return Sum(tuple(terms))


def _reader(name: str):  # type: ignore[no-untyped-def]
    return lambda v: v[name]


def _check_fields(experiment: Experiment) -> None:
    who, frame = experiment.who, experiment.frame
    if not (hasattr(frame, "columns") and hasattr(frame, "index")):
        raise SpecificationError(f"{who}: frame is a DataFrame, times by measured names, got {type(frame).__name__}.")
    if not isinstance(experiment.name, str):
        raise SpecificationError(f"Experiment: the name must be a text, got {experiment.name!r}.")
    if not isinstance(experiment.recipe, Recipe):
        raise SpecificationError(f"{who}: expected recipe=Recipe(Phase(...), ...), got {experiment.recipe!r}.")
    for key in ("noise", "inputs", "start", "columns", "units"):
        if not isinstance(getattr(experiment, key), Mapping):
            raise SpecificationError(f"{who}: {key} is a dict by name, got {getattr(experiment, key)!r}.")
    if isinstance(experiment.may_leave, str) or not isinstance(experiment.may_leave, Sequence):
        raise SpecificationError(f"{who}: may_leave is a list of names, got {experiment.may_leave!r}.")
    for name, value in experiment.start.items():
        if isinstance(value, Free):
            raise SpecificationError(
                f"{who}: start holds what is known, and {name} is Free(...).\n"
                f"  Free it in estimate(..., free={{{name}: Free(...)}}): every experiment has a start of its own."
            )


def _table(experiment: Experiment) -> dict[str, Any]:
    """The fields that a frame with headers of its own becomes: frame, noise, units; no columns are left to map."""
    import pandas as pd

    who, given = experiment.who, experiment.frame
    if not len(given.index) or not len(given.columns):
        raise SpecificationError(f"{who}: the frame is empty; give at least one time and one measured column.")
    noise = by_element(experiment.noise, "noise")
    units = by_element(experiment.units, "units")
    chosen = _chosen(experiment, noise)
    times = times_of(given.index, who)
    names = list(dict.fromkeys(name for _, name in chosen))
    groups = {name: [k for k, other in chosen if other == name] for name in names}
    layers = max(len(group) for group in groups.values())
    if layers > 1 and not experiment.replicates:
        twice = next(name for name in names if len(groups[name]) > 1)
        raise SpecificationError(
            f"{who}: {len(groups[twice])} columns hold {twice}.\n"
            f"  If each is a measurement of its own, say replicates=True."
        )
    check_order(times, experiment.replicates, who)
    units = units_of_columns(groups, [str(c) for c in given.columns], experiment.columns, units, who)
    cells = {k: cells_of(given.iloc[:, k], times, str(given.columns[k]), who) for k, _ in chosen}
    empty = np.full(len(times), np.nan)
    parts = [
        pd.DataFrame({n: cells[groups[n][i]] if i < len(groups[n]) else empty for n in names}, index=times)
        for i in range(layers)
    ]
    frame = parts[0] if layers == 1 else pd.concat(parts).sort_index(kind="stable")
    frame.index.name = given.index.name
    if not frame.notna().to_numpy().any():
        raise SpecificationError(f"{who}: nothing was measured: every cell of the frame is NaN.")
    check_noise(frame, noise, who)
    aside = {n: aligned(v, given.index, layers > 1, f"{who}: the noise of {n}") for n, v in noise.items()}
    return {"frame": frame, "noise": aside, "units": units, "columns": {}}


def _chosen(experiment: Experiment, noise: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Positions of the columns that are data, with their names. Raises SpecificationError."""
    who, headers = experiment.who, [str(c) for c in experiment.frame.columns]
    mapped: dict[str, str] = {}
    for header, name in experiment.columns.items():
        if header not in headers:
            raise SpecificationError(f"{who}: columns: {unknown('column', header, headers)}")
        if not isinstance(name, str) or elements_of(name) != (name,):
            raise SpecificationError(
                f"{who}: columns: {header!r} is mapped to one name, such as reactor.S, got {name!r}."
            )
        mapped[header] = str(name)
    if not mapped:
        return list(enumerate(headers))
    return [(k, mapped.get(h, h)) for k, h in enumerate(headers) if h in mapped or h in noise]
