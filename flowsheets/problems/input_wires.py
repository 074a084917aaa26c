"""What stands in the slots of a phase's inputs? Numbers, decisions, or what another scenario decided."""

from __future__ import annotations

import casadi as ca
import numpy as np

from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.placing import Placement
from titer.flowsheets.problems.wires import Wiring, columns_of, fix_to, rows_of
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Columns, Decide, Fix, Labels, Same, Wire
from titer.numerics.segment import Profile

SHORTEST = 1e-3  # fraction of a phase below which a piece with movable ends does not go


def wire_inputs(
    wiring: Wiring, placement: Placement, before: Placement | None, twin: Placement | None, share: float
) -> None:
    """What inputs are: numbers, decisions, or those of the twin, which are its for a `share` of the phase."""
    block = placement.block
    for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
        slot = block.slot(f"input:{variable.name}")
        profile, values = placement.shapes[variable.name]
        if not isinstance(source, Decided):
            wiring.links.append(Fix(slot, values, variable.name))
            continue
        first = 0 if twin is None else _shared_cells(profile, share)
        if twin is not None:
            wiring.links.append(Same(slot[:first], twin.block.slot(f"input:{variable.name}")[:first]))
        if first == profile.count:
            continue
        linear = source.pieces.linear
        joined = not first and linear and before is not None and _is_linear(before, variable.name)
        if joined:
            assert before is not None
            wiring.links.append(Same(slot[0], before.block.slot(f"input:{variable.name}")[-1]))
        begun = max(first - 1, 0)
        first = 1 if joined else first
        at = profile.edges if linear else profile.edges[:-1]
        labels = Labels.of([variable.name] * (profile.count - first), block.name, at[first:])
        count = profile.count - first
        columns = Columns(
            labels, np.full(count, source.lower), np.full(count, source.upper), np.zeros(count, dtype=bool)
        )
        wiring.links.append(Decide(slot[first:], columns))
        if source.pieces.rates is not None:
            _limit_rate(wiring, placement, variable.name, slot, profile, source.pieces.rates, begun)


def _shared_cells(profile: Profile, share: float) -> int:
    """How many of an input's values belong to the pieces that begin in the first `share` of a phase."""
    pieces = int(np.sum(profile.edges[:-1] < share - 1e-9))
    return int(max(profile.left[:pieces].max(), profile.right[:pieces].max())) + 1


def wire_edges(wiring: Wiring, placement: Placement, twin: Placement | None, share: float) -> None:
    """Ends of pieces that are decided: rising from 0 to 1."""
    block, edges = placement.block, placement.transcribed.segment.movable
    if edges is None:
        return
    slot = block.slot("edges")
    if twin is not None and share < 1.0:
        raise SpecificationError(
            f"shared_until lies inside phase {placement.operation.name!r}, where switching=True moves ends of pieces.\n"
            f"  Let the scenarios part where a phase begins."
        )
    if twin is not None:
        wiring.links.append(Same(slot, twin.block.slot("edges")))
        return
    wiring.links += [fix_to(slot[0], 0.0, "start"), fix_to(slot[-1], 1.0, "end")]
    if len(edges) > 2:
        names = [f"end {i} of pieces" for i in range(1, len(edges) - 1)]
        wiring.links.append(Decide(slot[1:-1], columns_of(names, 0.0, 1.0, block.name, np.nan)))
    v = ca.SX.sym("v", 2)
    width = ca.Function("width", [v], [v[1] - v[0], ca.SX(0.0)])
    for i in range(len(edges) - 1):
        if len(edges) > 2:
            wires = (slot[i], slot[i + 1])
            wiring.links.append(rows_of(width, wires, SHORTEST, np.inf, [f"width of piece {i + 1}"], block.name))


def _limit_rate(
    wiring: Wiring,
    placement: Placement,
    name: str,
    slot: Wire,
    profile: Profile,
    rates: tuple[float, float],
    begun: int,
) -> None:
    """Rates of change of the pieces from number `begun` on."""
    slowest, fastest = rates
    for i, width in list(enumerate(np.diff(profile.edges)))[begun:]:
        v = ca.SX.sym("v", 3)
        change, lasts = v[1] - v[0], float(width) * v[2]
        limits = {"": change - fastest * lasts} if slowest == fastest else {}
        if not limits and np.isfinite(fastest):
            limits[", rising"] = change - fastest * lasts
        if slowest != fastest and np.isfinite(slowest):
            limits[", falling"] = slowest * lasts - change
        rows = ca.Function("rate", [v], [ca.vertcat(*limits.values()), ca.SX(0.0)])
        names = [f"rate of change of {name}{way}" for way in limits]
        wires, least = (slot[i], slot[i + 1], placement.block.slot("duration")), 0.0 if slowest == fastest else -np.inf
        wiring.links.append(rows_of(rows, wires, least, 0.0, names, placement.block.name, float(profile.edges[i])))


def _is_linear(placement: Placement, name: str) -> bool:
    for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
        if variable.name == name:
            return isinstance(source, Decided) and source.pieces.linear
    return False
