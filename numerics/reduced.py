"""How does everything follow a few free columns, and how does the objective bend in them? At a solution of a program.

Where all other columns are determined by equations, g(w) = 0, the implicit function theorem gives

    dw/dtheta = S,   A_dependent S_dependent = -A_free,   S_free = I,      d2J/dtheta2 = S' (d2L/dw2) S

with A the Jacobian of the equations and L = f + y' g. A bound that holds a free column takes it out: it does not move.
Source: Zavala, Laird & Biegler, J. Process Control 18 (2008) 876; Bard, Nonlinear Parameter Estimation (1974), ch. 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.marching import March
from titer.numerics.program import Program, Scaling
from titer.numerics.solvers import Outcome


@dataclass(frozen=True, eq=False)
class Reduced:
    """A solution seen from its free columns (k): `free` their numbers, `follow` (columns, k) the derivatives of all
    columns, `hessian` (k, k) and `gradient` (k,) of the minimized objective along the equations."""

    free: Array
    follow: Array
    hessian: Array
    gradient: Array
    exact: bool = True  # False: the curvature of the equations is left out (Gauss and Newton)


def reduced(program: Program, outcome: Outcome, scaling: Scaling, free: Array, data: Array | None = None) -> Reduced:
    """Reduce a solution to the columns `free`.

    Raises ValueError where the equations are not as many as the other columns, LinAlgError where they do not determine
    them.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    nlp = program.nlp
    x, p = outcome.w / scaling.columns, program.parameters(scaling, data)
    lower, upper = nlp.row_bounds()
    equations = np.flatnonzero(lower == upper)
    dependent = np.setdiff1d(np.arange(nlp.columns), free)
    if len(equations) != len(dependent):
        raise ValueError(f"{len(equations)} equations for {len(dependent)} dependent columns")
    jacobian = csc_matrix(program.jacobian(x, p)[1].sparse())[equations]
    follow = np.zeros((nlp.columns, len(free)))
    follow[free, np.arange(len(free))] = 1.0
    if len(dependent) and len(free):
        try:
            step = splu(csc_matrix(jacobian[:, dependent])).solve(-jacobian[:, free].toarray())
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"the equations do not determine the dependent columns: {error}") from None
        follow[dependent] = step
    y = outcome.row_multipliers / scaling.rows * scaling.objective
    bend = csc_matrix(program.hessian(x, p, 1.0, y).sparse())
    curved = bend @ follow
    curved += (bend.T @ follow) - bend.diagonal()[:, None] * follow  # the upper triangle stands for both
    slope = np.array(program.gradient(x, p)[1]).ravel()
    sizes = scaling.columns[free]
    unscale = 1.0 / sizes / scaling.objective
    return Reduced(
        free=free,
        follow=follow * scaling.columns[:, None] / sizes,
        hessian=(follow.T @ curved) * unscale[:, None] / sizes,
        gradient=(follow.T @ slope) * unscale,
    )


def reduced_by_steps(march: March, outcome: Outcome, free: Array, data: Array) -> Reduced:
    """The same where columns follow by steps: one pass of forward derivatives, and the Hessian of Gauss and Newton.

    Raises ValueError and LinAlgError as `reduced` does.
    """
    point = march.run(outcome.w[march.free], data)
    slopes = march.forward(point, data)
    lower, upper = (bounds[march.kept] for bounds in march.nlp.row_bounds())
    equal = np.flatnonzero(lower == upper)
    wanted = np.searchsorted(march.free, free)
    others = np.setdiff1d(np.arange(len(march.free)), wanted)
    if not np.array_equal(march.free[np.minimum(wanted, len(march.free) - 1)], free):
        raise ValueError("a column that follows from others is no free one")
    if len(equal) != len(others):
        raise ValueError(f"{len(equal)} equations for {len(others)} dependent columns")
    through = np.zeros((len(march.free), len(free)))
    through[wanted, np.arange(len(free))] = 1.0
    if len(others):
        through[others] = np.linalg.solve(slopes.rows[np.ix_(equal, others)], -slopes.rows[np.ix_(equal, wanted)])
    follow = march.follow(point, data) @ through
    bend = march.bend(point, data)
    return Reduced(free, follow, follow.T @ (bend @ follow), slopes.objective @ through, exact=False)
