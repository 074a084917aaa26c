"""How is a run handed in? `report` writes one HTML file, to read and print, and a JSON with the same facts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.flowsheets.flowsheet import Flowsheet
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    from titer.flowsheets.reporting.facts import Claim

# What draws and hashes is imported inside: importing titer.flowsheets must stay light.


def report(
    solution: Solution | Mapping[str, Solution] | None,
    path: str | Path,
    *,
    title: str = "",
    claims: Sequence[Claim] = (),
    figures: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    sources: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    sections: Mapping[str, Any] | None = None,
    plant: Flowsheet | None = None,
) -> Path:
    """Write a report of a simulation or an optimum to `path` (.html), and its facts beside it (.json).

    `solution`: one, or several by name (the first is the main one), or None for a report of what else is given. Its
    objective, limits, recipe, decisions, certificate, start, equations and symbols, and a picture of its trajectories
    come by themselves. `claims`: with name, value, wanted, unit, ok and note. `figures`: by caption, a figure, a
    function that draws one, or a PNG, JPEG or SVG file. `sources`: where values come from, by qualified name. `data`:
    files (as Path), tables or texts by name, whose hashes are noted. `sections`: by title, a DataFrame, a dict, or
    paragraphs, such as sensitivities and shadow prices. `plant`: of a solution that was loaded from a file, whose
    equations are otherwise unknown.

    Returns the path of the HTML file. Raises SpecificationError before anything is written.
    """
    from titer.flowsheets.reporting.facts import Content, facts_of
    from titer.flowsheets.reporting.page import page_of
    from titer.flowsheets.reporting.pictures import picture

    file = _checked_path(path)
    solutions = _checked_solutions(solution)
    first = next(iter(solutions.values()), None)
    content = Content(
        title=title or _title(first),
        solutions=solutions,
        plant=_checked_plant(plant),
        claims=tuple(claims),
        figures=dict(figures or {}),
        settings=dict(settings or {}),
        notes=(notes,) if isinstance(notes, str) else tuple(notes),
        sources={str(name): text for name, text in (sources or {}).items()},
        data=dict(data or {}),
        sections=dict(sections or {}),
    )
    _check_claims(content.claims)
    _check_sources(content.sources, [s.source.plant if s.source is not None else plant for s in solutions.values()])
    _check_data(content.data)
    trajectories = {_trajectories(name, solutions): s.plot for name, s in solutions.items() if s.phases}
    drawings = dict(content.figures) | {k: plot for k, plot in trajectories.items() if k not in content.figures}
    facts = facts_of(content)
    pictures = [picture(caption, drawing) for caption, drawing in drawings.items()]
    facts["pictures"] = [{"caption": p.caption, "alt": p.alt} for p in pictures]
    _written(file.with_suffix(".json"), json.dumps(facts, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    _written(file, page_of(facts, pictures, file.with_suffix(".json").name))
    return file


def _title(solution: Solution | None) -> str:
    if solution is None:
        return "Report"
    units = [] if solution.source is None else [unit.name for unit in solution.source.plant.units]
    kind = solution.kind if solution.status.ok else f"unfinished {solution.kind}"
    return f"{kind.capitalize()}{' of ' if units else ''}{', '.join(units)}"


def _trajectories(name: str, solutions: Mapping[str, Solution]) -> str:
    return "Trajectories" if len(solutions) == 1 else f"Trajectories of {name}"


def _checked_path(path: Any) -> Path:
    if not isinstance(path, str | Path):
        raise SpecificationError(f'report: expected a path such as "report.html", got {path!r}.')
    file = Path(path)
    if file.is_dir():
        raise SpecificationError(
            f'report: {file.name or file} is a folder.\n  Give a file in it, such as "{file.name}/report.html".'
        )
    if file.suffix.lower() not in (".html", ".htm"):
        raise SpecificationError(
            f"report: {file.name} ends in {file.suffix or 'nothing'}; a report is an HTML file.\n"
            f'  Write "{file.stem}.html"; a browser prints it to PDF, and its facts go to {file.stem}.json.'
        )
    if file.parent.exists() and not file.parent.is_dir():
        raise SpecificationError(f"report: {file.parent.name} is a file, not a folder to write {file.name} into.")
    return file


def _checked_solutions(solution: Any) -> dict[str, Solution]:
    if solution is None:
        return {}
    found = dict(solution) if isinstance(solution, Mapping) else {getattr(solution, "kind", ""): solution}
    for name, one in found.items():
        if not isinstance(one, Solution):
            raise SpecificationError(
                f"report: expected a Solution, got {type(one).__name__} {one!r}{f' for {name!r}' if name else ''}.\n"
                f"  Give what simulate or optimize returned, or Solution.load(path)."
            )
    return {str(name): one for name, one in found.items()}


def _checked_plant(plant: Any) -> Flowsheet | None:
    if plant is not None and not isinstance(plant, Flowsheet):
        raise SpecificationError(f"report: plant is a Flowsheet(...), got {type(plant).__name__} {plant!r}.")
    return plant


def _check_claims(claims: Sequence[Any]) -> None:
    for claim in claims:
        missing = [key for key in ("name", "value", "wanted", "unit", "ok", "note") if not hasattr(claim, key)]
        if missing:
            raise SpecificationError(f"report: a claim needs {', '.join(missing)}; got {claim!r}.")


def _check_sources(sources: Mapping[str, str], plants: Sequence[Flowsheet | None]) -> None:
    """A source names a declared variable: one that is misspelt would be lost in silence."""
    names = {n.partition("[")[0] for plant in plants if plant is not None for n in plant.measures}
    for name in sources:
        if names and name.partition("[")[0] not in names:
            raise SpecificationError(f"report: sources: {unknown('name', name, sorted(names))}")


def _check_data(data: Mapping[str, Any]) -> None:
    for name, value in data.items():
        if isinstance(value, Path) and not value.is_file():
            raise SpecificationError(f"report: data {name!r}: there is no file {value.name}.")


def _written(file: Path, content: str) -> None:
    """Write a file that is either the old one or the new one, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    neighbour = file.with_name(f".{file.stem}-{os.getpid()}{file.suffix}")
    try:
        neighbour.write_text(content, encoding="utf-8")
        neighbour.replace(file)
    finally:
        neighbour.unlink(missing_ok=True)
