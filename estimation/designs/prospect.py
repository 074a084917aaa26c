"""What is a batch to be in numbers? `Prospect`: its equations, solved for any decisions and parameters.

The batch is collocated as a fit's experiment is, g(w; theta, q) = 0, with parameters theta and decisions q as columns.
Newton's method solves it from a neighbour, or from a simulation; there the columns follow both,

    dw = -A^-1 B d(theta, q),    A, B the derivatives of g in w and in (theta, q)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from titer.estimation.designs.proposal import Group, Proposal, groups_of, noise_of
from titer.estimation.designs.sampler import Sampler
from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, assemble
from titer.flowsheets.problems.filling import column_sizes
from titer.flowsheets.problems.guesses import filled
from titer.flowsheets.problems.placing import Placement
from titer.flowsheets.problems.problem import FreeNumber
from titer.flowsheets.problems.wiring import starts_block
from titer.flowsheets.simulation import StoppedRunError, run_operations
from titer.numerics.grid import Grid
from titer.numerics.program import Program, Scaling
from titer.numerics.solution import PhaseResult

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

Array = np.ndarray
_STEPS = 25  # of Newton's method
_NEAR = 0.3  # scaled step from which a batch is simulated anew
_LEFT = 0.03  # of a size: how far an element may undershoot a domain
_SOLVED = 1e-9  # scaled step of Newton's method after which quadratic convergence leaves nothing


class LostError(RuntimeError):
    """A batch that does not run with these decisions and parameters."""


@dataclass(frozen=True, eq=False)
class Course:
    """A solution of the batch's equations: columns `w`, `follow` (columns, theta and decisions) in scaled columns,
    the factorized dependent part of the Jacobian, and rows with limits: values, derivatives in the decisions."""

    w: Array
    follow: Array
    factor: Any
    limited: Array
    slopes: Array


@dataclass(frozen=True, eq=False)
class Prospect:
    """The program of a proposed batch: `theta` and `decided` are its columns of parameters and decisions."""

    proposal: Proposal
    assembled: Assembled
    numbers: tuple[FreeNumber, ...]  # the unknown ones, in the order of theta
    theta: Array
    decided: Array
    sizes: Array
    first: Array  # all columns at the nominal simulation
    grid: Grid  # as it was asked for

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return groups_of(self.proposal)

    @cached_property
    def program(self) -> Program:
        return Program(self.assembled.nlp)

    @cached_property
    def _data(self) -> Any:
        nlp = self.assembled.nlp
        return self.program.parameters(Scaling(self.sizes, np.ones(nlp.rows)))

    @cached_property
    def _patterns(self) -> tuple[tuple[Array, Array, tuple[int, int]], ...]:
        """Sparsity of the Jacobian and of the Hessian: rows, beginnings of columns, shape."""
        patterns = (self.program.jacobian.sparsity_out(1), self.program.hessian.sparsity_out(0))
        return tuple((np.array(p.row(), dtype=int), np.array(p.colind(), dtype=int), p.shape) for p in patterns)

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        """Rows that are equations, and rows with limits."""
        lower, upper = self.assembled.nlp.row_bounds()
        return np.flatnonzero(lower == upper), np.flatnonzero(lower != upper)

    @property
    def equations(self) -> Array:
        """Rows that are equations."""
        return self._rows[0]

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Bounds of the rows with limits."""
        lower, upper = self.assembled.nlp.row_bounds()
        return lower[self._rows[1]], upper[self._rows[1]]

    @cached_property
    def free(self) -> Array:
        """Columns of theta, then those of the decisions."""
        return np.concatenate([self.theta, self.decided])

    @cached_property
    def dependent(self) -> Array:
        return np.setdiff1d(np.arange(self.assembled.nlp.columns), self.free)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Bounds of the decisions."""
        return self.assembled.nlp.lower[self.decided], self.assembled.nlp.upper[self.decided]

    @cached_property
    def durations(self) -> Array:
        """Cells of the durations of the phases."""
        nlp = self.assembled.nlp
        return np.array([nlp.cells[p.block.name][p.block.slot("duration").cells[0]] for p in self.assembled.runs[0]])

    @cached_property
    def samplers(self) -> tuple[tuple[Sampler, ...], ...]:
        """A sampler for each group and phase."""
        run, nlp = self.assembled.runs[0], self.assembled.nlp
        return tuple(
            tuple(Sampler(nlp, p, run[:k], group.names, self.grid.points) for k, p in enumerate(run))
            for group in self.groups
        )

    @cached_property
    def noise(self) -> tuple[tuple[Array, Array], ...]:
        """Constant and relative deviations of the names of each group."""
        noise = noise_of(self.proposal, self.assembled.problem.plant)
        return tuple(
            (np.array([noise[n].absolute for n in g.names]), np.array([noise[n].relative for n in g.names]))
            for g in self.groups
        )

    def cells(self, w: Array) -> Array:
        """Values of all cells."""
        return np.concatenate([w, self.assembled.nlp.data])

    def length(self, state: Course) -> tuple[float, Array]:
        """How long the batch lasts, and the derivatives in the decisions."""
        n, k = len(state.w), len(self.theta)
        moving = self.durations[self.durations < n]
        slopes = (state.follow[moving, k:] * self.sizes[moving, None]).sum(axis=0) / self.sizes[self.decided]
        return float(self.cells(state.w)[self.durations].sum()), slopes

    def solve(self, decided: Array, theta: Array, near: Course | None = None) -> Course:
        """The batch with these decisions and parameters, started from a state nearby. Raises LostError."""
        if near is not None:
            w = near.w.copy()
            step = np.concatenate([theta, decided]) - w[self.free]
            w += self.sizes * (near.follow @ (step / self.sizes[self.free]))
            try:
                return self._newton(self._put(w, decided, theta), _NEAR)
            except LostError:  # too far from there
                pass
        return self._newton(self._put(self._simulated(decided, theta)[0], decided, theta))

    @property
    def elements(self) -> int:
        """How many elements the batch has."""
        return sum(len(p.transcribed.ends) - 1 for p in self.assembled.runs[0])

    def rebuilt(self, decided: Array, theta: Array) -> Prospect:
        """The same batch on elements that suit these decisions. Raises LostError."""
        return self._on(self.grid, decided, theta)

    def halved(self, decided: Array, theta: Array) -> Prospect:
        """The same batch with every element cut in two. Raises LostError."""
        ends = {}
        for placement in self.assembled.runs[0]:
            whole = placement.transcribed.ends
            middle = 0.5 * (whole[:-1] + whole[1:])
            ends[placement.operation.name] = np.sort(np.concatenate([whole, middle]))
        return self._on(replace(self.grid, elements=ends), decided, theta)

    def _on(self, grid: Grid, decided: Array, theta: Array) -> Prospect:
        results = self._simulated(decided, theta)[1]
        problem = replace(self.assembled.problem, grid=grid)
        assembled = assemble(problem, [[p.terms for p in self.assembled.runs[0]]], [results])
        first = filled(assembled, [results], self._values(decided, theta))
        theta_columns, decided_columns = columns_of(assembled, self.numbers)
        sizes = column_sizes(assembled, [results])
        other = replace(self, assembled=assembled, theta=theta_columns, decided=decided_columns, sizes=sizes)
        return replace(other, first=other._put(first, decided, theta))

    def _put(self, w: Array, decided: Array, theta: Array) -> Array:
        w = w.copy()
        w[self.theta], w[self.decided] = theta, decided
        return w

    def _newton(self, w: Array, longest: float = np.inf) -> Course:
        """Newton's method on the equations, damped; the derivatives at its end.

        `longest`: scaled step from which the start was no neighbour. Raises LostError, also where states leave their
        domains: collocation has solutions there that are none of the model's.
        """
        w = w.copy()
        equations, dependent = self._rows[0], self.dependent
        g, jacobian = self._evaluated(w)
        for _ in range(_STEPS):
            factor = _factorized(jacobian[equations][:, dependent])
            step = factor.solve(-g[equations])
            length, share = np.abs(step).max(initial=0.0), 1.0
            if not length <= longest:
                raise LostError("the start is no neighbour")
            if length <= _SOLVED:
                w[dependent] += step * self.sizes[dependent]
                self._check_domains(w)
                return self._course(w, *self._evaluated(w))
            while True:
                trial = w.copy()
                trial[dependent] += share * step * self.sizes[dependent]
                g_trial, jacobian_trial = self._evaluated(trial)
                left = np.inf
                if np.isfinite(g_trial).all() and np.isfinite(jacobian_trial.data).all():
                    left = np.abs(factor.solve(-g_trial[equations])).max(initial=0.0)
                if left <= (1.0 - 0.25 * share) * length or (length < 1e-5 and left <= _SOLVED):
                    break
                share *= 0.5
                if share < 1e-3:
                    raise LostError("the equations of a proposed batch have no solution nearby")
            w, g, jacobian = trial, g_trial, jacobian_trial
        raise LostError("the equations of a proposed batch were not solved")

    def _check_domains(self, w: Array) -> None:
        nlp = self.assembled.nlp
        beyond = np.where(nlp.domain, np.maximum(nlp.lower - w, w - nlp.upper) / self.sizes, 0.0)
        k = int(np.argmax(beyond))
        if beyond[k] > _LEFT:
            raise LostError(f"{nlp.column_name(k)} leaves its domain: {w[k]:.3g}")

    def _evaluated(self, w: Array) -> tuple[Array, csc_matrix]:
        g, jacobian = self.program.jacobian(w / self.sizes, self._data)
        return np.array(g).ravel(), _sparse(jacobian, self._patterns[0])

    def _course(self, w: Array, g: Array, jacobian: csc_matrix) -> Course:
        equations, limited = self._rows
        factor = _factorized(jacobian[equations][:, self.dependent])
        k = len(self.free)
        follow = np.zeros((len(w), k))
        follow[self.free, np.arange(k)] = 1.0
        if len(self.dependent) and k:
            follow[self.dependent] = factor.solve(-jacobian[equations][:, self.free].toarray())
        moves = jacobian[limited] @ follow[:, len(self.theta) :] / self.sizes[self.decided]
        return Course(w, follow, factor, g[limited], moves)

    @property
    def unknown(self) -> frozenset[str]:
        """Names of the unknown numbers."""
        return frozenset(n.name for n in self.numbers)

    def values(self, course: Course) -> dict[str, float]:
        """Decided and unknown parameters and initial states by name."""
        return {name: float(course.w[cell]) for name, cell in number_columns(self.assembled)}

    def _values(self, decided: Array, theta: Array) -> dict[str, float]:
        column = dict(zip(self.free.tolist(), [*theta, *decided], strict=True))
        where = dict(number_columns(self.assembled))
        return {name: float(column[cell]) for name, cell in where.items()}

    def _simulated(self, decided: Array, theta: Array) -> tuple[Array, tuple[PhaseResult, ...]]:
        """The batch integrated: columns, and its trajectory. Raises LostError."""
        problem, placements = self.assembled.problem, self.assembled.runs[0]
        cells = self.cells(self._put(self.first, decided, theta))
        values = self._values(decided, theta)
        shapes, durations = {}, {}
        for placement, cell in zip(placements, self.durations, strict=True):
            shapes[placement.operation.name] = self.shapes(placement, cells)
            if placement.operation.event is None:
                durations[placement.operation.name] = float(cells[cell])
        operations = [p.operation for p in placements]
        try:
            results = run_operations(
                problem.runs[0].plant.with_values(values), operations, shapes, durations, points=120
            )
        except StoppedRunError as stop:
            raise LostError(stop.message) from None
        return filled(self.assembled, [results], values), results

    def shapes(self, placement: Placement, cells: Array) -> dict[str, Any]:
        """Shape and values of each input of a phase."""
        own = cells[self.assembled.nlp.cells[placement.block.name]]
        return {
            name: (profile, own[placement.block.slot(f"input:{name}").cells])
            for name, (profile, _) in placement.shapes.items()
        }

    def bent(self, state: Course, multipliers: Array, direction: Array) -> Array:
        """The Hessian of multipliers' g times a direction."""
        upper = self.program.hessian(state.w / self.sizes, self._data, 0.0, multipliers)
        bend = _sparse(upper, self._patterns[1])
        return np.asarray(bend @ direction + bend.T @ direction - bend.diagonal() * direction)


