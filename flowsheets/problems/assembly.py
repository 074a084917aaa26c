"""How does a `Problem` become one `Nlp`? Every phase a block, wired to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.flowsheets.problems.choosing import methods_of
from titer.flowsheets.problems.hedged import wire_hedge
from titer.flowsheets.problems.placing import Placement, Setting, place
from titer.flowsheets.problems.problem import FreeNumber, PhaseTerms, Problem, free_numbers
from titer.flowsheets.problems.wires import Wiring
from titer.flowsheets.problems.wiring import wire_parameters_of_run, wire_run
from titer.numerics.nlp import (
    Block,
    Nlp,
    join,
)
from titer.numerics.solution import PhaseResult

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Assembled:
    """A problem as an `Nlp`, with what is needed to fill it and to read it."""

    problem: Problem
    nlp: Nlp
    runs: tuple[tuple[Placement, ...], ...]
    numbers: tuple[FreeNumber, ...]
    plants: tuple[Block, ...]  # one block of parameters per run

    @property
    def shot(self) -> bool:
        """Whether every phase is shot, so that states follow from the decisions."""
        return all(placement.method is not None for placements in self.runs for placement in placements)


def assemble(
    problem: Problem, terms: Sequence[Sequence[PhaseTerms]], nominal: Sequence[Sequence[PhaseResult]]
) -> Assembled:
    """Assemble a problem. `nominal`: a trajectory of each run, whose steps place the elements where the grid is
    open."""
    wiring = Wiring(problem, free_numbers(problem.plant, problem.free))
    plants = tuple(wire_parameters_of_run(wiring, r) for r in range(len(problem.runs)))
    runs: list[tuple[Placement, ...]] = []
    for r, phases in enumerate(terms):
        placements = _placed(wiring, r, phases, nominal[r])
        wiring.blocks += [placement.block for placement in placements]
        runs.append(placements)
        wire_run(wiring, r, placements, plants[r], runs[0] if r and problem.share_decisions else None)
    wire_hedge(wiring)
    return Assembled(problem, join(wiring.blocks, wiring.links), tuple(runs), wiring.numbers, plants)


def _placed(
    wiring: Wiring, r: int, phases: Sequence[PhaseTerms], nominal: Sequence[PhaseResult]
) -> tuple[Placement, ...]:
    """The phases of run `r`, one after another in time."""
    placements, clock, fixed_times = [], 0.0, True
    for phase, result, method in zip(phases, nominal, methods_of(phases), strict=True):
        operation = phase.operation
        fixed_times = fixed_times and not operation.duration.free
        setting = Setting(
            name=f"{r + 1}/{operation.name}" if len(wiring.problem.runs) > 1 else operation.name,
            grid=wiring.problem.grid,
            clock=clock,
            fixed_times=fixed_times,
            method=method.shooting,
        )
        placements.append(place(phase, result, setting))
        clock += result.trajectory.duration if operation.duration.free else operation.duration.guess
    return tuple(placements)
