"""What does a report say? Everything it states, as plain data: the page is drawn from it, the JSON is it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from titer.flowsheets.corrections.telling import facts_along
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.reporting.equations import Facts, equations_of
from titer.flowsheets.reporting.operated import given_of, inputs_of, numbers_of, phases_of
from titer.flowsheets.reporting.plant_formulas import PlantFormulas
from titer.flowsheets.reporting.provenance import hash_of_trajectories, hashes_of_data, hashes_of_plant, versions
from titer.flowsheets.reporting.symbols import symbols_of
from titer.flowsheets.reporting.wanted import wanted_of
from titer.flowsheets.unit import Unit
from titer.numerics.errors import DeclarationError, TiterError
from titer.numerics.solution import Certificate, Solution


class Claim(Protocol):
    """What a claim must have to be listed; `wanted` is what was expected, as one reads it."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> float: ...

    @property
    def wanted(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def ok(self) -> bool: ...

    @property
    def note(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Content:
    """What a report is made of, checked: solutions by name, and what the caller adds."""

    title: str
    solutions: Mapping[str, Solution]
    plant: Flowsheet | None = None
    claims: Sequence[Claim] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)


def facts_of(content: Content) -> Facts:
    """All facts of a report, ready for JSON but for its pictures."""
    runs = [_run(name, solution, _plant_of(solution, content)) for name, solution in content.solutions.items()]
    plants = [_plant_of(solution, content) for solution in content.solutions.values()] or [content.plant]
    known = [plant for plant in plants if plant is not None]
    hashes = {key: value for plant in known[:1] for key, value in hashes_of_plant(plant).items()}
    hashes |= {f"trajectories of {name}": hash_of_trajectories(s) for name, s in content.solutions.items()}
    return plain(
        {
            "format": 1,
            "title": content.title,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "claims": [_claim(claim) for claim in content.claims],
            "notes": list(content.notes),
            "runs": runs,
            "units": _units(content, known),
            "sections": {title: _section(value) for title, value in content.sections.items()},
            "settings": dict(content.settings),
            "versions": versions(),
            "hashes": hashes | hashes_of_data(content.data),
        }
    )


def plain(value: Any) -> Any:
    """What JSON can hold. It has no NaN and no infinity: such a number becomes the text "nan", "inf" or "-inf"."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else str(float(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def _plant_of(solution: Solution, content: Content) -> Flowsheet | None:
    return solution.source.plant if solution.source is not None else content.plant


def _run(name: str, solution: Solution, plant: Flowsheet | None) -> Facts:
    formulas = PlantFormulas(plant) if plant is not None else None
    wanted = wanted_of(solution, formulas) if formulas is not None else {}
    return {
        "name": name,
        "kind": solution.kind,
        "time": solution.time,
        "status": {
            "name": solution.status.name.lower(),
            "text": solution.status.value,
            "ok": solution.status.ok,
            "message": solution.message,
        },
        "objective": wanted.get("objective") or _objective(solution),
        "limits": wanted.get("limits"),
        "missed_on_replay": None if solution.certificate is None else dict(solution.certificate.violation),
        "duration": solution.duration,
        "phases": phases_of(solution, formulas),
        "inputs": inputs_of(solution, formulas),
        "given": given_of(solution, formulas),
        "corrections": [] if plant is None else facts_along(plant, solution),
        "numbers": numbers_of(solution, formulas),
        "source_known": solution.source is not None,
        "certificate": _certificate(solution.certificate),
        "explanation": _explanation(solution),
        "ends": {n: {"value": solution.at_end(n), "unit": solution.units.get(n, "")} for n in _states(solution)},
        "start_report": [{"name": r.name, "seconds": r.seconds, "result": r.result} for r in solution.start_report],
        "stats": dict(solution.stats),
    }


def _objective(solution: Solution) -> Facts | None:
    return {"sense": "objective", "value": solution.objective} if np.isfinite(solution.objective) else None


def _states(solution: Solution) -> list[str]:
    return list(dict.fromkeys(name for phase in solution.phases for name in (*phase.states, *phase.algebraics)))


def _explanation(solution: Solution) -> Facts:
    explanation = solution.explain()
    return {
        "verdict": explanation.verdict.value,
        "headline": explanation.headline,
        "lines": list(explanation.lines),
        "residuals": [{"row": row, "missed_by": by, "unit": unit} for row, by, unit in explanation.residuals],
    }


def _certificate(certificate: Certificate | None) -> Facts | None:
    if certificate is None:
        return None
    facts = {key: getattr(certificate, key) for key in Certificate.__dataclass_fields__}
    return facts | {"largest_deviation": certificate.largest_deviation}


def _claim(claim: Claim) -> Facts:
    return {
        "name": claim.name, "value": claim.value, "expected": claim.wanted, "unit": claim.unit, "holds": claim.ok,
        "note": claim.note,
    }  # fmt: skip


def _units(content: Content, plants: Sequence[Flowsheet]) -> list[Facts]:
    """Each unit operation once, however many solutions share it."""
    found: dict[tuple[str, type], Facts] = {}
    solutions = list(content.solutions.values())
    for plant in plants:
        solution = next((s for s in solutions if _plant_of(s, content) is plant), None)
        values = {**plant.values, **(solution.values if solution is not None else {})}
        decided = _decided(solution) if solution is not None else ()
        for unit in plant.units:
            if (unit.name, type(unit)) not in found:
                facts = _unit(unit, plant)
                facts["symbols"] = symbols_of(unit, values, decided, content.sources)
                found[unit.name, type(unit)] = facts
    return list(found.values())


def _decided(solution: Solution) -> tuple[str, ...]:
    """Names of what was decided: numbers, and inputs."""
    free = by_element(solution.source.free, "free") if solution.source is not None else {}
    return (*solution.decided, *free)


def _unit(unit: Unit, plant: Flowsheet) -> Facts:
    first, paragraphs = _documented(unit)
    corrected = [name for name in plant.corrections if name.split(".", 1)[0] == unit.name]
    facts: Facts = {"name": unit.name, "class": type(unit).__name__, "time": unit.time, "summary": first} | paragraphs
    try:
        return facts | {"groups": equations_of(unit, corrected)}
    except (TiterError, ValueError, TypeError, AttributeError) as error:
        why = str(error).splitlines()[0] if isinstance(error, DeclarationError) else type(error).__name__
        return facts | {"groups": [], "unprinted": f"The equations cannot be written as formulas: {why}"}


def _documented(unit: Unit) -> tuple[str, Facts]:
    """The first sentence of the docstring, and its paragraphs on assumptions and source."""
    lines = [line.strip() for line in (type(unit).__doc__ or "").strip().splitlines()]
    found: Facts = {}
    key = ""
    for line in lines[1:]:
        head = line.partition(":")[0].lower()
        if head in ("assumptions", "source"):
            key, line = head, line.partition(":")[2].strip()
        elif not line or line.lower() in ("equations", "symbols"):
            key = ""
        if key:
            found[key] = f"{found.get(key, '')} {line}".strip()
    return (lines[0] if lines else ""), found


def _section(value: Any) -> Facts:
    """What the caller adds: a frame or series, a mapping, or paragraphs."""
    value = value.to_frame() if hasattr(value, "to_frame") else value
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        counted = type(value.index).__name__ == "RangeIndex" and not value.index.name  # rows without names
        index = None if counted else [str(label) for label in value.index]
        columns = [str(c) for c in value.columns]
        rows = value.to_numpy(dtype=object).tolist()
        if index is not None:
            columns = [str(value.index.name or ""), *columns]
            rows = [[label, *row] for label, row in zip(index, rows, strict=True)]
        return {"columns": columns, "rows": rows}
    if isinstance(value, Mapping):
        return {"mapping": dict(value)}
    return {"paragraphs": [value] if isinstance(value, str) else [str(line) for line in value]}
