"""How do transcribed pieces become one nonlinear program? Blocks and links: `join(blocks, links) -> Nlp`.

A `Block` knows its own columns and leaves *slots* open (start state, duration, parameters, control pieces).
Links say what stands in each slot: a decision, a number, or a value of another block. Phases link end to
start, experiments share parameters, scenarios share decisions: it is always the same rule.

Every function of an `Nlp` is a `Batch`: N copies of one small function, each gathering its arguments from the
columns and the data by index. So derivatives are those of the small function, and names, scaling and
structure are arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import casadi as ca
import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Labels:
    """Names of scalars: what each is, in which phase, and where in it (0 start, 1 end; nan: nowhere)."""

    texts: Array  # (n,) of str
    phase: str
    tau: Array  # (n,)

    @staticmethod
    def of(texts: Sequence[str], phase: str = "", tau: float | Array = np.nan) -> Labels:
        names = np.empty(len(texts), dtype=object)
        names[:] = list(texts)
        return Labels(names, phase, np.broadcast_to(np.asarray(tau, dtype=float), names.shape))


@dataclass(frozen=True, eq=False)
class Batch:
    """N copies of `function`: v -> (g, f); copy k reads the cells `index[:, k]`; rows lower <= g <= upper.

    The objective gains `weight` times the sum of the f. `stage` (N,) is the copies' place in time, if any.
    Row i of copy k has label i + k * rows. `determined`: arguments that the first rows, equations and as many,
    determine from the others, if it is so of any; `step`: these others -> (the determined ones, the further rows, f),
    where they can be computed one after another.
    """

    function: ca.Function
    index: Array
    lower: Array
    upper: Array
    labels: Labels
    weight: float = 0.0
    stage: Array | None = None
    determined: Array | None = None
    step: ca.Function | None = None

    @property
    def rows(self) -> int:
        return len(self.lower)

    @property
    def copies(self) -> int:
        return int(self.index.shape[1])


@dataclass(frozen=True, eq=False)
class Columns:
    """A group of decisions: labels, bounds, and which bounds are physical domains (relaxed in a solve)."""

    labels: Labels
    lower: Array
    upper: Array
    domain: Array  # (n,) bool

    @property
    def count(self) -> int:
        return len(self.lower)


@dataclass(frozen=True)
class Wire:
    """Cells of a block, by local number: the thing that links connect. -1: a value the block does not know."""

    block: str
    cells: Array = field(compare=False)

    def __getitem__(self, item: Any) -> Wire:
        return Wire(self.block, np.atleast_1d(self.cells[item]))


@dataclass(frozen=True, eq=False)
class Block:
    """One transcribed piece. Local cells: its own columns, then its slots, then its constants.

    `ports` name cells (start and end of the piece, grid points), for links and for reading results.
    """

    name: str
    own: Columns
    slots: Mapping[str, int]  # slot name -> size, in order
    constants: Array
    batches: tuple[Batch, ...]
    ports: Mapping[str, Array] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.own.count + sum(self.slots.values()) + len(self.constants)

    def slot(self, name: str) -> Wire:
        """The cells of a slot."""
        at = self.own.count
        for key, size in self.slots.items():
            if key == name:
                return Wire(self.name, np.arange(at, at + size))
            at += size
        raise KeyError(f"block {self.name} has no slot {name}; it has {', '.join(self.slots)}")

    def port(self, name: str) -> Wire:
        """The cells of a port."""
        return Wire(self.name, self.ports[name])


def slots_block(name: str, **sizes: int) -> Block:
    """A block without equations: a place for shared decisions and numbers."""
    none = Columns(Labels.of([]), np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))
    return Block(name, none, sizes, np.zeros(0), ())


@dataclass(frozen=True, eq=False)
class Same:
    """The slot's cells are the source's cells."""

    slot: Wire
    source: Wire


@dataclass(frozen=True, eq=False)
class Fix:
    """The slot holds numbers, which may be changed from solve to solve without rebuilding anything."""

    slot: Wire
    values: Array
    name: str = ""


@dataclass(frozen=True, eq=False)
class Decide:
    """The slot holds decisions."""

    slot: Wire
    columns: Columns


@dataclass(frozen=True, eq=False)
class Tie:
    """Rows (and a contribution to the objective) over cells of any blocks: function(v) -> (g, f).

    `step`: what its last argument is, by the first row, from those before it: as that of a Batch.
    """

    function: ca.Function
    wires: tuple[Wire, ...]
    lower: Array
    upper: Array
    labels: Labels
    weight: float = 0.0
    step: ca.Function | None = None


Link = Same | Fix | Decide | Tie


@dataclass(frozen=True, eq=False)
class Nlp:
    """minimize sum of weight * f, subject to lower <= g <= upper: columns, data, batches with global indices.

    A batch's index counts the columns first, then the data. `where` finds a block's cells: numbers below
    `columns` are decisions, others data.
    """

    lower: Array
    upper: Array
    domain: Array
    labels: tuple[Labels, ...]
    data: Array
    batches: tuple[Batch, ...]
    cells: Mapping[str, Array]  # block name -> global number of each local cell
    rows_order: Array | None = None  # a permutation of the rows, where a solver wants one
    room: Array | None = None  # by how much each column may be left below its domain, where that is less than wanted
    data_names: Array = field(default_factory=lambda: np.zeros(0, dtype=object))  # what the data are, where known

    @property
    def columns(self) -> int:
        return len(self.lower)

    @property
    def rows(self) -> int:
        return sum(batch.rows * batch.copies for batch in self.batches)

    def where(self, wire: Wire) -> Array:
        """Global numbers of a wire's cells, -1 where the block does not know the value."""
        return np.where(wire.cells < 0, -1, self.cells[wire.block][wire.cells])

    def values(self, wire: Wire, w: Array, data: Array | None = None) -> Array:
        """Values of a wire's cells at the decisions `w`, nan where the block does not know the value."""
        return np.concatenate([w, self.data if data is None else data, [np.nan]])[self.where(wire)]

    def row_bounds(self) -> tuple[Array, Array]:
        """Bounds of all rows."""
        lower = np.concatenate([np.zeros(0), *(np.tile(b.lower, b.copies) for b in self.batches)])
        upper = np.concatenate([np.zeros(0), *(np.tile(b.upper, b.copies) for b in self.batches)])
        return (lower, upper) if self.rows_order is None else (lower[self.rows_order], upper[self.rows_order])

    def relaxed(self, sizes: Array, relaxation: float) -> tuple[Array, Array]:
        """Bounds of the columns, with physical domains left free by a fraction of the sizes."""
        slack = np.where(self.domain, relaxation * sizes, 0.0)
        below = slack if self.room is None else np.minimum(slack, self.room)
        return self.lower - below, self.upper + slack

    def limited(self, limits: Mapping[str, tuple[float, float]]) -> Nlp:
        """The same problem with other bounds (lower, upper) on the rows of these names."""
        return self._bounded(lambda text, lower, upper: limits.get(text, (lower, upper)))

    def loosened(self, by: Mapping[str, tuple[float, float]]) -> Nlp:
        """The same problem with bounds on the rows of these names moved out: the lower, and the upper, by so much."""

        def moved(text: str, lower: float, upper: float) -> tuple[float, float]:
            below, above = by.get(text, (0.0, 0.0))
            return lower - below, upper + above

        return self._bounded(moved)

    def _bounded(self, bounds: Callable[[str, float, float], tuple[float, float]]) -> Nlp:
        """The same problem with other bounds on its rows, by their names and the bounds they have."""
        batches = []
        for batch in self.batches:
            texts = list(batch.labels.texts[: batch.rows]) if batch.copies else []
            pairs = [bounds(str(t), *pair) for t, *pair in zip(texts, batch.lower, batch.upper, strict=False)]
            lower, upper = np.array(pairs, dtype=float).reshape(-1, 2).T if pairs else (batch.lower, batch.upper)
            batches.append(replace(batch, lower=lower, upper=upper))
        return replace(self, batches=tuple(batches))

    def column_name(self, i: int, times: Mapping[str, tuple[float, float]] | None = None) -> str:
        """What column i is: `reactor.T @ react, t = 742`; `times` gives (start, duration) of each phase."""
        return _name_at(self.labels, i, times)

    def cell_name(self, i: int, times: Mapping[str, tuple[float, float]] | None = None) -> str:
        """What a batch's index points at: a column, or a number that is data."""
        if i < self.columns:
            return self.column_name(i, times)
        known = i - self.columns < len(self.data_names)
        return str(self.data_names[i - self.columns]) if known else ""

    def row_name(self, i: int, times: Mapping[str, tuple[float, float]] | None = None) -> str:
        """What row i is: `reactor.T balance @ react, t = 742`."""
        i = int(i if self.rows_order is None else self.rows_order[i])
        return _name_at([batch.labels for batch in self.batches], i, times)


