"""What will happen whatever is decided? A volume that inputs alone move and that must leave its limits."""

from __future__ import annotations

from collections.abc import Iterator

from titer.flowsheets.diagnosis.examined import Examined
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.problems.inevitable import inevitable
from titer.flowsheets.problems.problem import Problem, Run, phases_of
from titer.flowsheets.terms import Sum
from titer.numerics.errors import TiterError


def bound_to_leave(examined: Examined) -> Iterator[Finding]:
    """States that inputs alone move and that cannot stay within their domain, or within a limit on them."""
    asked = examined.asked
    run = Run(asked.plant, asked.recipe, asked.inputs, Sum(()), asked.constraints)
    try:
        terms = phases_of(run, asked.free)
        problem = Problem((run,), asked.free)
    except TiterError:  # what is refused at the door is said there
        return
    for leaving in inevitable(problem, [terms]):
        yield Finding(Severity.ERROR, leaving.state, leaving.text, leaving.mend)
