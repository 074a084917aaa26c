"""What are titer's variables called in a Pyomo model, and the other way round? `component_of`, `name_of`, `value_of`.

An attribute is the local name, dots and brackets as underscores, with an underscore behind it where Pyomo, or another
component, has the name: `reactor.load` is `phase.reactor.load_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyomo.environ as pyo

from titer.flowsheets.pyomo.moments import moments_of
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd

_PYOMOS = frozenset(dir(pyo.ConcreteModel()))  # `load`, `index`, `type`, `model`, `config`, ...
_OURS = frozenset(  # what a phase has beside its unit operations
    {"time", "link", "until", "path", "at_start", "at_end", "integral", "rate_of_change", "reduced", "width", "shared"}
    | {"after_jump", "jump"}
)


def added(block: Any, name: str, component: Any) -> Any:
    """Add a component under a name, with underscores behind it where Pyomo, or another component, has the name."""
    name = name.replace(".", "_").replace("[", "_").replace("]", "").replace(",", "_")
    while name in _PYOMOS or name in _OURS or hasattr(block, name):
        name += "_"
    block.add_component(name, component)
    return component


def component_of(model: Any, name: str, phase: str | None = None) -> Any:
    """The Pyomo component behind one of titer's scalar names: over tau, and over the sets of an array.

    In the last phase, or the one given; parameters are the plant's. Raises SpecificationError.
    """
    return moments_of(phase_of(model, phase)).component(str(name))


def name_of(data: Any) -> str:
    """titer's name of a Var or Expression of a unit operation, the inverse of `component_of`.

    Of a Var over tau, of its derivative and of the pieces of an input it is the variable's. Raises SpecificationError.
    """
    component = data.parent_component()
    own = component.parent_block()
    root = own.parent_block() if own is not None else None
    for block in [root] if hasattr(root, "_titer") else _phases_beside(root):
        here = moments_of(block)
        for name, place in here.places.items():
            attributes = (place.component, place.slope, place.pieces, place.jumped)
            if here.component(name).parent_block() is not own or component.local_name not in attributes:
                continue
            index = data.index() if component.is_indexed() else ()
            index = index if isinstance(index, tuple) else (index,)
            labels = index if not place.along else index[1:]
            if component.local_name == place.pieces or labels == place.labels:
                return name
    raise SpecificationError(f"{data.name} is no variable or expression of a unit operation in a phase.")


def value_of(model: Any, name: str, phase: str | None = None, tau: float | None = None) -> float:
    """The value of one of titer's scalar names in a phase (default: the last), at a position (default: its end)."""
    block = phase_of(model, phase)
    return float(pyo.value(moments_of(block).value(str(name), block.tau.last() if tau is None else tau)))


def trajectories(model: Any) -> pd.DataFrame:
    """Everything that is known along the phases, over the recipe's time."""
    import pandas as pd

    frames, last = [], None
    for block in _phases(model).values():
        here, last = moments_of(block), block
        names = [name for name, place in here.places.items() if place.along]
        rows = {
            pyo.value(here.time(tau)): [pyo.value(here.value(n, tau), exception=False) for n in names]
            for tau in block.tau
        }
        frames.append(pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=float))
    unit = moments_of(last).plan.plant.time
    return pd.concat(frames).rename_axis(index=f"time [{unit}]")


def runs_of(model: Any) -> list[Any]:
    """The blocks that hold a plant and its phases: the model itself, or one per scenario or experiment."""
    return [model] if model.component("phase") is not None else list(model.run.values())


def phase_of(model: Any, phase: str | None) -> Any:
    """The Block of a phase of a run. Raises SpecificationError."""
    phases = _phases(model)
    names = list(phases)
    if phase is not None and phase not in names:
        raise SpecificationError(unknown("phase", phase, names))
    return phases[names[-1] if phase is None else phase]


def _phases_beside(plant: Any) -> list[Any]:
    """The phases of a run, from the block of its plant; none, where it is another block."""
    run = plant.parent_block() if plant is not None else None
    phases = run.component("phase") if run is not None and plant.local_name == "plant" else None
    return [] if phases is None else list(phases.values())


def _phases(model: Any) -> Any:
    if hasattr(model, "_titer"):
        return {moments_of(model).plan.operation.name: model}
    phases = model.component("phase")
    if phases is None:
        several = model.component("run") is not None
        raise SpecificationError(
            f"{model.name}: it has {len(model.run)} runs; say which, as in value_of({model.name}.run[1], ...)."
            if several
            else f"{model.name}: expected a model of to_pyomo, or a run of one; it has no phases."
        )
    return phases


__all__ = ["added", "component_of", "name_of", "phase_of", "runs_of", "trajectories", "value_of"]
