"""How do controllers without a solver keep their memory? A file of a few facts; what all of them check at a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action
from titer.control.loops.clock import Clock
from titer.control.loops.journal import action_of, facts_of
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError


def check_order(plant: Flowsheet, t: float, last: float) -> None:
    """Samples come in order. Raises SpecificationError."""
    if t < last:
        raise SpecificationError(
            f"Sample: time runs backwards: the sample is at t = {t:g} {plant.time}, the last one was at {last:g}.\n"
            f"  Samples come in order."
        )


def same_step(clock: Clock, recipe: Recipe, t: float, last: float, phase: str | None) -> bool:
    """Whether a sample is of the step that was made last: its time, and its phase."""
    return t == last and (phase is None or phase == list(recipe)[clock.phase].name)


def write_facts(path: str | Path, clock: Clock, action: Action, own: Mapping[str, Any]) -> Path:
    """Write a memory to one file, `path` with the ending .npz; what was there before stays until it is whole."""
    path = with_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"began": list(clock.began), "phase": clock.phase, "action": facts_of(action), **own}
    other = path.with_name(f".{path.name}")
    with other.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)))
    other.replace(path)
    return path


def read_facts(path: str | Path, clock: Clock) -> tuple[Clock, Action, dict[str, Any]]:
    """Clock, action and facts of a memory that was written. Raises SpecificationError for anything else."""
    path = with_ending(path)
    if not path.is_file():
        raise SpecificationError(f"resume: there is no file {path}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
        clock = replace(clock, began=tuple(facts["began"]), phase=facts["phase"])
        return clock, action_of(facts["action"]), facts
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise SpecificationError(f"resume: {path.name} is no memory: {type(error).__name__}: {error}") from None


def with_ending(path: str | Path) -> Path:
    """The path with the ending .npz."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
