"""What is wrong or suspicious with a plant under a recipe? `diagnose` asks every question before anything is solved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from titer.flowsheets.diagnosis.bound_to_leave import bound_to_leave
from titer.flowsheets.diagnosis.conservation import broken_totals
from titer.flowsheets.diagnosis.contradictions import contradictions
from titer.flowsheets.diagnosis.door import Admitted, admit, refused_terms
from titer.flowsheets.diagnosis.doubles import doubled
from titer.flowsheets.diagnosis.effects import too_small_to_notice
from titer.flowsheets.diagnosis.examined import Asked, Examined
from titer.flowsheets.diagnosis.findings import Diagnosis, Finding, Severity
from titer.flowsheets.diagnosis.first_instant import violated_at_once
from titer.flowsheets.diagnosis.freedom import counted, too_few_decisions
from titer.flowsheets.diagnosis.inputs import inputs_out_of_bounds
from titer.flowsheets.diagnosis.probes import what_grows_without_end
from titer.flowsheets.diagnosis.scaling import Modes, modes_of, sizes_that_mislead, stiffness, with_time_constants
from titer.flowsheets.diagnosis.simulated import domains_left, simulated, what_is_missed
from titer.flowsheets.diagnosis.structure import reductions
from titer.flowsheets.diagnosis.without_influence import (
    decisions_without_influence,
    names_without_influence,
    objective_without_influence,
    states_at_rest,
)
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import Sum, Term, as_sum, check_constraints
from titer.numerics.errors import SpecificationError, TiterError


def diagnose(
    plant: Flowsheet,
    recipe: Recipe,
    inputs: Mapping[str, Any] | None = None,
    free: Mapping[str, Any] | None = None,
    subject_to: Sequence[Term] = (),
    maximize: Term | Sum | None = None,
    minimize: Term | Sum | None = None,
) -> Diagnosis:
    """Say what is wrong or suspicious with a plant under a recipe, before anything is solved.

    Arguments as of `optimize`; all but the first two may be left out. A control that nobody gave stands at its start,
    else in the middle of its bounds. What is found stands in `findings`, gravest first: structure, degrees of freedom,
    what influences nothing, limits that contradict each other, totals that are not conserved, balances written twice,
    and what the simulated recipe does. A bad model is a finding and raises nothing; an error of Python in a user's
    function goes through. Raises SpecificationError for arguments of the wrong type.
    """
    asked, findings = _asked(plant, recipe, inputs, free, subject_to, maximize, minimize)
    admitted, refused = admit(asked)
    findings += refused
    if not admitted.planned:
        only = Examined(admitted.asked, admitted.plant, (), admitted.alone)
        return Diagnosis.of([*findings, *_of_units(only)], (), plant.time)
    examined, stopped = _examined(admitted)
    modes = modes_of(examined)
    counts = with_time_constants([counted(examined, k) for k in range(len(examined.planned))], modes)
    found = [*findings, *_of_units(examined)]
    if admitted.as_meant:
        found += [*_of_problem(examined, admitted), *stopped]
        found += _of_run(examined, modes, found)
    return Diagnosis.of(found, counts, plant.time)


def _of_units(examined: Examined) -> Iterator[Finding]:
    """What is wrong with unit operations, whatever is done with them."""
    yield from broken_totals(examined)
    yield from doubled(examined)


def _of_problem(examined: Examined, admitted: Admitted) -> Iterator[Finding]:
    """What is wrong with how they are operated, and with what is decided, required and wanted."""
    yield from reductions(examined)
    limits = list(contradictions(examined))
    limits += violated_at_once(examined, limits)
    yield from limits
    yield from bound_to_leave(examined)
    yield from refused_terms(admitted, {seen.term: seen.title for seen in examined.limits}, limits)
    yield from too_few_decisions(examined)
    yield from objective_without_influence(examined)
    yield from decisions_without_influence(examined)
    yield from names_without_influence(examined)
    yield from states_at_rest(examined)
    yield from inputs_out_of_bounds(examined)


def _of_run(examined: Examined, modes: Sequence[Modes], known: Sequence[Finding]) -> Iterator[Finding]:
    """What the simulated start shows, beyond what is known already."""
    yield from domains_left(examined)
    yield from sizes_that_mislead(examined)
    yield from what_is_missed(examined, [finding for finding in known if finding.severity is Severity.ERROR])
    yield from what_grows_without_end(examined)
    yield from stiffness(examined, modes)
    yield from too_small_to_notice(examined)


def _examined(admitted: Admitted) -> tuple[Examined, list[Finding]]:
    """The plant with its simulated start, and why that stopped."""
    still = Examined(admitted.asked, admitted.plant, admitted.planned, admitted.alone)
    run, message, findings = simulated(admitted.plant, admitted.planned, still.decides)
    return Examined(admitted.asked, admitted.plant, admitted.planned, admitted.alone, run, message), findings


def _asked(
    plant: Any, recipe: Any, inputs: Any, free: Any, subject_to: Any, maximize: Any, minimize: Any
) -> tuple[Asked, list[Finding]]:
    """The arguments, checked. Raises SpecificationError for a wrong type."""
    for key, value, kind in (("plant", plant, Flowsheet), ("recipe", recipe, Recipe)):
        if not isinstance(value, kind):
            raise SpecificationError(
                f"diagnose: {key} must be a {kind.__name__}, got {type(value).__name__} {value!r}."
            )
    for key, value in (("inputs", inputs), ("free", free)):
        if value is not None and not isinstance(value, Mapping):
            raise SpecificationError(f"diagnose: {key} must be a dict from names to values, got {value!r}.")
    if maximize is not None and minimize is not None:
        raise SpecificationError("diagnose: give maximize= or minimize=, not both.")
    wanted = maximize if minimize is None else minimize
    if not isinstance(subject_to, Sequence) or not all(isinstance(term, Term) for term in subject_to):
        check_constraints(subject_to)
        raise SpecificationError(f"diagnose: subject_to is a list of terms, got {subject_to!r}.")
    constraints: list[Term] = []
    findings: list[Finding] = []
    for term in subject_to:
        try:
            constraints += check_constraints([term])
        except TiterError as error:
            first, _, rest = str(error).partition("\n")
            findings.append(Finding(Severity.ERROR, term.label(), first.rstrip("."), rest))
    objective = None if wanted is None else as_sum(wanted)
    sign = -1.0 if maximize is None else 1.0
    return Asked(plant, recipe, inputs or {}, free or {}, tuple(constraints), objective, sign), findings
