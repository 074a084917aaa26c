"""How do inputs depart from their trajectories? By further parameters of each phase, so that derivatives along them are
those of any parameter.

    u = (1 + r) u_planned      or      u = u_planned + d
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import casadi as ca

from titer.analysis.processes.variations import Vary
from titer.flowsheets.lowering import Lowered
from titer.flowsheets.operation import Operation, point_before
from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import SpecificationError


def departure_of(name: str) -> str:
    """What the departure of an input is called."""
    return f"departure({name})"


def departing(planned: Sequence[Operation], inputs: Mapping[str, Vary]) -> tuple[Operation, ...]:
    """Phases in which inputs depart, by a parameter each, 0 as planned.

    Raises SpecificationError for an input that no phase has, or whose trajectory is a function of time.
    """
    if not inputs:
        return tuple(planned)
    _check(planned, inputs)
    made: dict[ca.Function, Dae] = {}
    found = []
    for k, operation in enumerate(planned):
        key = operation.lowered.dae.function
        if key not in made:
            made[key] = _departing(operation.lowered.dae, inputs)
        dae = replace(
            operation.lowered.dae,
            function=made[key].function,
            invariants=made[key].invariants,
            parameters=(*operation.lowered.dae.parameters, *_parameters(inputs)),
        )
        before = point_before(planned, k).lowered
        resets = {
            name: value if isinstance(value, float) else _moved(value, before.dae, inputs)
            for name, value in operation.resets.items()
        }
        found.append(replace(operation, lowered=_lowered(operation.lowered, dae, inputs), resets=resets))
    return tuple(found)


def _parameters(inputs: Mapping[str, Vary]) -> tuple[Variable, ...]:
    return tuple(Variable(departure_of(name), start=0.0, nominal=vary.deviation) for name, vary in inputs.items())


def _departing(dae: Dae, inputs: Mapping[str, Vary]) -> Dae:
    """The model with the departures as further parameters."""
    points = _symbols(dae, inputs)
    found = dae.function(*_planned(dae, points, inputs))
    function = ca.Function("plant", points, list(found))
    held = dae.invariants
    invariants = None if held is None else ca.Function("held", points, [held(*_planned(dae, points, inputs))])
    return replace(dae, function=function, invariants=invariants, parameters=(*dae.parameters, *_parameters(inputs)))


def _moved(function: ca.Function, dae: Dae, inputs: Mapping[str, Vary]) -> ca.Function:
    """A function of a phase's point, as one of the point with departures."""
    points = _symbols(dae, inputs)
    return ca.Function("reset", points, [function(*_planned(dae, points, inputs))])


def _lowered(lowered: Lowered, dae: Dae, inputs: Mapping[str, Vary]) -> Lowered:
    """The lowered phase, whose view still shows inputs as they are: departed."""
    t, x, z, u, p = lowered.symbols
    names = [v.name for v in lowered.dae.inputs]
    off = ca.SX.sym("departures", len(inputs))
    moved = _applied(u, off, names, inputs)
    if lowered.driven is None:
        driven = (u, moved)
    else:
        traced, shown = lowered.driven
        driven = (traced, ca.substitute(shown, u, moved))
    return replace(lowered, dae=dae, symbols=(t, x, z, u, ca.vertcat(p, off)), driven=driven)


def _symbols(dae: Dae, inputs: Mapping[str, Vary]) -> list[ca.SX]:
    nx, nz, nu, npar = dae.sizes
    sizes = {"t": 1, "x": nx, "z": nz, "u": nu, "p": npar + len(inputs)}
    return [ca.SX.sym(name, size) for name, size in sizes.items()]


def _planned(dae: Dae, point: Sequence[ca.SX], inputs: Mapping[str, Vary]) -> list[ca.SX]:
    """The point as the model without departures takes it."""
    t, x, z, u, p = point
    count = len(dae.parameters)
    return [t, x, z, _applied(u, p[count:], [v.name for v in dae.inputs], inputs), p[:count]]


def _applied(u: ca.SX, off: ca.SX, names: Sequence[str], inputs: Mapping[str, Vary]) -> ca.SX:
    rows = [u[i] for i in range(len(names))]
    for j, (name, vary) in enumerate(inputs.items()):
        if name in names:
            i = names.index(name)
            rows[i] = rows[i] * (1.0 + off[j]) if vary.relative else rows[i] + off[j]
    return ca.vertcat(ca.SX(0, 1), *rows)


def _check(planned: Sequence[Operation], inputs: Mapping[str, Vary]) -> None:
    for name in inputs:
        if any(name in (v.name for v in o.lowered.dae.inputs) for o in planned):
            continue
        if any(name in (v.name for v in o.lowered.dae.outputs) for o in planned):
            raise SpecificationError(
                f"{name} varies, and its trajectory is a function of time or exponential: it has no values to depart "
                "from.\n  Give a number, a Series, or PiecewiseConstant(values=...) or PiecewiseLinear(values=...)."
            )
        raise SpecificationError(f"{name} varies, and is an input in no phase of the recipe.")