def join(blocks: Sequence[Block], links: Sequence[Link]) -> Nlp:
    """Join blocks by links into one nonlinear program.

    Raises ValueError where a slot is left open, is linked twice or is given too many or too few values, where
    `Same` links form a circle, and where a link reads a value that its block does not know.
    """
    spaces, total = {}, 0
    for block in blocks:
        if block.name in spaces:
            raise ValueError(f"two blocks are called {block.name}")
        spaces[block.name] = total
        total += block.size
    root = np.arange(total)
    kind = np.zeros(total, dtype=np.int8)  # 0 open, 1 column, 2 data, 3 alias
    value = np.full(total, np.nan)
    names = np.full(total, "", dtype=object)
    groups: list[tuple[Array, Columns]] = []

    def fill(at: Array, what: int, where: str, count: int) -> None:
        if np.any(kind[at] != 0):
            raise ValueError(f"a slot of block {where} is linked twice")
        if count != len(at):
            raise ValueError(f"a slot of block {where} has {len(at)} cells, its link {count}")
        kind[at] = what

    def cells(wire: Wire) -> Array:
        if np.any(wire.cells < 0):
            raise ValueError(f"a link reads a value that block {wire.block} does not know")
        return spaces[wire.block] + wire.cells

    for block in blocks:
        at = spaces[block.name] + np.arange(block.size)
        fill(at[: block.own.count], 1, block.name, block.own.count)
        groups.append((at[: block.own.count], block.own))
        constants = at[block.size - len(block.constants) :]
        fill(constants, 2, block.name, len(constants))
        value[constants] = block.constants
    for link in links:
        if isinstance(link, Same):
            fill(cells(link.slot), 3, link.slot.block, link.source.cells.size)
            root[cells(link.slot)] = cells(link.source)
        elif isinstance(link, Fix):
            fill(cells(link.slot), 2, link.slot.block, np.size(link.values))
            value[cells(link.slot)] = link.values
            names[cells(link.slot)] = link.name
        elif isinstance(link, Decide):
            fill(cells(link.slot), 1, link.slot.block, link.columns.count)
            groups.append((cells(link.slot), link.columns))

    for _ in range(total.bit_length() + 1):  # follow aliases to their ends, twice as far each time
        further = root[root]
        if np.array_equal(further, root):
            break
        root = further
    if np.any(kind[root] == 0) or np.any(kind[root] == 3):
        _complain_of_open(blocks, spaces, kind, root)

    number = np.zeros(total, dtype=int)
    order = np.concatenate([np.zeros(0, dtype=int), *(at for at, _ in groups)])
    number[order] = np.arange(len(order))
    data_cells = np.flatnonzero(kind == 2)
    number[data_cells] = len(order) + np.arange(len(data_cells))
    number = number[root]

    batches, stages = [], 0
    for block in blocks:
        longest = -1
        for batch in block.batches:
            stage = batch.stage if batch.stage is None else batch.stage + stages
            batches.append(replace(batch, index=number[spaces[block.name] + batch.index], stage=stage))
            longest = max(longest, -1 if batch.stage is None else int(batch.stage.max(initial=-1)))
        stages += longest + 1  # blocks follow one another in time, in the order given
    for link in links:
        if isinstance(link, Tie):
            parts = (np.where(w.cells < 0, -1, number[spaces[w.block] + w.cells]) for w in link.wires)
            index = _what_is_read(link, np.concatenate([np.zeros(0, dtype=int), *parts]))
            tie = Batch(link.function, index[:, None], link.lower, link.upper, link.labels, link.weight)
            last = np.array([len(index) - 1])
            batches.append(tie if link.step is None else replace(tie, determined=last, step=link.step))
    columns = [group for _, group in groups]
    return Nlp(
        lower=np.concatenate([np.zeros(0), *(c.lower for c in columns)]),
        upper=np.concatenate([np.zeros(0), *(c.upper for c in columns)]),
        domain=np.concatenate([np.zeros(0, dtype=bool), *(c.domain for c in columns)]),
        labels=tuple(c.labels for c in columns),
        data=value[data_cells],
        batches=tuple(batches),
        cells={b.name: number[spaces[b.name] : spaces[b.name] + b.size] for b in blocks},
        data_names=names[data_cells],
    )


