"""How is a set point followed? Squares of what differs from it, integrated; the set points themselves are data.

`Track({reactor.c_B: 0.6}, scale={reactor.c_B: 0.1})` is a term of an objective, and adds to others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import casadi as ca
import numpy as np

from titer.control.nmpc.soft import given
from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.lowering import evaluate
from titer.flowsheets.problems.assembly import Placement
from titer.flowsheets.problems.placing import widened
from titer.flowsheets.signals import finite
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import Symbol, magnitude
from titer.flowsheets.terms import Integral
from titer.numerics.collocation import collocation
from titer.numerics.errors import NotActiveError, SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.nlp import Array, Batch, Labels, Nlp


@dataclass(frozen=True, eq=False, init=False)
class Track(Integral):
    """The integral over time of ((y - target) / scale)^2, summed over the `targets` {name: y's set point}.

    A target is a number in the unit of y, or a quantity (or a Series over the recipe's time, a function of time); a
    controller is told others by `previews={name: ...}` at each step. `optimize` and the summary of a loop take numbers,
    quantities, and functions of time without an `if`. `scale` {name: number}: what counts as much as the others' scales
    (default: 1 in the unit of y). `at_end`: adds so many times the square at the end of the horizon. `as_measured`:
    where an estimator finds that the sensor of y has a bias, that which the sensor shows follows the target; False: y.
    Raises SpecificationError.
    """

    targets: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    at_end: float = 0.0
    as_measured: bool = True

    def __init__(
        self,
        targets: Mapping[str, Any],
        scale: Mapping[str, float] | None = None,
        at_end: float = 0.0,
        as_measured: bool = True,
        phase: str | None = None,
        name: str | None = None,
    ):
        wanted = by_element(targets, "Track: targets")
        if not wanted:
            raise SpecificationError("Track: nothing is to be followed. Write Track({reactor.T: 340.0}).")
        for key, target in wanted.items():
            _check_target(str(key), target)
        sizes = by_element(scale or {}, "Track: scale")
        for key, value in sizes.items():
            if key not in wanted:
                raise SpecificationError(f"Track: scale: {key} has no target.")
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 < value < np.inf:
                raise SpecificationError(f"Track: the scale of {key} must be a positive number, got {value!r}.")
        if isinstance(at_end, bool) or not isinstance(at_end, int | float) or not 0.0 <= at_end < np.inf:
            raise SpecificationError(f"Track: at_end must be a number of at least 0, got {at_end!r}.")
        values = {"targets": wanted, "scale": {n: float(sizes.get(n, 1.0)) for n in wanted}, "at_end": float(at_end)}
        for key, item in (values | {"as_measured": bool(as_measured)}).items():
            object.__setattr__(self, key, item)
        super().__init__(self.squares, phase=phase, name=name or "Track")

    def squares(self, v: Any) -> Any:
        """The sum of squares on a view. Raises SpecificationError where a target is no equation."""
        total: Any = 0.0
        for name, target in self.targets.items():
            total = total + ((_plain(v[name]) - _goal(v, str(name), target)) / self.scale[name]) ** 2
        return total


def _plain(value: Any) -> Any:
    return magnitude(value, value.measure) if isinstance(value, Symbol) else value


def _check_target(name: str, target: Any) -> None:
    import pandas as pd

    numeric = isinstance(target, int | float | np.number | Symbol) and not isinstance(target, bool)
    if not (numeric or callable(target) or isinstance(target, pd.Series)):
        raise SpecificationError(f"Track: {name} needs a number, a Series or a function of time, got {target!r}.")


def _goal(v: Any, name: str, target: Any) -> Any:
    """A set point on a view, in the unit of what follows it."""
    import pandas as pd

    y = v[name]
    measure = y.measure if isinstance(y, Symbol) else DIMENSIONLESS
    if isinstance(target, pd.Series):
        raise _unwritable(name, "a Series")
    if not callable(target):
        return finite(target, measure, f"Track: {name}")
    try:
        goal = target(_plain(v.time))
    except Exception:  # an `if` on a symbol, or a function that takes numbers only
        raise _unwritable(name, repr(target)) from None
    if isinstance(goal, Symbol) and goal.measure is not DIMENSIONLESS:
        return magnitude(goal, measure)
    return goal if isinstance(goal, Symbol) else finite(goal, measure, f"Track: {name}")


def _unwritable(name: str, got: str) -> SpecificationError:
    return SpecificationError(
        f"Track: {name}: optimize and summary need a number, or a function of time without an `if`, got {got}.\n"
        f"  Write it with NumPy functions of t, or as Integral(lambda v: ...); a controller follows any set point."
    )


@dataclass(frozen=True, eq=False)
class Targets:
    """Where the set points of one name stand in the data of a program, and when each holds on the horizon."""

    name: str
    cells: Array
    begins: Array
    ends: Array
    as_measured: bool


def with_tracking(
    nlp: Nlp,
    runs: Sequence[Sequence[Placement]],
    tracks: Sequence[tuple[float, Track]],
    weights: Sequence[float],
    phases: Sequence[str],
    grid: Grid,
) -> tuple[Nlp, tuple[Targets, ...]]:
    """The program with all `tracks` (with their factors) in its objective. `phases`: of the recipe, part by part;
    `weights`: of the runs, which share their set points."""
    found: dict[tuple[int, int, str], Targets] = {}
    for r, placements in enumerate(runs):
        clock = 0.0
        for k, placement in enumerate(placements):
            for i, (factor, track) in enumerate(tracks):
                if track.phase is not None and track.phase != phases[k]:
                    continue
                outputs = _outputs(placement, track)
                if not outputs:
                    continue
                cells = {}
                for name in outputs:
                    key = (k, i, name)
                    if key not in found:
                        nlp, found[key] = _room(nlp, placement, name, clock, track)
                    cells[name] = found[key].cells
                last = k == len(placements) - 1
                weight = factor * weights[r]
                nlp, batches = _followed(nlp, placement, track, outputs, cells, weight, grid, last)
                nlp = replace(nlp, batches=(*nlp.batches, *batches))
            clock += placement.operation.duration.guess
    return nlp, tuple(found.values())


def _outputs(placement: Placement, track: Track) -> dict[str, ca.Function]:
    """Functions (t, x, z, u, p) -> y of what is followed in a phase; none of what is at rest there."""
    lowered, found = placement.operation.lowered, {}
    for name in track.targets:
        try:
            value = evaluate(itemgetter(name), lowered.view, f"Track of {name}")
        except NotActiveError:
            continue
        found[str(name)] = widened(lowered.function(value), placement.dae)
    return found


def _room(nlp: Nlp, placement: Placement, name: str, clock: float, track: Track) -> tuple[Nlp, Targets]:
    """Data for a set point in each element."""
    ends = placement.transcribed.ends * placement.operation.duration.guess + clock
    nlp, cells = given(nlp, np.zeros(len(ends) - 1), f"target of {name}")
    return nlp, Targets(name, cells, ends[:-1], ends[1:], track.as_measured)


class _Arguments:
    """Symbols of a batch with the cells that they read, copy by copy."""

    def __init__(self, copies: int):
        self.copies = copies
        self.symbols: list[ca.SX] = []
        self.cells: list[Array] = []

    def __call__(self, cells: Array) -> ca.SX:
        self.symbols.append(ca.SX.sym("v"))
        self.cells.append(np.broadcast_to(cells, (self.copies,)))
        return self.symbols[-1]

    def batch(self, name: str, cost: Any, weight: float, phase: str, stage: Array) -> Batch:
        function = ca.Function(name, [ca.vertcat(*self.symbols)], [ca.SX(0, 1), cost])
        none = np.zeros(0)
        return Batch(function, np.array(self.cells), none, none, Labels.of([], phase), weight, stage)


def _followed(
    nlp: Nlp,
    placement: Placement,
    track: Track,
    outputs: Mapping[str, ca.Function],
    targets: Mapping[str, Array],
    weight: float,
    grid: Grid,
    last: bool,
) -> tuple[Nlp, list[Batch]]:
    """The batch of all elements, and the square at the end; each reads only what its outputs depend on."""
    block, ends = placement.block, placement.transcribed.ends
    n, scheme = len(ends) - 1, collocation(grid.degree, grid.points)
    per_element = (len(placement.transcribed.tau) - 1) // n
    at = 1 + per_element * np.arange(n)[:, None] + np.arange(scheme.degree)  # columns of the ports, (n, degree)
    nlp, widths = given(nlp, np.diff(ends), "width of an element")
    clock, span = (nlp.cells[block.name][block.slot(key).cells[0]] for key in ("clock", "duration"))
    v = _Arguments(n)
    t0, step = v(clock), v(span) * v(widths)
    goals = {name: v(targets[name]) for name in outputs}
    points = _points(nlp, placement, outputs, t0, at, v)
    cost: Any = 0.0
    for point, share in zip(points, scheme.weights, strict=True):
        for name, function in outputs.items():
            cost += share * step * ((function(*point) - goals[name]) / track.scale[name]) ** 2
    stage = _stages(nlp, block.name, n)
    batches = [v.batch("track", cost, weight, block.name, stage)]
    if last and track.at_end:
        v = _Arguments(1)
        t0, goals = v(clock), {name: v(targets[name][-1:]) for name in outputs}
        (point,) = _points(nlp, placement, outputs, t0, at[-1:, -1:] + (per_element - scheme.degree), v)
        squares = (((f(*point) - goals[name]) / track.scale[name]) ** 2 for name, f in outputs.items())
        batches.append(v.batch("arrival", sum(squares), weight * track.at_end, block.name, stage[-1:]))
    return nlp, batches


def _stages(nlp: Nlp, phase: str, n: int) -> Array:
    """The places in time of the elements of a block, among those of all blocks."""
    for batch in nlp.batches:
        if batch.labels.phase == phase and batch.stage is not None and batch.copies == n:
            return batch.stage
    return np.arange(n)


def _points(
    nlp: Nlp, placement: Placement, outputs: Mapping[str, ca.Function], t0: ca.SX, at: Array, v: _Arguments
) -> list[tuple]:
    """The points (t, x, z, u, p) at columns `at` (copies, points) of the ports, as far as outputs read them."""
    block, dae, transcribed = placement.block, placement.dae, placement.transcribed
    own, sizes = nlp.cells[block.name], dae.sizes
    rows = own[block.ports["x"]], np.where(block.ports["z"] < 0, -1, own[block.ports["z"]])
    used = [sorted({c for f in outputs.values() for c in f.jac_sparsity(0, k).get_col()}) for k in range(5)]
    if used[0]:
        raise SpecificationError(f"Track: what it follows in phase {placement.operation.name!r} reads time itself.")
    n = len(transcribed.ends) - 1
    middle = (0.5 * (transcribed.ends[:-1] + transcribed.ends[1:]))[n - v.copies :]
    inputs = {}
    for i in used[3]:
        profile = transcribed.segment.profiles[i]
        if not profile.constant:
            raise SpecificationError(f"Track: what it follows reads {dae.inputs[i].name}, which is given as lines.")
        cells = own[block.slot(f"input:{dae.inputs[i].name}").cells]
        inputs[i] = v(cells[profile.left[profile.piece_of(middle)]])
    parameters = {i: v(own[block.slot("parameters").cells[i]]) for i in used[4]}
    u, p = _filled(sizes[2], inputs), _filled(sizes[3], parameters)
    found = []
    for column in at.T:
        x, z = (
            _filled(size, {i: v(row[i, column]) for i in chosen})
            for size, chosen, row in zip(sizes[:2], used[1:3], rows, strict=True)
        )
        found.append((t0, x, z, u, p))
    return found


def _filled(size: int, entries: Mapping[int, ca.SX]) -> ca.SX:
    return ca.vertcat(ca.SX(0, 1), *(entries.get(i, ca.SX(0.0)) for i in range(size)))
