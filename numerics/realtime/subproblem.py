"""What is the quadratic program of a step? Numbers of the columns that stay, in static patterns.

    minimize  1/2 d' P d + q' d    subject to    E d = e,    lower <= g + G d <= upper,    bounds of d

E: the states that elements determine; G: all other rows, and the bounds of columns inside elements, as rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.program import Scaling
from titer.numerics.realtime.elements import Elements, Solved
from titer.numerics.realtime.functions import Functions
from titer.numerics.realtime.sparsity import Pattern, block_places, joined
from titer.numerics.realtime.structure import structure_of


@dataclass(frozen=True, eq=False)
class Point:
    """An `Nlp` at scaled columns x: its objective and its rows (scaled, in batch order)."""

    x: Array
    objective: float
    rows: Array
    slopes: Array


@dataclass(frozen=True, eq=False)
class Step:
    """The program of one step: entries of E, G and P (see `Subproblem`), e, values g, slopes q."""

    point: Point
    solved: tuple[Solved, ...]
    E: Array
    G: Array
    P: Array
    e: Array
    g: Array
    q: Array


class Subproblem:
    """Everything static: patterns, and where numbers come from and go to."""

    def __init__(self, nlp: Nlp, scaling: Scaling, functions: Functions, exact: bool):
        self.nlp, self.scaling, self.functions, self.exact = nlp, scaling, functions, exact
        self.structure = structure_of(nlp, functions.pieces, exact)
        structure = self.structure
        self.count, self.free, self.rows = len(structure.kept), structure.free, nlp.rows
        self.number = np.concatenate([structure.number, np.full(len(nlp.data), -1)])
        self._sizes = np.concatenate([scaling.columns, np.ones(len(nlp.data))])
        lower, upper = nlp.row_bounds() if nlp.rows_order is None else replace(nlp, rows_order=None).row_bounds()
        self._row_lower, self._row_upper = lower * scaling.rows, upper * scaling.rows
        self._bounded = [self._bounded_inside(group) for group in structure.groups]
        self._scale(functions)
        self.E, self.G, self.P = self._equations(), self._limits(), self._curvature()
        cells = [self.number[g.cells[:, g.kept]].ravel() for g in structure.groups if g.sloped]
        cells += [self.number[piece.cells].ravel() for piece, _ in structure.loose if piece.weighted]
        to = np.concatenate([np.zeros(0, int), *cells])
        self._slope_from = np.flatnonzero(to >= 0)
        self._slope_to = to[self._slope_from]
        inside = [group.cells[:, bounded] for group, bounded in zip(structure.groups, self._bounded, strict=True)]
        self.limited_inside = np.concatenate([np.zeros(0, int), *(cells.ravel() for cells in inside)])
        self.unlimited_inside = np.setdiff1d(np.flatnonzero(structure.number < 0), self.limited_inside)
        self._place(functions)
        self.rows_kept = np.concatenate(
            [np.zeros(0, int), *(g.row_at[:, g.equations :].ravel() for g in structure.groups)]
        )
        self.rows_loose = np.concatenate(
            [np.zeros(0, int), *(w.row + np.arange(p.batch.rows * p.batch.copies) for p, w in structure.loose)]
        )

    def _bounded_inside(self, group: Elements) -> Array:
        cells = group.cells[:, : group.inner]
        return np.flatnonzero((np.isfinite(self.nlp.lower[cells]) | np.isfinite(self.nlp.upper[cells])).any(axis=0))

    def _scale(self, functions: Functions) -> None:
        """Factors of the flat vectors: derivatives are taken in sizes of columns."""
        slopes, jacobian, hessian, row = [], [], [], 0
        none = np.zeros(0)
        for piece in functions.pieces:
            sizes, rows = self._sizes[piece.cells], piece.batch.rows
            factors = self.scaling.rows[row : row + rows * piece.batch.copies].reshape(piece.batch.copies, rows)
            row += factors.size
            if piece.weighted:
                slopes.append(sizes.ravel())
            i, j = piece.jacobian
            jacobian.append((factors[:, i] * sizes[:, j]).ravel())
            i, j = piece.hessian if self.exact else piece.bent
            hessian.append((sizes[:, i] * sizes[:, j]).ravel())
        self._slope_scale = np.concatenate([none, *slopes])
        self._jacobian_scale = np.concatenate([none, *jacobian])
        self._hessian_scale = np.concatenate([none, *hessian])

    def _place(self, functions: Functions) -> None:
        """Rows and columns of the flat slopes and Jacobians, for slopes of the Lagrangian."""
        slopes, rows, columns, first = [], [], [], 0
        none = np.zeros(0, dtype=int)
        for piece in functions.pieces:
            i, j = piece.jacobian
            copies = np.arange(piece.batch.copies)[:, None]
            if piece.weighted:
                slopes.append(piece.cells.ravel())
            rows.append((first + copies * piece.batch.rows + i).ravel())
            columns.append(piece.cells[:, j].ravel())
            first += piece.batch.rows * piece.batch.copies
        self._slope_columns = np.concatenate([none, *slopes])
        self._entry_rows, self._entry_columns = np.concatenate([none, *rows]), np.concatenate([none, *columns])

    def _equations(self) -> Pattern:
        """E: raw numbers are a one for each row, then -K of the shared columns."""
        count = self.count - self.free
        each = np.arange(count)
        parts, first = [(each, self.free + each, each)], count
        for group in self.structure.groups:
            rows = self.number[group.cells[:, group.inner + group.outer :]] - self.free
            columns = self.number[group.cells[:, group.inner : group.inner + group.outer]]
            mask = np.broadcast_to(group.moving, (group.shared, group.outer))
            parts.append(block_places(rows, columns, mask, first))
            first += group.count * group.shared * group.outer
        return Pattern(*joined(parts), (count, self.count))

    def _limits(self) -> Pattern:
        """G: rows of elements that are no equations, bounds inside elements, loose rows."""
        parts, first, row = [], 0, 0
        self.row_blocks: list[tuple[int, int, int]] = []  # first row, elements and rows of each: they read the same
        blocks = [self._row_masks(group) for group in self.structure.groups]
        masks = [mask for mask, _ in blocks]
        masks += [inside[bounded] for (_, inside), bounded in zip(blocks, self._bounded, strict=True)]
        for group, mask in zip((*self.structure.groups, *self.structure.groups), masks, strict=True):
            rows = row + np.arange(group.count * len(mask)).reshape(group.count, len(mask))
            columns = self.number[group.cells[:, group.kept]]
            parts.append(block_places(rows, columns, mask, first))
            if len(mask) > 1:
                self.row_blocks.append((row, group.count, len(mask)))
            row, first = row + rows.size, first + rows.size * columns.shape[1]
        for piece, where in self.structure.loose:
            i, j = piece.jacobian
            copies = np.arange(piece.batch.copies)[:, None]
            rows, columns = row + copies * piece.batch.rows + i, self.number[piece.cells[:, j]]
            source = first + where.jacobian + copies * len(i) + np.arange(len(i))
            wanted = columns >= 0
            parts.append((rows[wanted], columns[wanted], source[wanted]))
            row += piece.batch.rows * piece.batch.copies
        return Pattern(*joined(parts), (row, self.count))

    def _row_masks(self, group: Elements) -> tuple[Array, Array]:
        """Where the rows that are no equations, and the columns inside, may depend on what stays."""
        inside = np.zeros((group.inner, group.outer + group.shared), dtype=bool)
        inside[:, : group.outer] = group.moving
        whole = np.zeros(group.rows * group.arguments, dtype=bool)
        whole[group.jacobian_to] = True
        rest = whole.reshape(group.rows, group.arguments)[group.equations :]
        return rest[:, group.kept] | (rest[:, : group.inner] @ inside), inside

    def _curvature(self) -> Pattern:
        """P: of elements, with what is inside substituted; then of the loose batches, from the flat Hessians."""
        parts, first = [], 0
        for group in self.structure.groups:
            if group.curved:
                columns = self.number[group.cells[:, group.kept]]
                flat = np.zeros(group.arguments**2, dtype=bool)
                flat[group.hessian_to] = True
                whole = flat.reshape(group.arguments, group.arguments)
                follow = np.eye(group.arguments, dtype=bool)[:, group.kept]
                follow[: group.inner] = self._row_masks(group)[1]
                mask = follow.T @ whole @ follow
                parts.append(block_places(columns, columns, mask, first))
                first += columns.size * columns.shape[1]
        for piece, where in self.structure.loose:
            i, j = piece.hessian if self.exact else piece.bent
            if len(i):
                copies = np.arange(piece.batch.copies)[:, None]
                a, b = self.number[piece.cells[:, i]], self.number[piece.cells[:, j]]
                source = first + where.hessian + copies * len(i) + np.arange(len(i))
                wanted = (a >= 0) & (b >= 0)
                other = wanted & (i != j)
                parts += [(a[wanted], b[wanted], source[wanted]), (b[other], a[other], source[other])]
        return Pattern(*joined(parts), (self.count, self.count))

    def point(self, x: Array, data: Array) -> Point:
        """Values and slopes."""
        f, rows, slopes = self.functions.values(x, data)
        return Point(x, float(f[0]), rows * self.scaling.rows, slopes * self._slope_scale)

    def lagrangian(self, x: Array, data: Array, rows: Array, columns: Array) -> tuple[Point, Array]:
        """Values, and the slope of the Lagrangian by all columns, at multipliers of the rows and columns."""
        f, g, slopes, jacobian = self.functions.slopes(x, data)
        point = Point(x, float(f[0]), g * self.scaling.rows, slopes * self._slope_scale)
        pulled = jacobian * self._jacobian_scale * rows[self._entry_rows]
        cells, n = len(self._sizes), self.nlp.columns
        slope = np.bincount(self._slope_columns, point.slopes, minlength=cells)[:n]
        return point, slope + np.bincount(self._entry_columns, pulled, minlength=cells)[:n] + columns

    def step(self, x: Array, data: Array, multipliers: Array | None) -> Step:
        """The program of a step from x; `multipliers` of the rows (scaled, in batch order), where they are known.

        Raises LinAlgError where an element's equations do not determine what follows.
        """
        f, rows, slopes, jacobian = self.functions.slopes(x, data)
        point = Point(x, float(f[0]), rows * self.scaling.rows, slopes * self._slope_scale)
        entries = jacobian * self._jacobian_scale
        solved = tuple(Solved.at(group, entries) for group in self.structure.groups)
        if self.exact:
            known = np.zeros(self.rows) if multipliers is None else multipliers
            (curvature,) = self.functions.curvature(x, data, known)
        else:
            (curvature,) = self.functions.bending(x, data)
        curvature = curvature * self._hessian_scale
        E = self.E.entries(np.concatenate([np.ones(self.count - self.free), *(-_shared(s).ravel() for s in solved)]))
        rest = [_rest(s).ravel() for s in solved]
        bounds = [s.inside[:, b].ravel() for s, b in zip(solved, self._bounded, strict=True)]
        G = self.G.entries(np.concatenate([*rest, *bounds, entries]))
        for each in solved:
            if each.elements.curved:
                each.bend(curvature)
        P = self.P.entries(np.concatenate([*(_bent(s).ravel() for s in solved if s.elements.curved), curvature]))
        return Step(point, solved, E, G, P, *self._vectors(point, solved))

    def moved(self, step: Step, point: Point) -> Step:
        """The program with the derivatives of `step`, and values and slopes of a point with other data."""
        solved = tuple(replace(each) for each in step.solved)
        e, g, q = self._vectors(point, solved)
        return replace(step, point=point, solved=solved, e=e, g=g, q=q)

    def _vectors(self, point: Point, solved: tuple[Solved, ...]) -> tuple[Array, Array, Array]:
        """e, g and q."""
        e = np.zeros(self.count - self.free)
        rest, inside, slopes = [], [], []
        for each, bounded in zip(solved, self._bounded, strict=True):
            group = each.elements
            each.move(point.rows)
            e[self.number[group.cells[:, group.inner + group.outer :]] - self.free] = each.step[:, group.inner :]
            within = each.step[:, : group.inner, None]
            own = each.jacobian[:, group.equations :, : group.inner] @ within
            rest.append((point.rows[group.row_at[:, group.equations :]] + own[:, :, 0]).ravel())
            inside.append((point.x[group.cells[:, bounded]] + within[:, bounded, 0]).ravel())
            if group.sloped:
                slopes.append(_slope(each, point.slopes).ravel())
        g = np.concatenate([*rest, *inside, point.rows[self.rows_loose]])
        for piece, where in self.structure.loose:
            if piece.weighted:
                slopes.append(point.slopes[where.slope : where.slope + piece.cells.size])
        raw = np.concatenate([np.zeros(0), *slopes])[self._slope_from]
        return e, g, np.bincount(self._slope_to, raw, minlength=self.count)

    def limits(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Lower and upper limits of the rows g, given the (scaled) bounds of all columns."""
        low = (self._row_lower[self.rows_kept], lower[self.limited_inside], self._row_lower[self.rows_loose])
        high = (self._row_upper[self.rows_kept], upper[self.limited_inside], self._row_upper[self.rows_loose])
        return np.concatenate(low), np.concatenate(high)

    @property
    def row_limits(self) -> tuple[Array, Array]:
        """Lower and upper limits of all rows, scaled, in batch order."""
        return self._row_lower, self._row_upper

    def whole(self, step: Step, d: Array) -> Array:
        """The step of all columns, from that of those that stay."""
        full = np.zeros(self.nlp.columns)
        full[self.structure.kept] = d
        padded = np.concatenate([d, [0.0]])
        for each in step.solved:
            group = each.elements
            outer = padded[self.number[group.cells[:, group.inner : group.inner + group.outer]]]
            inner = each.step[:, : group.inner] + (each.follow[:, : group.inner] @ outer[:, :, None])[:, :, 0]
            full[group.cells[:, : group.inner]] = inner
        return full

    def missed(self, point: Point) -> Array:
        """By how much each row misses its limits."""
        return np.maximum(np.maximum(self._row_lower - point.rows, point.rows - self._row_upper), 0.0)


