"""Which rows tie scenarios together? The worst objective by its epigraph, and chances by the room of their limits.

The worst fraction e of the costs J_s, weights w_s (Rockafellar & Uryasev, Journal of Risk 2 (2000) 21):

    minimize a + sum w_s z_s / e,   z_s >= J_s - a,   z_s >= 0        of e = 0: minimize a,   a >= J_s

A limit g <= 0 that may be missed by a weight e has the room y_s >= g in scenario s, with one of

    sum w_s (y_s + a) <= e a,   y_s + a >= 0,   a >= 0     cautious: the mean of the worst e holds (Nemirovski &
                                                           Shapiro, SIAM J. Optim. 17 (2006) 969)
    sum w_s (1 - exp(-y_s / width)) <= e,   y_s >= 0       the count itself, as the width goes to zero: a smooth step
                                                           (Mangasarian, in Applied Mathematics and Parallel Computing,
                                                           Physica (1996) 175) in the sample average (Luedtke &
                                                           Ahmed, SIAM J. Optim. 19 (2008) 674)

The first begins; the second has open bounds until someone closes them, with a = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import casadi as ca
import numpy as np

from titer.flowsheets.problems.hedging import Hedge, Worst
from titer.flowsheets.problems.measured import cost_of, readings
from titer.flowsheets.problems.problem import PhaseTerms, Problem
from titer.flowsheets.problems.wires import Wiring, room_wire
from titer.numerics.nlp import Columns, Decide, Fix, Labels, Tie, Wire, slots_block
from titer.numerics.solution import PhaseResult

Array = np.ndarray
COSTS, EXCESS, LEVEL = "objectives", "excess of objectives", "level of the worst"


def cautious(c: int) -> str:
    """The name of the row by which chance number `c` holds in the mean of its worst scenarios."""
    return f"mean of the worst, chance {c + 1}"


def counted(c: int) -> str:
    """The name of the row by which the smoothed count of chance number `c` holds."""
    return f"smoothed count, chance {c + 1}"


def excess(c: int) -> str:
    """The name of the rows room + level >= 0 of chance number `c`."""
    return f"excess, chance {c + 1}"


def chance_block(c: int) -> str:
    """The name of the block that holds the level and the width of chance number `c`."""
    return f"chance {c + 1}"


def wire_hedge(wiring: Wiring) -> None:
    """Add the rows between scenarios, where the problem has a hedge that needs any."""
    hedge = wiring.problem.hedge
    if hedge is None:
        return
    if isinstance(hedge.objective, Worst):
        _wire_worst(wiring, hedge, hedge.objective)
    for c in range(len(wiring.problem.runs[0].roomy)):
        _wire_chance(wiring, hedge, c)


def _wire_worst(wiring: Wiring, hedge: Hedge, worst: Worst) -> None:
    n, average = len(hedge.weights), worst.fraction > 0.0
    costs, level = slots_block(COSTS, values=n), slots_block(LEVEL, value=1)
    wiring.blocks += [costs, level]
    wiring.links.append(Decide(costs.slot("values"), _open([f"objective of scenario {r + 1}" for r in range(n)])))
    wiring.links.append(Decide(level.slot("value"), _open([LEVEL])))
    for r, parts in enumerate(wiring.parts):
        sizes = [part.function.numel_in(0) for part in parts]
        pieces = [ca.SX.sym("v", size) for size in sizes]
        own = ca.SX.sym("own")
        total = sum(part.weight * part.function(v) for part, v in zip(parts, pieces, strict=True))
        row = ca.Function("objective", [ca.vertcat(*pieces, own)], [own - total, ca.SX(0.0)])
        wires = (*(wire for part in parts for wire in part.wires), costs.slot("values")[r])
        wiring.links.append(_row(row, wires, 0.0, 0.0, f"objective of scenario {r + 1}"))
    if average:
        slack = slots_block(EXCESS, values=n)
        wiring.blocks.append(slack)
        wiring.links.append(Decide(slack.slot("values"), _open([EXCESS] * n, 0.0)))
    v = ca.SX.sym("v", 3)
    above = ca.Function("above", [v], [v[0] + v[1] - v[2], ca.SX(0.0)])
    below = ca.Function("below", [v[:2]], [v[0] - v[1], ca.SX(0.0)])
    for r in range(n):
        own = costs.slot("values")[r]
        wires = (level.slot("value"), slack.slot("values")[r], own) if average else (level.slot("value"), own)
        wiring.links.append(_row(above if average else below, wires, 0.0, np.inf, f"scenario {r + 1} and the worst"))
    a, j, z = ca.SX.sym("a"), ca.SX.sym("j", n), ca.SX.sym("z", n if average else 0)
    mean = ca.dot(ca.DM(hedge.weights), j)
    tail = a + ca.dot(ca.DM(hedge.weights), z) / worst.fraction if average else a
    value = worst.weight * tail + ((1.0 - worst.weight) * mean if worst.weight < 1.0 else 0.0)
    function = ca.Function("hedged", [ca.vertcat(a, j, z)], [ca.SX(0, 1), value])
    wires = (level.slot("value"), costs.slot("values"), *((slack.slot("values"),) if average else ()))
    wiring.links.append(Tie(function, wires, np.zeros(0), np.zeros(0), Labels.of([]), 1.0))


def _wire_chance(wiring: Wiring, hedge: Hedge, c: int) -> None:
    n, allowed = len(hedge.weights), hedge.chances[c].allowed
    rooms = [room_wire(c, r) for r in range(n)]
    block = slots_block(chance_block(c), level=1, width=1)
    wiring.blocks += [*(slots_block(wire.block, room=1) for wire in rooms), block]
    label = wiring.problem.runs[0].roomy[c].label()
    for r, wire in enumerate(rooms):
        wiring.links.append(Decide(wire, _open([f"room of {label}, scenario {r + 1}"])))
    wiring.links.append(Decide(block.slot("level"), _open([f"level of {label}"], 0.0)))
    wiring.links.append(Fix(block.slot("width"), np.ones(1), f"width of {label}"))
    v, weights = ca.SX.sym("v", n + 1), ca.DM(hedge.weights)
    y, last = v[:n], v[n]
    above = ca.Function("excess", [v[:2]], [v[0] + v[1], ca.SX(0.0)])
    wiring.links += [_row(above, (wire, block.slot("level")), 0.0, np.inf, excess(c)) for wire in rooms]
    mean = ca.Function("cautious", [v], [ca.dot(weights, y + last) - allowed * last, ca.SX(0.0)])
    wiring.links.append(_row(mean, (*rooms, block.slot("level")), -np.inf, 0.0, cautious(c)))
    count = ca.Function("count", [v], [ca.dot(weights, 1.0 - ca.exp(-y / last)) - allowed, ca.SX(0.0)])
    wiring.links.append(_row(count, (*rooms, block.slot("width")), -np.inf, np.inf, counted(c)))


def hedged_values(
    problem: Problem,
    terms: Sequence[Sequence[PhaseTerms]],
    results: Sequence[Sequence[PhaseResult]],
    numbers: dict[str, float],
) -> Iterator[tuple[Wire, Array, float]]:
    """What the columns between scenarios are on given trajectories: wires, values, and how large they typically are."""
    hedge = problem.hedge
    if hedge is None:
        return
    known = [{**run.plant.values, **numbers} for run in problem.runs]
    n = len(known)
    if isinstance(hedge.objective, Worst):
        costs = np.array([cost_of(*each) for each in zip(terms, results, known, strict=True)])
        size = float(np.abs(costs).max()) or 1.0
        yield Wire(COSTS, np.arange(n)), costs, size
        level = _quantile(costs, hedge.weights, hedge.objective.fraction)
        yield Wire(LEVEL, np.arange(1)), np.array([level]), size
        if hedge.objective.fraction > 0.0:
            yield Wire(EXCESS, np.arange(n)), np.maximum(costs - level, 0.0), size
    for c in range(len(problem.runs[0].roomy)):
        missed, size = missed_by(c, terms, results, known)
        for r in range(n):
            yield room_wire(c, r), missed[[r]], size
        yield Wire(chance_block(c), np.arange(1)), np.array([max(0.0, -float(missed.min()))]), size


def missed_by(
    c: int,
    terms: Sequence[Sequence[PhaseTerms]],
    results: Sequence[Sequence[PhaseResult]],
    known: Sequence[dict[str, float]],
) -> tuple[Array, float]:
    """By how much each run misses the limit of chance number `c`, negative: the room left; and a typical size of it."""
    missed, size = [], 0.0
    for phases, phase_results, values in zip(terms, results, known, strict=True):
        own = {id(placed.term): placed for phase in phases for placed in _placed(phase) if placed.chance == c}
        found = readings(phases, phase_results, values)
        worst = max((found[key] for key in own), key=lambda reading: reading.missed)
        missed.append(worst.missed)
        limits = [abs(b) for placed in own.values() for b in (placed.lower, placed.upper) if np.isfinite(b)]
        size = max(size, *limits)
    array = np.array(missed)
    return array, size or float(np.abs(array).max()) or 1.0


def _placed(phase: PhaseTerms):  # type: ignore[no-untyped-def]
    return (*phase.paths, *phase.at_start, *phase.at_end, *phase.totals)


def _quantile(costs: Array, weights: Array, fraction: float) -> float:
    """The cost from which the worst fraction begins."""
    order = np.argsort(-costs, kind="stable")
    at = int(np.searchsorted(np.cumsum(weights[order]), max(fraction, 1e-12) - 1e-12))
    return float(costs[order[min(at, len(costs) - 1)]])


def _open(names: list[str], lower: float = -np.inf) -> Columns:
    n = len(names)
    return Columns(Labels.of(names), np.full(n, lower), np.full(n, np.inf), np.zeros(n, dtype=bool))


def _row(function: ca.Function, wires: tuple[Wire, ...], lower: float, upper: float, name: str) -> Tie:
    return Tie(function, wires, np.array([lower]), np.array([upper]), Labels.of([name]))
