"""What is a column given, step by step? Phases of a buffer: equilibrate, load, wash, gradients, strip, regenerate.

    feed = {"product": 2.0, "salt": 50.0}
    recipe = Recipe(
        step(column, "equilibrate", {"salt": 50.0}, flow=5.0, volumes=3.0),
        step(column, "load", feed, flow=5.0, duration=Free(600.0, 60.0, 3600.0)),
        step(column, "wash", {"salt": 50.0}, flow=5.0, volumes=5.0),
        gradient(column, "elute", {"salt": 50.0}, {"salt": 500.0}, flow=5.0, volumes=20.0),
        step(column, "strip", {"salt": 1000.0}, flow=5.0, volumes=3.0),
    )

Steps of several columns run at once by `together`: twin columns that switch have one of them loaded and the other
eluted in a phase, and the roles exchanged in the next; `cycles` repeats both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from titer.flowsheets.profiles import PiecewiseLinear
from titer.flowsheets.recipe import Free, Phase
from titer.flowsheets.symbols.symbol import quantity
from titer.numerics.errors import SpecificationError, unknown


def step(
    column: Any,
    name: str,
    buffer: Mapping[str, float],
    flow: float,
    volumes: Any = None,
    duration: Any = None,
    decided: Sequence[str] = (),
    **more: Any,
) -> Phase:
    """A phase in which a column is given one buffer.

    `buffer`: concentrations in the column's unit, 0 for components left out; `flow` [mL/min]; how long: `volumes`, in
    column volumes, or `duration`, as a Phase takes it (a number, Free, ...). What else a Phase takes (routes, fixed,
    idle...) goes on to it. `decided`: inputs that an optimization decides in `free=`, such as column.feed.flow or
    column.feed.c["salt"]; the phase leaves them open, and what they are first belongs in the problem's `inputs`. Where
    the length is decided, give duration=Free(...). Raises SpecificationError for an unknown component, for a buffer
    without what the column's binding cannot do without (salt of an ion exchanger, pH of Protein A), for a flow that is
    not positive.
    """
    return gradient(column, name, buffer, buffer, flow, volumes, duration, decided, **more)


def gradient(
    column: Any,
    name: str,
    start: Mapping[str, float],
    end: Mapping[str, float],
    flow: float,
    volumes: Any = None,
    duration: Any = None,
    decided: Sequence[str] = (),
    **more: Any,
) -> Phase:
    """A phase in which a column is given a linear gradient from one buffer to another; otherwise as `step`."""
    what = f"Phase {name!r}"
    for buffer in (start, end):
        for key in buffer:
            if key not in column.components:
                raise SpecificationError(f"{what}: {unknown('component', key, column.components)}")
        for key in column.binding.indispensable():
            if key not in buffer and column.feed.c[key] not in {*more.get("inputs", {}), *decided}:
                raise SpecificationError(
                    f"{what}: the buffer has no {key}, without which {column.name} knows no binding.\n"
                    f"  Give {{{key!r}: ...}} too; what is left out is 0."
                )
    if not flow > 0.0:
        raise SpecificationError(
            f"{what}: the flow through {column.name} must be positive, got {flow!r} mL/min.\n"
            f"  A column at rest is idle: Phase({name!r}, duration=..., idle=[{column.name}])."
        )
    if (volumes is None) == (duration is None):
        raise SpecificationError(f"{what}: say how long, by volumes= (column volumes) or by duration=, one of them.")
    if isinstance(volumes, Free):
        raise SpecificationError(
            f"{what}: volumes is a number of column volumes, got {volumes!r}.\n"
            f"  A length that is decided is a duration=Free(guess, lower, upper), in the flowsheet's time."
        )
    if volumes is not None:
        duration = quantity(column.bed.seconds(volumes, flow), "s")
    inputs: dict[str, Any] = {column.feed.flow: flow}
    for key in column.components:
        a, b = float(start.get(key, 0.0)), float(end.get(key, 0.0))
        inputs[column.feed.c[key]] = a if a == b else PiecewiseLinear(values=[a, b])
    for key in decided:
        if key not in inputs:
            raise SpecificationError(f"{what}: decided: {unknown('input', key, inputs)}")
        del inputs[key]
    return Phase(name, duration=duration, **{**more, "inputs": {**inputs, **more.get("inputs", {})}})


def together(name: str, *phases: Phase) -> Phase:
    """One phase of several that run at once, on different columns, as long as the first of them.

    Raises SpecificationError where they give one input twice, and where the others have an end of their own.
    """
    first = phases[0]
    joined: dict[str, dict[str, Any]] = {"inputs": {}, "fixed": {}, "start": {}}
    lists: dict[str, list[Any]] = {"idle": [], "routes": [], "actions": []}
    for phase in phases:
        if phase is not first and phase.until is not None:
            raise SpecificationError(f"Phase {name!r}: only the first of its steps may have an end by `until`.")
        for kind, found in joined.items():
            for key, value in getattr(phase, kind).items():
                if key in found:
                    raise SpecificationError(f"Phase {name!r}: {kind} of {key} are given by two of its steps.")
                found[key] = value
        for kind, collected in lists.items():
            collected += getattr(phase, kind)
    return replace(first, name=name, **joined, **lists)  # type: ignore[arg-type]
