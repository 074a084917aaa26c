"""Which columns of an `Nlp` does a step decide, which follow by equations, and which never leave their element?

Columns are numbered anew: first the free ones, then those that elements determine and others read, in an order in which
each element only reads what stands before. Columns inside an element have no number (-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Nlp
from titer.numerics.realtime.elements import Elements, Where
from titer.numerics.realtime.functions import Piece, offsets


@dataclass(frozen=True, eq=False)
class Structure:
    """`number` (columns,): the new number of each column, -1 inside elements; `kept` its inverse.

    The first `free` of `kept` are free. `loose`: the batches that are no elements, with where their numbers begin.
    `order`: (group, elements of it) one after another, such that each only reads what stands before.
    """

    groups: tuple[Elements, ...]
    loose: tuple[tuple[Piece, Where], ...]
    number: Array
    kept: Array
    free: int
    order: tuple[tuple[int, Array], ...]


def structure_of(nlp: Nlp, pieces: Sequence[Piece], exact: bool) -> Structure:
    """Sort the columns of a problem. Raises SpecificationError where elements follow one another in a circle."""
    n = nlp.columns
    read = [piece.cells[:, piece.reads].ravel() for piece in pieces]
    uses = np.bincount(np.concatenate([np.zeros(0, int), *read]), minlength=n)[:n]
    places = _places(pieces, exact)
    solvable = [_determined_cells(piece, n) for piece in pieces]
    times = np.bincount(
        np.concatenate([np.zeros(0, int), *(c.ravel() for c in solvable if c is not None)]), minlength=n
    )
    alike: dict[tuple, list[int]] = {}
    loose = []
    for k, (piece, cells) in enumerate(zip(pieces, solvable, strict=True)):
        if cells is None or (times[cells] > 1).any():
            loose.append((piece, places[k]))
        else:
            inner = _inner(piece, uses, n)
            alike.setdefault(_signature(piece, inner, exact), []).append(k)
    groups = []
    for members in alike.values():
        inner = _inner(pieces[members[0]], uses, n)
        groups.append(Elements([pieces[k] for k in members], [places[k] for k in members], exact, inner, n))
    return _numbered(nlp, tuple(groups), tuple(loose))


def _places(pieces: Sequence[Piece], exact: bool) -> list[Where]:
    """Where the numbers of each batch begin in the flat vectors of `Functions`."""
    copies = [piece.batch.copies for piece in pieces]
    rows = offsets([c * p.batch.rows for c, p in zip(copies, pieces, strict=True)])
    slopes = offsets([c * len(p.active) * p.weighted for c, p in zip(copies, pieces, strict=True)])
    jacobian = offsets([c * len(p.jacobian[0]) for c, p in zip(copies, pieces, strict=True)])
    bends = [p.hessian if exact else p.bent for p in pieces]
    hessian = offsets([c * len(b[0]) for c, b in zip(copies, bends, strict=True)])
    return [Where(*(int(part[k]) for part in (rows, slopes, jacobian, hessian))) for k in range(len(pieces))]


def _determined_cells(piece: Piece, columns: int) -> Array | None:
    """(copies, equations): the columns that a batch's first equations determine, None where they do not."""
    determined = piece.batch.determined
    if determined is None or not len(determined) or not np.isin(determined, piece.active).all():
        return None
    cells = piece.batch.index[determined].T
    return cells if (cells < columns).all() else None


def _inner(piece: Piece, uses: Array, columns: int) -> Array:
    """(active,): arguments that are determined and that nobody else reads, in any copy."""
    cells, determined = piece.cells, piece.batch.determined
    assert determined is not None  # only what determines something has an inside
    alone = np.where(cells < columns, uses[np.minimum(cells, columns - 1)], 2) == 1
    return alone.all(axis=0) & np.isin(piece.active, determined)


def _signature(piece: Piece, inner: Array, exact: bool) -> tuple:
    parts = [piece.active, piece.batch.determined, inner, *piece.jacobian, *(piece.hessian if exact else piece.bent)]
    return piece.batch.rows, piece.weighted, *(np.asarray(part).tobytes() for part in parts)


def _numbered(nlp: Nlp, groups: tuple[Elements, ...], loose: tuple[tuple[Piece, Where], ...]) -> Structure:
    n = nlp.columns
    owner = np.full(n, -1)  # the element that determines a column, inside or not
    inside = np.zeros(n, dtype=bool)
    reads: list[Array] = []
    shared: list[Array] = []
    for group in groups:
        for cells in group.cells:
            owner[cells[: group.inner]] = len(reads)
            owner[cells[group.inner + group.outer :]] = len(reads)
            inside[cells[: group.inner]] = True
            read = cells[group.inner : group.inner + group.outer][group.moving]
            reads.append(read[read < n])
            shared.append(cells[group.inner + group.outer :])
    level = _levels(owner, reads, nlp)
    sorted_shared = [shared[e] for e in np.argsort(level, kind="stable")]
    dependent = np.concatenate([np.zeros(0, int), *sorted_shared]).astype(int)
    free = np.flatnonzero(~inside & (owner < 0))
    kept = np.concatenate([free, dependent])
    number = np.full(n, -1)
    number[kept] = np.arange(len(kept))
    group_of = np.repeat(np.arange(len(groups)), [group.count for group in groups])
    first = offsets([group.count for group in groups])
    order = []
    for rank in range(level.max(initial=-1) + 1):
        for k in np.unique(group_of[level == rank]):
            order.append((int(k), np.flatnonzero((level == rank) & (group_of == k)) - first[k]))
    return Structure(groups, loose, number, kept, len(free), tuple(order))


def _levels(owner: Array, reads: Sequence[Array], nlp: Nlp) -> Array:
    """How many elements stand before each, at least."""
    before = [np.unique(owner[cells][owner[cells] >= 0]) for cells in reads]
    level = np.zeros(len(reads), dtype=int)
    for _ in range(len(reads) + 1):
        further = np.array([level[b].max(initial=-1) + 1 for b in before], dtype=int)
        if np.array_equal(further, level):
            return level
        level = further
    late = int(np.argmax(level))
    raise SpecificationError(
        f"Sqp: {nlp.column_name(int(reads[late][0]))} follows from itself: the elements form a circle. Use Ipopt()."
    )
