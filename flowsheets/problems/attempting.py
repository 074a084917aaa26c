"""What do the rows of a program wish for, and in which units? So that a solve of it can be explained and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.problem import Placed
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.program import Scaling
from titer.numerics.solution import PhaseResult
from titer.numerics.solvers import Fatrop, Ipopt

Array = np.ndarray


def attempt_of(
    assembled: Assembled, solver: Ipopt | Fatrop, scaling: Scaling, start: Array, relaxation: float
) -> Attempt:
    """A solve that is about to begin."""
    placements = [placement for run in assembled.runs for placement in run]
    limited = [placed for placement in placements for placed in limited_terms(placement)]
    units = {name: measure.label for name, measure in assembled.problem.plant.measures.items()}
    units |= {placed.term.label(): placed.measure.label if placed.measure.names else "" for placed in limited}
    limits = {placed.term.label() for placed in limited} | {t for placement in placements for t in _others(placement)}
    return Attempt(
        nlp=assembled.nlp,
        solver=solver,
        scaling=scaling,
        start=start,
        relaxation=relaxation,
        sign=assembled.problem.sign,
        time=assembled.problem.plant.time,
        limits=frozenset(limits),
        units=units,
    )


def limited_terms(placement: Placement) -> tuple[Placed, ...]:
    """Terms of a phase that have limits."""
    terms = placement.terms
    wanted = (*terms.paths, *terms.at_start, *terms.at_end, *terms.totals)
    return tuple(p for p in wanted if np.isfinite(p.lower) or np.isfinite(p.upper))


def clock_of(assembled: Assembled, phases: Sequence[Sequence[PhaseResult]]) -> Mapping[str, tuple[float, float]]:
    """When each phase of each run begins and how long it lasts, by the name of its block."""
    return {
        placement.block.name: (float(result.trajectory.time[0]), result.trajectory.duration)
        for placements, results in zip(assembled.runs, phases, strict=True)
        for placement, result in zip(placements, results, strict=False)
    }


def _others(placement: Placement) -> list[str]:
    """Wishes that are no terms: the end of a phase, limits of rates of change."""
    operation = placement.operation
    texts = [operation.event.text] if operation.event is not None else []
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided) and source.pieces.rates is not None:
            texts += [f"rate of change of {variable.name}{way}" for way in ("", ", rising", ", falling")]
    return texts