def _shared(solved: Solved) -> Array:
    return solved.follow[:, solved.elements.inner :]


def _rest(solved: Solved) -> Array:
    """Rows that are no equations, by what stays."""
    group = solved.elements
    rows = solved.jacobian[:, group.equations :]
    if not group.inner or not rows.shape[1]:
        return rows[:, :, group.kept]
    return rows[:, :, group.kept] + rows[:, :, : group.inner] @ solved.inside


def _bent(solved: Solved) -> Array:
    """Second derivatives by what stays."""
    group, hessian = solved.elements, solved.hessian
    assert hessian is not None
    kept = hessian[:, group.kept, group.kept]
    if not group.inner_curved:
        return kept
    inside = solved.inside
    cross = inside.transpose(0, 2, 1) @ hessian[:, : group.inner, group.kept]
    within = inside.transpose(0, 2, 1) @ (hessian[:, : group.inner, : group.inner] @ inside)
    return kept + cross + cross.transpose(0, 2, 1) + within


def _slope(solved: Solved, flat: Array) -> Array:
    """Slopes by what stays, the step inside taken."""
    group, hessian = solved.elements, solved.hessian
    slopes = flat[group.slope_at] if group.weighted else np.zeros((group.count, group.arguments))
    if hessian is not None and group.inner_curved:
        slopes = slopes + (hessian[:, :, : group.inner] @ solved.step[:, : group.inner, None])[:, :, 0]
    kept = slopes[:, group.kept]
    if not group.inner:
        return kept
    return kept + (solved.inside.transpose(0, 2, 1) @ slopes[:, : group.inner, None])[:, :, 0]
