"""What stands in the slots of a run's blocks? Links carry states, parameters, decisions and time between phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.problems.input_wires import wire_edges, wire_inputs
from titer.flowsheets.problems.placing import Placement, roomy, total_name, widened
from titer.flowsheets.problems.problem import FreeNumber, PhaseTerms, Placed
from titer.flowsheets.problems.wires import Part, Wiring, carry, columns_of, fix_to, follows, room_wire, rows_of
from titer.numerics.nlp import Block, Columns, Decide, Fix, Labels, Same, Tie, Wire, slots_block


def wire_parameters_of_run(wiring: Wiring, r: int) -> Block:
    """The block of a run's parameters: free ones are decided once and shared by all runs."""
    plant = wiring.problem.runs[r].plant
    scalars = [s for s in plant.scalars.values() if s.kind == Parameter.kind]
    block = slots_block(f"parameters {r + 1}", values=len(scalars))
    wiring.blocks.append(block)
    decided = {n.name: n for n in wiring.numbers if n.kind == Parameter.kind}
    slot = block.slot("values")
    for i, scalar in enumerate(scalars):
        name = str(scalar.name)
        if name not in decided:
            wiring.links.append(Fix(slot[i], np.array([scalar.start]), name))
        elif r and not decided[name].each:
            wiring.links.append(Same(slot[i], wiring.blocks[0].slot("values")[i]))
        else:
            number = decided[name]
            wiring.links.append(Decide(slot[i], columns_of([name], number.lower, number.upper)))
            _expect(wiring, number, slot[i])
            if number.log:
                _decide_logarithm(wiring, number, slot[i], r)
    return block


def _expect(wiring: Wiring, number: FreeNumber, cell: Wire) -> None:
    """What is known of a number beforehand: ((number - mean) / deviation)^2 in the objective."""
    if number.prior is None:
        return
    mean, deviation = number.prior
    v = ca.SX.sym("v", 1)
    cost = ca.Function("prior", [v], [ca.SX(0, 1), ((v - mean) / deviation) ** 2])
    wiring.links.append(Tie(cost, (cell,), np.zeros(0), np.zeros(0), Labels.of([]), 1.0))


def log_block(name: str, r: int) -> str:
    """The name of the block that holds the logarithm of a parameter, of run `r`."""
    return f"log {name}, {r + 1}"


def _decide_logarithm(wiring: Wiring, number: FreeNumber, cell: Wire, r: int) -> None:
    block = slots_block(log_block(number.name, r), value=1)
    wiring.blocks.append(block)
    upper = np.log(number.upper) if np.isfinite(number.upper) else np.inf
    lower = np.log(number.lower) if number.lower > 0.0 else -np.inf
    wiring.links.append(Decide(block.slot("value"), columns_of([f"log {number.name}"], lower, upper)))
    v = ca.SX.sym("v", 2)
    tie = ca.Function("logarithm", [v], [ca.log(v[0]) - v[1], ca.SX(0.0)])
    wiring.links.append(rows_of(tie, (cell, block.slot("value")), 0.0, 0.0, [f"log {number.name}"]))


def wire_run(
    wiring: Wiring,
    r: int,
    placements: Sequence[Placement],
    plant_block: Block,
    shared: Sequence[Placement] | None,
) -> None:
    """Link the phases of run `r`. `shared`: of the run that it shares decisions with, as far as the hedge says."""
    run = wiring.problem.runs[r]
    links = wiring.links
    wiring.parts.append([])
    where: dict[str, Wire | float] = {n: s.start for n, s in run.plant.scalars.items() if s.kind == State.kind}
    where |= _decided_starts(wiring, 0 if shared is not None else r)
    last = {id(total.term): p.terms for p in placements for total in p.terms.carried}
    hedge = wiring.problem.hedge
    knows_time = _reads_time(placements)
    clock: Wire | float = 0.0
    for k, placement in enumerate(placements):
        block, operation = placement.block, placement.operation
        share = 1.0 if hedge is None else hedge.shared[k]
        twin = shared[k] if shared is not None and share > 0.0 else None
        _wire_parameters(wiring, placement, plant_block, where)
        known = {earlier.operation.name: earlier for earlier in placements[:k]}
        _wire_duration(wiring, placement, twin if share >= 1.0 else None, known)
        wire_inputs(wiring, placement, placements[k - 1] if k else None, twin, share)
        _wire_start(wiring, placement, placements[k - 1] if k else None, where)
        wire_edges(wiring, placement, twin, share)
        links.append(
            fix_to(block.slot("clock"), clock, "clock")
            if isinstance(clock, float)
            else Same(block.slot("clock"), clock)
        )
        clock = _next_clock(wiring, placement, clock, knows_time and k + 1 < len(placements))
        end = block.port("end")
        where |= {v.name: end[i] for i, v in enumerate(placement.dae.states)}
        if operation.event is not None:
            residual = _at_end(placement, operation.event.function)
            links.append(rows_of(residual, _end_wires(block), 0.0, 0.0, [operation.event.text], block.name, 1.0))
        _wire_terms(wiring, placement, last)


