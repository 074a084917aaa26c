"""Which quantities, and what acts on what? Nodes by variable and stage, edges from causes to effects.

A stage is a time of sampling (or the number of a unit operation): a float. A node is addressed by (variable, stage), as
in `("reactor.X", 24.0)`. Nodes are kept in stage order, causes before effects within a stage; `order` below shows how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np

from titer.numerics.errors import SpecificationError, unknown

Array = np.ndarray
Address = tuple[str, float]


class Kind(Enum):
    """What a node is to the process: its manner of drawing, and who may change it."""

    INPUT = "input"  # set by the operator or the feed: a start, a material, a set point
    STATE = "state"  # of the process at a stage
    ATTRIBUTE = "attribute"  # of quality, what the batch is judged by
    NOISE = "noise"  # a disturbance with a name, such as the bias of a probe: it has no causes


@dataclass(frozen=True)
class Node:
    """A variable at a stage; its address is (name, stage)."""

    name: str
    stage: float
    kind: Kind = Kind.STATE
    unit: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise SpecificationError(f"Node {self.name}: kind must be a Kind, such as Kind.STATE, got {self.kind!r}.")
        if isinstance(self.stage, bool) or not np.isfinite(self.stage):
            raise SpecificationError(f"Node {self.name}: stage must be a finite number, got {self.stage!r}.")

    @property
    def address(self) -> Address:
        """The variable and the stage."""
        return self.name, float(self.stage)

    def __str__(self) -> str:
        return shown(self.address)


def shown(address: Address) -> str:
    """An address in words: `reactor.X at 24`."""
    return f"{address[0]} at {address[1]:g}"


def address_of(given: Node | Address) -> Address:
    """The address of a node, or one given as a pair. Raises SpecificationError for anything else."""
    if isinstance(given, Node):
        return given.address
    if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], str):
        return str(given[0]), float(given[1])
    raise SpecificationError(f"A node is addressed by (variable, stage), such as ('reactor.X', 24.0); got {given!r}.")


@dataclass(frozen=True, eq=False)
class Graph:
    """What acts on what in a process, without numbers.

    `nodes` in any order (kept sorted), `edges` as pairs of addresses (cause, effect), `correlated`: groups of nodes
    without causes whose variations belong together, `time`: the unit of the stages. Raises SpecificationError for an
    unknown or doubled node, an edge backwards in time, a circle (named), causes of noise, a state that lacks a stage
    between its first and its last.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[Address, Address], ...] = ()
    correlated: tuple[tuple[Address, ...], ...] = ()
    time: str = ""
    _place: Mapping[Address, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        nodes, edges = _nodes(self.nodes), _edges(self.edges)
        addresses = {n.address for n in nodes}
        for edge in edges:
            for end, what in zip(edge, ("cause", "effect"), strict=True):
                if end not in addresses:
                    known = [shown(a) for a in addresses]
                    raise SpecificationError(unknown(f"Graph: the {what} of an edge,", shown(end), known))
        _check_time(edges)
        ordered = order(nodes, edges)
        place = {n.address: i for i, n in enumerate(ordered)}
        object.__setattr__(self, "_place", place)
        object.__setattr__(self, "nodes", ordered)
        object.__setattr__(self, "edges", tuple(sorted(edges, key=lambda e: (place[e[1]], place[e[0]]))))
        object.__setattr__(self, "correlated", _groups(self.correlated, place))
        _check_kinds(self)
        _check_stages(self)

    def __repr__(self) -> str:
        return f"graph of {len(self.nodes)} nodes in {len(self.stages)} stages, {len(self.edges)} edges"

    def __len__(self) -> int:
        return len(self.nodes)

    def index(self, given: Node | Address) -> int:
        """Where a node stands. Raises SpecificationError for an unknown one."""
        address = address_of(given)
        if address not in self._place:
            raise SpecificationError(unknown("Graph: node", shown(address), [str(n) for n in self.nodes]))
        return self._place[address]

    @cached_property
    def stages(self) -> tuple[float, ...]:
        """All stages, ascending."""
        return tuple(sorted({float(n.stage) for n in self.nodes}))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """All variables, in order of appearance."""
        return tuple(dict.fromkeys(n.name for n in self.nodes))

    @cached_property
    def ends(self) -> Array:
        """The edges as places, (edges, 2): cause, effect; by effect, then cause."""
        return np.array([[self._place[a], self._place[b]] for a, b in self.edges], dtype=int).reshape(-1, 2)

    @cached_property
    def parents(self) -> tuple[Array, ...]:
        """Of each node, the places of its causes."""
        return tuple(self.ends[self.ends[:, 1] == i, 0] for i in range(len(self.nodes)))

    @cached_property
    def groups(self) -> tuple[Array, ...]:
        """The correlated groups as places."""
        return tuple(np.array([self._place[a] for a in group]) for group in self.correlated)

    def before(self, stage: float) -> Array:
        """The places of all nodes up to and at a stage."""
        return np.array([i for i, n in enumerate(self.nodes) if n.stage <= stage], dtype=int)


def order(nodes: Sequence[Node], edges: Iterable[tuple[Address, Address]]) -> tuple[Node, ...]:
    """Nodes by stage, causes before effects. Raises SpecificationError that names a circle."""
    causes: dict[Address, list[Address]] = {n.address: [] for n in nodes}
    for cause, effect in edges:
        causes[effect].append(cause)
    waiting = sorted(nodes, key=lambda n: n.stage)
    done: dict[Address, Node] = {}
    while waiting:
        ready = next((n for n in waiting if all(c in done for c in causes[n.address])), None)
        if ready is None:
            raise SpecificationError(f"Graph: {_circle(waiting, causes)} act on one another in a circle; drop an edge.")
        done[ready.address] = ready
        waiting.remove(ready)
    return tuple(done.values())


def _circle(waiting: Sequence[Node], causes: Mapping[Address, list[Address]]) -> str:
    open_ones = {n.address for n in waiting}
    path = [waiting[0].address]
    while path.count(path[-1]) == 1:
        path.append(next(c for c in causes[path[-1]] if c in open_ones))
    found = path[path.index(path[-1]) :]
    return " -> ".join(shown(a) for a in reversed(found))


def _nodes(given: Iterable[Node]) -> tuple[Node, ...]:
    nodes = tuple(given)
    seen: set[Address] = set()
    for node in nodes:
        if not isinstance(node, Node):
            raise SpecificationError(f"Graph: nodes must be Node objects, got {node!r}.")
        if node.address in seen:
            raise SpecificationError(f"Graph: {node} is declared twice.")
        seen.add(node.address)
    if not nodes:
        raise SpecificationError("Graph: expected at least one node, got none.")
    return nodes


def _edges(given: Iterable[tuple[Node | Address, Node | Address]]) -> tuple[tuple[Address, Address], ...]:
    edges = tuple((address_of(a), address_of(b)) for a, b in given)
    seen: set[tuple[Address, Address]] = set()
    for edge in edges:
        if edge[0] == edge[1]:
            raise SpecificationError(f"Graph: {shown(edge[0])} acts on itself; drop the edge.")
        if edge in seen:
            raise SpecificationError(f"Graph: the edge {shown(edge[0])} -> {shown(edge[1])} is declared twice.")
        seen.add(edge)
    return edges


def _check_time(edges: Iterable[tuple[Address, Address]]) -> None:
    for cause, effect in edges:
        if cause[1] > effect[1]:
            raise SpecificationError(
                f"Graph: {shown(cause)} acts on {shown(effect)}, which is earlier; effects do not precede causes."
            )


def _groups(given: Iterable[Iterable[Node | Address]], place: Mapping[Address, int]) -> tuple[tuple[Address, ...], ...]:
    groups = tuple(tuple(address_of(a) for a in group) for group in given)
    members = [a for group in groups for a in group]
    for address in members:
        if address not in place:
            raise SpecificationError(unknown("Graph: correlated node", shown(address), [shown(a) for a in place]))
        if members.count(address) > 1:
            raise SpecificationError(f"Graph: {shown(address)} stands twice in correlated groups; merge them.")
    return tuple(tuple(sorted(group, key=lambda a: place[a])) for group in groups if len(group) > 1)


def _check_kinds(graph: Graph) -> None:
    inside = {a for group in graph.correlated for a in group}
    for cause, effect in graph.edges:
        node = graph.nodes[graph.index(effect)]
        if node.kind is Kind.NOISE:
            raise SpecificationError(f"Graph: {node} is noise and has a cause, {shown(cause)}; noise has none.")
        if effect in inside:
            raise SpecificationError(
                f"Graph: {node} is in a correlated group and has a cause, {shown(cause)}; drop one of the two."
            )


def _check_stages(graph: Graph) -> None:
    """A state is carried from stage to stage: a stage without it would cut the chain unseen."""
    states = {n.name for n in graph.nodes if n.kind is Kind.STATE}
    carrying = sorted({float(n.stage) for n in graph.nodes if n.kind is Kind.STATE})
    for name in sorted(states):
        own = {float(n.stage) for n in graph.nodes if n.name == name}
        missing = [s for s in carrying if min(own) < s < max(own) and s not in own]
        if missing:
            raise SpecificationError(
                f"Graph: state {name} has no node at {', '.join(f'{s:g}' for s in missing)} {graph.time}".rstrip()
                + f", between its first stage ({min(own):g}) and its last ({max(own):g}).\n"
                "  Add the stage, or declare what is sampled seldom as Kind.ATTRIBUTE."
            )
