"""Which cell is what in a transcribed phase? Local cell numbers, shared by collocation and shooting.

own columns   states at collocation points [element][point][state], states at element ends where these are
              no collocation points, algebraics at points, algebraics at the ends of the phase and right after
              jumps of inputs, where needed
slots         start (states), parameters, clock (time at the start), duration, input:NAME (its values)
constants     position and width of each element, weights of linear input pieces
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae, starts
from titer.numerics.nlp import Batch, Columns, Labels
from titer.numerics.segment import PathRow, Segment


class Layout:
    """Cell numbers of a phase over elements between `ends`, with collocation points `nodes` on each.

    Without `nodes` it is shot. `separate_ends`: element ends are columns of their own (they are not the last
    collocation point). Raises ValueError where an input changes piece inside an element.
    """

    def __init__(self, segment: Segment, ends: Array, nodes: Array, separate_ends: bool):
        self.segment, self.ends, self.nodes, self.separate_ends = segment, ends, nodes, separate_ends
        nx, nz, _, npar = segment.dae.sizes
        n, d = len(ends) - 1, len(nodes)
        self._count = 0
        take = self._take
        self.X = take(n, d, nx)
        self.node = take(n, nx) if separate_ends else self.X[:, -1, :]
        self.Z = take(n, d, nz)
        self.z_end = take(nz) if separate_ends else self.Z[-1, -1, :]
        self.z_start = take(nz) if segment.needs_start else np.full(nz, -1)
        self.jumps = _jumps(segment, ends)
        self.jumped = np.unique(np.concatenate([np.zeros(0, int), *(j.elements for j in self.jumps if j.reads_z)]))
        self.z_jumped = take(len(self.jumped), nz)
        self.slots = {"start": nx, "parameters": npar, "clock": 1, "duration": 1}
        self.start, self.parameters = take(nx), take(npar)
        self.clock, self.duration = take(1), take(1)
        self.inputs = []
        for variable, profile in zip(segment.dae.inputs, segment.profiles, strict=True):
            self.slots[f"input:{variable.name}"] = profile.count
            self.inputs.append(take(profile.count))
        self.x_before = np.concatenate([self.start[None, :], self.node[:-1]], axis=0)
        missing = [e for e in segment.ends if np.abs(ends - e).min() > 1e-8]
        if missing:
            raise ValueError(f"phase {segment.name}: an input changes piece at {missing[0]}, inside an element")
        middle = 0.5 * (ends[:-1] + ends[1:])
        self.edges = None
        if segment.movable is None:
            constants = [ends[:-1], np.diff(ends)]
        else:  # an element keeps its share of the stretch between the two movable ends around it
            edges = segment.movable
            self.slots["edges"] = len(edges)
            slot = take(len(edges))
            k = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(edges) - 2)
            width = np.diff(edges)[k]
            constants = [(ends[:-1] - edges[k]) / width, np.diff(ends) / width]
            self.edges = np.stack([slot[k], slot[k + 1]])
        self.place = take(2, n)
        self.pieces: list[tuple[Array, ...]] = []  # per input: cells (and weights) of each element
        for cells, profile in zip(self.inputs, segment.profiles, strict=True):
            k = profile.piece_of(middle)
            if profile.constant:
                self.pieces.append((cells[profile.left[k]],))
            else:
                left, width = profile.edges[k], np.diff(profile.edges)[k]
                constants += [(ends[:-1] - left) / width, (ends[1:] - left) / width]
                self.pieces.append((cells[profile.left[k]], cells[profile.right[k]], *take(2, n)))
        self.constants = np.concatenate(constants)

    def _take(self, *shape: int) -> Array:
        cells = self._count + np.arange(int(np.prod(shape))).reshape(shape)
        self._count += cells.size
        return cells

    @property
    def at_nodes(self) -> Array:
        """Positions of the collocation points, (elements, points)."""
        return self.ends[:-1, None] + np.diff(self.ends)[:, None] * self.nodes[None, :]

    @property
    def tau(self) -> Array:
        """Positions at which the port `x` knows the states: the start, then element by element."""
        inside = self.at_nodes
        if self.separate_ends:
            inside = np.concatenate([inside, self.ends[1:, None]], axis=1)
        return np.concatenate([[0.0], inside.ravel()])

    def columns(self) -> Columns:
        """The block's own columns, in the order of their cells."""
        dae, at = self.segment.dae, self.at_nodes
        nx, nz = len(dae.states), len(dae.algebraics)
        states, algebraics = np.arange(nx), nx + np.arange(nz)
        groups = [(states, at)]
        groups += [(states, self.ends[1:])] if self.separate_ends else []
        groups += [(algebraics, at)]
        groups += [(algebraics, np.ones(1))] if self.separate_ends else []
        groups += [(algebraics, np.zeros(1))] if self.segment.needs_start else []
        groups += [(algebraics, self.ends[self.jumped])]
        which = np.concatenate([np.tile(kind, tau.size) for kind, tau in groups]).astype(int)
        tau = np.concatenate([np.repeat(tau.ravel(), len(kind)) for kind, tau in groups])
        variables = (*dae.states, *dae.algebraics)
        names = np.array([v.name for v in variables], dtype=object)
        lower, upper = np.array([v.lower for v in variables]), np.array([v.upper for v in variables])
        labels = Labels(names[which], self.segment.name, tau)
        return Columns(labels, lower[which], upper[which], np.ones(len(which), dtype=bool))

    def point(self, end: int) -> Array:
        """Cells (x, z, u, p) of the first (0) or last (-1) instant; -1 for algebraics nobody asked for."""
        x, z = (self.start, self.z_start) if end == 0 else (self.node[-1], self.z_end)
        u = np.array(
            [
                cells[profile.left[0] if end == 0 else profile.right[-1]]
                for cells, profile in zip(self.inputs, self.segment.profiles, strict=True)
            ],
            dtype=int,
        )
        return np.concatenate([x, z, u, self.parameters])

    def ports(self) -> dict[str, Array]:
        """Ends of the phase, and the grid on which results are read: x and z (variables, points).

        `jumped` (algebraics, jumps): right after jumps of inputs, at starts of elements; seldom any.
        """
        nx, nz = self.node.shape[1], self.Z.shape[2]
        n, x, z = len(self.ends) - 1, self.X, self.Z
        if self.separate_ends:
            x = np.concatenate([x, self.node[:, None, :]], axis=1)
            z = np.concatenate([z, np.full((n, 1, nz), -1)], axis=1)
            z[-1, -1] = self.z_end
        points = x.shape[1]
        return {
            "start": self.point(0),
            "end": self.point(-1),
            "x": np.concatenate([self.start[None, :], x.reshape(n * points, nx)]).T,
            "z": np.concatenate([self.z_start[None, :], z.reshape(n * points, nz)]).T,
            "jumped": self.z_jumped.T,
        }

    def shared_index(self) -> Array:
        """Rows of a batch's index that every element reads, in the order of `Shared.arguments`."""
        n = len(self.ends) - 1
        shared = np.concatenate([self.parameters, self.clock, self.duration])
        pieces = [cells[None, :] for part in self.pieces for cells in part]
        edges = [self.edges] if self.edges is not None else []
        return np.concatenate([np.repeat(shared[:, None], n, axis=1), *edges, self.place, *pieces])


