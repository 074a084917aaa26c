"""On which path is a problem approached that cannot be started where it is? By a shorter horizon, or other parameters.

The program stays the same; the numbers that stand in it, or the bounds of its durations, go to their place in steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.problems.assembly import Assembled

Array = np.ndarray
_STEPS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Stage:
    """A program on the way: its data, and columns that are held at values there."""

    name: str
    data: Array
    held: Array  # (k,) columns
    values: Array  # (k,)


def horizon_stages(assembled: Assembled, share: float) -> tuple[Stage, ...]:
    """From durations cut to a share of what is wanted, to all of them."""
    stages = []
    while True:
        name = f"NLP at {100.0 * share:.3g} % of the horizon"
        data, held, values = assembled.nlp.data.copy(), [], []
        for cell, kind, amount in _times(assembled):
            if cell >= assembled.nlp.columns:
                data[cell - assembled.nlp.columns] = share * amount
            elif kind == "duration":
                held.append(cell)
                values.append(share * amount)
        stages.append(Stage(name, data, np.array(held, dtype=int), np.array(values)))
        if share >= 1.0:
            return tuple(stages)
        share = min(1.0, 2.0 * share) if share < 0.5 else min(1.0, share + 0.25)


def parameter_stages(assembled: Assembled, earlier: Mapping[str, float]) -> tuple[Stage, ...]:
    """From an earlier solution's parameters to those of the problem, none where they are the same."""
    there, n = assembled.nlp.data.copy(), assembled.nlp.columns
    for block, run in zip(assembled.plants, assembled.problem.runs, strict=True):
        names = [str(s.name) for s in run.plant.scalars.values() if s.kind == Parameter.kind]
        for name, cell in zip(names, assembled.nlp.cells[block.name], strict=True):
            if cell >= n and name in earlier:
                there[cell - n] = earlier[name]
    here, none = assembled.nlp.data, np.zeros(0, dtype=int)
    if np.array_equal(there, here):
        return ()
    both = (there > 0.0) & (here > 0.0)  # rate constants go by their logarithms

    def between(s: float) -> Array:
        straight = there + s * (here - there)
        return np.where(both, np.where(both, there, 1.0) ** (1.0 - s) * np.where(both, here, 1.0) ** s, straight)

    return tuple(
        Stage(f"NLP at {100.0 * s:.3g} % of the way between parameters", between(s), none, np.zeros(0))
        for s in (0.0, *_STEPS)
    )


def _times(assembled: Assembled) -> Iterator[tuple[int, str, float]]:
    """Cells of durations and of the times at which phases begin, with the values wanted."""
    for placements in assembled.runs:
        clock = 0.0
        for placement in placements:
            cells, guess = assembled.nlp.cells[placement.block.name], placement.operation.duration.guess
            yield int(cells[placement.block.slot("duration").cells[0]]), "duration", guess
            yield int(cells[placement.block.slot("clock").cells[0]]), "clock", clock
            clock += guess