def _what_is_read(tie: Tie, index: Array) -> Array:
    """The tie's cells; an argument that its function does not read stands for another cell that it reads."""
    function = tie.function
    read = np.zeros(len(index), dtype=bool)
    for i in range(function.n_out()):
        if function.nnz_out(i):
            read[np.array(function.jac_sparsity(i, 0).get_col(), dtype=int)] = True
    if np.any(index[read] < 0):
        blocks = ", ".join(wire.block for wire in tie.wires)
        raise ValueError(f"a link reads a value that its block does not know (blocks {blocks})")
    return np.where(read, index, index[read][0] if read.any() else 0)


def _complain_of_open(blocks: Sequence[Block], spaces: Mapping[str, int], kind: Array, root: Array) -> None:
    for block in blocks:
        for slot in block.slots:
            at = spaces[block.name] + block.slot(slot).cells
            if np.any(kind[root[at]] == 0):
                raise ValueError(f"slot {slot} of block {block.name} is open: no link says what stands in it")
            if np.any(kind[root[at]] == 3):
                raise ValueError(f"slot {slot} of block {block.name} is linked in a circle")


def _name_at(labels: Sequence[Labels], i: int, times: Mapping[str, tuple[float, float]] | None) -> str:
    for group in labels:
        if i < len(group.texts):
            tau = float(group.tau[i])
            place = f" @ {group.phase}" if group.phase else ""
            if np.isfinite(tau):
                if times and group.phase in times:
                    start, duration = times[group.phase]
                    place += f", t = {start + tau * duration:.6g}"
                else:
                    place += f", {tau:.4g} of the phase"
            return f"{group.texts[i]}{place}"
        i -= len(group.texts)
    raise IndexError(i)
