"""What is a batch judged by? Values at the end of the recipe, or of a phase, with their derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.analysis.networks import Kind, Node
from titer.estimation.estimators.entries import Entries
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.steps import Reading, reading_of
from titer.estimation.estimators.timeline import Timeline
from titer.flowsheets.lowering import evaluate
from titer.flowsheets.operation import Operation
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import AtEnd
from titer.numerics.errors import SpecificationError, unknown

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Attribute:
    """An attribute of quality: its node, the phase at whose end it is read (by number), and how."""

    node: Node
    phase: int
    reading: Reading

    def read(self, model: SampledModel, s: Array) -> tuple[float, Array]:
        """Its value at entries (n,), and its derivatives (n,). Raises SolveError."""
        t = float(model.timeline.ends[self.phase + 1])
        z = np.array(list(model.algebraics(s, {}, t).values()))
        u = model.timeline.inputs_at(self.phase, t, {})
        found = self.reading.function(s, z, t, u, model.phases[self.phase].p).full()
        return float(found[0, 0]), found[0, 1:]


def attributes_of(
    planned: Sequence[Operation],
    timeline: Timeline,
    entries: Entries,
    given: Mapping[str, Any],
    stages: Sequence[float],
) -> tuple[Attribute, ...]:
    """Attributes by name: `AtEnd(f)`, or the name of a variable. Raises SpecificationError."""
    return tuple(_attribute(planned, timeline, entries, str(name), what, stages) for name, what in given.items())


def _attribute(
    planned: Sequence[Operation],
    timeline: Timeline,
    entries: Entries,
    name: str,
    what: Any,
    stages: Sequence[float],
) -> Attribute:
    term = _term(name, what)
    names = [o.name for o in planned]
    if term.phase is not None and term.phase not in names:
        raise SpecificationError(f"attributes: {name}: {unknown('phase', term.phase, names)}")
    k = names.index(term.phase) if term.phase is not None else len(names) - 1
    stage = float(timeline.ends[k + 1])
    near = [t for t in stages if abs(t - stage) <= timeline.resolution]
    if not near:
        raise SpecificationError(
            f"attributes: {name} is read at {stage:g}, the end of phase {names[k]!r}, which is no stage.\n"
            f"  Add {stage:g} to stages."
        )
    value = evaluate(term.function, planned[k].lowered.view, f"attributes: {name}")
    unit = value.measure.label if isinstance(value, Symbol) else ""
    reading = reading_of(planned[k], entries, [planned[k].lowered.function(value, "attribute")])
    return Attribute(Node(name, near[0], Kind.ATTRIBUTE, unit), k, reading)


def _term(name: str, what: Any) -> AtEnd:
    if isinstance(what, AtEnd):
        return what
    if isinstance(what, str):
        return AtEnd(lambda v: v[what])
    raise SpecificationError(f"attributes: {name} needs AtEnd(lambda v: ...) or the name of a variable, got {what!r}.")
