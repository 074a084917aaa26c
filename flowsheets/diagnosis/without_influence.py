"""What influences nothing? Controls, streams, parameters and decisions that no rate, equation or term depends on."""

from __future__ import annotations

from collections.abc import Iterator

import casadi as ca

from titer.flowsheets.corrections.coefficients import is_coefficient
from titer.flowsheets.declarations import Conserved, Control, Inlet, Parameter
from titer.flowsheets.diagnosis.alone import Alone, raw
from titer.flowsheets.diagnosis.examined import Examined, listed
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import names_read
from titer.flowsheets.diagnosis.reach import changing, moved
from titer.flowsheets.operation import Operation, point_before
from titer.flowsheets.terms import Integral
from titer.flowsheets.trace import port_scalars
from titer.numerics.errors import TiterError


def decisions_without_influence(examined: Examined) -> Iterator[Finding]:
    """Decisions that move nothing, or nothing that is wanted or required."""
    terms = (*examined.limits, *examined.wanted)
    for name in sorted(examined.free_names):
        phases = moved(examined.planned, frozenset({name}))
        if any(seen.reads & phases[seen.k] for seen in terms):
            continue
        if any(names - {name} for names in phases):
            if terms:
                text = f"{name} is decided, but neither the objective nor a limit depends on it"
                mend = "Leave it out of free=, or let the objective read what it acts on."
                yield Finding(Severity.WARNING, name, text, mend)
            continue
        text = f"{name} is decided, but it influences nothing: no rate, equation or term depends on it"
        mend = "Leave it out of free=, or put it into the equations where it belongs."
        yield Finding(Severity.ERROR, name, text, mend)


def objective_without_influence(examined: Examined) -> Iterator[Finding]:
    """An objective that no decision reaches."""
    if not examined.wanted or not examined.decides:
        return
    phases = moved(examined.planned, examined.free_names, durations=True)
    lasts = [o.duration.free for o in examined.planned]
    if any(
        seen.reads & phases[seen.k] or (lasts[seen.k] and isinstance(seen.term, Integral)) for seen in examined.wanted
    ):
        return
    read = sorted({name for seen in examined.wanted for name in seen.reads - set(examined.parameter_names())})
    decided = ", ".join(sorted(examined.free_names)) or "the durations"
    text = f"the objective depends on no decision: it reads {listed(read) or 'nothing that moves'}"
    mend = "Let it read what the decisions act on, or decide something that acts on it."
    yield Finding(Severity.ERROR, "objective", f"{text}, which {decided} cannot change", mend)


def names_without_influence(examined: Examined) -> Iterator[Finding]:
    """Controls and streams that change no rate and no equation, parameters that nothing reads, units at rest."""
    acting, read = _acting(examined), _read(examined)
    free = examined.free_names
    active = {name for o in examined.planned for name in _active_units(examined, o)}
    for one in examined.alone:
        if one.unit.name not in active:
            text = f"{one.unit.name} is idle in every phase of the recipe"
            yield Finding(Severity.NOTE, one.unit.name, text, "Leave it out of the flowsheet, or of some idle=[...].")
            continue
        yield from _unused_streams(one, examined)
        for scalar in one.unit.scalars.values():
            name = str(scalar.name)
            if name in free or name in acting or is_coefficient(name):
                continue
            if scalar.kind == Control.kind and name in _controls_seen(examined):
                text = f"{name} influences nothing: no rate and no equation depends on it in any phase"
                mend = "Put it into the equations where it belongs, or remove it."
                yield Finding(Severity.WARNING, name, text, mend)
            elif scalar.kind == Parameter.kind and name not in read:
                text = f"{name} is not used: no rate, equation, expression, outlet or total reads it"
                mend = "Put it into the equations where it belongs, or remove it."
                yield Finding(_gravity(one, scalar.local), name, text, mend)


def states_at_rest(examined: Examined) -> Iterator[Finding]:
    """States whose rate is zero in every phase, and that nothing sets."""
    seen = dict.fromkeys(v.name for operation in examined.planned for v in operation.lowered.dae.states)
    moving = {name for o in examined.planned for name in (*changing(o.lowered.dae), *o.resets)}
    for name in seen:
        if name not in moving:
            text = f"{name} never changes: its rate is zero in every phase, and no phase sets it"
            yield Finding(Severity.NOTE, name, text, "Declare it as a Parameter, or give it the rate it should have.")


def _gravity(one: Alone, local: str) -> Severity:
    """A parameter of the class itself was forgotten; one that is inherited, or a part's, may rest by intention."""
    own = local.partition("[")[0] in vars(type(one.unit))
    return Severity.WARNING if own else Severity.NOTE


def _acting(examined: Examined) -> frozenset[str]:
    """Names on which a rate or an equation depends in some phase."""
    found: frozenset[str] = frozenset()
    for operation in examined.planned:
        dae = operation.lowered.dae
        found |= names_read(dae.function, 0, dae) | names_read(dae.function, 1, dae)
        if dae.invariants is not None:
            found |= names_read(dae.invariants, 0, dae)
    return found


def _read(examined: Examined) -> frozenset[str]:
    """Names that an output, a term, an end condition, a reset or a conserved total reads."""
    found = frozenset(name for seen in (*examined.limits, *examined.wanted) for name in seen.reads)
    for k, operation in enumerate(examined.planned):
        dae = operation.lowered.dae
        found |= names_read(dae.function, 2, dae)
        if operation.event is not None:
            found |= names_read(operation.event.function, 0, dae)
        for value in operation.resets.values():
            if isinstance(value, ca.Function):
                found |= names_read(value, 0, point_before(examined.planned, k).lowered.dae)
    for one in examined.alone:
        found |= _read_by_totals(one)
    return found


def _read_by_totals(one: Alone) -> frozenset[str]:
    try:
        entries = one.unit.conserved(one.traced.view).values()
    except TiterError:
        return frozenset()
    pairs = [e if isinstance(e, Conserved) else Conserved(e) for e in entries]
    function = one.function([raw(value) for e in pairs for value in (e.total, e.source)])
    return names_read(function, 0, one.dae)


def _active_units(examined: Examined, operation: Operation) -> set[str]:
    return {unit.name for unit in examined.plant.units} - set(operation.phase.idle_names)


def _controls_seen(examined: Examined) -> set[str]:
    """Controls that are inputs of some phase; those given as functions of time are part of the equations."""
    return {v.name for operation in examined.planned for v in operation.lowered.dae.inputs}


def _unused_streams(one: Alone, examined: Examined) -> Iterator[Finding]:
    """Inlets of which the equations read nothing."""
    used = names_read(one.dae.function, 0, one.dae) | names_read(one.dae.function, 1, one.dae)
    used |= names_read(
        one.function([raw(v) for v in (*one.traced.expression.values(), *one.traced.port.values())]), 0, one.dae
    )
    for key, _ in one.unit.ports(Inlet):
        inside = [f"{one.unit.name}.{local}" for local in port_scalars(one.unit, Inlet) if local.startswith(f"{key}.")]
        ignored = [name for name in inside if name not in used]
        if inside and len(ignored) == len(inside):
            text = f"{one.unit.name}.{key} changes nothing: the equations read none of its stream"
            mend = f"Read v.{key} in the balances of {one.unit.name}, or remove the inlet."
            yield Finding(Severity.WARNING, f"{one.unit.name}.{key}", text, mend)
        elif ignored:
            text = f"{listed(ignored)}: carried by the stream into {one.unit.name}.{key}, but read by no equation"
            yield Finding(Severity.NOTE, ignored[0], text)
