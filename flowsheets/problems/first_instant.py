"""Does a path hold at the first instant of a phase? Where something is decided there; a given start is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Operation
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.problems.problem import Placed, Run


def from_the_start(
    run: Run,
    free: Mapping[str, Any],
    planned: Sequence[Operation],
    k: int,
    path: Placed,
    placed: Sequence[Mapping[str, Sequence[Placed]]],
) -> Placed:
    """A path with its first instant: held where something is decided there, checked where all of it is given.

    Raises SpecificationError where a given start violates it: no decision could mend that.
    """
    function, operation = path.function, planned[k]
    if any(function.jac_sparsity(0, i).nnz() for i in (2, 3)):
        return replace(path, at_start=True)
    dae = operation.lowered.dae
    names, parameters = [v.name for v in dae.states], [v.name for v in dae.parameters]
    read = {names[i] for i in function.jac_sparsity(0, 1).get_col()}
    numbers = {parameters[i] for i in function.jac_sparsity(0, 4).get_col()}
    if k:
        before = any(other.term is path.term for other in placed[k - 1]["paths"])
        changed = any(operation.fixed.get(name) != planned[k - 1].fixed.get(name) for name in numbers)
        return replace(path, at_start=bool(operation.resets) or changed or not before)
    decided = {str(each) for name in free for each in elements_of(name)}
    if any(not isinstance(value, float) for value in operation.resets.values()):
        return replace(path, at_start=True)  # actions may carry decisions into it
    if (read | numbers - set(operation.fixed)) & decided:
        return replace(path, at_start=True)
    if run.underway:
        return path
    values = run.plant.values
    x = [operation.resets.get(name, values[name]) for name in names]
    p = [operation.fixed.get(name, values.get(name, np.nan)) for name in parameters]
    if read:
        value = float(function(0.0, x, np.zeros(function.numel_in(2)), np.zeros(function.numel_in(3)), p))
        slack = 1e-9 * max(1.0, abs(value))
        if not path.lower - slack <= value <= path.upper + slack:
            raise SpecificationError(
                f"{path.term.label()}: the given start violates this limit before anything can be decided: "
                f"it is {value:.6g} {path.measure.label}, allowed are [{path.lower:g}, {path.upper:g}].\n"
                f"  Change the start or the limit, or free it: free={{{sorted(read)[0]}: Free(guess, lower, upper)}}."
            )
    return path
