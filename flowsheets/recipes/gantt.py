"""When does each unit operation do what? A Gantt picture: rows of unit operations, bars of phases, decisions marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.operation import Duration, durations_of
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs
from titer.flowsheets.recipes.table import lengths_in
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACTIVE: Mapping[str, Any] = {"facecolor": "0.72", "edgecolor": "black", "linewidth": 0.8}
_IDLE: Mapping[str, Any] = {"facecolor": "white", "edgecolor": "0.55", "linewidth": 0.7, "linestyle": ":"}
_PHASE: Mapping[str, Any] = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.9}
_FREE: Mapping[str, Any] = {**_PHASE, "hatch": "////"}
_CONDITION: Mapping[str, Any] = {"marker": "D", "color": "black", "markersize": 6, "linestyle": "none"}
_ACTION: Mapping[str, Any] = {"marker": "v", "color": "black", "markersize": 7, "linestyle": "none"}
_BAR = 0.62  # height of a bar, in rows
_PHASES, _LIMITS = -1.9, -1.05  # heights of these rows; unit operations follow from 0
_SPREAD, _LEVELS = 0.66, 5  # limits of neighbouring durations lie beside each other
_MARGIN = 1.04  # of the recipe's length, that the picture shows
_LETTER = 0.011  # of the width of the picture


@dataclass(frozen=True, eq=False)
class Bar:
    """A phase in the picture: when it begins and ends, how long it may last."""

    phase: Phase
    begin: float
    end: float
    planned: Duration


def gantt_of(recipe: Recipe, solution: Solution | None = None) -> Figure:
    """The picture. Raises SpecificationError where the solution is of another recipe, or units of time are mixed."""
    from matplotlib.figure import Figure

    time = _time_of(recipe) if solution is None else Measure.of(solution.time)
    planned = durations_of(recipe, time or Measure.of("s"))
    reached = {} if solution is None else lengths_in(solution, recipe)
    bars, clock = [], 0.0
    for phase, duration in zip(recipe, planned, strict=True):
        length = float(np.nan_to_num(reached.get(phase.name, duration.guess)))
        bars.append(Bar(phase, clock, clock + length, duration))
        clock += length
    units = _units(recipe, solution)
    free = any(bar.planned.free for bar in bars)
    figure = Figure(figsize=(10.0, 2.6 + 0.45 * len(units)), layout="constrained")
    ax = figure.subplots()
    for row, unit in enumerate(units):
        _draw_unit(ax, unit, row, bars)
    _draw_phases(ax, bars)
    _draw_limits(ax, bars)
    for bar in bars[1:]:
        ax.axvline(bar.begin, color="0.85", linewidth=0.6, zorder=0)
    ticks: dict[float, str] = {_PHASES: "phases"}
    ticks |= {_LIMITS: "limits of\ndurations"} if free else {}
    ticks |= {float(row): unit for row, unit in enumerate(units)}
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_ylim(len(units) - 0.5, _PHASES - 0.5 * _BAR - 0.15)
    ax.set_xlim(0.0, _MARGIN * max(clock, 1e-12))
    ax.set_xlabel("time" if time is None else f"time [{time.label}]")
    ax.tick_params(axis="y", length=0)
    figure.legend(handles=_legend(bars), loc="outside lower center", ncols=6, frameon=False, fontsize="small")
    return figure


def _draw_unit(ax: Axes, unit: str, row: int, bars: Sequence[Bar]) -> None:
    """The bars of one unit operation, and marks where something is done to it."""
    for bar in bars:
        style = _IDLE if unit in bar.phase.idle_names else _ACTIVE
        ax.barh(row, bar.end - bar.begin, left=bar.begin, height=_BAR, **style)
        if any(action.unit == unit for action in bar.phase.actions):
            ax.plot(bar.begin, row - 0.5 * _BAR, **_ACTION, clip_on=False, zorder=4)


def _draw_phases(ax: Axes, bars: Sequence[Bar]) -> None:
    """Phases with their names, free ones hatched, ends by a condition marked."""
    whole = max(bars[-1].end, 1e-12)
    slanted = any(bar.end - bar.begin < _LETTER * len(bar.phase.name) * whole for bar in bars)
    for bar in bars:
        style = _FREE if bar.planned.free else _PHASE
        ax.barh(_PHASES, bar.end - bar.begin, left=bar.begin, height=_BAR, **style)
        if bar.phase.until is not None:
            ax.plot(bar.end, _PHASES, **_CONDITION, zorder=4)
    top = ax.secondary_xaxis("top")
    middles = [0.5 * (bar.begin + bar.end) for bar in bars]
    top.set_xticks(middles, [bar.phase.name for bar in bars], fontsize="small", rotation=40 if slanted else 0)
    top.tick_params(length=0)
    if slanted:
        for label in top.get_xticklabels():
            label.set_horizontalalignment("left")


def _draw_limits(ax: Axes, bars: Sequence[Bar]) -> None:
    """For each free duration a line from the earliest to the latest end of its phase, and a dot where it ends."""
    edge = _MARGIN * max(bars[-1].end, 1e-12)
    taken = np.full(_LEVELS, -np.inf)  # up to where each height is drawn on
    for bar in (bar for bar in bars if bar.planned.free):
        first, last = bar.begin + bar.planned.lower, bar.begin + bar.planned.upper
        k = int(np.argmax(taken < bar.begin)) if (taken < bar.begin).any() else int(np.argmin(taken))
        taken[k] = last + 0.01 * edge
        height = _LIMITS + _SPREAD * (k / (_LEVELS - 1) - 0.5)
        ax.plot([first, min(last, edge)], [height, height], color="black", linewidth=0.9)
        ax.plot(first, height, "|", color="black", markersize=6)
        ax.plot(min(last, edge), height, ">" if last > edge else "|", color="black", markersize=6, clip_on=False)
        ax.plot(bar.end, height, "o", color="black", markersize=3.5)


def _legend(bars: Sequence[Bar]) -> list[Any]:
    """What the marks of this picture mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(**_ACTIVE, label="active")]
    if any(bar.phase.idle for bar in bars):
        handles.append(Patch(**_IDLE, label="idle"))
    if any(bar.planned.free for bar in bars):
        handles.append(Patch(**_FREE, label="free duration"))
        handles.append(Line2D([], [], color="black", marker="|", linewidth=0.9, label="its limits, end"))
    if any(bar.phase.until is not None for bar in bars):
        handles.append(Line2D([], [], **_CONDITION, label="ends by a condition"))
    if any(bar.phase.actions for bar in bars):
        handles.append(Line2D([], [], **_ACTION, label="action"))
    return handles


