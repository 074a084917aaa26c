"""How is the process operated? Phases, one after another: what is connected, fixed, idle, reset, and how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.recipes.actions import Action
from titer.flowsheets.recipes.decision import Free, SameAs, number_of
from titer.flowsheets.recipes.ends import Reaches
from titer.flowsheets.symbols.symbol import Relation, Symbol
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.shooting import Shooting, Simultaneous

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from titer.numerics.solution import Solution

__all__ = ["Free", "Phase", "Reaches", "Recipe", "SameAs", "check_free_duration"]


@dataclass(frozen=True, eq=False)
class Phase:
    """A stretch of a recipe.

    `duration`: a number, or `Free(guess, lower, upper)`, in the flowsheet's time; where the lower limit is 0, the phase
    may be switched off, and what it sets at its start still is set; `SameAs("load 1")`: that of an earlier phase.
    `until`: `Reaches(...)` or a function
    of the view that gives a relation (`lambda v: v.reactor.S <= 0.1`); the duration is then found by simulation and
    tied to the condition in an optimization, with `duration=Free(...)` as its guess and limits. `inputs`: trajectories
    for this phase only. `fixed`: controls or parameters held at a number in this phase, whatever is decided elsewhere.
    `idle`: unit operations at rest: their states are held, their ports carry no flow. `start`: states that are set
    when the phase begins: a number, or a function of the view of the previous phase's end. `routes`: connections for
    this phase only. `method`: `Shooting()` to transcribe it by integration, `Simultaneous()` by collocation; else the
    size of the model decides. `actions`: what is done at once when the
    phase begins, one after the other, such as `reactor.bolus(0.1)`; they come after `start`, and see what it has set.
    What is to happen at a free time ends the phase before it, whose duration is free.
    """

    name: str
    duration: Any = None
    until: Reaches | Callable[[Any], Relation] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    idle: Sequence[Unit | str] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    routes: Sequence[tuple[Any, Any]] = ()
    method: Shooting | Simultaneous | None = None
    actions: Sequence[Action] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise SpecificationError(f"Phase: the name must be a text, got {self.name!r}.")
        what = f"Phase {self.name!r}"
        _check_duration(self.duration, self.until is not None, what)
        if self.until is not None and not isinstance(self.until, Reaches) and not callable(self.until):
            raise SpecificationError(
                f"{what}: until is Reaches(variable, value, direction) or a function of the view, got {self.until!r}."
            )
        for key in ("inputs", "fixed", "start"):
            if not isinstance(getattr(self, key), Mapping):
                raise SpecificationError(f"{what}: {key} is a dict from names to values, got {getattr(self, key)!r}.")
        lists = (("idle", "unit operations"), ("routes", "pairs (outlet, inlet)"), ("actions", "actions"))
        for key, noun in lists:
            value = getattr(self, key)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise SpecificationError(f"{what}: {key} is a list of {noun}, got {value!r}. Write {key}=[...].")
        for unit in self.idle:
            if not isinstance(unit, Unit | str):
                raise SpecificationError(f"{what}: idle is a list of unit operations, got {unit!r} in it.")
        for action in self.actions:
            if not isinstance(action, Action):
                raise SpecificationError(
                    f"{what}: actions is a list of what unit operations offer, such as reactor.bolus(0.1), "
                    f"got {action!r} in it."
                )
        if self.method is not None and not isinstance(self.method, Shooting | Simultaneous):
            raise SpecificationError(f"{what}: method is Shooting(...), Simultaneous() or None, got {self.method!r}.")

    @property
    def idle_names(self) -> tuple[str, ...]:
        return tuple(sorted({unit if isinstance(unit, str) else unit.name for unit in self.idle}))


@dataclass(frozen=True, eq=False, init=False)
class Recipe:
    """Phases, one after another: `Recipe(Phase("batch", duration=22), Phase("feed", duration=Free(10, 5, 20)))`.

    `recipe["feed"]` is a phase; printed, the recipe is a line or more for each of them.
    """

    phases: tuple[Phase, ...]

    def __init__(self, *phases: Phase):
        if not phases:
            raise SpecificationError('Recipe: no phase was given. Write Recipe(Phase("batch", duration=...), ...).')
        for phase in phases:
            if not isinstance(phase, Phase):
                several = "\n  Put a star before it: Recipe(*phases)." if isinstance(phase, list | tuple) else ""
                raise SpecificationError(f"Recipe: expected phases, got {type(phase).__name__} {phase!r}.{several}")
        names = [phase.name for phase in phases]
        for name in names:
            if names.count(name) > 1:
                raise SpecificationError(f"Recipe: two phases are called {name!r}; rename one.")
        object.__setattr__(self, "phases", phases)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)

    def __len__(self) -> int:
        return len(self.phases)

    def __getitem__(self, name: str) -> Phase:
        """A phase by name. Raises SpecificationError."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise SpecificationError(f"recipe: {unknown('phase', name, [phase.name for phase in self.phases])}")

    def replaced(self, name: str, /, **changes: Any) -> Recipe:
        """Another recipe with one phase changed: `recipe.replaced("feed", duration=12.0)`.

        Raises SpecificationError for an unknown phase or keyword.
        """
        known = [entry.name for entry in fields(Phase)]
        for key in changes:
            if key not in known:
                raise SpecificationError(f"Phase {name!r}: {unknown('keyword', key, known)}")
        changed = replace(self[name], **changes)
        return Recipe(*(changed if phase.name == name else phase for phase in self.phases))

    def with_durations(self, durations: Mapping[str, Any]) -> Recipe:
        """Another recipe whose phases last as long as given: `recipe.with_durations(plan.duration)`.

        Their limits and end conditions are gone with it. Raises SpecificationError for an unknown phase.
        """
        recipe = self
        for name, duration in durations.items():
            recipe = recipe.replaced(name, duration=duration, until=None)
        return recipe

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The recipe as readable text (YAML), which `from_yaml` reads; `path`: a file to write it to as well.

        Raises SpecificationError where a function stands in it, with what says the same as data.
        """
        from titer.flowsheets.recipes.writing import text_of

        text = text_of(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @staticmethod
    def from_yaml(source: str | Path) -> Recipe:
        """A recipe from text, or from a file: a `Path`, or a text that ends in .yaml or .yml.

        Names are checked where the recipe meets a plant. Raises SpecificationError, with the phase, the key and the
        line.
        """
        from titer.flowsheets.recipes.reading import recipe_of

        return recipe_of(source)

    def table(self, solution: Solution | None = None) -> pd.DataFrame:
        """A frame of texts, a row for each phase: what it is to do, and with a solution how long it lasted."""
        from titer.flowsheets.recipes.table import table_of

        return table_of(self, solution)

    def plot(self, solution: Solution | None = None) -> Figure:
        """A Gantt picture: a row for each unit operation that the recipe names, or the solution has.

        Bars are as long as planned; with a solution, as long as the phases lasted in it.
        """
        from titer.flowsheets.recipes.gantt import gantt_of

        return gantt_of(self, solution)

    def __str__(self) -> str:
        from titer.flowsheets.recipes.table import lines_of

        return lines_of(self)


def _check_duration(duration: Any, until: bool, what: str) -> None:
    """A duration is positive; a free one has finite bounds. Quantities are checked where the unit of time is known."""
    purpose = " as guess and limits of `until`" if until else ""
    if duration is None:
        raise SpecificationError(
            f"{what}: no duration. Give duration={'' if until else 'number, or duration='}Free(guess, lower, upper)"
            f"{purpose}."
        )
    if not isinstance(duration, Free):
        if until:
            raise SpecificationError(
                f"{what}: with `until`, give duration=Free(guess, lower, upper): its guess and its limits."
            )
        if not isinstance(duration, Symbol | SameAs):
            number = number_of(duration, f"{what}: duration")
            if not 0.0 < number < np.inf:
                raise SpecificationError(f"{what}: the duration must be positive and finite, got {number:g}.")
        return
    values = (duration.guess, duration.lower, duration.upper)
    if any(isinstance(value, Symbol) for value in values):
        return
    guess, lower, upper = (float(value) for value in values)
    if not np.isfinite([lower, upper]).all():
        raise SpecificationError(
            f"{what}: a free duration needs finite bounds, got [{lower:g}, {upper:g}].\n"
            f"  Write Free(guess, lower, upper)."
        )
    check_free_duration(guess, lower, upper, what)


def check_free_duration(guess: float, lower: float, upper: float, what: str) -> None:
    """0 <= lower <= guess <= upper, the guess positive. Raises SpecificationError."""
    if not (0.0 <= lower <= guess <= upper < np.inf and guess > 0.0):
        raise SpecificationError(
            f"{what}: a free duration needs 0 <= lower <= guess <= upper, a positive guess and a finite upper limit,\n"
            f"  got Free({guess:g}, {lower:g}, {upper:g})."
        )