def columns_of(assembled: Assembled, numbers: Sequence[FreeNumber]) -> tuple[Array, Array]:
    """Columns of the unknown numbers, and of all that is decided."""
    nlp = assembled.nlp
    where = dict(number_columns(assembled))
    theta = np.array([where[n.name] for n in numbers], dtype=int)
    unknowns = {n.name for n in numbers}
    found = [cell for name, cell in where.items() if name not in unknowns]
    for placement in assembled.runs[0]:
        cells, operation = nlp.cells[placement.block.name], placement.operation
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                found += cells[placement.block.slot(f"input:{variable.name}").cells].tolist()
        if operation.duration.free and operation.event is None:
            found += cells[placement.block.slot("duration").cells].tolist()
    kept = [cell for cell in dict.fromkeys(int(c) for c in found) if cell < nlp.columns]
    return theta, np.array(kept, dtype=int)


def number_columns(assembled: Assembled) -> list[tuple[str, int]]:
    """Names and columns of free parameters and initial states."""
    nlp, plant = assembled.nlp, assembled.problem.plant
    parameters = [str(s.name) for s in plant.scalars.values() if s.kind == Parameter.kind]
    states = [n.name for n in assembled.numbers if n.kind == State.kind]
    found = []
    for number in assembled.numbers:
        if number.kind == State.kind:
            found.append((number.name, int(nlp.cells[starts_block(0)][states.index(number.name)])))
        else:
            found.append((number.name, int(nlp.cells[assembled.plants[0].name][parameters.index(number.name)])))
    return found


def _factorized(matrix: csc_matrix) -> Any:
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    try:
        return splu(csc_matrix(matrix))
    except RuntimeError:
        raise LostError("the equations of a proposed batch do not determine its states") from None


def _sparse(matrix: ca.DM, pattern: tuple[Array, Array, tuple[int, int]]) -> csc_matrix:
    from scipy.sparse import csc_matrix

    rows, begins, shape = pattern
    return csc_matrix((np.array(matrix.nz[:]).ravel(), rows, begins), shape=shape)
