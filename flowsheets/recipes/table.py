"""What does a recipe do, phase by phase, in words? A frame of texts, and lines to read."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.operation import Duration, durations_of
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs
from titer.flowsheets.recipes.texts import assigned, said
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 100
_AT_LIMIT = 1e-5  # of the range between limits, within which a duration is said to lie at one


def table_of(recipe: Recipe, solution: Solution | None = None) -> pd.DataFrame:
    """One row of texts per phase, empty where the phase says nothing; with a solution, how long each phase lasted, and
    at which limit of its duration. Raises SpecificationError where the solution is of other phases."""
    import pandas as pd

    frame = pd.DataFrame([_said(phase) for phase in recipe], index=pd.Index([p.name for p in recipe], name="phase"))
    if solution is None:
        return frame
    reached = lengths_in(solution, recipe)
    planned = durations_of(recipe, Measure.of(solution.time))
    frame.insert(1, f"lasted [{solution.time}]", [reached[phase.name] for phase in recipe])
    at = [_limit(reached[phase.name], d) for phase, d in zip(recipe, planned, strict=True)]
    frame.insert(2, "at its limit", at)
    return frame


def lines_of(recipe: Recipe) -> str:
    """A paragraph per phase: its name and duration, and below what is special in it."""
    width = max(len(phase.name) for phase in recipe)
    lines = []
    for phase in recipe:
        words = _said(phase)
        until = f", until {words['until']}" if words["until"] else ""
        lines.append(f"{phase.name:<{width}}  {words['duration']}{until}")
        for key in list(words)[2:]:
            indent = " " * (width + 4)
            if words[key]:
                lines.append(
                    textwrap.fill(
                        f"{key}: {words[key]}", _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  "
                    )
                )
    return "\n".join(lines)


def lengths_in(solution: Solution, recipe: Recipe) -> dict[str, float]:
    """How long the phases of a recipe lasted; those a run did not get to, NaN. Raises SpecificationError."""
    names = [phase.name for phase in recipe]
    for name in solution.duration:
        if name not in names:
            raise SpecificationError(
                f"the solution is of another recipe: its {unknown('phase', name, names)}\n"
                f"  Give the recipe that it was made with."
            )
    return {name: solution.duration.get(name, float("nan")) for name in names}


def _limit(reached: float, planned: Duration) -> str:
    """At which limit a free duration ended up."""
    if not planned.free or not np.isfinite(reached):
        return ""
    slack = _AT_LIMIT * (planned.upper - planned.lower)
    if reached <= planned.lower + slack:
        return "lower (off)" if planned.lower <= 0.0 else "lower"
    return "upper" if reached >= planned.upper - slack else ""


def _said(phase: Phase) -> dict[str, str]:
    return {
        "duration": _duration(phase.duration),
        "until": _until(phase.until),
        "inputs": assigned(phase.inputs),
        "fixed": assigned(phase.fixed),
        "start": assigned(phase.start),
        "actions": ", ".join(map(str, phase.actions)),
        "idle": ", ".join(phase.idle_names),
        "routes": ", ".join(f"{source} -> {target}" for source, target in phase.routes),
        "method": "" if phase.method is None else "shooting",
    }


def _duration(duration: Any) -> str:
    if isinstance(duration, SameAs):
        return f"same as {duration.phase}"
    if isinstance(duration, Free):
        return f"{said(duration.guess)} ({said(duration.lower)} to {said(duration.upper)})"
    return said(duration)


def _until(until: Any) -> str:
    if until is None:
        return ""
    if not isinstance(until, Reaches):
        return "a function holds"
    verb = {"falling": "falls to", "rising": "rises to", "": "reaches"}[until.direction]
    return f"{until.variable} {verb} {said(until.value)}"
