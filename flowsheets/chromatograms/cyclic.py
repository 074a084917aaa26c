"""Where does a repeated recipe settle? The cyclic steady state, whose end is its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.simulation import simulate
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.solution import Solution

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class CyclicSteadyState:
    """A cycle that repeats itself: its `run`, the `plant` whose starts are the cycle's, and how it was found.

    `changes`: after each cycle the largest change of a state over it, relative to the state's size (the largest value
    that it, or a state of its array, has had).
    """

    run: Solution
    plant: Flowsheet
    changes: tuple[float, ...]

    @property
    def cycles(self) -> int:
        """How many cycles were run."""
        return len(self.changes)


def cyclic_steady_state(
    plant: Flowsheet,
    recipe: Recipe,
    inputs: Mapping[str, Any] | None = None,
    tolerance: float = 1e-5,
    most: int = 50,
    depth: int = 0,
    accumulating: tuple[str, ...] = (),
    points: int = 200,
    accuracy: float = 1e-8,
) -> CyclicSteadyState:
    """Repeat a recipe until its end is its start.

    Each cycle starts where the last one ended (direct substitution, `depth=0`: what a plant does), or from where the
    changes over the last `depth` + 1 cycles would cancel (Anderson's acceleration, a secant form of Newton's method).
    A column that is washed through forgets within a few cycles, and acceleration only disturbs it; where a plant
    remembers (recycles, large tanks, poor regeneration) a depth of 3 saves most cycles. `tolerance`: of the largest
    relative change over a cycle, well above `accuracy`, the integrator's. `accumulating`: unit operations that start
    anew in each cycle, such as a tank that collects the product.
    In an optimization `cyclic_link` ties the end to the start; of large columns, run enough `cycles` in the recipe.

    Raises SolveError after `most` cycles, with the last run as its solution; SpecificationError.
    Source: Walker and Ni, SIAM J. Numer. Anal. 49 (2011) 1715.
    """
    if not 0.0 < accuracy < tolerance < 1.0:
        raise SpecificationError(
            f"cyclic_steady_state: expected 0 < accuracy < tolerance < 1, got accuracy={accuracy!r}, "
            f"tolerance={tolerance!r}."
        )
    for name in accumulating:
        if name not in [unit.name for unit in plant.units]:
            raise SpecificationError(f"cyclic_steady_state: accumulating: {name!r} is no unit operation of the plant.")
    names = [
        str(name)
        for name, scalar in plant.scalars.items()
        if scalar.kind == State.kind and str(name).split(".")[0] not in accumulating
    ]
    cycle = partial(simulate, recipe=recipe, inputs=inputs, points=points, tolerance=accuracy)
    groups = np.unique([name.split("[")[0] for name in names], return_inverse=True)[1]
    starts, steps, changes = [np.array([plant.scalars[name].start for name in names])], [], []
    sizes = np.zeros(len(names))
    for _ in range(most):
        begun = plant.with_values(dict(zip(names, starts[-1], strict=True)))
        run = cycle(begun)
        ends = np.array([run.at_end(name) for name in names])
        largest = np.maximum(np.abs(ends), np.abs(starts[-1]))
        sizes = np.maximum(sizes, np.array([largest[groups == g].max() for g in range(groups.max() + 1)])[groups])
        steps.append(ends - starts[-1])
        changes.append(float(np.max(np.abs(steps[-1]) / np.where(sizes > 0.0, sizes, 1.0))))
        if changes[-1] <= tolerance:
            return CyclicSteadyState(run, begun, tuple(changes))
        starts.append(_accelerated(starts, steps, sizes, depth, plant, names))
    raise SolveError(
        f"cyclic_steady_state: after {most} cycles a state still changes by {changes[-1]:.2g} of its size over one.\n"
        f"  Allow more (most={2 * most}), or name what accumulates (accumulating=...).",
        run,
    )


def _accelerated(
    starts: list[Array], steps: list[Array], sizes: Array, depth: int, plant: Flowsheet, names: list[str]
) -> Array:
    """The next start: the last end, or where a combination of recent steps is least; inside the states' domains."""
    kept = min(depth, len(steps) - 1)
    following = starts[-1] + steps[-1]
    if kept:
        scale = 1.0 / np.where(sizes > 0.0, sizes, 1.0)
        gaps = np.column_stack([steps[-1] - steps[-2 - k] for k in range(kept)])
        moved = np.column_stack([starts[-1] - starts[-2 - k] for k in range(kept)]) + gaps
        weights = np.linalg.lstsq(gaps * scale[:, None], steps[-1] * scale, rcond=1e-8)[0]
        following = following - moved @ weights
    low, high = (np.array([getattr(plant.scalars[name], key) for name in names]) for key in ("lower", "upper"))
    return np.clip(following, low, high)
