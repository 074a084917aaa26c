"""How was the process operated? Phases with their durations and conditions, inputs piece by piece, decided numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.profiles import Pieces, plain_name, shape_in
from titer.flowsheets.recipe import Free, Phase, Reaches
from titer.flowsheets.reporting.equations import Facts
from titer.flowsheets.reporting.letters import unit_text
from titer.flowsheets.reporting.plant_formulas import PlantFormulas
from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.solution import PhaseResult, Solution

_AT_BOUND = 1e-5  # of the range between bounds, within which a decision is said to lie at one


def phases_of(solution: Solution, formulas: PlantFormulas | None) -> list[Facts]:
    """One entry per phase: start, end, duration, and what the recipe says of it where that is known."""
    recipe = {phase.name: phase for phase in solution.source.recipe} if solution.source is not None else {}
    facts, clock = [], 0.0
    for result in solution.phases:
        entry: Facts = {"name": result.name, "start": clock, "duration": result.trajectory.duration}
        clock += result.trajectory.duration
        entry["end"] = clock
        if result.name in recipe and formulas is not None:
            entry |= _recipe(recipe[result.name], result, formulas)
        facts.append(entry)
    return facts


def inputs_of(solution: Solution, formulas: PlantFormulas | None) -> list[Facts]:
    """Decided inputs, phase by phase, with their pieces; of a loaded solution all inputs, for nobody knows which."""
    free = by_element(solution.source.free, "free") if solution.source is not None else {}
    known = solution.source is not None
    recipe = solution.source.recipe if known else ()
    held = {p.name: {*by_element(p.fixed, "fixed"), *by_element(p.inputs, "inputs")} for p in recipe}
    facts = []
    for phase in solution.phases:
        start, duration = float(phase.trajectory.time[0]), phase.trajectory.duration
        for key, (profile, values) in phase.shapes.items():
            name = plain_name(key)
            shape = shape_in(free.get(name), phase.name)
            if known and (shape is None or name in held.get(phase.name, ())):
                continue
            values = np.asarray(values, dtype=float) if key == name else np.exp(values)
            lower, upper = _bounds(name, shape, formulas)
            edges = start + duration * profile.edges
            left, right = values[profile.left], values[profile.right]
            rows = [
                {"from": float(a), "to": float(b), "value": float(v), "end": float(w), "at": _side(v, w, lower, upper)}
                for a, b, v, w in zip(edges[:-1], edges[1:], left, right, strict=True)
            ]
            facts.append(
                {
                    "name": name, "unit": solution.units.get(name, ""), "phase": phase.name, "lower": lower,
                    "upper": upper, "constant": profile.constant, "pieces": rows,
                    "shape": "constant" if profile.constant else "linear" if key == name else "exponential",
                }
            )  # fmt: skip
    return facts


def numbers_of(solution: Solution, formulas: PlantFormulas | None) -> list[Facts]:
    """Decided parameters and initial states."""
    free = by_element(solution.source.free, "free") if solution.source is not None else {}
    facts = []
    for name, value in solution.decided.items():
        lower, upper = _bounds(name, free.get(name), formulas)
        given = free[name].guess if isinstance(free.get(name), Free) else None
        guess = _plain_number(given, _measure(name, formulas)) if given is not None else None
        facts.append(
            {
                "name": name, "value": float(value), "unit": solution.units.get(name, ""), "guess": guess,
                "lower": lower, "upper": upper, "at": _side(value, value, lower, upper),
            }
        )  # fmt: skip
    return facts


def given_of(solution: Solution, formulas: PlantFormulas | None) -> list[Facts]:
    """Inputs that were given: a number, a function of time, a series."""
    if solution.source is None or formulas is None:
        return []
    free = by_element(solution.source.free, "free")
    given = by_element(solution.source.inputs, "inputs")
    return [
        {"name": name, "unit": solution.units.get(name, ""), **_described(value, name, formulas)}
        for name, value in given.items()
        if name not in free
    ]


def _recipe(phase: Phase, result: PhaseResult, formulas: PlantFormulas) -> Facts:
    time = formulas.plant.measure_of_time
    facts: Facts = {
        "idle": list(phase.idle_names),
        "routes": [f"{a} → {b}" for a, b in phase.routes],
        "fixed": _entries(phase.fixed, formulas),
        "resets": _entries(phase.start, formulas),
        "actions": [str(action) for action in phase.actions],
        "inputs": _entries(phase.inputs, formulas),
        "method": "" if phase.method is None else "integration (shooting)",
    }
    if isinstance(phase.duration, Free):
        guess, lower, upper = (_plain_number(getattr(phase.duration, k), time) for k in ("guess", "lower", "upper"))
        duration = result.trajectory.duration
        facts["free"] = {"guess": guess, "lower": lower, "upper": upper, "at": _side(duration, duration, lower, upper)}
    if isinstance(phase.until, Reaches):
        facts["until"] = {"text": _reached(phase.until, formulas)}
    elif phase.until is not None:
        facts["until"] = formulas.condition(phase.until) or {"text": "a condition given as a function"}
    return facts


def _reached(until: Reaches, formulas: PlantFormulas) -> str:
    words = {"falling": "falls to", "rising": "rises to"}.get(until.direction, "reaches")
    measure = _measure(until.variable, formulas)
    value = _plain_number(until.value, measure)
    unit = unit_text(measure.label) if measure is not None else ""
    return f"{until.variable} {words} {until.value if value is None else f'{value:g}'} {unit}".strip()


def _entries(given: Mapping[str, Any], formulas: PlantFormulas) -> list[Facts]:
    measures = formulas.plant.measures
    return [
        {"name": name, "unit": measures[name].label if name in measures else "", **_described(value, name, formulas)}
        for name, value in by_element(given, "phase").items()
    ]


def _described(value: Any, name: str, formulas: PlantFormulas) -> Facts:
    """A given value in words and numbers."""
    if isinstance(value, Pieces):
        n = len(value.values) if value.values is not None else value.pieces
        return {"text": f"{type(value).__name__}, {n} values"}
    if hasattr(value, "to_numpy"):
        numbers = value.to_numpy()
        return {"text": f"a series of {len(numbers)} points, from {numbers.min():g} to {numbers.max():g}"}
    if callable(value):
        return formulas.of_time(value) or formulas.of(value) or {"text": "a function"}
    number = _plain_number(value, _measure(name, formulas))
    return {"text": "given"} if number is None else {"value": number}


def _measure(name: str, formulas: PlantFormulas | None) -> Measure | None:
    return formulas.plant.measures.get(name) if formulas is not None else None


def _plain_number(value: Any, measure: Measure | None) -> float | None:
    if isinstance(value, int | float | np.number) or (isinstance(value, Symbol) and measure is not None):
        number = number_in(value, measure or DIMENSIONLESS, "report")
        return number if np.isfinite(number) else None
    return None


def _bounds(name: str, free: Any, formulas: PlantFormulas | None) -> tuple[float | None, float | None]:
    """Bounds of a decision: its own, and those of the declaration."""
    if formulas is None:
        return None, None
    scalar, measure = formulas.plant.scalars.get(name), _measure(name, formulas)
    own = [_plain_number(getattr(free, key, None), measure) for key in ("lower", "upper")]
    declared = [None, None] if scalar is None else [_plain_number(x, measure) for x in (scalar.lower, scalar.upper)]
    if isinstance(free, Pieces):
        return tuple(a if a is not None else b for a, b in zip(own, declared, strict=True))  # type: ignore[return-value]
    lowest = [x for x in (own[0], declared[0]) if x is not None]
    highest = [x for x in (own[1], declared[1]) if x is not None]
    return max(lowest, default=None), min(highest, default=None)


def _side(left: float, right: float, lower: float | None, upper: float | None) -> str:
    """Which bound a decision lies at."""
    size = upper - lower if lower is not None and upper is not None else max(abs(left), abs(right), 1e-12)
    slack = _AT_BOUND * size
    sides = []
    for value in dict.fromkeys((float(left), float(right))):
        if lower is not None and value <= lower + slack:
            sides.append("lower")
        if upper is not None and value >= upper - slack:
            sides.append("upper")
    return " and ".join(dict.fromkeys(sides))