def starts_block(r: int) -> str:
    """The name of the block that holds the decided initial states of run `r`."""
    return f"starts {r + 1}"


def _decided_starts(wiring: Wiring, r: int) -> dict[str, Wire]:
    """Decided initial states of run `r`, wherever its phases first read them: active, or held at rest."""
    numbers = [n for n in wiring.numbers if n.kind == State.kind]
    block = slots_block(starts_block(r), **{n.name: 1 for n in numbers})
    if all(other.name != block.name for other in wiring.blocks):
        wiring.blocks.append(block)
        for number in numbers:
            columns = columns_of([f"{number.name} at the start"], number.lower, number.upper)
            wiring.links.append(Decide(block.slot(number.name), columns))
            _expect(wiring, number, block.slot(number.name))
    return {n.name: block.slot(n.name) for n in numbers}


def _wire_parameters(
    wiring: Wiring, placement: Placement, plant_block: Block, where: Mapping[str, Wire | float]
) -> None:
    slot, source = placement.block.slot("parameters"), plant_block.slot("values")
    held, fixed = placement.operation.lowered.held, placement.operation.fixed
    names = [v.name for v in placement.operation.lowered.dae.parameters]
    for i, chance in enumerate(placement.rooms):
        wiring.links.append(Same(slot[len(names) + i], room_wire(chance, len(wiring.parts) - 1)))
    plain = [i for i, name in enumerate(names[: len(names) - len(held)]) if name not in fixed]
    wiring.links.append(Same(slot[np.array(plain, dtype=int)], source[np.array(plain, dtype=int)]))
    for i, name in enumerate(names):
        if name in fixed:
            wiring.links.append(fix_to(slot[i], fixed[name], name))
        elif name in held:
            wiring.links.append(carry(slot[i], where[name], name))


def _wire_duration(
    wiring: Wiring, placement: Placement, twin: Placement | None, known: Mapping[str, Placement]
) -> None:
    block, duration = placement.block, placement.operation.duration
    slot = block.slot("duration")
    if not duration.free:
        wiring.links.append(fix_to(slot, duration.guess, f"duration of {block.name}"))
    elif duration.same_as:
        wiring.links.append(Same(slot, known[duration.same_as].block.slot("duration")))
    elif twin is not None and placement.operation.event is None:
        wiring.links.append(Same(slot, twin.block.slot("duration")))
    else:
        columns = columns_of(
            [f"duration of {placement.operation.name}"], max(duration.lower, 1e-9), duration.upper, block.name
        )
        wiring.links.append(Decide(slot, columns))


def _wire_start(
    wiring: Wiring, placement: Placement, before: Placement | None, where: Mapping[str, Wire | float]
) -> None:
    block, operation = placement.block, placement.operation
    slot = block.slot("start")
    for i, variable in enumerate(placement.dae.states):
        name, cell = variable.name, slot[i]
        reset = operation.resets.get(name)
        if isinstance(reset, float):
            wiring.links.append(fix_to(cell, reset, name))
        elif reset is not None:
            columns = Columns(
                Labels.of([name], block.name, 0.0),
                np.array([variable.lower]),
                np.array([variable.upper]),
                np.ones(1, bool),
            )
            wiring.links.append(Decide(cell, columns))
            value, v, wires = _reset_of(wiring, reset, placement, before, where)
            wiring.links.append(follows(value, v, (*wires, cell), f"{name} reset", block.name, 0.0))
        else:
            wiring.links.append(carry(cell, where.get(name, 0.0), name))


def _reset_of(
    wiring: Wiring,
    reset: ca.Function,
    placement: Placement,
    before: Placement | None,
    where: Mapping[str, Wire | float],
) -> tuple[ca.SX, ca.SX, tuple[Wire, ...]]:
    """What a reset gives, of which symbols, and which cells these are."""
    if before is not None:
        v = ca.SX.sym("v", 2 + sum(before.dae.sizes))
        point = before.dae.split(ca.vertcat(v[0] + v[1], v[2:]))
        return widened(reset, before.dae)(*point), v, _end_wires(before.block)
    dae, block = placement.operation.lowered.dae, placement.block  # actions read the states before it, and parameters
    n, count = len(dae.states), len(dae.parameters)
    v = ca.SX.sym("v", n + count)
    nothing = (ca.SX.zeros(len(dae.algebraics)), ca.SX.zeros(len(dae.inputs)))
    wires = (_states_before(wiring, placement, where), block.slot("parameters")[:count])
    return reset(0.0, v[:n], *nothing, v[n:]), v, wires


