"""What does a phase set as it begins? The numbers of its resets, from the last point before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.operation import Operation, point_before
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError

Point = tuple[float, Array, Array, Array, Array]  # t, x, z, u, p


def fresh_states(planned: Sequence[Operation], k: int, point: Point) -> dict[str, float]:
    """The states that are set when phase k begins, by name; functions all see the same point before it.

    `point`: of the operation that `point_before` names. Raises SpecificationError for what is not finite.
    """
    operation = planned[k]
    fresh: dict[str, float] = {}
    for name, value in operation.resets.items():
        fresh[name] = value if isinstance(value, float) else float(value(*point))
        if not np.isfinite(fresh[name]):
            started = name in by_element(operation.phase.start, "start")
            what = f"start of {name}" if started else f"{name} by its actions"
            when = f"at the end of {point_before(planned, k).name!r}" if k else "with the initial values"
            raise SpecificationError(
                f"Phase {operation.name!r}: {what}: expected a finite number, "
                f"the function gives {fresh[name]!r} {when}."
            )
    return fresh
