"""What could be run and measured next? `Proposal`: a batch to be, with what of it is still to be decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.conversion import Conversion
from titer.estimation.data.noise import Estimated, Noise, declared
from titer.estimation.experiment import Experiment
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.names import elements_of
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import Term, check_constraints
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Times = int | Sequence[float] | Array


@dataclass(frozen=True, eq=False)
class Proposal:
    """A batch that could be run.

    `recipe`: its phases; a duration that is `Free(...)` is decided. `measured`: {name: noise}, a standard deviation or
    `Noise(absolute=, relative=)`, of the predicted value. `times`: when samples are taken: how many (their times are
    decided), or the times; or {name: how many, or the times}, where names with the same number share their samples.
    `free`: what else is decided: {control: PiecewiseConstant(5), initial state or parameter: Free(guess, lower,
    upper)}. `inputs`, `start`: what is given, as in an Experiment; what is given of a decided control is its guess.
    `subject_to`: limits that the batch must keep at the believed values of the parameters,
    `Path(lambda v: v.reactor.T, upper=360.0)`. `spacing`: the least time between decided samples; with 0 they may
    coincide, as replicates. `window`: first and last time of decided samples (default: the whole recipe).

    Raises SpecificationError.
    """

    recipe: Recipe
    measured: Mapping[str, Any]
    times: Times | Mapping[str, Times]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    free: Mapping[str, Any] = field(default_factory=dict)
    subject_to: Sequence[Term] = ()
    spacing: float = 0.0
    window: tuple[float, float] = (0.0, np.inf)
    name: str = ""

    def __post_init__(self) -> None:
        who = self.who
        if not isinstance(self.recipe, Recipe):
            raise SpecificationError(f"{who}: expected recipe=Recipe(Phase(...), ...), got {self.recipe!r}.")
        for key in ("measured", "inputs", "start", "free"):
            if not isinstance(getattr(self, key), Mapping):
                raise SpecificationError(f"{who}: {key} is a dict by name, got {getattr(self, key)!r}.")
        if not self.measured:
            raise SpecificationError(f"{who}: measured is empty; give {{name: standard deviation}}.")
        for name, value in self.free.items():
            if getattr(value, "switching", False):
                raise SpecificationError(
                    f"{who}: free: {name} has switching=True, which a design cannot decide.\n  Give it more pieces."
                )
        check_constraints(self.subject_to)
        if not _number(self.spacing) or not 0.0 <= self.spacing < np.inf:
            raise SpecificationError(f"{who}: spacing is a time of at least 0, got {self.spacing!r}.")
        window = self.window
        if not (isinstance(window, tuple | list) and len(window) == 2 and all(_number(t) for t in window)) or not (
            0.0 <= window[0] < window[1]
        ):
            raise SpecificationError(f"{who}: window is (first, last) time of samples, rising from 0, got {window!r}.")
        groups_of(self)

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"Proposal {self.name!r}" if self.name else "Proposal"

    def experiment(self, frame: pd.DataFrame, **fields: Any) -> Experiment:
        """What was measured in this batch, as an Experiment with its recipe, inputs, start and noise.

        `fields`: others of Experiment, or another value for one of these. A proposal that leaves anything to be decided
        has no such: take those that a `Design` returns.
        """
        given = {"noise": self.measured, "recipe": self.recipe, "inputs": self.inputs, "start": self.start}
        return Experiment(frame, **{**given, "name": self.name, "replicates": self.spacing == 0.0, **fields})


@dataclass(frozen=True, eq=False)
class Group:
    """Names that are determined of the same samples: how many are decided (0: none), or the given times."""

    names: tuple[str, ...]
    count: int
    given: Array

    @property
    def decided(self) -> bool:
        return self.count > 0


def groups_of(proposal: Proposal) -> tuple[Group, ...]:
    """The groups of samples of a proposal. Raises SpecificationError."""
    who = proposal.who
    names = [str(each) for name in proposal.measured for each in elements_of(name)]
    if not isinstance(proposal.times, Mapping):
        return (_group(tuple(names), proposal.times, who),)
    chosen = by_element({n: _Kept(t) for n, t in proposal.times.items()}, f"{who}: times")
    for name in chosen:
        if name not in names:
            raise SpecificationError(f"{who}: times: {unknown('measured name', name, names)}")
    missing = [name for name in names if name not in chosen]
    if missing:
        raise SpecificationError(f"{who}: times: {missing[0]} is measured, but no times are given for it.")
    by_times: dict[Any, list[str]] = {}
    for name in names:
        times = chosen[name].times
        by_times.setdefault(times if is_whole(times, 1) else ("given", name), []).append(name)
    return tuple(_group(tuple(members), chosen[members[0]].times, who) for members in by_times.values())


@dataclass(frozen=True, eq=False)
class _Kept:
    """A list that `by_element` must not spread over elements."""

    times: Any


def _group(names: tuple[str, ...], times: Any, who: str) -> Group:
    if is_whole(times, 1):
        return Group(names, int(times), np.zeros(0))
    listed = isinstance(times, Sequence | np.ndarray) and not isinstance(times, str)
    given = np.asarray(times, dtype=float) if listed else np.zeros(0)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all() or given.min() < 0.0:
        raise SpecificationError(f"{who}: times is how many samples, or a list of times from 0, got {times!r}.")
    return Group(names, 0, np.sort(given))


def noise_of(proposal: Proposal, plant: Flowsheet) -> dict[str, Noise]:
    """The noise of each measured name in its declared unit. Raises SpecificationError."""
    found: dict[str, Noise] = {}
    for name, given in by_element(proposal.measured, f"{proposal.who}: measured").items():
        what = f"{proposal.who}: the noise of {name}"
        if name not in plant.measures:
            raise SpecificationError(f"{proposal.who}: measured: {unknown('name', name, plant.measures)}")
        noise = declared(given, Conversion(), plant.measures[name], what)
        if isinstance(noise, Estimated):
            noise = noise.guess
        if isinstance(noise, Noise):
            found[name] = noise
        elif _number(noise) and 0.0 < noise < np.inf:
            found[name] = Noise(absolute=float(noise))
        else:
            raise SpecificationError(f"{what}: a design needs a standard deviation above 0, got {given!r}.")
    return found


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and not np.isnan(float(value))
