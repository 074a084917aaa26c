"""When does an operator decide? Stretches of time in which controls are held, or set, by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.signals import finite, in_unit
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True, eq=False)
class Manual:
    """From `start` to `end` an operator decides: `Manual(600.0, 1200.0, {reactor.T_j: 330.0})`.

    Controls that `values` do not name are held where they stand. It begins and ends with a step of the controller,
    which goes on deciding meanwhile, is told what is applied, and is not obeyed.
    """

    start: Any
    end: Any
    values: Mapping[str, Any] = field(default_factory=dict)


def manual_of(plant: Flowsheet, manual: Sequence[Any], manipulated: Sequence[str]) -> tuple[Manual, ...]:
    """Entries checked, in the plant's units; a pair of times is an entry without values. Raises SpecificationError."""
    found = []
    for each in manual:
        entry = Manual(*each) if isinstance(each, tuple) and len(each) == 2 else each
        if not isinstance(entry, Manual):
            raise SpecificationError(f"manual: expected Manual(start, end, values) or a pair of times, got {each!r}.")
        start = finite(entry.start, plant.measure_of_time, "manual: start")
        end = in_unit(entry.end, plant.measure_of_time, "manual: end")
        if not start < end:
            raise SpecificationError(f"manual: it ends at {end:g}, before it starts at {start:g}.")
        values = by_element(entry.values, "manual: values")
        for name in values:
            if name not in manipulated:
                raise SpecificationError(f"manual: {unknown('manipulated control', name, manipulated)}")
        numbers = {name: finite(value, plant.measures[name], f"manual: {name}") for name, value in values.items()}
        found.append(Manual(start, end, numbers))
    return tuple(found)
