"""What flows where in a phase? The active units in the order of their streams, and the source of every inlet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from titer.flowsheets.declarations import Inlet
from titer.flowsheets.flowsheet import Connection, Flowsheet
from titer.flowsheets.trace import port_scalars
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class Streams:
    """What is connected in a phase: active units in the order of the streams, torn inlets, sources of inlets."""

    units: tuple[Unit, ...]
    idle: tuple[Unit, ...]
    sources: Mapping[str, tuple[Unit, str]]  # "tank.feed" -> (unit, outlet)
    torn: frozenset[str]  # inlets whose variables become algebraic
    driven: tuple[str, ...]  # scalar inlet variables given as trajectories


def streams_of(
    plant: Flowsheet, connections: Sequence[Connection], idle: Sequence[str], given: Sequence[str]
) -> Streams:
    """Order the active units along their streams. `given`: what has a trajectory of its own, inlet variables among it.

    Raises SpecificationError for a stream that is given in part, or given and connected.
    """
    active = {unit.name: unit for unit in plant.units if unit.name not in idle}
    sources = {
        str(target): (active[source.owner.name], source.port.attribute)
        for source, target in connections
        if source.owner.name in active and target.owner.name in active
    }
    order, torn = _ordered(tuple(active.values()), sources)
    driven = _driven(order, sources, set(given))
    resting = tuple(unit for unit in plant.units if unit.name in idle)
    return Streams(order, resting, sources, torn, driven)


def port_of(name: str) -> str:
    """The port of a stream variable: "tank.feed" of "tank.feed.c[product]"."""
    return name.rsplit(".", 1)[0]


def _ordered(units: Sequence[Unit], sources: Mapping[str, tuple[Unit, str]]) -> tuple[tuple[Unit, ...], frozenset[str]]:
    """Units behind those that feed them, by a search in depth; inlets at which a circle closes are torn."""
    order: list[Unit] = []
    torn: set[str] = set()
    open_: set[str] = set()  # units whose sources are being followed

    def visit(unit: Unit) -> None:
        open_.add(unit.name)
        for key, _ in unit.ports(Inlet):
            port = f"{unit.name}.{key}"
            if port not in sources:
                continue
            upstream = sources[port][0]
            if upstream.name in open_:
                torn.add(port)
            elif upstream not in order:
                visit(upstream)
        open_.remove(unit.name)
        order.append(unit)

    for unit in units:
        if unit not in order:
            visit(unit)
    return tuple(order), frozenset(torn)


def _driven(units: Sequence[Unit], sources: Mapping[str, tuple[Unit, str]], given: set[str]) -> tuple[str, ...]:
    """Inlet variables that are given as trajectories: all of a port, or none."""
    driven: list[str] = []
    for unit in units:
        for key, _ in unit.ports(Inlet):
            port = f"{unit.name}.{key}"
            inside = [f"{unit.name}.{local}" for local in port_scalars(unit, Inlet) if local.startswith(f"{key}.")]
            mine = [name for name in inside if name in given]
            if mine and port in sources:
                source = sources[port]
                raise SpecificationError(
                    f"{mine[0]} is given, but {port} is connected to {source[0].name}.{source[1]}.\n"
                    f"  Leave its stream out of inputs, or give it by Phase(inputs=...) where it is not connected."
                )
            if mine and len(mine) < len(inside):
                missing = next(name for name in inside if name not in given)
                raise SpecificationError(
                    f"{port} is given in part: {missing} has no trajectory.\n  given: {', '.join(mine)}\n"
                    f"  Give all of {', '.join(inside)} in inputs, or connect the port."
                )
            driven += mine
    return tuple(driven)