def _time_of(recipe: Recipe) -> Measure | None:
    """The unit of time of durations that are all quantities; None where they are plain numbers."""
    numbers = [
        number
        for phase in recipe
        for number in (
            (phase.duration.guess, phase.duration.lower, phase.duration.upper)
            if isinstance(phase.duration, Free)
            else (phase.duration,)
        )
        if not isinstance(number, SameAs)
    ]
    quantities = [number for number in numbers if isinstance(number, Symbol)]
    if quantities and len(quantities) < len(numbers):
        raise SpecificationError(
            "plot: some durations are quantities, others numbers in the flowsheet's unit of time.\n"
            "  Give all of them with their unit, or a solution: recipe.plot(simulate(plant, recipe))."
        )
    return quantities[0].measure if quantities else None


def _units(recipe: Recipe, solution: Solution | None) -> list[str]:
    """Unit operations in the order of the plant, or in that in which the recipe names them."""
    if solution is not None and solution.source is not None:
        return [unit.name for unit in solution.source.plant.units]
    if solution is not None:
        return list(dict.fromkeys(name.split(".", 1)[0] for name in solution.names))
    named: list[str] = []
    for phase in recipe:
        named += [str(end) for route in phase.routes for end in route]
        named += [name for key in ("inputs", "fixed", "start") for name in by_element(getattr(phase, key), key)]
        named += [phase.until.variable] if isinstance(phase.until, Reaches) else []
        named += [*(action.unit for action in phase.actions), *phase.idle_names]
    return list(dict.fromkeys(name.split(".", 1)[0] for name in named))
