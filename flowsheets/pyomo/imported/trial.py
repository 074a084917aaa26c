"""Do a Pyomo block's equations run? Tried on floats at the start: which give derivatives, and whether units agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import Declaration, State
from titer.flowsheets.pyomo.imported.block import Row, Source
from titer.flowsheets.pyomo.imported.evaluation import Evaluation, Manner
from titer.flowsheets.pyomo.imported.expressions import Item, minus, over
from titer.flowsheets.pyomo.imported.slopes import Slopes, plan_slopes, solve_slopes
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, magnitude
from titer.numerics.errors import DeclarationError


def tried(
    manner: Manner, kinds: Mapping[Item, type[Declaration]], entering: set[str]
) -> tuple[Manner, Slopes, dict[Item, Measure]]:
    """Which manner of reading works, which equations give derivatives, and the units of Expressions."""
    try:
        slopes, told = _run(manner, kinds, entering)[:2]
    except DeclarationError:
        manner = replace(manner, with_units=False)
        slopes, told = _run(manner, kinds, entering)[:2]
    if manner.duration is not None:
        _check_duration(manner, kinds, entering)
    return manner, slopes, told


def remaining_rows(source: Source, slopes: Slopes) -> list[Row]:
    """Equations that are left as residuals: those that give no derivative, and those without t."""
    return [*(source.rows[i] for i in slopes.remaining), *source.constant]


def solved_slopes(slopes: Slopes, run: Evaluation) -> dict[Item, Any]:
    """All derivatives on the symbols of a run."""
    kept = {item: kept_value(item, run) for item in slopes.kept}
    return solve_slopes(slopes, lambda i, known: _sides_given(run, i, known), kept)


def kept_value(item: Item, run: Evaluation) -> Any:
    """A derivative that is a variable of its own."""
    value = run.values[item]
    return value if run.manner.with_units else magnitude(value, run.manner.measures[item.component])


def plus_start(clock: Any, manner: Manner) -> Any:
    """The model's t from the time since its start."""
    first = manner.source.ends[0]
    number = clock if manner.stretch == 1.0 else clock / manner.stretch
    return number + first if first else number


def scaled(slope: Any, run: Evaluation) -> Any:
    """A derivative with respect to real time."""
    manner = run.manner
    return slope if manner.duration is None else over(slope, run.as_quantity(manner.stretch, manner.time))


def _run(
    manner: Manner, kinds: Mapping[Item, type[Declaration]], entering: set[str]
) -> tuple[Slopes, dict[Item, Measure], list[float]]:
    source, told = manner.source, dict[Item, Measure]()
    inflow = [Item(local, labels) for local in sorted(entering) for labels in source.components[local].labels()]
    derivative_of = {state: local for local, state in source.derivatives.items()}
    slopes_of = [Item(derivative_of[i.component], i.labels) for i, kind in kinds.items() if kind is State]
    values = {item: _at_start(source, item, manner.measures) for item in (*kinds, *inflow, *slopes_of)}

    def define(local: str, found: Mapping[Item, Any]) -> Mapping[Item, Any]:
        for item, value in found.items():
            told[item] = _measure_told(source, item, value, manner)
        return found

    run = Evaluation(manner, values, plus_start(0.25 * (source.ends[1] - source.ends[0]), manner), define)
    slopes = plan_slopes(
        len(source.rows), slopes_of, lambda i, known: _sides_given(run, i, known), lambda item: kept_value(item, run)
    )
    run.known = solved_slopes(slopes, run)
    rates = [scaled(run.known[item], run) for item in slopes_of]
    zeros = [minus(*run.sides(row)) for row in remaining_rows(source, slopes)]
    for component in list(source.components.values()):
        if component.data.ctype is pyo.Expression and component.position is not None:
            for labels in component.labels():
                run.item(Item(component.local, labels))
    return slopes, told, [float(x.value if isinstance(x, Symbol) else x) for x in (*rates, *zeros)]


def _sides_given(run: Evaluation, index: int, known: Mapping[Item, Any]) -> tuple[Any, Any]:
    run.known = dict(known)
    return run.sides(run.manner.source.rows[index])


def _at_start(source: Source, item: Item, measures: Mapping[str, Measure]) -> Symbol:
    """A value to try equations at: the start, or a number inside the bounds where there is none."""
    component = source.components[item.component]
    data = component.at(item.labels, None if component.position is None else source.time.first())
    number = pyo.value(data, exception=False)
    if number is None:
        lower, upper = (data.lb, data.ub) if data.is_variable_type() else (None, None)
        number = min(max(1.0, 1.0 if lower is None else lower), 1.0 if upper is None else upper)
    return Symbol(float(number), measures[item.component], FLOATS)


def _measure_told(source: Source, item: Item, value: Any, manner: Manner) -> Measure:
    """The unit of an Expression: what its value has, or what Pyomo says where numbers are read."""
    if manner.with_units:
        return value.measure if isinstance(value, Symbol) else DIMENSIONLESS
    try:
        component = source.components[item.component]
        return Measure.of(str(pyo.units.get_units(component.at(item.labels, source.time.first())) or "1"))
    except Exception:  # Pyomo answers with many kinds for units that do not agree
        return DIMENSIONLESS


def _check_duration(manner: Manner, kinds: Mapping[Item, type[Declaration]], entering: set[str]) -> None:
    """A duration that only scales time drops out; else the unit operation could not run in real time."""
    one, other = (np.array(_run(replace(manner, stretch=x), kinds, entering)[2]) for x in (1.0, 2.0))
    if not np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True):
        raise DeclarationError(
            f"{manner.source.name}: its equations use {manner.duration} for more than to scale time.\n"
            "  Leave duration= away: it is a parameter then, and the unit operation runs over the ContinuousSet."
        )