def before_block(name: str) -> str:
    """The name of the block that holds the states before the actions of the recipe's first phase."""
    return f"before {name}"


def _states_before(wiring: Wiring, placement: Placement, where: Mapping[str, Wire | float]) -> Wire:
    names = [v.name for v in placement.operation.lowered.dae.states]
    block = slots_block(before_block(placement.block.name), states=len(names))
    slot = block.slot("states")
    if all(other.name != block.name for other in wiring.blocks):
        wiring.blocks.append(block)
        wiring.links += [carry(slot[i], where[name], name) for i, name in enumerate(names)]
    return slot


def _wire_terms(wiring: Wiring, placement: Placement, last: Mapping[int, PhaseTerms]) -> None:
    block, terms = placement.block, placement.terms
    for placed, instant in [(p, 0) for p in terms.at_start] + [(p, 1) for p in terms.at_end]:
        function = widened(placed.function, placement.dae)
        v = ca.SX.sym("v", 2 + sum(placement.dae.sizes))
        value = function(*placement.dae.split(ca.vertcat(v[0] + (v[1] if instant else 0.0), v[2:])))
        start = block.ports["start"].copy()
        start[start < 0] = block.slot("clock").cells[0]  # algebraic variables that the term does not read
        wires = _end_wires(block) if instant else (block.slot("clock"), block.slot("duration"), Wire(block.name, start))
        _add_term(wiring, placed, v, value, wires, block.name, float(instant))
    for placed in terms.carried:
        if last[id(placed.term)] is terms:  # a total is carried from phase to phase; its limit holds at its end
            i = [v.name for v in placement.dae.states].index(total_name(placed))
            v = ca.SX.sym("v", 1)
            _add_term(wiring, placed, v, v, (block.port("end")[i],), block.name, 1.0)


def _add_term(wiring: Wiring, placed: Placed, v, value, wires, phase: str, tau: float) -> None:  # type: ignore[no-untyped-def]
    run = len(wiring.parts) - 1
    if placed.weight and wiring.problem.runs[run].gathered:
        wiring.parts[run].append(Part(ca.Function("cost", [v], [value]), wires, placed.weight))
    elif placed.weight:
        function = ca.Function("cost", [v], [ca.SX(0, 1), value])
        wiring.links.append(Tie(function, wires, np.zeros(0), np.zeros(0), Labels.of([]), placed.weight))
    if placed.chance is not None:
        room, more = ca.SX.sym("room"), (*wires, room_wire(placed.chance, run))
        for way, limits in roomy(placed):
            function = ca.Function("limit", [ca.vertcat(v, room)], [value + way * room, ca.SX(0.0)])
            wiring.links.append(rows_of(function, more, *limits, [placed.term.label()], phase, tau))
    elif np.isfinite(placed.lower) or np.isfinite(placed.upper):
        function = ca.Function("limit", [v], [value, ca.SX(0.0)])
        wiring.links.append(rows_of(function, wires, placed.lower, placed.upper, [placed.term.label()], phase, tau))


def _next_clock(wiring: Wiring, placement: Placement, clock: Wire | float, wanted: bool) -> Wire | float:
    duration = placement.operation.duration
    if not wanted:
        return 0.0
    if isinstance(clock, float) and not duration.free:
        return clock + duration.guess
    block = slots_block(f"clock after {placement.block.name}", time=1)
    wiring.blocks.append(block)
    cell = block.slot("time")
    wiring.links.append(Decide(cell, columns_of([f"time at the end of {placement.block.name}"], -np.inf, np.inf)))
    v = ca.SX.sym("v", 2)
    wires = (placement.block.slot("clock"), placement.block.slot("duration"), cell)
    wiring.links.append(follows(v[0] + v[1], v, wires, f"time at the end of {placement.block.name}"))
    return cell


def _reads_time(placements: Sequence[Placement]) -> bool:
    for placement in placements:
        terms = placement.terms
        functions = [p.function for p in (*terms.at_start, *terms.at_end, *terms.totals)]
        resets = [f for f in placement.operation.resets.values() if not isinstance(f, float)]
        events = [placement.operation.event.function] if placement.operation.event else []
        if placement.transcribed.segment.knows_time or placement.dae.depends_on_time(*functions, *resets, *events):
            return True
    return False


def _end_wires(block: Block) -> tuple[Wire, ...]:
    return block.slot("clock"), block.slot("duration"), block.port("end")


def _at_end(placement: Placement, function: ca.Function) -> ca.Function:
    v = ca.SX.sym("v", 2 + sum(placement.dae.sizes))
    point = placement.dae.split(ca.vertcat(v[0] + v[1], v[2:]))
    return ca.Function("until", [v], [widened(function, placement.dae)(*point), ca.SX(0.0)])
