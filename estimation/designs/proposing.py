"""How does a proposal become a program? Checked, simulated at its guesses, and transcribed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from titer.estimation.designs.proposal import Proposal, groups_of, noise_of
from titer.estimation.designs.prospect import Prospect, columns_of
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.assembly import assemble
from titer.flowsheets.problems.filling import column_sizes
from titer.flowsheets.problems.guesses import filled, guessed, nominal_runs
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import Problem, Run, phases_of
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.terms import AtTimes, Sum
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.shooting import Simultaneous


def prospect(
    plant: Flowsheet, proposal: Proposal, free: Mapping[str, Free], values: Mapping[str, float], grid: Grid
) -> Prospect:
    """The program of a proposal. `free`: what is unknown; `values`: where it is believed to be.

    Raises SpecificationError for what does not fit, SolveError where the batch cannot be simulated.
    """
    try:
        return _prospect(plant, proposal, free, values, grid)
    except SpecificationError as error:
        raise SpecificationError(f"{proposal.who}: {str(error).removeprefix(proposal.who + ': ')}") from None


def _prospect(
    plant: Flowsheet, proposal: Proposal, free: Mapping[str, Free], values: Mapping[str, float], grid: Grid
) -> Prospect:
    noise_of(proposal, plant)
    for name in (str(each) for given in proposal.free for each in elements_of(given)):
        if name in free:
            raise SpecificationError(f"free: {name} is to be estimated and to be decided; it can be one of them.")
    start = by_element(proposal.start, "start")
    unknown_numbers = {n: replace(f, guess=start.get(n, values[n]), log=False, prior=None) for n, f in free.items()}
    believed = {n: v for n, v in values.items() if n in plant.scalars}
    run = Run(
        plant.with_values({**believed, **start}),
        Recipe(*(replace(phase, method=Simultaneous()) for phase in proposal.recipe)),
        dict(proposal.inputs),
        _aligned(proposal),
        tuple(proposal.subject_to),
    )
    problem = Problem((run,), {**unknown_numbers, **proposal.free}, grid, share_decisions=False)
    terms = [phases_of(run, problem.free)]
    nominal = nominal_runs(problem, terms, [None], Ladder())
    assembled = assemble(problem, terms, nominal.runs)
    numbers = tuple(n for n in assembled.numbers if n.name in free)
    theta, decided = columns_of(assembled, numbers)
    found = Prospect(
        proposal=proposal,
        assembled=assembled,
        numbers=numbers,
        theta=theta,
        decided=decided,
        sizes=column_sizes(assembled, nominal.runs),
        first=filled(assembled, nominal.runs, guessed(problem, None)),
        grid=grid,
    )
    _check_times(found)
    return found


def _aligned(proposal: Proposal) -> Sum:
    """Given times at which elements end, where the durations are known: a term over data that costs nothing."""
    given = [g.given for g in groups_of(proposal) if not g.decided]
    fixed = all(not isinstance(phase.duration, Free) for phase in proposal.recipe)
    if not given or not fixed:
        return Sum(())
    times = np.unique(np.concatenate(given))
    none = np.zeros(len(times))
    term = AtTimes(lambda v: 0.0, name="times", times=times, measured=none, deviations=none + 1.0)
    return Sum(((1.0, term),))


def _check_times(found: Prospect) -> None:
    """Samples lie inside the recipe, and what they measure is there. Raises SpecificationError."""
    longest = sum(p.operation.duration.upper for p in found.assembled.runs[0])
    for group, samplers in zip(found.groups, found.samplers, strict=True):
        if len(group.given) and group.given[-1] > longest * (1.0 + 1e-9):
            raise SpecificationError(
                f"times: {group.given[-1]:g} lies outside the recipe, which lasts {longest:g} at most."
            )
        for i, name in enumerate(group.names):
            if not any(sampler.active[i] for sampler in samplers):
                raise SpecificationError(f"measured: {name} is active in no phase of the recipe.")
    first, last = found.proposal.window
    for group in found.groups:
        room = min(last, longest) - first
        if group.decided and room < (group.count - 1) * found.proposal.spacing:
            raise SpecificationError(
                f"times: {group.count} samples {found.proposal.spacing:g} apart do not fit between {first:g} and "
                f"{min(last, longest):g}.\n  Take fewer, closer ones, or widen the window."
            )