class Shared:
    """The symbols behind `Layout.shared_index`, with time and inputs at a position of an element (0 to 1)."""

    def __init__(self, layout: Layout, symbol: type[ca.SX] | type[ca.MX] = ca.SX):
        self.parameters = symbol.sym("p", len(layout.parameters))
        self.clock, self.duration = symbol.sym("clock"), symbol.sym("duration")
        self._given = [symbol.sym("place"), symbol.sym("width")]
        self._place, self.width = self._given
        if layout.edges is not None:
            left, right = symbol.sym("left"), symbol.sym("right")
            self._place, self.width = left + (right - left) * self._given[0], (right - left) * self._given[1]
            self._given = [left, right, *self._given]
        self._pieces = [[symbol.sym(f"u{i}_{k}") for k in range(len(part))] for i, part in enumerate(layout.pieces)]
        self._none = symbol(0, 1)

    @property
    def arguments(self) -> list:
        pieces = [s for piece in self._pieces for s in piece]
        return [self.parameters, self.clock, self.duration, *self._given, *pieces]

    def time(self, node: float) -> ca.SX | ca.MX:
        return self.clock + self.duration * (self._place + self.width * node)

    def inputs(self, node: float) -> ca.SX | ca.MX:
        values = []
        for piece in self._pieces:
            if len(piece) == 1:
                values.append(piece[0])
            else:
                left, right, begin, end = piece
                values.append(left + (right - left) * (begin + node * (end - begin)))
        return ca.vertcat(self._none, *values)


def instants(segment: Segment, layout: Layout, paths_at_end: bool = True) -> list[Batch]:
    """Algebraic equations (and paths) at instants where the elements do not hold them.

    At the first and the last one, and right after each jump of an input, which a path may follow at once.
    """
    first = [path for path in segment.paths if path.at_start]
    last = segment.paths if paths_at_end else ()
    batches = []
    if segment.needs_start or first:
        batches.append(_instant(layout, 0, segment.needs_start, first))
    if layout.separate_ends and (segment.dae.algebraics or last):
        batches.append(_instant(layout, -1, True, last))
    return batches + [_after_jumps(layout, jumps) for jumps in layout.jumps]


class _Jumps(NamedTuple):
    """Elements at whose start inputs jump such that the same paths jump with them."""

    elements: Array
    paths: tuple[PathRow, ...]
    reads_z: bool


