"""Can the plant be put under its recipe at all? What is refused there is collected, and looked behind where it can be.

What nobody gave, a diagnosis assumes: a control stands at its start, else in the middle of its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Control
from titer.flowsheets.diagnosis.alone import Alone, alone
from titer.flowsheets.diagnosis.examined import Asked, listed, measured
from titer.flowsheets.diagnosis.findings import Finding, Severity, mentions
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.operation import Operation, middle, operations
from titer.flowsheets.problems.problem import Run, free_numbers, phases_of
from titer.flowsheets.profiles import is_decided
from titer.flowsheets.streams import port_of
from titer.flowsheets.terms import Sum, Term
from titer.numerics.errors import TiterError

_NOTHING_WANTED = Sum(())


@dataclass(frozen=True, eq=False)
class Admitted:
    """What came through the door: the question as far as it can be asked, its phases resolved (none: refused)."""

    asked: Asked
    plant: Flowsheet  # with decided numbers at their guesses
    planned: tuple[Operation, ...]
    alone: tuple[Alone, ...]
    as_meant: bool  # it runs on what was given, so that what it does then means something


def admit(asked: Asked) -> tuple[Admitted, list[Finding]]:
    """Resolve a plant under its recipe. Where that is refused, without what is refused, as far as that helps."""
    assumed, findings = _assumed(asked)
    asked = replace(asked, inputs={**asked.inputs, **assumed})
    units, wrong = _alone(asked.plant)
    refused: list[Finding] = []
    for attempt in _attempts(asked):
        error, resolved = _tried(lambda a=attempt: _resolved(a))  # type: ignore[misc]
        if error is None:
            plant, planned = resolved
            as_meant = attempt.inputs is asked.inputs
            return Admitted(attempt, plant, planned, units, as_meant), [*refused, *findings]
        refused = refused or wrong or [refusal(error, asked.plant)]
        if wrong:
            break
    return Admitted(asked, asked.plant, (), units, False), [*refused, *findings]


def _resolved(asked: Asked) -> tuple[Flowsheet, tuple[Operation, ...]]:
    """The plant with decided numbers at their guesses, and its phases. Raises what the door raises."""
    planned = operations(asked.plant, asked.recipe, asked.inputs, asked.free)
    numbers = free_numbers(asked.plant, asked.free)
    return asked.plant.with_values({n.name: n.guess for n in numbers}), planned


def refused_terms(admitted: Admitted, titles: Mapping[Term, str], known: Sequence[Finding]) -> Iterator[Finding]:
    """Terms that the problem would refuse. `titles`: what they are called; `known`: what is said already."""
    asked = admitted.asked
    for term in asked.constraints:
        title = titles.get(term, term.label())
        if any(finding.speaks_of(title) for finding in known if finding.severity is Severity.ERROR):
            continue
        run = Run(asked.plant, asked.recipe, asked.inputs, _NOTHING_WANTED, (term,))
        error, _ = _tried(lambda r=run: phases_of(r, asked.free))  # type: ignore[misc]
        if error is not None:
            yield refusal(error, asked.plant, title)


def refusal(error: Exception, plant: Flowsheet, subject: str = "") -> Finding:
    """An error as a finding: its first line says what, the others what to do."""
    first, _, rest = str(error).partition("\n")
    return Finding(Severity.ERROR, subject or _first_name(first, plant), first.rstrip("."), rest)


def _first_name(text: str, plant: Flowsheet) -> str:
    """The name that a message is about: of a variable, else of an equation, a phase or a unit operation."""
    names = [*plant.measures, *(unit.name for unit in plant.units)]
    places = [(text.find(name), -len(name), name) for name in names if mentions(text, name)]
    return min(places)[2] if places else text.partition(":")[0]


def _tried(call: Callable[[], Any]) -> tuple[TiterError | None, Any]:
    """The outcome of a call, or the error with which it was refused."""
    try:
        return None, call()
    except TiterError as error:
        return error, ()


def _alone(plant: Flowsheet) -> tuple[tuple[Alone, ...], list[Finding]]:
    """Unit operations by themselves, and what is wrong with those that cannot be traced."""
    found, refused = [], []
    for unit in plant.units:
        error, one = _tried(lambda u=unit: alone(u))  # type: ignore[misc]
        if error is None:
            found.append(one)
        else:
            refused.append(refusal(error, plant))
    return tuple(found), refused


def _attempts(asked: Asked) -> Iterator[Asked]:
    """The question, and what is left of it without what may be refused."""
    plant = asked.plant
    streams = {name: 0.0 for name in plant.inlet_names if not _connected(asked, port_of(name))}
    yield asked
    yield replace(asked, plant=plant.reduced())
    for name in asked.free:
        rest = {n: v for n, v in asked.free.items() if n != name}
        yield replace(asked, free=rest, objective=None, more_is_decided=True)
    for name in asked.inputs:
        yield replace(asked, inputs={n: v for n, v in asked.inputs.items() if n != name})
    yield replace(asked, free={}, objective=None, more_is_decided=True)
    yield replace(asked, inputs={**streams, **asked.inputs})
    bare, _ = _assumed(replace(asked, inputs={}, free={}))
    yield replace(asked, inputs=bare, free={})
    yield replace(asked, inputs={**streams, **bare}, free={})


def _connected(asked: Asked, port: str) -> bool:
    routes = [route for phase in asked.recipe for route in phase.routes]
    return any(str(target) == port for _, target in (*asked.plant.connections, *routes))


def _assumed(asked: Asked) -> tuple[dict[str, float], list[Finding]]:
    """Values of the controls that have no trajectory in some phase, and what is assumed of them."""
    error, known = _tried(lambda: by_element(asked.inputs, "inputs"))
    pieces = {name: value for name, value in asked.free.items() if is_decided(value)}
    decided = _elements(pieces)
    values: dict[str, float] = {}
    findings = []
    for name, scalar in asked.plant.scalars.items():
        if scalar.kind != Control.kind or name in decided or (error is None and name in known):
            continue
        without = [
            phase.name
            for phase in asked.recipe
            if name.split(".", 1)[0] not in phase.idle_names
            and name not in _elements(phase.inputs)
            and name not in _elements(phase.fixed)
        ]
        if not without:
            continue
        started = np.isfinite(scalar.start)
        values[name] = float(scalar.start if started else middle(scalar.lower, scalar.upper))
        where = f"in phase {listed(without)}" if len(asked.recipe) > 1 else ""
        whence = "its start" if started else "the middle of its bounds"
        text = f"{name} has no trajectory {where}".rstrip()
        text = f"{text}: {measured(values[name], scalar.measure)} is assumed, {whence}"
        findings.append(Finding(Severity.NOTE, name, text, f"Give inputs={{{name}: ...}}, or decide it by free=."))
    return values, findings


def _elements(entries: Mapping[str, Any]) -> set[str]:
    error, flat = _tried(lambda: by_element(entries, "entries"))
    return set(flat) if error is None else {str(name) for name in entries}