def _jumps(segment: Segment, ends: Array) -> list[_Jumps]:
    """Where paths jump with inputs inside the phase, grouped by which paths do."""
    jumping: dict[int, set[int]] = {}  # element -> inputs that jump at its start
    for i, profile in enumerate(segment.profiles):
        for edge in profile.edges[1:-1][profile.left[1:] != profile.right[:-1]]:
            jumping.setdefault(int(np.abs(ends - edge).argmin()), set()).add(i)
    zero_reads = _columns_read(segment.dae.function, 1, 3)
    groups: dict[tuple[int, ...], list[int]] = {}
    for element, inputs in sorted(jumping.items()):
        held = []
        for k, path in enumerate(segment.paths):
            reads_z = bool(_columns_read(path.function, 0, 2))
            own = inputs & _columns_read(path.function, 0, 3)
            moves = any(_columns_read(path.function, 0, i) for i in (0, 1, 2))
            # a path that reads nothing but steps is the same all along a piece
            own = {i for i in own if moves or not segment.profiles[i].constant}
            if own or (reads_z and inputs & zero_reads):
                held.append(k)
        if held:
            groups.setdefault(tuple(held), []).append(element)
    found = []
    for chosen, elements in groups.items():
        paths = tuple(segment.paths[k] for k in chosen)
        found.append(_Jumps(np.array(elements), paths, any(_columns_read(p.function, 0, 2) for p in paths)))
    return found


def _columns_read(function: ca.Function, output: int, argument: int) -> set[int]:
    """Which entries of an argument an output depends on."""
    return set(function.jac_sparsity(output, argument).get_col())


def _after_jumps(layout: Layout, jumps: _Jumps) -> Batch:
    """Paths right after jumps of inputs, with algebraic variables of their own where a path reads them."""
    segment, elements = layout.segment, jumps.elements
    dae, shared = segment.dae, Shared(layout)
    nx, nz, _, _ = dae.sizes
    x, z = ca.SX.sym("x", nx), ca.SX.sym("z", nz if jumps.reads_z else 0)
    point = (shared.time(0.0), x, z if jumps.reads_z else ca.SX.zeros(nz), shared.inputs(0.0), shared.parameters)
    zero = [dae.function(*point)[1]] if jumps.reads_z else []
    rows = ca.vertcat(*zero, *(path.function(*point) for path in jumps.paths))
    function = ca.Function("jump", [ca.vertcat(x, z, *shared.arguments)], [rows, ca.SX(0.0)])
    own = layout.z_jumped[np.searchsorted(layout.jumped, elements)] if jumps.reads_z else np.zeros((len(elements), 0))
    index = np.concatenate([layout.x_before[elements].T, own.T, layout.shared_index()[:, elements]]).astype(int)
    equations = list(dae.equations) if jumps.reads_z else []
    lower = np.array([0.0] * len(equations) + [path.lower for path in jumps.paths])
    upper = np.array([0.0] * len(equations) + [path.upper for path in jumps.paths])
    names = equations + [path.name for path in jumps.paths]
    labels = Labels.of(names * len(elements), segment.name, np.repeat(layout.ends[elements], len(names)))
    return Batch(function, index, lower, upper, labels, 0.0, elements)


def _instant(layout: Layout, end: int, with_zero: bool, paths: Sequence[PathRow]) -> Batch:
    segment = layout.segment
    dae = segment.dae
    v = ca.SX.sym("v", dae.point_size + 1)
    t = v[0] + (0.0 if end == 0 else v[1])
    point = dae.split(ca.vertcat(t, v[2:]))
    rows: list[ca.SX] = []
    names: list[str] = []
    lower: list[float] = []
    upper: list[float] = []
    if with_zero:
        rows.append(dae.function(*point)[1])
        names += dae.equations
        lower += [0.0] * len(dae.equations)
        upper += [0.0] * len(dae.equations)
    for path in paths:
        rows.append(path.function(*point))
        names.append(path.name)
        lower.append(path.lower)
        upper.append(path.upper)
    cells = layout.point(end)
    cells = np.where(cells < 0, layout.clock[0], cells)  # an algebraic that no row here reads
    index = np.concatenate([layout.clock, layout.duration, cells])[:, None]
    function = ca.Function("instant", [v], [ca.vertcat(ca.SX(0, 1), *rows), ca.SX(0.0)])
    labels = Labels.of(names, segment.name, 0.0 if end == 0 else 1.0)
    stage = np.array([0 if end == 0 else len(layout.ends) - 2])
    batch = Batch(function, index, np.array(lower), np.array(upper), labels, 0.0, stage)
    if not with_zero or len(layout.nodes):
        return batch
    own, step = _following(dae, v, rows)
    return replace(batch, determined=own, step=step)


def _following(dae: Dae, v: ca.SX, rows: Sequence[ca.SX]) -> tuple[Array, ca.Function]:
    """Where algebraic variables stand in the point v of an instant, and how they follow from the rest of it; the first
    of the rows are their equations."""
    first, count = 2 + len(dae.states), len(dae.algebraics)
    rest = ca.vertcat(v[:first], v[first + count :])
    problem = {"x": v[first : first + count], "p": rest, "g": rows[0]}
    solve = ca.rootfinder("algebraics", "newton", problem, {"show_eval_warnings": False})
    further = ca.Function("further", [v], [ca.vertcat(ca.SX(0, 1), *rows[1:])])
    read = ca.MX.sym("read", rest.numel())
    found = solve(x0=starts(dae.algebraics), p=read)["x"]
    point = ca.vertcat(read[:first], found, read[first:])
    return first + np.arange(count), ca.Function("step", [read], [found, further(point), ca.MX(0.0)])
